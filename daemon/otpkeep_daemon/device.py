"""This device's secrets at rest, and how a passphrase or a handed-over keyring brings them back (SPEC §10)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from otpkeep_daemon.database import translated
from otpkeep_daemon.folder import Folder
from otpkeep_daemon.keys import Keys
from otpkeep_daemon.store import SUPERSEDED, Store
from otpkeep_protocol import keyring, sealing, slots, wire
from otpkeep_protocol.content import Author
from otpkeep_protocol.errors import Malformed, NotAuthentic, OtpkeepError, Unreachable, WrongPassphrase
from otpkeep_protocol.ids import VaultId, sha256
from otpkeep_protocol.keyring import Keyring

SECRETS_LIMIT = 4096


def keep_secrets(store: Store, ring: Keyring, keys: Keys, random: bytes) -> None:
    """Wrap the device's secrets under the newest epoch key. `random` is 32 fresh bytes. Inside a transaction."""
    secrets = {"seed": keys.author.seed, "salt_secret": keys.salt_secret, "local_key": keys.local_key}
    store.put("secrets", keyring.wrap(ring.newest.key, ring.store_label(), wire.encode(secrets), random))
    store.put("nonce", keys.author.nonce)
    store.put("certificate", wire.encode(keys.author.certificate))


def unlock(store: Store, ring: Keyring) -> Keys:
    """Return the keys of this device. NotAuthentic if this keyring is not the one that its store is wrapped under."""
    with translated():
        vault, nonce = store.need("vault"), store.need("nonce")
        wrapped, certificate = store.need("secrets"), wire.decode(store.need("certificate"), SECRETS_LIMIT)
    if ring.vault != vault:
        raise NotAuthentic("these keys are of another vault; nothing was changed", "Check OTPKEEP_HOME.")
    secrets = wire.decode(keyring.unwrap(ring.newest.key, ring.store_label(), wrapped), SECRETS_LIMIT)
    author = Author(secrets["seed"], nonce, certificate)
    return Keys(ring.without_seed(), author, secrets["salt_secret"], secrets["local_key"])


def wrap_for_unlock(keys: Keys, key: bytes, random: bytes) -> bytes:
    """Return everything that an unlocked device holds, wrapped under `key`. `random` is 32 fresh bytes."""
    secrets = {
        "keyring": keyring.encode(keys.keyring.without_seed()),
        "seed": keys.author.seed,
        "salt_secret": keys.salt_secret,
        "local_key": keys.local_key,
    }
    return keyring.wrap(key, keyring.unlock_label(keys.keyring.vault), wire.encode(secrets), random)


def unlock_remembered(store: Store, wrapped: bytes, key: bytes) -> Keys:
    """Return the keys of this device out of what `wrap_for_unlock` made. NotAuthentic for another key or vault."""
    nonce, certificate = store.need("nonce"), wire.decode(store.need("certificate"), SECRETS_LIMIT)
    opened = keyring.unwrap(key, keyring.unlock_label(store.need("vault")), wrapped)
    secrets = wire.decode(opened, keyring.KEYRING_LIMIT + SECRETS_LIMIT)
    ring = keyring.decode(secrets["keyring"])
    author = Author(secrets["seed"], nonce, certificate)
    if author.device != store.need("device"):
        raise NotAuthentic("these keys are of another device")
    return Keys(ring, author, secrets["salt_secret"], secrets["local_key"])


SLOT_LIMIT = 65_536


def slot_files(store: Store, folder: Folder) -> Iterator[bytes]:
    """Yield the slots that may open this vault; they need no key and give none away.

    First those of the store, then those that only the folder has: another device may have set a new passphrase. A slot
    that a stranger put there opens nothing, since the device's secrets are wrapped under the true keys. Many of them
    take time; whoever can fill the folder could as well empty it.
    """
    with translated():
        vault, superseded = store.need("vault"), superseded_slots(store)
        held = [data for _, data in store.contents(("slot",))]
        strangers = {(v.name, v.size, v.mtime_ns) for v in store.looked().values() if v.verdict == "foreign"}
    yield from held
    try:
        listing = folder.look()
    except Unreachable:
        return
    for found in listing.files:
        with translated():
            is_known = store.file_named(found.name) is not None
        is_strange = (found.name, found.size, found.mtime_ns) in strangers
        if not is_known and not is_strange and found.size <= SLOT_LIMIT:
            data = _read(folder, found.name)
            if is_slot_of(data, vault) and sha256(data) not in superseded:
                yield data


def superseded_slots(store: Store) -> set[bytes]:
    """Return the hashes of the slots that this device has seen replaced: they unlock it no more."""
    kept = store.get(SUPERSEDED) or b""
    return {kept[start : start + 32] for start in range(0, len(kept), 32)}


def _read(folder: Folder, name: str) -> bytes:
    """Return a file's bytes, none of them if it can't be read: one bad file must not keep the others from opening."""
    try:
        return folder.read(name) or b""
    except OtpkeepError:
        return b""


def is_slot_of(data: bytes, vault: VaultId) -> bool:
    """Tell whether these bytes say that they are a slot of that vault."""
    try:
        header = sealing.read_header(data)
    except Malformed:
        return False
    return header.type == sealing.SLOT and header.vault == vault


def open_slots(candidates: Iterable[bytes], passphrase: Callable[[], str]) -> Keyring:
    """Return the keyring from whichever slot this passphrase opens; it is asked for once.

    WrongPassphrase if it fits none, or only slots of which every copy is damaged.
    """
    return open_with_passphrase(candidates, passphrase())[0]


def open_with_passphrase(candidates: Iterable[bytes], passphrase: str) -> tuple[Keyring, bytes]:
    """Return the keyring and the slot that opened; errors as for `open_slots`."""
    return _open_any(candidates, passphrase=passphrase, code=None)


def open_with_code(candidates: Iterable[bytes], code: bytes) -> tuple[Keyring, bytes]:
    """Return the keyring and the slot that this recovery code opens; errors as for `open_slots`."""
    return _open_any(candidates, passphrase=None, code=code)


def _open_any(candidates: Iterable[bytes], *, passphrase: str | None, code: bytes | None) -> tuple[Keyring, bytes]:
    damaged: OtpkeepError | None = None
    tried = sorted(candidates, key=slots.effort)
    for data in tried:
        try:
            return slots.open_slot(data, passphrase=passphrase, code=code), data
        except WrongPassphrase:
            continue
        except MemoryError:
            damaged = damaged or Malformed("a slot asks for more memory than this machine has")
        except OtpkeepError as error:
            damaged = damaged or error
    what = "passphrase" if code is None else "recovery code"
    if damaged is not None:
        raise WrongPassphrase(
            f"this {what} opens none of the {len(tried)} slots, of which one is damaged: {damaged.message}",
            "Try again; if it is surely right, wait until the folder is fully synced, or use the recovery code.",
        )
    raise WrongPassphrase(
        f"wrong {what}, or its slot has not arrived yet ({len(tried)} slots tried); nothing was changed",
        "Try again; if it was changed on another device, use the new one; or wait until the folder is fully synced.",
    )
