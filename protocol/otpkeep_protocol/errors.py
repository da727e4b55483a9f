"""What can go wrong, as values a person can act on.

Every error carries `message` (what happened and what is safe) and `hint` (what to do next), and a
stable `kind` that programs may test. No error carries a secret: accounts are named by id.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar


class OtpkeepError(Exception):
    """The root of every error that otpkeep raises on purpose."""

    kind: ClassVar[str] = "failed"

    def __init__(self, message: str, hint: str = "", data: Mapping[str, Any] | None = None) -> None:
        """Keep what to say, what to do next, and in `data` what only the asking person may see."""
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.data = dict(data or {})


class Malformed(OtpkeepError):
    """Bytes or text that do not follow their format."""

    kind = "malformed"


class UnknownVersion(OtpkeepError):
    """Data of a newer format than this program reads."""

    kind = "unknown-version"


class NotAuthentic(OtpkeepError):
    """A MAC, signature, certificate or hash that does not hold."""

    kind = "not-authentic"


class WrongPassphrase(OtpkeepError):
    """A passphrase, recovery code or file password that opens nothing here."""

    kind = "wrong-passphrase"


class Locked(OtpkeepError):
    """A key is needed and there is no way to ask for it."""

    kind = "locked"


class NotFound(OtpkeepError):
    """An account, event, device or file that is not there."""

    kind = "not-found"


class Ambiguous(OtpkeepError):
    """Words that fit several accounts, events or devices."""

    kind = "ambiguous"


class Usage(OtpkeepError):
    """Words on the command line that make no request, or a confirmation that is missing."""

    kind = "usage"


class Refused(OtpkeepError):
    """A well-formed request that would do harm, or that this state does not allow."""

    kind = "refused"


class Unreachable(OtpkeepError):
    """The folder can't be reached, or is not the folder that it was."""

    kind = "folder-unreachable"


class FolderUnwritable(Unreachable):
    """The folder can be read, and takes nothing that is written."""


class FolderFull(FolderUnwritable):
    """No space, or none that this user may take, is left on the folder's disk."""

    kind = "folder-full"


class FolderReadOnly(FolderUnwritable):
    """The folder's disk is mounted read-only."""

    kind = "folder-read-only"


class StoreUnwritable(OtpkeepError):
    """The store can be read at most: nothing can be saved on this device now."""

    kind = "store-unwritable"


class StoreFull(StoreUnwritable):
    """No space is left on the store's disk."""

    kind = "store-full"


class StoreReadOnly(StoreUnwritable):
    """The store's disk is mounted read-only, or its files may not be written."""

    kind = "store-read-only"


class FileUnwritten(OtpkeepError):
    """A watched file, or the own vault file, could not be brought up to date."""

    kind = "file-unwritten"


class Unwatched(OtpkeepError):
    """The system tells us nothing about changes; timed looks are all that is left."""

    kind = "watching"


class IntegrityProblem(OtpkeepError):
    """Something in the folder or the store is damaged, forged or missing."""

    kind = "integrity"


class Busy(OtpkeepError):
    """Another process holds the store and does not answer."""

    kind = "busy"


def by_kind(kind: str, message: str, hint: str, data: Mapping[str, Any]) -> OtpkeepError:
    """Return the error of that `kind`, or the root error for an unknown one."""
    found = next((cls for cls in _kinds(OtpkeepError) if cls.kind == kind), OtpkeepError)
    return found(message, hint, data)


def _kinds(cls: type[OtpkeepError]) -> Iterator[type[OtpkeepError]]:
    for one in cls.__subclasses__():
        yield one
        yield from _kinds(one)
