"""Seeds from what the project has anyway: the protocol's vectors and the export fixtures.

`python -m fuzz.seeds DIRECTORY` writes them, one directory a target, each file named by the hash of its content.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fuzz import crafted
from fuzz.targets import BY_NAME
from otpkeep_daemon import config_file
from otpkeep_protocol import control, keyring, sealing, slots, state, statements, wire
from otpkeep_protocol.control import Request
from otpkeep_protocol.errors import OtpkeepError
from support_vault import START_MS, Hand, Random, add, delete, edit, hotp, slot_set, use

ROOT = Path(__file__).parents[2]
VECTORS = ROOT / "protocol" / "vectors"
FIXTURES = ROOT / "tests" / "fixtures"
EXPORTS = {"aegis-plain.json": "aegis", "aegis-encrypted.json": "aegis-encrypted", "otpauth.txt": "otpauth"}
LONGEST = 6_000
Seed = tuple[str, bytes]


def seeds() -> Iterator[Seed]:
    """Yield (target, bytes)."""
    for source in (_codec, _events, _states, _files, _keys, _texts, _sockets, _exports, _clouds):
        for target, data in source():
            if len(data) <= LONGEST:
                yield target, data


def _load(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((VECTORS / f"{name}.json").read_text())
    return loaded


def _bytes(value: Any) -> bytes:
    if isinstance(value, str):
        return bytes.fromhex(value)
    return b"".join(bytes.fromhex(part) * times for part, times in value)


def _codec() -> Iterator[Seed]:
    vectors = _load("canonical")
    for case in [*vectors["good"], *vectors["bad"]]:
        yield "codec", _bytes(case["hex"])


def _events() -> Iterator[Seed]:
    vectors = _load("events")
    for case in [*vectors["good"], *vectors["bad"]]:
        envelope = _bytes(case["envelope"]).replace(_bytes(vectors["given"]["vault"]), crafted.RING.vault)
        body = _bytes(case["body"]) if case["body"] is not None else b""
        if len(envelope) > LONGEST:
            continue
        yield "event", len(envelope).to_bytes(2, "big") + envelope + body
        try:
            told = [wire.unpack(envelope), wire.unpack(body[16:])]
            yield "run", wire.encode([*_opening(), told])
        except OtpkeepError:
            continue
    hand = _hand()
    yield "run", wire.encode([[wire.unpack(e), wire.unpack(b[16:])] for e, b in hand.pairs])
    yield "content", hand.run()


def _opening() -> list[Any]:
    envelope, body = Hand("fuzz", crafted.RING).pairs[0]
    return [[wire.unpack(envelope), wire.unpack(body[16:])]]


def _hand() -> Hand:
    """Return a writer that has done one of everything."""
    hand, account = Hand("fuzz", crafted.RING), bytes(range(16))
    author = hand.author
    extra = {"certificate": author.certificate}
    hand.write(_device(author.device, extra))
    hand.write(add(account, name="x", issuer="y", tags=["a", "b"], note="n", favourite=True, position=3))
    hand.write(edit(account, name="z", icon={"mime": "image/png", "data": b"png"}))
    hand.write(edit(account, otp=hotp(counter=4)))
    hand.write(use(account, hotp()["counter_key"], 5))
    hand.write(delete(account))
    hand.write(slot_set([b"slot"], crafted.RING))
    return hand


def _device(device: bytes, extra: dict[str, Any]) -> Any:
    from otpkeep_protocol.events import Draft

    return Draft("device.add", device, values={"label": "fuzz"}, extra=extra)


def _states() -> Iterator[Seed]:
    for case in _load("state")["good"]:
        for target in ("state", "state-value"):
            yield target, _bytes(case["state"])
    hand = _hand()
    encoded = state.encode(state.fold(hand.events))
    yield "state", encoded
    pieces = [list(hand.piece())]
    for payload in (
        {"kind": "beat", "payload": {"wall": START_MS, "seen": pieces}},
        {"kind": "snapshot", "payload": {"state": encoded, "seen": pieces}},
        {"kind": "run", "payload": [list(pair) for pair in hand.pairs[:2]]},
    ):
        yield "signed-content", wire.encode(payload)
        yield "content", crafted.signed(payload["kind"], payload["payload"])


def _files() -> Iterator[Seed]:
    for content in (b"", b"x", crafted.signed("beat", {"wall": 1, "seen": []})):
        yield "padding", sealing.pad(content)
        yield "header", crafted.sealed(sealing.pad(content))
    slot = crafted.recovery_slot(keyring.encode(crafted.RING))
    yield "slot", slot
    yield "header", slot
    costs = ((65_536, 3, 1), (2**32 - 1, 2**32 - 1, 255), (0, 0, 0), (1_048_577, 16, 4), (1_048_576, 17, 4))
    for memory, passes, lanes in costs:
        kind = bytes([slots.PASSPHRASE]) + memory.to_bytes(4, "big") + passes.to_bytes(4, "big") + bytes([lanes])
        made = slot[:109] + kind + slot[119:]
        yield "slot", made
        yield "bomb", made[:256]
    yield "wrapped", keyring.wrap(bytes(32), b"fuzz", b"secret", Random("wrap")(32))


def _keys() -> Iterator[Seed]:
    for ring in (crafted.RING, crafted.RING.without_seed()):
        for target in ("keyring", "keyring-value"):
            yield target, keyring.encode(ring)
    for case in [*_load("keyring")["good"], *_load("keyring")["bad"]]:
        target = {"keyring": "keyring", "statement": "statement", "certificate": "statement"}.get(case["what"])
        if target is not None:
            yield target, _bytes(case["hex"])
    yield "statement", wire.encode(statements.make_statement(crafted.RING, "slot.set", {"slots": []}, [bytes(32)]))


def _texts() -> Iterator[Seed]:
    vectors = _load("identifiers")
    for case in [*vectors["good"], *vectors["bad"]]:
        if "text" in case:
            yield "recovery-code", case["text"].encode()
    words = "now|yesterday|2 hours ago|an hour ago|3 months ago|2026-05-01|2026-05-01T12:00:00Z|2026-W01-1"
    for text in words.split("|"):
        yield "time", text.encode()
    for text in _names():
        yield "name", text.encode()
    yield "settings", config_file.template().encode()
    yield "settings", b"look_every_s = 5 # so\n\non_problem = \"a 'b'\"\n"
    yield "settings", b'nonsense = 1\n[table]\ndebounce_ms = "x"\n'
    yield "settings", b'a.b.c = 1\nx = """\nlook_every_s = 1\n"""\nlock_after_s = 1_0'


def _names() -> Iterator[str]:
    name = "00112233445566778899aabbccddeeff"
    yield f"{name}.otpk"
    yield "README.txt"
    for ending in (" (1)", " 2", "-safeBackup-0001", ".sync-conflict-20260101-010101-ABCDEFG", " [conflicted]"):
        yield f"{name}{ending}.otpk"
    yield from (f".{name}.otpk.icloud", f".syncthing.{name}.otpk.tmp", f".{name}.otpk.~ab12", "~otpkeep-ab12-x.tmp")
    yield from (
        f"{name} (X's conflicted copy 2026-01-01).otpk",
        f"{name}.otpk.conflict1",
        f"{name}.otpk.ABCDEFGH.partial",
    )


def _sockets() -> Iterator[Seed]:
    for request in (
        Request("list", {"tag": None}),
        Request("add", {"uri": "otpauth://"}, keyring.encode(crafted.RING)),
    ):
        framed = control.encode_request(request)
        yield "frame", framed
        yield "request", framed[control.LENGTH_SIZE :]
    for framed in (control.encode_result({"id": "x"}), control.encode_error(OtpkeepError("m", "h", {"a": 1}))):
        yield "reply", framed[control.LENGTH_SIZE :]


def _exports() -> Iterator[Seed]:
    for file, name in EXPORTS.items():
        data = (FIXTURES / file).read_bytes()
        for target in (f"import-{name}", "import"):
            yield target, data
    plain = json.loads((FIXTURES / "aegis-plain.json").read_bytes())
    for count in range(0, len(plain["db"]["entries"]), 3):
        db = {**plain["db"], "entries": plain["db"]["entries"][count : count + 1]}
        small = json.dumps({**plain, "db": db}, separators=(",", ":")).encode()
        yield "aegis-content", json.dumps(db, separators=(",", ":")).encode()
        yield "import-aegis", small
        yield "import", small
    for line in (FIXTURES / "otpauth.txt").read_bytes().splitlines():
        yield "import-otpauth", line
        yield "import", line + b"\n"


def _clouds() -> Iterator[Seed]:
    yield "dropbox", b'{"personal": {"path": "/home/x/Dropbox"}, "business": {"path": "/b"}}'
    yield "onedrive", b'sync_dir = "~/One"\ndownload_only = "true"\n'
    yield "nextcloud", b'[Accounts]\n0\\Folders\\1\\localPath="/home/\\x4e\\101"\n0\\url=https://x/\n'
    yield (
        "syncthing",
        (
            b'<configuration><folder id="a" path="~/S" type="sendreceive"><device/><device/><paused>true</paused>'
            b"</folder></configuration>"
        ),
    )


def write(place: Path) -> int:
    """Write the seeds below `place`; return how many are new there."""
    fresh = 0
    for target, data in seeds():
        assert target in BY_NAME, target
        path = place / target / hashlib.sha256(data).hexdigest()[:16]
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh += not path.exists()
        path.write_bytes(data)
    return fresh


if __name__ == "__main__":
    print(write(Path(sys.argv[1])), "new seeds")
