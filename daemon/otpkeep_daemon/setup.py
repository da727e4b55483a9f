"""Setting up a device: a new vault in an empty folder, or an old one on a new device.

The only code of the daemon package that sees the passphrase and the admin seed, and only in a command's own process.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from otpkeep_daemon import device
from otpkeep_daemon.accounts import Accounts
from otpkeep_daemon.engine import Engine
from otpkeep_daemon.folder import Folder, RealFolder, create_folder
from otpkeep_daemon.formats import aegis_crypto
from otpkeep_daemon.lock import wait_for_lock
from otpkeep_daemon.mounts import network_filesystem
from otpkeep_daemon.own_vault import WRITTEN, OwnVault
from otpkeep_daemon.paths import Paths
from otpkeep_daemon.readme import FOLDER_README
from otpkeep_daemon.replica import Keys, Replica, Surroundings
from otpkeep_daemon.report import devices, waiting_for
from otpkeep_daemon.store import NewFile, Store
from otpkeep_protocol import sealing, slots, wire
from otpkeep_protocol.content import Author
from otpkeep_protocol.errors import Ambiguous, Malformed, NotFound, OtpkeepError, Refused, Unreachable
from otpkeep_protocol.events import Draft
from otpkeep_protocol.ids import VaultId, sha256, vault_id
from otpkeep_protocol.keyring import Keyring, new_keyring
from otpkeep_protocol.naming import EXTENSION, NameKind, classify, file_name, hidden_name
from otpkeep_protocol.statements import make_certificate, make_statement

READY, STARTED = "ready", "started"
AROUND = Surroundings(os.urandom, lambda: time.time_ns() // 1_000_000)
_BATCH = 64


@dataclass(frozen=True, slots=True)
class Home:
    """A store that is being set up, the folder that it will mirror, and the files of an earlier attempt to init."""

    store: Store
    folder: Folder
    path: Path
    interrupted: tuple[str, ...]


def is_ready(store: Store) -> bool:
    """Tell whether this store was set up to the end."""
    return store.get(READY) is not None


def init(paths: Paths, *, folder: Path, device: str, passphrase: Callable[[], str]) -> dict[str, Any]:
    """Make a new vault and publish its first files. Return {vault, device, folder, recovery_code}.

    The new passphrase is asked for once nothing else speaks against it.

    Refused if this device has a vault already, or the folder has.
    """
    home = _open_home(paths, folder, create=True)
    try:
        _clear_interrupted(home)
        if _holds_vault(home.folder):
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
        return {
            "vault": ring.vault.hex(),
            "device": keys.author.device.hex(),
            "folder": str(home.path),
            "recovery_code": slots.code_text(code),
        }
    finally:
        home.store.close()


def recover(
    paths: Paths,
    *,
    folder: Path,
    device: str,
    vault: str | None,
    passphrase: Callable[[], str],
    code: str | None,
    new_passphrase: Callable[[], str],
    progress: Callable[[int, int], None],
) -> dict[str, Any]:
    """Rebuild a vault from a folder on this new device, by passphrase, or by recovery code and a new passphrase.

    `progress` is told (files done, files in all). WrongPassphrase leaves nothing behind.
    """
    home = _open_home(paths, folder, create=False)
    try:
        files, pending = _read_all(home.folder)
        chosen = _choose(files, vault, pending)
        ring, used = _open_ring(files, chosen, passphrase, code)
        keys = _new_keys(ring)
        _furnish(home, ring, keys, local_only=False)
        _add_slots(home.store, [used], published=True)
        replica = Replica(home.store, keys, AROUND)
        _ingest(replica, files, progress)
        digest = sha256(b"otpkeep/v1/digest", wire.encode([list(p) for p in replica.chains.seen()])).hex()[:16]
        waiting = waiting_for(Accounts(replica))
        drafts = [_device_draft(keys, device)]
        if code is not None:
            drafts.append(_renew_passphrase(home.store, replica, ring, files, new_passphrase()))
        replica.commit(drafts)
        backed_up = _finish(home, paths, replica)
        return _recovered(home.store, replica, digest, waiting) | {"backed_up": backed_up}
    finally:
        home.store.close()


# the store


def _open_home(paths: Paths, folder: Path, *, create: bool) -> Home:
    paths.prepare()
    kind = network_filesystem(paths.data)
    if kind is not None:
        raise Refused(
            f"{paths.data} is on a network file system ({kind}), where a store can't be kept safe",
            "Set OTPKEEP_HOME to a directory on a local disk; only the folder may be remote.",
        )
    lock = wait_for_lock(paths.lock, "setup", lambda: False)
    assert lock is not None
    try:
        store = Store(paths.store, lock)
    except OtpkeepError:
        lock.release()
        raise
    try:
        return _prepared(paths, store, folder.expanduser().absolute(), create=create)
    except BaseException:
        store.close()
        raise


def _prepared(paths: Paths, store: Store, path: Path, *, create: bool) -> Home:
    if is_ready(store):
        raise Refused(
            "otpkeep is already set up on this device; nothing was changed",
            "`otpkeep status` shows it. For a second vault use another OTPKEEP_HOME.",
        )
    _check_apart(paths.data, path)
    if create:
        create_folder(path)
    elif not path.is_dir():
        raise Unreachable(f"there is no folder {path}", "Name the folder that your cloud client has synced.")
    interrupted = [file.name for file in store.files()] if store.get(STARTED) == b"init" else []
    store.clear()
    tag = AROUND.random(6).hex()
    with store.transaction():
        store.put("tag", tag.encode())
        store.put(STARTED, b"init" if create else b"recover")
    return Home(store, RealFolder(path, tag), path, tuple(interrupted))


def _check_apart(data: Path, folder: Path) -> None:
    """Refuse a folder that would carry this device's store, placeholders' secrets included, into the cloud."""
    if data.resolve().is_relative_to(folder.resolve()):
        raise Refused(
            f"the folder {folder} would hold otpkeep's own data in {data}, which must stay on this device",
            "Choose another folder, or another OTPKEEP_HOME.",
        )


def _clear_interrupted(home: Home) -> None:
    """Remove what an `init` that was cut off has published: its vault was never acknowledged, so nobody uses it."""
    for name in home.interrupted:
        home.folder.delete(name)


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
    engine = Engine(home.store, home.folder, AROUND, threading.RLock())
    engine.replica = replica
    outcome = engine.run()
    if outcome.trouble is not None:
        raise outcome.trouble
    home.folder.write_readme(FOLDER_README)
    own_vault, accounts = OwnVault(paths.own_vault, AROUND.random), Accounts(replica)
    version = b""
    if replica.slot_statements:
        data, version = own_vault.compose(accounts)
        own_vault.write(data)
    with home.store.transaction():
        home.store.put(WRITTEN, version)
        home.store.put(READY, b"yes")
    return not engine.waiting()


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


# the folder


def _read_all(folder: Folder) -> tuple[dict[str, bytes], int]:
    """Return the files of otpkeep in the folder by name, and how many there are that can't be read yet."""
    listing = folder.look()
    read = {found.name: _read_ours(folder, found.name) for found in listing.files}
    ours = {name: data for name, data in read.items() if data is not None}
    pending = sum(1 for name in read if name not in ours and EXTENSION in name)
    return ours, pending + len(listing.placeholders)


