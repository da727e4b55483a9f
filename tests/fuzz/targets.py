"""Every place where bytes from outside become values: one short function each, and one line in TARGETS.

A target takes any bytes. It ends well, or with an OtpkeepError: both are answers. Any other exception is a finding, and
so is an answer beyond the bounds of `bounds`. A target of a new format needs no line: the registry's all have one.
"""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from fuzz import crafted, told
from fuzz.crafted import RING
from fuzz.shapes import parts_of, text_of, value_of
from otpkeep_cli.times import parse_time
from otpkeep_daemon import cloud_configs, config, config_file
from otpkeep_daemon.conversation import Conversation
from otpkeep_daemon.formats import aegis, aegis_crypto, registry
from otpkeep_daemon.formats.entry import Parsed, Rewrite
from otpkeep_protocol import content, control, events, keyring, naming, sealing, slots, state, statements, wire
from otpkeep_protocol.errors import Locked, Malformed, OtpkeepError
from otpkeep_protocol.rules import check_statement, is_certificate

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
_FILE_KEY = bytes(32)
_HELD = re.compile(r"(?:entry|line) \d+")


@dataclass(frozen=True, slots=True)
class Target:
    """A reader of bytes; `longest` is the most bytes that the fuzzer tries."""

    name: str
    run: Callable[[bytes], None]
    longest: int = 4096


# files


def header(data: bytes) -> None:
    """A file as it lies in the folder."""
    for file_type in (sealing.SEALED, sealing.SLOT):
        sealing.is_whole(len(data), file_type)
    sealing.open_sealed(data, sealing.read_header(data), RING.newest.key)


def padding(data: bytes) -> None:
    """Padded bytes, rightly sealed."""
    file = crafted.sealed(data)
    assert sealing.pad(sealing.open_sealed(file, sealing.read_header(file), RING.newest.key)) == data


def content_bytes(data: bytes) -> None:
    """The content of a file that opened."""
    content.kind_of(data)
    _taken_in(data)


def signed_content(data: bytes) -> None:
    """Content of any kind and payload, vouched for by a device that was admitted."""
    value = value_of(data)
    kind, payload = (value.get("kind"), value.get("payload")) if isinstance(value, dict) else ("run", value)
    _taken_in(crafted.signed(kind if isinstance(kind, str) else "run", payload))


def run_of_events(data: bytes) -> None:
    """A chain of events whose hashes, links and signature hold, whatever they say."""
    pairs = crafted.chained(value_of(data))
    _taken_in(crafted.signed("run", [list(pair) for pair in pairs]))


def _taken_in(data: bytes) -> None:
    read = content.read(data, RING)
    assert content.kind_of(data) in ("run", "beat", "snapshot")
    if isinstance(read, content.Run):
        assert content.merge([data]) == data
        assert len(content.bodied(data)) == len(read.events)
        if all(event.problem is None and event.held for event in read.events):
            assert content.reread(data) == list(read.events)
        told.tell(read.events)
    elif isinstance(read, content.Snapshot):
        assert content.reread_snapshot(data) == read


# values


def codec(data: bytes) -> None:
    """Canonical msgpack."""
    assert wire.encode(wire.decode(data, len(data))) == data


def event(data: bytes) -> None:
    """An envelope and a body."""
    envelope, body = parts_of(data)
    for part in (body, None):
        read = events.read(envelope, part, RING.vault)
        if read.problem is None:
            assert events.reread(envelope, part) == read
            told.tell([read])


def state_bytes(data: bytes) -> None:
    """A snapshot's state."""
    found = state.decode(data)
    assert state.encode(found) == data


def state_value(data: bytes) -> None:
    """A snapshot's state of any shape."""
    state_bytes(wire.encode(value_of(data, state.STATE_DEPTH), state.STATE_DEPTH))


def keyring_bytes(data: bytes) -> None:
    """A keyring, as a slot, the control socket and the store hold it."""
    assert keyring.encode(keyring.decode(data)) == data


