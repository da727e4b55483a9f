"""What the daemon unlocks itself with: a random key, kept where the person chose, which opens a copy of its keys.

The copy lies in the store and the key elsewhere, so neither says anything alone, and forgetting either is enough. What
is remembered is never the passphrase (SPEC §10).
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from otpkeep_daemon import credentials, device
from otpkeep_daemon.credentials import Credential
from otpkeep_daemon.database import translated
from otpkeep_daemon.key_file import KeyFile
from otpkeep_daemon.keychain import Keychain
from otpkeep_daemon.keys import Keys, Surroundings
from otpkeep_daemon.store import Store
from otpkeep_protocol import wire
from otpkeep_protocol.errors import Locked, Malformed, NotAuthentic, Refused

NONE = "none"
METHODS: Mapping[str, str] = {
    "keychain": "the keychain of this system",
    "credential": "a systemd credential that only this machine decrypts",
    "file": "a key file beside the store",
    NONE: "nothing: it starts locked and waits for `otpkeep unlock`",
}
"""What may be chosen, the best first, and what it is in words."""
OFFERED = ("keychain", "credential")
"""What may be offered to somebody who did not ask for it."""
RECORD = "unlock"
"""Where the store keeps the method, the name of the key's place, and the wrapped keys; empty if there are none."""
LIMIT = 2_097_152
KEY_SIZE = 32


class Holder(Protocol):
    """A place for one key. Each method may raise Locked, with the reason; none ever asks a person."""

    def why_not(self) -> str:
        """Return why it can't be used here, "" if it can."""

    def keep(self, key: str) -> None:
        """Take the key."""

    def read(self) -> str:
        """Return the key."""

    def forget(self) -> None:
        """Remove the key, if it is there."""


@dataclass(frozen=True, slots=True)
class Offer:
    """A method, what it is in words, and why it can't be used here and now, "" if it can."""

    method: str
    words: str
    why_not: str


@dataclass(frozen=True, slots=True)
class Record:
    """What the store knows of the choice: `place` names the key's place, a new one for each choice."""

    method: str
    place: str
    wrapped: bytes = field(repr=False)


def offers(data: Path) -> list[Offer]:
    """Return the methods, the best first; `data` is the directory of the store. Tries each for real."""
    tried = {method: _holder(method, "try", b"", data).why_not() for method in METHODS if method != NONE}
    return [Offer(method, words, tried.get(method, "")) for method, words in METHODS.items()]


def best(offered: list[Offer]) -> str:
    """Return the best method of those that may be offered, NONE if none of them works."""
    return next((offer.method for offer in offered if offer.method in OFFERED and not offer.why_not), NONE)


def _holder(method: str, place: str, owner: bytes, data: Path) -> Holder:
    """Return the place of a key; `owner` is the device, since one keychain may serve several."""
    if method == "keychain":
        return Keychain(f"{owner.hex()} {place}")
    if method == "credential":
        return Credential(data / f"unlock-{place}.cred")
    if method == "file":
        return KeyFile(data / f"unlock-{place}.key")
    raise Malformed(f"there is no way of unlocking named {method!r}", f"There are {', '.join(METHODS)}.")


