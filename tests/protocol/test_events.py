"""Events (SPEC §4): what spoils a file, what only spoils the event, and what is kept though unknown."""

from __future__ import annotations

import random
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from otpkeep_protocol import wire
from otpkeep_protocol.errors import Malformed
from otpkeep_protocol.events import BODY_LIMIT, Draft, Event, read, reread
from otpkeep_protocol.ids import event_hash, sha256, writer_id
from otpkeep_protocol.statements import make_certificate
from support_vault import START_MS, Hand, add, delete, edit, keyring, raw_event, slot_set, totp, use

ACCOUNT = b"a" * 16
VAULT = keyring().vault


@pytest.fixture
def anna() -> Hand:
    return Hand("anna")


def event(**changes: Any) -> Event:
    return read(*raw_event(**changes), VAULT)


def with_body(values: Any, **changes: Any) -> Event:
    """The event of an envelope with this body after the salt."""
    body = bytes(16) + (values if isinstance(values, bytes) else wire.encode(values))
    envelope, _ = raw_event(body=sha256(body), **changes)
    return read(envelope, body, VAULT)


class TestComposing:
    def test_what_is_composed_reads_back(self, anna: Hand) -> None:
        made = anna.write(add(ACCOUNT, name="x"), wall=START_MS)

        assert read(*anna.pairs[-1], VAULT) == reread(*anna.pairs[-1]) == made
        assert made.hash == event_hash(anna.pairs[-1][0])
        assert made.dot == (anna.writer, 2, made.hash[:16])
        assert (made.alive, made.weak, made.fields) == (True, False, ("name", "otp"))
        assert made.values == {"name": "x", "otp": totp()}

    def test_the_first_event_has_no_prev_and_each_other_that_before_it(self, anna: Hand) -> None:
        second = anna.write(edit(ACCOUNT, name="x"))

        assert (anna.events[0].prev, second.prev) == (None, anna.events[0].hash)

    def test_equal_edits_with_other_salts_have_other_bodies(self, anna: Hand) -> None:
        anna.write(edit(ACCOUNT, name="x"))
        anna.write(edit(ACCOUNT, name="x"))

        assert anna.pairs[1][1][16:] == anna.pairs[2][1][16:]
        assert anna.pairs[1][1] != anna.pairs[2][1]

    @pytest.mark.parametrize(
        "draft",
        [
            edit(ACCOUNT, name="\0"),
            edit(ACCOUNT, otp={"type": "totp"}),
            edit(ACCOUNT, live=True),
            Draft("account.edit", values={"name": "x"}),
            Draft("account.add", ACCOUNT, values={"otp": totp()}),
            Draft("account.delete", ACCOUNT, alive=False, values={"name": "x"}),
            Draft("account.use", ACCOUNT),
            Draft("", ACCOUNT),
            Draft("writer.open"),
            Draft("pack", extra={"replaced": [b"short"], "file": bytes(32)}),
            edit(ACCOUNT, note="x" * 70_000),
        ],
    )
    def test_an_invalid_event_is_not_composed(self, anna: Hand, draft: Draft) -> None:
        with pytest.raises(Malformed):
            anna.write(draft)

    def test_values_are_not_in_its_repr(self, anna: Hand) -> None:
        made = anna.write(edit(ACCOUNT, name="visible"))

        assert "visible" not in repr(made) + repr(edit(ACCOUNT, name="visible"))


class TestSpoiltFiles:
    @pytest.mark.parametrize(
        "changes",
        [
            {"v": ...},
            {"v": True},
            {"vault": b"q" * 16},
            {"vault": ...},
            {"writer": b"short"},
            {"writer": ...},
            {"seq": 0},
            {"seq": ...},
            {"seq": True},
            {"prev": ...},
            {"prev": None},
            {"prev": b"short"},
            {"seq": 1},
            {"body": bytes(32)},
        ],
        ids=str,
    )
    def test_an_event_without_a_place_or_with_another_body(self, changes: dict[str, Any]) -> None:
        with pytest.raises(Malformed):
            event(**changes)

    def test_an_envelope_that_is_not_canonical(self) -> None:
        envelope, body = raw_event()
        for spoilt in (
            envelope + b"\x00",
            b"",
            b"\x90",
            envelope[:-1],
            envelope.replace(b"\xa1v\x01", b"\xa1v\xcc\x01"),
        ):
            with pytest.raises(Malformed):
                read(spoilt, body, VAULT)

    def test_an_envelope_that_is_too_long(self) -> None:
        with pytest.raises(Malformed):
            event(seen=[[b"w" * 16, n, n, b"h" * 16] for n in range(1, 3000)])


