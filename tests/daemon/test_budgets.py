"""What has a bound: the pieces that an event names, and the memory that a pass over large files takes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from otpkeep_daemon import device as device_secrets
from otpkeep_daemon.folder import RealFolder
from otpkeep_protocol import content, sealing
from otpkeep_protocol.content import Run
from otpkeep_protocol.context import MOST_PIECES, within_budget
from otpkeep_protocol.events import Event
from otpkeep_protocol.ids import Piece
from otpkeep_protocol.keyring import Keyring
from otpkeep_protocol.naming import file_name
from support_cli import PASSPHRASE, environment
from support_cli import Device as Program
from support_system import ours, uri
from support_vault import DAY_MS, Device, Hand, World, add, deliver, seal

EVENTS = 3_200
HOSTILE_FILES, HOSTILE_BYTES = 40, 60 * 1024 * 1024
MOST_MEMORY_KIB = 200 * 1024
ONE_PASS = """
import os, sys
from pathlib import Path
from otpkeep_daemon.folder import RealFolder
from support_vault import Clock, Device, keyring
folder = RealFolder(Path(sys.argv[2]), "ab12")
folder.device = os.stat(sys.argv[2]).st_dev
device = Device(Path(sys.argv[1]), "laptop", folder, keyring(), Clock())
def peak():  # not ru_maxrss, which begins with that of the process that started this one
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
before = peak()
outcome = device.run()
assert outcome.trouble is None, outcome.trouble
print(before, peak(), len(device.verdicts()))
"""


def long_hand(ring: Keyring | None = None) -> Hand:
    """A writer of EVENTS events that knows only itself."""
    hand = Hand("elsewhere", ring)
    while len(hand.events) < EVENTS:
        hand.write(add(len(hand.events).to_bytes(16, "big"), name=f"konto{len(hand.events)}"))
    return hand


def every_second(hand: Hand, ring: Keyring | None = None) -> Iterator[bytes]:
    """The sealed files of one event each, the first and the last among them, whose neighbours never come."""
    for seq in [*range(1, EVENTS, 2), EVENTS]:
        yield seal(hand.run(seq, seq), f"piece {seq}", ring)


def newest_own(device: Device) -> Event:
    own = device.replica.keys.author.writer
    return max((event for event in device.replica.archive.log() if event.dot.writer == own), key=lambda e: e.dot.seq)


def test_the_budget_keeps_the_own_writer_first_and_then_the_widest() -> None:
    own, other = b"z" * 16, b"a" * 16
    narrow = [Piece(other, 10 * n, 10 * n, bytes(16)) for n in range(1, 2_000)]
    wide = [Piece(other, 100_000 + 10 * n, 100_005 + 10 * n, bytes(16)) for n in range(1_000)]
    mine = [Piece(own, 1, 1, bytes(16)), Piece(own, 3, 3, bytes(16))]

    kept = within_budget([*narrow, *wide, *mine], own)

    assert len(kept) == MOST_PIECES
    assert kept == sorted(kept)
    assert {*mine, *wide} <= set(kept)
    assert within_budget(mine, own) == mine


def test_a_device_with_thousands_of_holes_still_edits_and_beats(world: World) -> None:
    laptop = world.device("laptop")
    phone = world.device("phone")
    hand = long_hand()
    # given: a device that holds only every second event of another
    for data in every_second(hand):
        laptop.folder.put(file_name(data), data)
    assert laptop.run().read == EVENTS // 2 + 1
    assert len(laptop.replica.chains.seen()) > EVENTS // 2 > MOST_PIECES
    # when: it edits, then: the event names as many pieces as it may, its own among them
    laptop.add("mail")
    event, own = newest_own(laptop), laptop.replica.keys.author.writer
    assert len(event.seen) == MOST_PIECES
    assert [(p.first, p.last) for p in event.seen if p.writer == own] == [(1, event.dot.seq - 1)]
    # and: it beats, and another takes in both files
    laptop.clock.ms += 2 * DAY_MS
    laptop.folder.put("news.otpk", seal(Hand("third").run(), "third"))
    laptop.run()
    assert [file.kind for file in laptop.store.files() if file.kind == "beat"] == ["beat"]
    deliver(laptop, phone)
    assert phone.run().trouble is None
    assert "mail" in phone.names()
    assert set(phone.verdicts().values()) == {"ok"}
    # and: it is the same after a restart
    laptop.restart()
    laptop.add("bank")
    assert len(newest_own(laptop).seen) == MOST_PIECES


def test_a_folder_with_thousands_of_holes_can_be_recovered_from_and_edited(tmp_path: Path) -> None:
    # given: a vault in whose folder every second event of a device is missing
    alpha = Program(tmp_path / "alpha", tmp_path / "folder")
    alpha.init()
    slots = [path.read_bytes() for path in ours(alpha.folder)]
    ring, _ = device_secrets.open_with_passphrase(
        [data for data in slots if sealing.read_header(data).type == sealing.SLOT], PASSPHRASE
    )
    hand = long_hand(ring)
    for data in every_second(hand, ring):
        (alpha.folder / file_name(data)).write_bytes(data)
    # then: another device can recover and edit
    beta = Program(tmp_path / "beta", alpha.folder)
    found = beta.recover()
    assert len(found["added"]) >= EVENTS // 2 - 1
    before = set(ours(alpha.folder))
    assert beta.add(uri(1))["backed_up"] is True
    # and: what it published keeps within the bound
    made = [_run_of(path.read_bytes(), ring) for path in set(ours(alpha.folder)) - before]
    seen = [event.seen for run in made for event in run.events]
    assert [len(pieces) for pieces in seen] == [MOST_PIECES]
    assert any(piece.writer == made[0].writer for piece in seen[0])
    # and: the device that was there before goes on as well
    assert alpha.add(uri(2))["backed_up"] is True


def _run_of(data: bytes, ring: Keyring) -> Run:
    found = content.read(sealing.open_sealed(data, sealing.read_header(data), ring.newest.key), ring)
    assert isinstance(found, Run)
    return found


@pytest.mark.parametrize("head", [b"", seal(Hand("hostile").run())[:109]], ids=["zeros", "with our header"])
def test_a_folder_full_of_huge_files_takes_no_more_memory_than_one(tmp_path: Path, head: bytes) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    for number in range(HOSTILE_FILES):
        with (folder / f"{number:032x}.otpk").open("wb") as file:
            file.write(head)
            file.truncate(HOSTILE_BYTES)
    before, after, looked = _pass_in_a_process_of_its_own(tmp_path / "home", folder, environment())
    assert looked == HOSTILE_FILES
    assert after < MOST_MEMORY_KIB, f"{before} KiB before the pass, {after} KiB at most"


def test_a_folder_listing_counts_what_is_too_large_and_never_reads_it(tmp_path: Path) -> None:
    with (tmp_path / f"{1:032x}.otpk").open("wb") as file:
        file.truncate(81 * 1024 * 1024)
    folder = RealFolder(tmp_path, "ab12")
    assert [found.size for found in folder.look().files] == [81 * 1024 * 1024]
    with pytest.raises(Exception, match="larger than any file"):
        folder.read(f"{1:032x}.otpk")


def _pass_in_a_process_of_its_own(home: Path, folder: Path, env: Mapping[str, str]) -> tuple[int, int, int]:
    path = f"{env['PYTHONPATH']}:{Path(__file__).parents[1]}"
    done = subprocess.run(
        [sys.executable, "-c", ONE_PASS, str(home), str(folder)],
        env={**env, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    before, after, looked = map(int, done.stdout.split())
    return before, after, looked