def keyring_value(data: bytes) -> None:
    """A keyring of any shape, in a slot that opens."""
    plain = wire.encode(value_of(data))
    assert keyring.encode(slots.open_slot(crafted.recovery_slot(plain), code=crafted.CODE)) == plain


def statement(data: bytes) -> None:
    """An admin statement of any shape that the admin signed, and a certificate."""
    value = value_of(data)
    if is_certificate(value):
        statements.check_certificate(value, crafted.AUTHOR.public_key, RING)
    check_statement(value)
    assert RING.seed is not None
    parts = [RING.vault, value["epoch"], value["kind"], value["values"], value["supersedes"]]
    signature = statements.sign(RING.seed, b"otpkeep/v1/statement" + wire.encode(parts))
    made = {**value, "signature": signature}
    assert statements.current([(statements.check_admin(made, RING), made)]) == [made]


def wrapped(data: bytes) -> None:
    """A wrapped value of the store."""
    keyring.unwrap(_FILE_KEY, b"fuzz", data)


def slot(data: bytes) -> None:
    """A slot file; one whose parameters are a bomb is refused before anything is derived."""
    slots.effort(data)
    if slots.slot_kind(data) == slots.RECOVERY:
        slots.open_slot(data, code=crafted.CODE)
        return
    slots.Cost(int.from_bytes(data[110:114], "big"), int.from_bytes(data[114:118], "big"), data[118]).check()


def bomb(data: bytes) -> None:
    """A passphrase slot whose parameters are out of bounds, given the right passphrase."""
    try:
        slot(data)
    except Malformed:
        slots.open_slot(data, passphrase="any")
        raise AssertionError("a slot that was refused has opened") from None


# texts


def recovery_code(data: bytes) -> None:
    """A typed recovery code."""
    code = slots.read_code(text_of(data))
    assert slots.read_code(slots.code_text(code)) == code


def file_name(data: bytes) -> None:
    """A name in the folder."""
    name = text_of(data[:255])
    kind = naming.classify(name)
    assert (naming.hidden_name(name) == name) == (kind is not naming.NameKind.PLACEHOLDER)
    assert not (naming.is_own_temporary(name, "ab12") and kind is not naming.NameKind.TEMPORARY)
    naming.is_conflict_copy(name, "ab.otpk")
    naming.is_conflict_copy("ab (1).otpk", name)


def time(data: bytes) -> None:
    """A moment as a person types it."""
    moment = parse_time(text_of(data), NOW, UTC)
    assert parse_time(moment.text(), NOW, UTC).at == moment.at
    assert isinstance(moment.ms, int)


def settings(data: bytes) -> None:
    """The settings file, read and edited."""
    text = data[: config.FILE_LIMIT].decode("utf-8", "replace")
    assert (config.mistakes(text) == []) == (config.salvaged(text) == _parsed(text))
    made = config_file.edited(text, "look_every_s", 7, "config.toml")
    assert config.parse_config(made, "config.toml").look_every_s == 7 or config.mistakes(text)
    config_file.edited(text, "look_every_s", None, "config.toml")


def _parsed(text: str) -> config.Config | None:
    try:
        return config.parse_config(text, "config.toml")
    except OtpkeepError:
        return None


# the control socket


def request(data: bytes) -> None:
    """What comes over the control socket, in two pieces."""
    whole = _received(len(data).to_bytes(control.LENGTH_SIZE, "big") + data) if len(data) < 65_536 else data
    asked = control.decode_request(whole)
    sent = control.encode_request(asked)
    assert control.encode_request(control.decode_request(sent[control.LENGTH_SIZE :])) == sent


def frame(data: bytes) -> None:
    """Bytes that any program sends to the control socket."""
    control.decode_request(_received(data[:65_535]))


def reply(data: bytes) -> None:
    """What a command gets from whatever listens at the socket."""
    control.decode_reply(data)


