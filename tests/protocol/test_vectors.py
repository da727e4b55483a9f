"""The package against vectors that an independent script made from SPEC.md alone."""

from __future__ import annotations

import itertools
import json
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from otpkeep_protocol import content, ids, keyring, sealing, slots, state, statements, wire
from otpkeep_protocol import events as events_module
from otpkeep_protocol.account import counter_key
from otpkeep_protocol.chains import Chains
from otpkeep_protocol.content import Run
from otpkeep_protocol.errors import Malformed, NotAuthentic, OtpkeepError, UnknownVersion, WrongPassphrase
from otpkeep_protocol.events import Event
from otpkeep_protocol.naming import file_name
from otpkeep_protocol.rules import check_statement, is_certificate
from otpkeep_protocol.view import is_account, view

VECTORS = Path(__file__).parents[2] / "protocol" / "vectors"
Case = dict[str, Any]


def _load(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((VECTORS / f"{name}.json").read_text())
    return loaded


def _cases(name: str, part: str) -> list[Any]:
    return [pytest.param(case, id=case["name"].replace(" ", "-")) for case in _load(name)[part]]


def _bytes(value: Any) -> bytes:
    if isinstance(value, str):
        return bytes.fromhex(value)
    return b"".join(bytes.fromhex(part) * times for part, times in value)


def _value(rendered: Any) -> Any:
    """Return the value that a JSON rendering stands for: {"bin": hex} is bytes."""
    if isinstance(rendered, dict):
        if rendered.keys() == {"bin"}:
            return _bytes(rendered["bin"])
        return {key: _value(part) for key, part in rendered.items()}
    if isinstance(rendered, list):
        return [_value(part) for part in rendered]
    return rendered


def test_vectors_on_disk_are_what_their_script_makes() -> None:
    made = subprocess.run([sys.executable, VECTORS / "make_vectors.py", "--check"], capture_output=True, check=False)
    assert made.returncode == 0, made.stdout.decode() + made.stderr.decode()


# canonical values, identifiers, padding


@pytest.mark.parametrize("case", _cases("canonical", "good"))
def test_canonical_bytes_decode_and_encode_back(case: Case) -> None:
    data = _bytes(case["hex"])
    value = wire.decode(data, 2**24)
    assert wire.encode(value) == data
    if "value" in case:
        assert value == _value(case["value"])
    else:
        assert len(value) == case["length"]


@pytest.mark.parametrize("case", _cases("canonical", "bad"))
def test_other_bytes_are_not_canonical(case: Case) -> None:
    with pytest.raises(Malformed):
        wire.decode(_bytes(case["hex"]), 2**24)


def _dot(case: Case) -> list[Any]:
    return [case["writer"], case["seq"], ids.event_hash(_bytes(case["envelope"]))[:16].hex()]


_IDENTIFIERS: dict[str, Callable[[Case], Any]] = {
    "vault": lambda c: ids.vault_id(_bytes(c["admin"])).hex(),
    "device": lambda c: ids.device_id(_bytes(c["device"])).hex(),
    "writer": lambda c: ids.writer_id(_bytes(c["device"]), _bytes(c["nonce"])).hex(),
    "account": lambda c: ids.imported_id(_bytes(c["id_key"]), _value(c["identity"])).hex(),
    "event": lambda c: ids.event_hash(_bytes(c["envelope"])).hex(),
    "dot": _dot,
    "people": lambda c: ids.event_name(_bytes(c["writer"]), c["seq"]),
    "file": lambda c: file_name(_bytes(c["stored"])),
    "counter key": lambda c: counter_key(_bytes(c["secret"])).hex(),
    "code": lambda c: slots.code_text(_bytes(c["secret"])),
}


@pytest.mark.parametrize("case", _cases("identifiers", "good"))
def test_identifiers_are_those_of_the_specification(case: Case) -> None:
    expected = next(case[key] for key in ("id", "hash", "dot", "file", "text") if key in case)
    assert _IDENTIFIERS[case["what"]](case) == expected
    if case["what"] == "code":
        for spelling in [case["text"], *case["also"]]:
            assert slots.read_code(spelling) == _bytes(case["secret"])


@pytest.mark.parametrize("case", _cases("identifiers", "bad"))
def test_slips_in_a_recovery_code_are_noticed(case: Case) -> None:
    with pytest.raises(WrongPassphrase):
        slots.read_code(case["text"])


@pytest.mark.parametrize("case", _cases("padding", "good"))
def test_padding_has_the_specified_sizes(case: Case) -> None:
    if "padded" in case:
        assert sealing.pad(_bytes(case["content"])) == _bytes(case["padded"])
        assert sealing.unpad(_bytes(case["padded"])) == _bytes(case["content"])
    else:
        assert sealing.padded_size(4 + case["length"]) == case["total"]


@pytest.mark.parametrize("case", _cases("padding", "bad"))
def test_wrong_padding_is_refused(case: Case) -> None:
    with pytest.raises(Malformed):
        sealing.unpad(_bytes(case["padded"]))


# events


def _read_event(case: Case) -> Event:
    body = _bytes(case["body"]) if case["body"] is not None else None
    return events_module.read(_bytes(case["envelope"]), body, _bytes(_load("events")["given"]["vault"]))


@pytest.mark.parametrize("case", _cases("events", "good"))
def test_good_events_are_valid_and_read_as_decoded(case: Case) -> None:
    event = _read_event(case)
    assert event.problem is None
    assert event.held
    decoded = case["decoded"]
    assert event.hash.hex() == decoded["hash"]
    assert event.kind == decoded["envelope"]["kind"]
    if case["body"] is not None:
        assert event.values == _value(decoded["body"]["map"])["set"]
        assert events_module.reread(_bytes(case["envelope"]), _bytes(case["body"])) == event


@pytest.mark.parametrize("case", _cases("events", "bad"))
def test_bad_events_have_the_specified_effect(case: Case) -> None:
    if case["effect"] == "malformed":
        with pytest.raises(Malformed):
            _read_event(case)
        return
    event = _read_event(case)
    assert event.problem is not None
    assert event.held == (case["effect"] == "invalid-event")


# chains and state


def _story(case: Case) -> list[Event]:
    """Return the events of a case; each carries its own vault in its envelope."""
    found = []
    for item in case["events"]:
        envelope = _bytes(item["envelope"])
        body = _bytes(item["body"]) if item["body"] is not None else None
        vault = wire.decode(envelope, 2**20)["vault"]
        found.append(events_module.read(envelope, body, vault))
    return found


@pytest.mark.parametrize("case", _cases("chains", "good"))
def test_chains_see_wait_and_tick_as_specified(case: Case) -> None:
    for order in range(5):
        story = _story(case)
        random.Random(order).shuffle(story)
        chains = Chains(story)
        assert [[p.writer.hex(), p.first, p.last, p.hash.hex()] for p in chains.seen()] == case["seen"]
        assert chains.clock == case["clock"]
        assert {writer.hex(): count for writer, count in chains.missing().items()} == case["waiting"]
        assert sorted(writer.hex() for writer in chains.forks) == case["forked"]


@pytest.mark.parametrize("case", _cases("state", "good"))
def test_states_are_byte_identical_in_any_order(case: Case) -> None:
    story = _story(case)
    forks = Chains(story).forks
    orders = [story, story[::-1], *(random.Random(n).sample(story, len(story)) for n in range(20))]
    for order in orders:
        folded = state.fold(order, forks)
        assert state.encode(folded).hex() == _bytes(case["state"]).hex()
    assert state.encode(state.decode(_bytes(case["state"]), forks)) == _bytes(case["state"])


@pytest.mark.parametrize("case", _cases("state", "bad"))
def test_what_no_fold_gives_is_no_state(case: Case) -> None:
    with pytest.raises(Malformed):
        state.decode(_bytes(case["state"]))


@pytest.mark.parametrize("case", _cases("state", "good"))
def test_states_show_what_is_specified(case: Case) -> None:
    story = _story(case)
    folded = state.fold(story, Chains(story).forks)
    for subject_id, expected in case["shown"].items():
        subject = folded.subjects[bytes.fromhex(subject_id)]
        if not is_account(subject):
            continue
        shown = view(bytes.fromhex(subject_id), subject)
        assert (not shown.deleted) == expected["exists"]
        assert shown.counter == expected.get("counter")
        assert list(shown.unknown) == sorted(expected["unknown"])
        fields = {name: value for name, value in _value(expected["fields"]).items() if value is not None}
        assert shown.values == fields
        conflicts = {
            name: sorted([c.dot.writer.hex(), c.dot.seq] for c in losers) for name, losers in shown.conflicts.items()
        }
        wanted = {name: sorted([w, s] for w, s, _ in losers) for name, losers in expected["conflicts"].items()}
        assert conflicts == wanted


@pytest.mark.parametrize("case", [c for c in _cases("state", "good") if "fork" not in c.values[0]["name"]])
def test_joining_any_two_parts_equals_folding_all(case: Case) -> None:
    story = _story(case)
    if Chains(story).forks:
        pytest.skip("a fork is known only to the whole: states are folded anew, not joined")
    for cut in range(len(story) + 1):
        one, other = state.fold(story[:cut]), state.fold(story[cut:])
        one.join(other)
        assert state.encode(one).hex() == _bytes(case["state"]).hex()


# files and keys


def _file_bytes(case: Case) -> bytes:
    if "hex" in case:
        return _bytes(case["hex"])
    base = next(c for c in _load("files")["good"] if c["name"] == case["base"])
    whole = _bytes(base["hex"])
    return b"".join(whole[start:end] for start, end in case["slices"])


def _files_ring() -> keyring.Keyring:
    return keyring.decode(wire.encode(_value(_load("files")["given"]["keyring"])))


class _WrongKey(Exception):
    """The header asks for a key that is not the one at hand."""


def _open_file(data: bytes) -> Any:
    ring, given = _files_ring(), _load("files")["given"]
    header = sealing.read_header(data)
    if header.type == sealing.SLOT:
        try:
            return slots.open_slot(data, **_slot_key(data, given))
        except WrongPassphrase as error:
            raise _WrongKey from error
    epoch = ring.epoch(header.epoch)
    if header.vault != ring.vault or epoch is None:
        raise _WrongKey
    try:
        opened = sealing.open_sealed(data, header, epoch.key)
    except NotAuthentic as error:
        if "header" in error.message:
            raise _WrongKey from error
        raise
    return content.read(opened, ring)


def _slot_key(data: bytes, given: Case) -> dict[str, Any]:
    if slots.slot_kind(data) == slots.PASSPHRASE:
        return {"passphrase": given["passphrase"]}
    return {"code": _bytes(given["code"])}


@pytest.mark.parametrize("case", _cases("files", "good"))
def test_good_files_open(case: Case) -> None:
    opened = _open_file(_file_bytes(case))
    if case["what"] == "slot":
        assert opened.vault == _files_ring().vault
    if isinstance(opened, Run):
        assert all(event.problem is None for event in opened.events)


_EFFECTS: dict[str, type[Exception]] = {
    "malformed": Malformed,
    "not-authentic": NotAuthentic,
    "unknown-version": UnknownVersion,
    "wrong-key": _WrongKey,
}


@pytest.mark.parametrize("case", _cases("files", "bad"))
def test_bad_files_are_refused_for_the_specified_reason(case: Case) -> None:
    if case["name"] in ("slot: wrong passphrase", "slot: wrong recovery code"):
        given = {"passphrase": "another one"} if "passphrase" in case["name"] else {"code": bytes(20)}
        with pytest.raises(WrongPassphrase):
            slots.open_slot(_file_bytes(case), **given)
        return
    with pytest.raises(_EFFECTS[case["effect"]]):
        _open_file(_file_bytes(case))


@pytest.mark.parametrize("case", _cases("keyring", "good"))
def test_keys_statements_and_wraps_are_those_of_the_specification(case: Case) -> None:
    given = _load("keyring")["given"]
    ring = keyring.decode(wire.encode(_value(given["keyring"])))
    match case["what"]:
        case "keyring":
            assert keyring.encode(keyring.decode(_bytes(case["hex"]))) == _bytes(case["hex"])
        case "statement":
            statement = wire.decode(_bytes(case["hex"]), 2**20)
            check_statement(statement)
            assert statements.check_admin(statement, ring).hex() == case["id"]
        case "current slot.set":
            known = [wire.decode(_bytes(item), 2**20) for item in case["statements"]]
            pairs = [(statements.check_admin(item, ring), item) for item in known]
            current = statements.current(pairs)
            by_content = {wire.encode(item): key.hex() for key, item in pairs}
            assert [by_content[wire.encode(item)] for item in current] == sorted(case["current"], reverse=True)
        case "certificate":
            certificate = wire.decode(_bytes(case["hex"]), 2**10)
            assert is_certificate(certificate)
            statements.check_certificate(certificate, _bytes(case["device"]), ring)
        case "own":
            assert ring.own_master_key().hex() == case["master_key"]
        case "wrap":
            wrapped = _bytes(case["hex"])
            assert keyring.unwrap(_bytes(case["key"]), _bytes(case["label"]), wrapped) == _bytes(case["value"])
            assert (
                keyring.wrap(_bytes(case["key"]), _bytes(case["label"]), _bytes(case["value"]), wrapped[:32]) == wrapped
            )
        case "own slot":
            assert _value(case["own"]).keys() == {"uuid", "key", "nonce", "tag", "salt", "n", "r", "p"}
        case other:
            raise AssertionError(other)


def _refuse_key(case: Case) -> None:
    ring = keyring.decode(wire.encode(_value(_load("keyring")["given"]["keyring"])))
    match case["what"]:
        case "keyring":
            keyring.decode(_bytes(case["hex"]))
        case "statement":
            statement = wire.decode(_bytes(case["hex"]), 2**20)
            check_statement(statement)
            statements.check_admin(statement, ring)
        case "certificate":
            certificate = wire.decode(_bytes(case["hex"]), 2**10)
            if not is_certificate(certificate):
                raise Malformed("not a certificate")
            statements.check_certificate(certificate, _bytes(case["device"]), ring)
        case "wrap":
            keyring.unwrap(_bytes(case["key"]), _bytes(case["label"]), _bytes(case["hex"]))
        case other:
            raise AssertionError(other)


@pytest.mark.parametrize("case", _cases("keyring", "bad"))
def test_bad_keys_statements_and_wraps_are_refused(case: Case) -> None:
    with pytest.raises(_EFFECTS[case["effect"]]):
        _refuse_key(case)


def test_every_bad_case_is_an_expected_refusal() -> None:
    every = itertools.chain.from_iterable(_load(n)["bad"] for n in ("canonical", "padding", "files", "keyring"))
    assert {case["effect"] for case in every} <= {*_EFFECTS}
    assert issubclass(OtpkeepError, Exception)
