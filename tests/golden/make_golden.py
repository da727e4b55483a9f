"""Makes a folder of the newest format version: two devices, every kind of file, every type of account.

    PYTHONPATH=protocol:daemon:cli:tests python tests/golden/make_golden.py NEW_DIRECTORY

A golden folder is made once for a format version, and never again: what it holds must open for ever.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from otpkeep_daemon import rows
from otpkeep_daemon.compactor import Compactor
from otpkeep_daemon.formats import aegis, aegis_crypto
from otpkeep_daemon.own_vault import exportable
from otpkeep_daemon.store import NewFile
from otpkeep_protocol import content, slots
from otpkeep_protocol.account import Otp
from otpkeep_protocol.events import Draft
from otpkeep_protocol.ids import sha256
from otpkeep_protocol.naming import file_name
from otpkeep_protocol.statements import make_statement
from support_vault import DAY_MS, Device, Random, World, delete, hotp, keyring, new_world, seal, use

PASSPHRASE = "golden folder of a format version"
CODE = Random("golden code")(slots.CODE_SIZE)
SECRET = b"a golden secret 1234"


def main(place: Path) -> None:
    """Write files/, own.aegis.json, accounts.json, log.json and keys.json."""
    ring = keyring("golden")
    with new_world(ring) as world:
        laptop, phone = world.device("laptop"), world.device("phone")
        own = _slots(laptop)
        _live(world, laptop, phone)
        files = place / "files"
        files.mkdir(parents=True)
        for name in laptop.folder.names():
            (files / name).write_bytes(laptop.folder.read(name) or b"")
        export = exportable(laptop.accounts).accounts
        made = aegis.write_with_master_key(export, ring.own_master_key(), own, Random("own"))
        (place / "own.aegis.json").write_bytes(made.data)
        _note(place / "accounts.json", _accounts(laptop))
        _note(place / "log.json", _log(laptop))
        _note(place / "keys.json", {"passphrase": PASSPHRASE, "code": slots.code_text(CODE), "vault": ring.vault.hex()})


def _slots(device: Device) -> dict[str, Any]:
    ring, random = device.ring, Random("golden slots")
    made = [slots.passphrase_slot(ring, PASSPHRASE, random(32)) for _ in range(2)]
    made += [slots.recovery_slot(ring, CODE, random(32)) for _ in range(2)]
    with device.store.transaction():
        for data in made:
            device.store.add(NewFile(sha256(data), file_name(data), "slot", None, False, data))
    own = aegis_crypto.password_slot(ring.own_master_key(), PASSPHRASE, random)
    values = {"slots": sorted(sha256(data) for data in made), "own": own}
    device.commit(Draft("slot.set", extra={"statement": make_statement(ring, "slot.set", values)}))
    return own


def _live(world: World, laptop: Device, phone: Device) -> None:
    mail = laptop.add("mail", issuer="Post", note="first", tags=["work"])
    kinds = {"steam": {}, "motp": {"pin": "1234"}, "yandex": {"pin": "5678"}}
    for kind, more in kinds.items():
        otp = Otp.make(kind, SECRET[:16], **more).to_wire()  # type: ignore[arg-type]
        laptop.accounts.add({"name": kind, "otp": otp}, placeholder=False)
    counted = laptop.accounts.add({"name": "counter", "otp": hotp(SECRET, 7)}, placeholder=False)[0]
    laptop.commit(use(counted, hotp(SECRET)["counter_key"], 8))
    world.sync()
    _tick(world)
    laptop.change(mail, note="from the laptop")
    phone.change(mail, note="from the phone", issuer="Post AG")
    gone = phone.add("gone")
    phone.commit(delete(bytes.fromhex(gone)))
    world.sync()
    for number in range(12):
        _tick(world)
        laptop.change(mail, position=number)
        laptop.engine.publish()
    world.sync()
    Compactor(laptop.engine, laptop.folder, laptop.replica, 14 * DAY_MS // 1000).run()
    phone.replica.beat()
    world.sync()
    # Of a few events a device makes no snapshot by itself.
    author, chains = laptop.replica.keys.author, laptop.replica.chains
    made = seal(content.make_snapshot(author, laptop.ring.vault, laptop.state(), chains.seen()), ring=laptop.ring)
    laptop.folder.put(file_name(made), made)


def _tick(world: World) -> None:
    for device in world.devices:
        device.clock.ms += 60_000


def _accounts(device: Device) -> list[dict[str, Any]]:
    names = rows.Names(device.replica.state, {})
    found = []
    for shown in device.accounts.views():
        row = rows.account_row(shown, names, ready=True, secret=shown.values["otp"])
        keys = ("id", "type", "issuer", "name", "algorithm", "digits", "period", "counter", "note", "tags", "deleted")
        found.append({key: row[key] for key in (*keys, "created", "changed", "secret", "pin")})
    return sorted(found, key=lambda row: str(row["id"]))


def _log(device: Device) -> list[list[Any]]:
    events = sorted(device.replica.archive.events(), key=lambda event: (event.dot.writer, event.dot.seq))
    return [[e.dot.writer.hex(), e.dot.seq, e.hash.hex(), e.kind, rows.timestamp(e.wall)] for e in events]


def _note(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