class Remembering:
    """The choice of one store. Asking a holder may take seconds, and is done without `lock`."""

    def __init__(self, store: Store, data: Path, around: Surroundings, lock: AbstractContextManager[object]) -> None:
        """`data` is the directory of the store; `lock` guards the store."""
        self._store = store
        self._data = data
        self._around = around
        self._lock = lock
        self._turn = threading.Lock()

    @property
    def method(self) -> str:
        """What the daemon unlocks itself with, one of METHODS."""
        record = self._record()
        return record.method if record is not None else NONE

    def choose(self, keys: Keys, method: str) -> str:
        """Remember `keys` by a method, under a new key. Return what could not be cleared of an earlier choice, or "".

        Refused, and the earlier choice stays, if the method can't be used here.
        """
        if method == NONE:
            return self.forget()
        with self._turn:
            before, place = self._record(), self._around.random(8).hex()
            key, holder = self._around.random(KEY_SIZE), self._place(method, place)
            _entrust(holder, key, method)
            try:
                self._wrap(keys, key, method, place)
            except BaseException:
                with suppress(Locked):
                    holder.forget()
                raise
            return self._clear(before)

    def forget(self) -> str:
        """Remember nothing any more. Return what could not be cleared, "" if all was."""
        with self._turn:
            before = self._record()
            if before is not None:
                self._put(b"")
            return self._clear(before)

    def keys(self) -> Keys:
        """Return the keys that are remembered. Locked, with the reason, if nothing is or it can't be used now."""
        record = self._record()
        if record is None:
            raise Locked("nothing is remembered to unlock it with", _CHOOSE)
        try:
            text = credentials.given(os.environ) if record.method == "credential" else None
            key = _key(text or self._place(record.method, record.place).read())
            with self._lock, translated():
                return device.unlock_remembered(self._store, record.wrapped, key)
        except Locked as reason:
            raise Locked(reason.message, _BY_HAND) from None
        except (NotAuthentic, Malformed):
            message = f"the key in {METHODS[record.method]} is not the one that this store was given"
            raise Locked(message, f"Run `otpkeep unlock --remember {record.method}`.") from None

    def check(self) -> Locked | None:
        """Return why the daemon could not unlock itself now, None if it could."""
        try:
            self.keys()
        except Locked as reason:
            return reason
        return None

    def _place(self, method: str, place: str) -> Holder:
        return _holder(method, place, self._owner(), self._data)

    def _owner(self) -> bytes:
        with self._lock:
            return self._store.need("device")

    def _wrap(self, keys: Keys, key: bytes, method: str, place: str) -> None:
        """Commit the keys, wrapped, and where the key to them is."""
        wrapped = device.wrap_for_unlock(keys, key, self._around.random(32))
        self._put(wire.encode({"method": method, "place": place, "wrapped": wrapped}))

    def _record(self) -> Record | None:
        with self._lock, translated():
            kept = self._store.get(RECORD)
        if not kept:
            return None
        value = wire.decode(kept, LIMIT)
        return Record(value["method"], value["place"], value["wrapped"])

    def _put(self, value: bytes) -> None:
        with self._lock, self._store.transaction():
            self._store.put(RECORD, value)

    def _clear(self, before: Record | None) -> str:
        """Remove the key of an earlier choice, which opens nothing any more; return why it could not be, or ""."""
        if before is None:
            return ""
        try:
            self._place(before.method, before.place).forget()
        except Locked as reason:
            return f"the key of the earlier choice stays where it is, and opens nothing any more: {reason.message}"
        return ""


def _entrust(holder: Holder, key: bytes, method: str) -> None:
    """Have a holder keep the key, and see that it gives it back. Refused, with the reason, if it does not."""
    try:
        holder.keep(key.hex())
        why_not = "" if holder.read() == key.hex() else "it gives back something else than it was given"
    except Locked as reason:
        why_not = reason.message
    if why_not:
        others = ", ".join(f"--remember {name}" for name in METHODS if name != method)
        message = f"{METHODS[method]} can't be used for unlocking: {why_not}; the choice stays as it was"
        raise Refused(message, f"Choose another way: {others}.")


def _key(text: str) -> bytes:
    """Return the key that a holder kept as hexadecimal digits. Malformed if it is something else."""
    try:
        key = bytes.fromhex(text)
    except ValueError:
        raise Malformed("not a key") from None
    if len(key) != KEY_SIZE:
        raise Malformed("not a key")
    return key


_BY_HAND = "Run `otpkeep unlock`."
_CHOOSE = "Run `otpkeep unlock`; with `--remember METHOD` it unlocks itself from then on."