class TestInvalidEvents:
    @pytest.mark.parametrize(
        "changes",
        [
            {"lamport": 0},
            {"lamport": ...},
            {"lamport": True},
            {"wall": -1},
            {"wall": None},
            {"kind": ""},
            {"kind": "x" * 65},
            {"kind": 5},
            {"account": b"short"},
            {"account": ...},
            {"alive": None},
            {"alive": 1},
            {"weak": False},
            {"weak": 1},
            {"fields": ["other"]},
            {"fields": []},
            {"fields": None},
            {"fields": ["name", "name"]},
            {"fields": ["live"]},
            {"fields": ["name", ""]},
            {"seen": None},
            {"seen": [[b"w" * 16, 1, 1]]},
            {"seen": [[b"w" * 16, 0, 1, b"h" * 16]]},
            {"seen": [[b"w" * 16, 2, 1, b"h" * 16]]},
            {"seen": [[b"w" * 16, 1, 1, b"h" * 32]]},
            {"seen": [[b"w" * 16, 1, 1, b"h" * 16]] * 2},
            {"seen": [[b"w" * 16, 3, 3, b"h" * 16], [b"w" * 16, 1, 1, b"h" * 16]]},
            {"critical": []},
            {"critical": ["b", "a"]},
            {"critical": 5},
            {"surprise": 1},
            {"kind": "writer.open"},
            {"kind": "account.delete", "alive": False},
            {"kind": "account.add", "alive": False},
            {"kind": "account.use"},
        ],
        ids=str,
    )
    def test_a_broken_rule_leaves_its_place_and_nothing_else(self, changes: dict[str, Any]) -> None:
        made = event(**changes)

        assert made.problem is not None
        assert made.held
        assert (made.dot.writer, made.dot.seq, made.prev) == (b"w" * 16, 2, b"p" * 32)
        assert (made.account, made.alive, made.fields, made.seen, made.lamport) == (None, None, (), (), 0)

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"\x01",
            b"\x80",
            b"\x81\xa3set\x81\xa4name\xd9\x01x",
            {"set": {}},
            {"set": {"name": 5}},
            {"set": {"name": "x" * 4097}},
            {"set": {"name": "x", "note": "y"}},
            {"set": ["name"]},
            {"set": {"name": "x"}, "counter": [b"k" * 16]},
            {"set": {"name": "x"}, "counter": [b"k" * 15, 1]},
            {"set": {"name": "x"}, "counter": [b"k" * 16, -1]},
        ],
        ids=str,
    )
    def test_a_body_that_breaks_a_rule_has_no_effect(self, body: Any) -> None:
        made = with_body(body)

        assert made.problem is not None
        assert made.values is None

    def test_a_body_beyond_its_limit_has_no_effect(self) -> None:
        made = with_body({"set": {"name": "x"}, "more": bytes(BODY_LIMIT)})

        assert made.problem is not None

    def test_the_first_event_of_a_writer_is_its_opening_and_no_other(self, anna: Hand) -> None:
        envelope, body = raw_event(seq=1, prev=...)
        assert read(envelope, body, VAULT).problem is not None
        assert read(*anna.pairs[0], VAULT).problem is None

    def test_a_writer_is_made_of_its_key(self, anna: Hand) -> None:
        content = wire.unpack(anna.pairs[0][0]) | {"writer": b"w" * 16}

        assert read(wire.encode(content), anna.pairs[0][1], VAULT).problem is not None

    def test_problems_name_no_value(self) -> None:
        for body in ({"set": {"name": "visible" * 700}}, {"set": {"name": "visible\0"}}):
            problem = with_body(body).problem
            assert problem is not None
            assert "visible" not in problem


class TestUnknown:
    @pytest.mark.parametrize("changes", [{"v": 2}, {"v": 0}, {"critical": ["merge"]}, {"critical": ["a", "b"]}])
    def test_what_needs_an_update_is_kept_and_not_held(self, changes: dict[str, Any]) -> None:
        made = event(**changes)

        assert not made.held
        assert made.problem is not None
        assert made.dot.seq == 2

    def test_a_newer_version_may_look_otherwise(self) -> None:
        assert not event(v=2, surprise=1, lamport="x").held

    def test_an_unknown_kind_is_valid_and_folds_by_generic_keys(self) -> None:
        made = event(kind="account.merge")

        assert made.problem is None
        assert (made.kind, made.alive, made.fields) == ("account.merge", True, ("name",))

    def test_unknown_fields_and_body_keys_are_kept(self) -> None:
        made = with_body({"set": {"colour": [1, {"a": b"x"}]}, "reason": "why"}, fields=["colour"])

        assert made.problem is None
        assert made.values == {"colour": [1, {"a": b"x"}]}
        assert made.extra["reason"] == "why"

    def test_a_dropped_body_leaves_envelope_and_chain(self) -> None:
        envelope, _ = raw_event()

        made = read(envelope, None, VAULT)

        assert made.problem is None
        assert (made.values, made.fields, made.extra) == (None, ("name",), {})


