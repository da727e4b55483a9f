"""Setting up a device: a new vault in an empty folder, or an old one on a new device.

The only code that signs with the admin seed, in the command's own process. Whoever else opens a slot drops the seed.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from otpkeep_daemon import device
from otpkeep_daemon.accounts import Accounts
from otpkeep_daemon.comparison import comparison
from otpkeep_daemon.config_file import create_template
from otpkeep_daemon.engine import Engine
from otpkeep_daemon.formats import aegis_crypto
from otpkeep_daemon.found import choose_vault, holds_vault, read_all
from otpkeep_daemon.home import AROUND, READY, Home, open_home
from otpkeep_daemon.keys import Keys
from otpkeep_daemon.loading import take_in, take_in_snapshots
from otpkeep_daemon.logs import event
from otpkeep_daemon.own_vault import OwnVault
from otpkeep_daemon.paths import Paths
from otpkeep_daemon.readme import FOLDER_README
from otpkeep_daemon.recovery_report import alive, found, recovered
from otpkeep_daemon.replica import Replica
from otpkeep_daemon.store import NewFile, Store
from otpkeep_daemon.turns import Turns
from otpkeep_protocol import slots
from otpkeep_protocol.content import Author
from otpkeep_protocol.errors import Malformed, OtpkeepError, Refused
from otpkeep_protocol.events import Draft
from otpkeep_protocol.ids import VaultId, sha256, vault_id
from otpkeep_protocol.keyring import Keyring, new_keyring
from otpkeep_protocol.naming import file_name
from otpkeep_protocol.statements import make_certificate, make_statement

log = logging.getLogger(__name__)
Progress = Callable[[int, int], None]
Also = Callable[[Store, Keys], None]


def nothing_more(_store: Store, _keys: Keys) -> None:
    """Do nothing with a device that has been set up."""


def init(
    paths: Paths, *, folder: Path, device: str, passphrase: Callable[[], str], also: Also = nothing_more
) -> dict[str, Any]:
    """Make a new vault and publish its first files. Return {vault, device, folder, recovery_code}.

    The new passphrase is asked for once nothing else speaks against it. `also` is called at the end, when all is done.

    Refused if this device has a vault already, or the folder has.
    """
    with open_home(paths, folder, create=True) as home:
        if holds_vault(home.folder):
            raise Refused(
                "this folder already holds a vault; nothing was changed",
                f"To use it on this device: otpkeep recover {folder}",
            )
        chosen = passphrase()
        ring = new_keyring(AROUND.random(112))
        code = AROUND.random(slots.CODE_SIZE)
        keys = _new_keys(ring)
        made = [*_passphrase_slots(ring, chosen), *(_code_slot(ring, code) for _ in range(2))]
        _furnish(home, ring, keys, local_only=home.path.is_relative_to(paths.data))
        _add_slots(home.store, made)
        replica = Replica(home.store, keys, AROUND)
        replica.commit([_device_draft(keys, device), _slot_draft(ring, made, chosen, {})])
        _finish(home, paths, replica)
        also(home.store, keys)
        return {
            "vault": ring.vault.hex(),
            "device": keys.author.device.hex(),
            "folder": str(home.path),
            "recovery_code": slots.code_text(code),
        }


def recover(
    paths: Paths,
    *,
    folder: Path,
    device: str,
    vault: str | None,
    passphrase: Callable[[], str],
    code: str | None,
    new_passphrase: Callable[[], str],
    reading: Progress,
    loading: Progress,
    early: Callable[[int], None],
    show: Callable[[Mapping[str, Any]], None],
    also: Also = nothing_more,
    digest: str | None = None,
) -> dict[str, Any]:
    """Rebuild a vault from a folder on this new device, by passphrase, or by recovery code and a new passphrase.

    `reading` and `loading` are told (files done, files in all). `early` gets the number of accounts as soon as a
    snapshot shows them, before their history is read; `show` gets what the folder holds
    (`recovery_report.found`) before this device becomes one of the vault; `also` is called at the end, as in `init`.
    A `digest` from elsewhere is compared with that, and the device set up whatever comes out.
    WrongPassphrase leaves nothing behind.
    """
    with open_home(paths, folder, create=False) as home:
        files, pending = read_all(home.folder, reading)
        chosen = choose_vault(files, vault, pending)
        ring, used = _open_ring(files, chosen, passphrase, code)
        keys = _new_keys(ring)
        _furnish(home, ring, keys, local_only=False)
        _add_slots(home.store, [used], published=True)
        replica = Replica(home.store, keys, AROUND)
        if take_in_snapshots(replica, files.values()):
            early(len(alive(Accounts(replica))))
        take_in(replica, files.values(), loading)
        there = found(home.store, Accounts(replica), pending)
        compared = {"comparison": comparison(Accounts(replica), digest)} if digest is not None else {}
        there |= compared
        show(there)
        drafts = [_device_draft(keys, device)]
        if code is not None:
            drafts.append(_renew_passphrase(home.store, replica, ring, files, new_passphrase()))
        replica.commit(drafts)
        backed_up = _finish(home, paths, replica)
        also(home.store, keys)
        replaced = sha256(used) in replica.slot_hashes(superseded=True) - replica.slot_hashes()
        return recovered(home.store, Accounts(replica), there["waiting_for"]) | {
            "backed_up": backed_up,
            "replaced_passphrase": replaced and code is None,
            **compared,
        }


def _furnish(home: Home, ring: Keyring, keys: Keys, *, local_only: bool) -> None:
    listing = home.folder.look()
    with home.store.transaction():
        home.store.put("vault", ring.vault)
        home.store.put("device", keys.author.device)
        home.store.put("folder", os.fsencode(home.path))
        home.store.put("folder.device", str(listing.device).encode())
        home.store.put("folder.local", b"yes" if local_only else b"no")
        device.keep_secrets(home.store, ring, keys, AROUND.random(32))


def _finish(home: Home, paths: Paths, replica: Replica) -> bool:
    """Publish, write the own vault file, and only then call the store set up. Return whether all is in the folder."""
    engine = Engine(home.store, home.folder, AROUND, Turns())
    engine.replica = replica
    outcome = engine.run()
    if outcome.trouble is not None:
        raise outcome.trouble
    home.folder.write_readme(FOLDER_README)
    _explain_settings(paths)
    own_vault, accounts = OwnVault(paths.own_vault, AROUND.random), Accounts(replica)
    if replica.slot_statements:
        own_vault.write(own_vault.gather(accounts))
    with home.store.transaction():
        home.store.put(READY, b"yes")
    return not engine.waiting()


def _explain_settings(paths: Paths) -> None:
    """Leave a file that explains the settings; some people's configuration is read-only, and theirs to write."""
    try:
        create_template(paths.config)
    except OtpkeepError as trouble:
        log.warning(event("not-explained", reason=trouble.message))


