"""A store on a full or failing disk: what could not be saved is said, and nothing before it is lost."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from otpkeep_daemon.lock import try_lock
from otpkeep_daemon.store import Store
from otpkeep_protocol.errors import IntegrityProblem, OtpkeepError
from support_cli import Device as Program
from support_system import listed, need, need_root, status, uri
from support_vault import Device, World, hotp

BIG = "x" * 4_000


def fill(device: Device) -> OtpkeepError:
    """Add accounts until the store takes no more, and return what it said then."""
    for number in range(1_000):
        try:
            device.add(f"konto{number}", note=BIG)
        except OtpkeepError as error:
            return error
    raise AssertionError("the store took everything")


def bound(device: Device, more: int) -> None:
    """Let the store grow by so many pages and no further."""
    pages = device.store._db.execute("PRAGMA page_count").fetchone()[0]
    device.store._db.execute(f"PRAGMA max_page_count = {pages + more}")


def unbound(device: Device) -> None:
    device.store._db.execute(f"PRAGMA max_page_count = {2**30}")


def seqs(device: Device) -> list[int]:
    own = device.replica.keys.author.writer
    return sorted(event.dot.seq for event in device.replica.archive.log() if event.dot.writer == own)


def says_nothing_is_lost(error: OtpkeepError) -> None:
    assert not isinstance(error, IntegrityProblem)
    assert error.kind == "store-full"
    assert "not saved" in error.message or "nothing is lost" in error.message
    assert "aside" not in error.message + error.hint
    assert "space" in error.hint


def test_a_full_disk_refuses_an_edit_in_so_many_words(laptop: Device) -> None:
    bound(laptop, 12)
    says_nothing_is_lost(fill(laptop))


def test_memory_stays_with_the_store_when_a_commit_fails(laptop: Device) -> None:
    bound(laptop, 12)
    fill(laptop)
    # then: what is in memory is what is in the store
    state, names, held = laptop.state(), laptop.names(), laptop.held()
    last = seqs(laptop)
    assert last == list(range(1, len(last) + 1))
    # when: there is room again, then: the next edit follows the last one that was saved
    unbound(laptop)
    laptop.add("after")
    assert seqs(laptop) == [*last, last[-1] + 1]
    assert sorted(laptop.names()) == sorted([*names, "after"])
    assert held < laptop.held()
    # and: a restart finds the same
    after = laptop.state()
    assert state != after
    laptop.restart()
    assert laptop.state() == after
    assert len(laptop.replica.chains.forks) == 0


def test_the_first_edit_of_a_writer_can_fail_and_be_made_again(world: World) -> None:
    phone = world.device("phone", introduced=False)
    bound(phone, 0)
    with pytest.raises(OtpkeepError):
        phone.add("mail", note=BIG * 10)
    assert seqs(phone) == []
    unbound(phone)
    phone.add("mail")
    assert seqs(phone) == [1, 2]


def test_a_pass_that_can_t_store_what_it_read_reads_it_again(world: World, laptop: Device) -> None:
    phone = world.device("phone")
    for number in range(30):
        phone.add(f"konto{number}", note=BIG)
    phone.run()
    for name in phone.folder.names():
        laptop.folder.put(name, phone.folder.read(name) or b"")
    bound(laptop, 4)
    trouble = laptop.run().trouble
    assert trouble is not None
    says_nothing_is_lost(trouble)
    assert laptop.names() == []
    unbound(laptop)
    laptop.run()
    assert sorted(laptop.names()) == sorted(phone.names())


def test_a_use_of_a_counter_that_was_not_saved_shows_no_code(laptop: Device) -> None:
    account = laptop.add("counted", otp=hotp(b"a counter's secret"))
    laptop.restart()
    bound(laptop, 0)
    shown = laptop.accounts.view(bytes.fromhex(account)).counter
    failed = 0
    for _ in range(200):
        try:
            laptop.accounts.code(account, at=0, peek=False)
        except OtpkeepError as error:
            says_nothing_is_lost(error)
            failed += 1
            break
        shown = laptop.accounts.view(bytes.fromhex(account)).counter
    assert failed
    assert laptop.accounts.view(bytes.fromhex(account)).counter == shown


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of a megabyte and a half."""
    need_root("mount")
    need("mount", "umount")
    disk = tmp_path / "disk"
    disk.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1536k", "otpkeep-test", str(disk)], capture_output=True, check=False
    )
    if done.returncode != 0:
        pytest.skip(f"no right to mount here: {done.stderr.decode().strip()}")
    try:
        yield disk
    finally:
        subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.parametrize("served", [True, False], ids=["daemon", "alone"])