class TestKinds:
    def test_every_kind_of_this_version_can_be_written(self, anna: Hand) -> None:
        device = anna.author.device
        certificate = make_certificate(keyring(), anna.author.public_key)
        for draft in (
            Draft("device.add", device, values={"label": "x"}, extra={"certificate": certificate}),
            Draft("device.rename", device, values={"label": "y"}),
            Draft("device.retire", device, values={"retired": True}),
            add(ACCOUNT, weak=True),
            edit(ACCOUNT, favourite=True),
            use(ACCOUNT, b"k" * 16, 3),
            delete(ACCOUNT),
            slot_set([b"slot"]),
            Draft("pack", extra={"replaced": [bytes(32)], "file": bytes(32)}),
            Draft("writer.close"),
        ):
            assert anna.write(draft).problem is None

    @pytest.mark.parametrize(
        "draft",
        [
            Draft("device.add", ACCOUNT, values={"label": "x"}),
            Draft("device.add", ACCOUNT, values={"label": ""}, extra={"certificate": [bytes(16), bytes(64)]}),
            Draft("device.rename", ACCOUNT),
            Draft("device.retire", ACCOUNT, values={"retired": False}),
            Draft("slot.set"),
            Draft("slot.set", extra={"statement": {}}),
            Draft("purge", extra={"statement": {"epoch": 1}}),
            Draft("pack", extra={"replaced": bytes(32), "file": bytes(32)}),
        ],
        ids=str,
    )
    def test_a_kind_without_what_it_needs_is_invalid(self, anna: Hand, draft: Draft) -> None:
        with pytest.raises(Malformed):
            anna.write(draft)

    def test_arranging_gives_no_life_and_any_other_edit_does(self) -> None:
        assert edit(ACCOUNT, position=1, favourite=True, icon=None).alive is None
        assert edit(ACCOUNT, position=1, name="x").alive is True
        assert edit(ACCOUNT).alive is True

    def test_a_writer_is_another_with_another_nonce(self, anna: Hand) -> None:
        key = anna.author.public_key

        assert writer_id(key, anna.author.nonce) == anna.writer != writer_id(key, bytes(16))


ODD = st.sampled_from(
    [
        *(1.0, float("nan"), 2**53, 2**63, -1, -(2**53), True, 0, None, "", "live", b"", b"x" * 16, b"x" * 32, "é"),
        *([], {}, {"b": 1, "aa": 2}, {"aa": 2, "b": 1}, {b"a": 1}, [1.5], [2**60], [[[[2**53]]]]),
        *(msgpack.ExtType(1, b"x"), msgpack.Timestamp(1), [msgpack.ExtType(5, b"")]),
    ]
)
"""Values that the format does not have, and values that are right elsewhere."""
KEYS = ("v", "seq", "prev", "seen", "kind", "wall", "weak", "body", "alive", "vault", "fields", "writer", "account")
PIECE = [b"w" * 16, 1, 5, b"h" * 16]


class TestReadingIsStrict:
    """`read` asks only those envelopes that break a rule whether they are canonical: the others must be."""

    @given(st.dictionaries(st.sampled_from([*KEYS, "lamport", "critical", "z"]), ODD, max_size=3), st.randoms())
    def test_an_envelope_is_refused_if_it_is_not_canonical_and_only_then(
        self, changes: dict[str, Any], chance: random.Random
    ) -> None:
        self.compare(_packed({**_header(), **changes}, chance))

    @given(st.integers(0, 3), ODD, st.randoms())
    def test_neither_does_a_piece_hide_anything(self, at: int, odd: Any, chance: random.Random) -> None:
        piece = [odd if at == place else part for place, part in enumerate(PIECE)]
        self.compare(_packed({**_header(), "seen": [piece]}, chance))

    @given(st.binary(min_size=1, max_size=2), st.floats(0, 1), st.sampled_from(["put", "cut", "over"]))
    def test_nor_do_single_bytes(self, noise: bytes, where: float, how: str) -> None:
        whole = _packed(_header(), None)
        at = int(where * len(whole))
        kept = {"put": at, "cut": at + len(noise), "over": at + len(noise)}[how]
        self.compare(whole[:at] + (b"" if how == "cut" else noise) + whole[kept:])

    def compare(self, envelope: bytes) -> None:
        try:
            content = wire.decode(envelope, 65_536)
        except Malformed:
            with pytest.raises(Malformed):
                read(envelope, None, VAULT)
            return
        try:
            found = read(envelope, None, VAULT)
        except Malformed:
            return
        assert found.hash == event_hash(envelope)
        assert (found.dot.writer, found.dot.seq, found.prev) == (content["writer"], content["seq"], content.get("prev"))
        assert found.problem is not None or content.keys() <= {*KEYS, "lamport"}


def _header() -> dict[str, Any]:
    header = wire.decode(raw_event(seen=[PIECE])[0], 65_536)
    assert isinstance(header, dict)
    return header


def _packed(header: dict[str, Any], chance: random.Random | None) -> bytes:
    """Pack as a lax library does, now and then with two keys in the wrong order."""
    keys = sorted(header, key=lambda key: (len(key), key))
    if chance is not None and chance.random() < 0.2:
        at = chance.randrange(len(keys) - 1)
        keys[at], keys[at + 1] = keys[at + 1], keys[at]
    packed: bytes = msgpack.packb({key: header[key] for key in keys}, use_bin_type=True)
    return packed