def _read_ours(folder: Folder, name: str) -> bytes | None:
    """Return the bytes of a file that says it is otpkeep's, None for any other, and for one that can't be read."""
    try:
        if not sealing.has_magic(folder.head(name) or b""):
            return None
        return folder.read(name)
    except Unreachable:
        raise
    except OtpkeepError:
        return None


def _holds_vault(folder: Folder) -> bool:
    """Tell whether there is a vault, even one whose files are still empty or elsewhere."""
    listing = folder.look()
    names = [*(found.name for found in listing.files), *(hidden_name(name) for name in listing.placeholders)]
    return any(classify(name) is NameKind.SEALED_NAME for name in names) or bool(_vaults_of(_read_all(folder)[0]))


def _vaults_of(files: dict[str, bytes]) -> set[VaultId]:
    found = set()
    for data in files.values():
        try:
            found.add(sealing.read_header(data).vault)
        except Malformed:
            continue
    return found


def _choose(files: dict[str, bytes], wanted: str | None, pending: int) -> VaultId:
    found = _vaults_of(files)
    chosen = [vault for vault in found if wanted is None or vault.hex().startswith(wanted.lower())]
    if len(chosen) == 1:
        return chosen[0]
    if not found:
        raise NotFound(
            f"this folder holds no vault ({pending} files have not arrived or are damaged)",
            "Wait until your cloud client has synced it, or name another folder.",
        )
    listed = ", ".join(sorted(vault.hex() for vault in found))
    if chosen:
        raise Ambiguous(f"this folder holds several vaults: {listed}", "Say which with --vault.")
    raise NotFound(f"this folder holds no vault {wanted}; it holds {listed}", "Say which with --vault.")


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


def _ingest(replica: Replica, files: dict[str, bytes], progress: Callable[[int, int], None]) -> None:
    """Take in everything twice over: slots are believed only once the statement that names them is there."""
    contents = list(files.values())
    for start in range(0, len(contents), _BATCH):
        replica.ingest(contents[start : start + _BATCH])
        progress(min(start + _BATCH, len(contents)), len(contents))
    replica.ingest([data for data in contents if device.is_slot_of(data, replica.keys.keyring.vault)])


def _recovered(store: Store, replica: Replica, digest: str, waiting: list[dict[str, Any]]) -> dict[str, Any]:
    accounts = Accounts(replica)
    alive = [shown for shown in accounts.views() if not shown.deleted]
    action = [shown.account.hex() for shown in alive if accounts.otp(shown) is None]
    return {
        "vault": store.need("vault").hex(),
        "device": store.need("device").hex(),
        "added": [shown.account.hex() for shown in alive],
        "changed": [],
        "unchanged": [],
        "skipped": [],
        "ready": [shown.account.hex() for shown in alive if shown.account.hex() not in action],
        "needs_action": [
            {"id": account, "reason": "set up again: its secret never left another device"} for account in action
        ],
        "devices": devices(store, accounts),
        "waiting_for": waiting,
        "digest": digest,
    }