def test_on_a_disk_that_is_really_full_nothing_that_was_acknowledged_is_lost(
    small_disk: Path, tmp_path: Path, served: bool
) -> None:
    alpha = Program(small_disk / "alpha", tmp_path / "folder")
    alpha.init()
    alpha.add(uri(1))
    if served:
        with alpha.daemon():
            _filled_and_freed(alpha, small_disk)
    else:
        _filled_and_freed(alpha, small_disk)
    assert sorted(row["name"] for row in listed(alpha)) == ["konto1", "konto3"]
    assert alpha.run("verify", "--depth", "rebuild").ok().json["problems"] == []


def _filled_and_freed(alpha: Program, disk: Path) -> None:
    # when: somebody fills the disk
    with (disk / "filling").open("wb", buffering=0) as file, suppress(OSError):
        while file.write(bytes(4096)):
            pass
    done = alpha.run("add", "-", stdin=uri(2, more="&x=" + BIG).encode())
    # then: an edit fails in so many words
    assert (done.code, done.error["kind"]) == (1, "store-full"), done
    assert "not saved" in done.error["message"] or "nothing is lost" in done.error["message"]
    assert "aside" not in done.out
    # and: when there is room again, all goes on
    (disk / "filling").unlink()
    assert alpha.add(uri(3))["backed_up"] is True
    assert status(alpha)["problems"] == []


@pytest.mark.parametrize(
    "part",
    ["beginning", "middle", "all but the first page"],
)
def test_a_store_whose_bytes_were_overwritten_is_called_damaged_and_asks_for_a_copy(
    world: World, laptop: Device, part: str
) -> None:
    # given: a store of many pages, some of which are garbage now
    for number in range(40):
        laptop.add(f"konto{number}", note=BIG)
    laptop.run()
    laptop.close()
    world.devices.remove(laptop)
    path = laptop.path / "store.db"
    data = path.read_bytes()
    first, last = {
        "beginning": (0, 4096),
        "middle": (len(data) // 3, 2 * len(data) // 3),
        "all but the first page": (4096, len(data)),
    }[part]
    path.write_bytes(data[:first] + b"\xa5" * (last - first) + data[last:])
    # then: opening or loading it says so, and to keep a copy
    with ExitStack() as opened, pytest.raises(IntegrityProblem) as raised:
        _open_and_load(laptop, opened)
    assert "copy" in raised.value.hint
    assert "damaged" in raised.value.message


def _open_and_load(device: Device, opened: ExitStack) -> None:
    lock = try_lock(device.path / "lock", "tests")
    assert lock is not None
    opened.callback(lock.release)
    device.store = Store(device.path / "store.db", lock)
    opened.callback(device.store.close)
    device.unlock()
    device.add("more")


def test_a_command_on_an_overwritten_store_exits_4_and_asks_for_a_copy(tmp_path: Path) -> None:
    alpha = Program(tmp_path / "alpha", tmp_path / "folder")
    alpha.init()
    for number in range(20):
        alpha.add(uri(number))
    path = alpha.home / "store.sqlite3"
    data = path.read_bytes()
    path.write_bytes(data[:4096] + b"\xa5" * (len(data) - 4096))
    for words in (["list"], ["status"], ["add", "-"], ["verify"], ["daemon", "run"]):
        done = alpha.run(*words, stdin=uri(99).encode())
        assert (words, done.code, done.error["kind"]) == (words, 4, "integrity"), done
        assert "copy" in done.error["hint"]
