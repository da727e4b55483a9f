"""The operating system's keychain, through the library keyring, and never with a prompt.

Only its real back ends count, made here by name: what keyring would choose by itself may be a chain that ends in a file
with a password of its own. KDE's wallet is reached as a Secret Service, which it has been since KDE Frameworks 5.97.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from otpkeep_daemon.patience import within
from otpkeep_protocol.errors import Locked

if TYPE_CHECKING:
    from keyring.backend import KeyringBackend

SERVICE = "otpkeep"
ANSWERS_WITHIN_S = 10.0
T = TypeVar("T")
_TURN = threading.Lock()
"""Held while the keychain is asked: one that hangs must not gather threads that wait for it."""


class Keychain:
    """One entry of the keychain, named `entry`: text that only the logged-in user gets."""

    def __init__(self, entry: str) -> None:
        self._entry = entry

    def why_not(self) -> str:
        """Return why the keychain can't be used now, "" if it can."""
        try:
            _ask(_check)
        except Locked as reason:
            return reason.message
        return ""

    def keep(self, key: str) -> None:
        """Put the key there. Locked, with the reason, if that is not possible now."""
        _ask(lambda keychain: keychain.set_password(SERVICE, self._entry, key))

    def read(self) -> str:
        """Return the key. Locked, with the reason, if that is not possible now."""
        key = _ask(lambda keychain: keychain.get_password(SERVICE, self._entry))
        if key is None:
            raise Locked("the keychain no longer holds the key that otpkeep put there")
        return key

    def forget(self) -> None:
        """Remove the key; one that is gone already is what was wanted. Locked as above."""
        _ask(self._forget)

    def _forget(self, keychain: KeyringBackend) -> None:
        if keychain.get_password(SERVICE, self._entry) is not None:
            keychain.delete_password(SERVICE, self._entry)


def _check(keychain: KeyringBackend) -> None:
    """Look for an entry that does not exist: this fails just where a real one could not be read."""
    keychain.get_password(SERVICE, "check")


def _ask(question: Callable[[KeyringBackend], T]) -> T:
    """Return what the keychain answers. Locked, with the reason, if it is locked, fails, or says nothing."""
    from keyring.errors import InitError, KeyringError, KeyringLocked  # only those who have chosen the keychain

    try:
        return within(ANSWERS_WITHIN_S, lambda: _in_turn(question))
    except KeyringLocked:
        raise Locked("the keychain is locked") from None
    except (InitError, RuntimeError) as error:
        raise Locked(f"there is no keychain here ({error})") from None
    except TimeoutError:
        raise Locked("the keychain does not answer") from None
    except (KeyringError, OSError) as error:
        # Without `from`, as above: what failed may have had the key among its arguments.
        raise Locked(f"the keychain failed ({type(error).__name__})") from None


def _in_turn(question: Callable[[KeyringBackend], T]) -> T:
    if not _TURN.acquire(timeout=ANSWERS_WITHIN_S):
        raise TimeoutError
    try:
        return question(_backend())
    finally:
        _TURN.release()


def _backend() -> KeyringBackend:
    """Return this platform's keychain. RuntimeError, in keyring's words, if it can't be used."""
    if sys.platform == "darwin":
        from keyring.backends import macOS

        _forbid_questions()
        return _usable(macOS.Keyring)
    if sys.platform == "win32":
        from keyring.backends import Windows

        return _usable(Windows.WinVaultKeyring)
    return _usable(_secret_service())


def _usable(backend: Any) -> KeyringBackend:
    if backend.priority <= 0:  # reading it is how keyring finds out, and raises what is missing
        raise RuntimeError("it is switched off")
    made: KeyringBackend = backend()
    return made


def _secret_service() -> type[KeyringBackend]:
    """Return keyring's Secret Service without what asks the person: no unlocking, no new collection."""
    import secretstorage
    from keyring.backends import SecretService
    from keyring.errors import InitError, KeyringError, KeyringLocked

    class Unprompted(SecretService.Keyring):
        """The default collection while it is unlocked."""

        def get_preferred_collection(self) -> secretstorage.Collection:
            try:
                bus = secretstorage.dbus_init()
                collection = secretstorage.Collection(bus)
                locked = collection.is_locked()
            except secretstorage.exceptions.ItemNotFoundException:
                bus.close()
                raise InitError("it has no default keyring; log in to the desktop once") from None
            except secretstorage.exceptions.SecretStorageException as error:
                raise InitError(str(error)) from None
            if locked:
                bus.close()
                raise KeyringLocked
            return collection

        def unlock(self, item: Any) -> None:
            if item.is_locked():
                raise KeyringLocked

        def set_password(self, service: str, username: str, password: str) -> None:
            try:
                super().set_password(service, username, password)  # type: ignore[no-untyped-call]
            except secretstorage.exceptions.SecretStorageException as error:
                raise KeyringError(type(error).__name__) from None

    return Unprompted


def _forbid_questions() -> None:
    """Have macOS fail where it would ask for the keychain's password (SecKeychainSetUserInteractionAllowed)."""
    import ctypes

    security = ctypes.CDLL("/System/Library/Frameworks/Security.framework/Security")
    security.SecKeychainSetUserInteractionAllowed(ctypes.c_ubyte(0))
