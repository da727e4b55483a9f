"""A file before it is read: a part or all of it, and what the folder does meanwhile."""

from __future__ import annotations

import pytest

from otpkeep_daemon import memory_folder
from otpkeep_daemon.folder_file import FIRST_CHUNK_SIZE, START_SIZE, FolderFile
from otpkeep_daemon.memory_folder import MemoryFolder
from otpkeep_protocol import sealing
from otpkeep_protocol.errors import Unreachable
from support_vault import Hand, add, keyring, seal

NAME = "0123456789abcdef0123456789abcdef.otpk"


@pytest.fixture
def folder() -> MemoryFolder:
    return MemoryFolder()


def found(folder: MemoryFolder, data: bytes) -> FolderFile:
    folder.put(NAME, data)
    return FolderFile(folder, NAME, len(data), 1, data[:START_SIZE])


def long_run(accounts: int = 600) -> bytes:
    """A sealed run of more than one chunk."""
    ben = Hand("ben")
    for number in range(accounts):
        ben.write(add(number.to_bytes(16), name=f"account {number}"))
    return seal(ben.run())


def test_its_first_chunk_tells_what_it_is_and_that_there_is_more(folder: MemoryFolder) -> None:
    data = long_run()
    file = found(folder, data)
    assert len(data) > FIRST_CHUNK_SIZE
    # when
    start = file.first_chunk()
    # then: it is no more than that, and opens
    assert start == data[:FIRST_CHUNK_SIZE]
    epoch = keyring().newest
    opened = sealing.open_start(start, sealing.read_header(start), epoch.key)
    assert sealing.open_sealed(data, sealing.read_header(data), epoch.key).startswith(opened[:32])
    assert file.read() == data


def test_a_short_one_is_its_own_first_chunk(folder: MemoryFolder) -> None:
    data = seal(Hand("ben").run())
    assert found(folder, data).first_chunk() == data == found(folder, data).read()


def test_one_that_is_gone_or_evicted_is_left_for_later(folder: MemoryFolder) -> None:
    file = found(folder, b"otpkeep")
    folder.evicted = {NAME}
    assert (file.read(), file.first_chunk()) == (None, b"")
    folder.take(NAME)
    assert (file.read(), file.first_chunk()) == (None, b"")


def test_one_that_has_become_too_large_stops_nobody(folder: MemoryFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    file = found(folder, b"otpkeep")
    folder.put(NAME, bytes(100))
    monkeypatch.setattr(memory_folder, "READ_LIMIT", 99)
    assert (file.read(), file.first_chunk()) == (None, b"")


def test_a_folder_that_has_gone_is_told_and_not_taken_for_an_empty_one(folder: MemoryFolder) -> None:
    file = found(folder, b"otpkeep")
    folder.reachable = False
    for read in (file.read, file.first_chunk):
        with pytest.raises(Unreachable):
            read()


def test_what_is_in_it_is_in_no_repr(folder: MemoryFolder) -> None:
    assert "secret" not in repr(found(folder, b"secret"))