def _received(data: bytes) -> bytes:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        talk = Conversation(ours, 0.0, None)
        theirs.sendall(data[:3])
        talk.advance(0.0)
        theirs.sendall(data[3:])
        theirs.shutdown(socket.SHUT_WR)
        while ours.fileno() >= 0:
            if (found := talk.advance(0.0)) is not None:
                return found
            if not talk.waits_for:
                break
    raise Malformed("nothing was asked")


# other programs' files


def imported(name: str) -> Callable[[bytes], None]:
    """Return the target of one format of the registry: read, written, read again, changed."""

    def run(data: bytes) -> None:
        parsed = registry.read(data, format=name, passphrase=None)
        _held(parsed)

    return run


def any_import(data: bytes) -> None:
    """A file of which nobody says what it is; its password is asked for and not known."""
    try:
        opened = registry.open_file(data, passphrase=None, keys=[_FILE_KEY])
    except Locked:
        aegis_crypto._password_slots(json.loads(data)["header"].get("slots"))  # all but the work
        return
    _held(opened.parsed)
    labels = [entry.label for entry in opened.parsed.entries]
    assert all(_HELD.fullmatch(label) for label in labels)
    gone = registry.rewrite(data, opened, Rewrite(removed=frozenset(labels)))
    assert aegis.sniff(data) or not registry.read(gone, format="otpauth", passphrase=None).entries


def encrypted_content(data: bytes) -> None:
    """What an encrypted Aegis file holds, under a key that fits."""
    nonce = bytes(aegis_crypto.NONCE)
    hidden, tag = aegis_crypto.seal(_FILE_KEY, nonce, data)
    outer = {
        "version": 1,
        "header": {"slots": [], "params": {"nonce": nonce.hex(), "tag": tag.hex()}},
        "db": aegis.base64.b64encode(hidden).decode(),
    }
    _held(aegis.read_with_key(json.dumps(outer).encode(), _FILE_KEY))


def _held(parsed: Parsed) -> None:
    """Assert that accounts which were read can be recorded, and written in every format that writes."""
    accounts = [(bytes(16), entry.account) for entry in parsed.entries]
    wire.encode([account.to_fields() for _, account in accounts])
    for kind in registry.FORMATS:
        if kind.write is None or kind.name == aegis.ENCRYPTED:
            continue
        made = registry.write(kind.name, accounts, passphrase=None, random=bytes)
        again = registry.read(made.data, format=kind.name, passphrase=None)
        assert len(again.entries) == made.accounts
        assert not again.skipped


TARGETS: tuple[Target, ...] = (
    Target("header", header),
    Target("padding", padding),
    Target("content", content_bytes),
    Target("signed-content", signed_content),
    Target("run", run_of_events),
    Target("codec", codec),
    Target("event", event),
    Target("state", state_bytes),
    Target("state-value", state_value),
    Target("keyring", keyring_bytes),
    Target("keyring-value", keyring_value),
    Target("statement", statement),
    Target("wrapped", wrapped, 256),
    Target("slot", slot),
    Target("bomb", bomb, 512),
    Target("recovery-code", recovery_code, 128),
    Target("name", file_name, 255),
    Target("time", time, 64),
    Target("settings", settings),
    Target("request", request),
    Target("frame", frame),
    Target("reply", reply),
    Target("import", any_import),
    Target("aegis-content", encrypted_content),
    Target("dropbox", lambda data: _told(cloud_configs.dropbox(data))),
    Target("onedrive", lambda data: _told(cloud_configs.onedrive(data))),
    Target("nextcloud", lambda data: _told(cloud_configs.nextcloud(data))),
    Target("syncthing", lambda data: _told(cloud_configs.syncthing(data))),
    *(Target(f"import-{kind.name}", imported(kind.name)) for kind in registry.FORMATS),
)
BY_NAME = {target.name: target for target in TARGETS}


def _told(folders: list[cloud_configs.Configured]) -> None:
    assert all(isinstance(folder.path, str) for folder in folders)