# keys


def _new_keys(ring: Keyring) -> Keys:
    seed = AROUND.random(32)
    author = Author(seed, AROUND.random(16), [])
    certified = Author(seed, author.nonce, make_certificate(ring, author.public_key))
    return Keys(ring.without_seed(), certified, AROUND.random(32), AROUND.random(32))


def _passphrase_slots(ring: Keyring, passphrase: str) -> list[bytes]:
    """Return the passphrase slot twice, under different salts: one flipped byte must not lock anyone out."""
    return [slots.passphrase_slot(ring, passphrase, AROUND.random(32)) for _ in range(2)]


def _code_slot(ring: Keyring, code: bytes) -> bytes:
    return slots.recovery_slot(ring, code, AROUND.random(32))


def _add_slots(store: Store, made: list[bytes], *, published: bool = False) -> None:
    with store.transaction():
        for data in made:
            store.add(NewFile(sha256(data), file_name(data), "slot", None, published, data))


def _device_draft(keys: Keys, label: str) -> Draft:
    certificate = {"certificate": keys.author.certificate}
    return Draft("device.add", keys.author.device, values={"label": label}, extra=certificate)


def _slot_draft(ring: Keyring, made: list[bytes], passphrase: str, superseded: dict[bytes, Any]) -> Draft:
    own = aegis_crypto.password_slot(ring.own_master_key(), passphrase, AROUND.random)
    values = {"slots": sorted(sha256(data) for data in made), "own": own}
    return Draft("slot.set", extra={"statement": make_statement(ring, "slot.set", values, superseded)})


def _renew_passphrase(store: Store, replica: Replica, ring: Keyring, files: dict[str, bytes], passphrase: str) -> Draft:
    """Return the statement that makes a new passphrase current, beside the recovery slots that there are."""
    current = replica.slot_hashes()
    kept = [d for d in files.values() if sha256(d) in current and slots.slot_kind(d) == slots.RECOVERY]
    made = _passphrase_slots(ring, passphrase)
    _add_slots(store, made)
    return _slot_draft(ring, [*made, *kept], passphrase, dict(replica.slot_statements))


def _open_ring(
    files: dict[str, bytes], vault: VaultId, passphrase: Callable[[], str], code: str | None
) -> tuple[Keyring, bytes]:
    """Return the keyring and the slot that opened; the store needs that one to be unlocked again."""
    candidates = [data for data in files.values() if device.is_slot_of(data, vault)]
    if code is not None:
        ring, used = device.open_with_code(candidates, slots.read_code(code))
    else:
        ring, used = device.open_with_passphrase(candidates, passphrase())
    if ring.vault != vault or vault_id(ring.epochs[0].admin) != vault:
        raise Malformed("the keys in this slot are not those of the vault", "Ask for help; nothing was changed.")
    return ring, used
