"""A file in a folder before it is read: on a new device there is no store yet that could say what it is."""

from __future__ import annotations

from dataclasses import dataclass, field

from otpkeep_daemon.folder import Folder
from otpkeep_protocol.errors import OtpkeepError, Unreachable
from otpkeep_protocol.sealing import CHUNK, HEADER_SIZE, TAG

START_SIZE = 128
"""Bytes that tell a file's type and vault: the header, and enough behind it to be a file at all."""
FIRST_CHUNK_SIZE = HEADER_SIZE + CHUNK + TAG + 1
"""Bytes that hold the first chunk, and tell whether there is another."""


@dataclass(frozen=True, slots=True)
class FolderFile:
    """A file that says it is otpkeep's: size in bytes and time of change (ns) as a look saw them, and its `start`.

    A long history need not be in memory.
    """

    folder: Folder = field(repr=False)
    name: str
    size: int
    mtime_ns: int
    start: bytes = field(repr=False)

    def read(self) -> bytes | None:
        """Return its bytes, None if it is gone or can't be read now. Unreachable if the folder is."""
        try:
            return self.folder.read(self.name)
        except Unreachable:
            raise
        except OtpkeepError:
            return None

    def first_chunk(self) -> bytes:
        """Return its first FIRST_CHUNK_SIZE bytes, none if it is gone or can't be read now. Unreachable as `read`."""
        try:
            return self.folder.head(self.name, FIRST_CHUNK_SIZE) or b""
        except Unreachable:
            raise
        except OtpkeepError:
            return b""
