"""What a machine does to a daemon that nobody looks after: it lives, names the trouble and its repair, and goes on."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from otpkeep_daemon import sockets
from otpkeep_protocol import control
from otpkeep_protocol.control import Request
from support_cli import PROGRAM, TIMEOUT_S, Device
from support_mounts import ext4_disk, small_disk
from support_system import (
    answers,
    carry,
    dots,
    eventually,
    heir,
    killed_at_the_end,
    listed,
    logged,
    need,
    ours,
    pair,
    status,
    uri,
)

FAKETIME = next(iter(sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))), None)


def begun(device: Device) -> Device:
    """Return the device with a vault, one account, and a look at the folder every second."""
    device.init()
    device.add(uri(1))
    (device.home / "config.toml").write_text("look_every_s = 1\n")
    return device


def problem(device: Device, kind: str) -> dict[str, str]:
    """Return the one problem of that kind, which must come to be there, and be no other than this one."""
    (found,) = eventually(lambda: of_kind(device, kind), f"status names {kind}")
    return found


def of_kind(device: Device, kind: str) -> list[dict[str, str]]:
    return [found for found in told(device)["problems"] if found["kind"] == kind]


def told(device: Device) -> Any:
    """Return what `status` shows, asked over the socket where a daemon listens, since a command costs a process."""
    peer = sockets.connect(device.home / "control.sock", TIMEOUT_S)
    if peer is None:
        return status(device)
    with peer:
        peer.sendall(control.encode_request(Request("status", {})))
        return control.decode_reply(sockets.receive(peer, control.REPLY_LIMIT))


def add(device: Device, number: int) -> Any:
    """Try to add an account; return how that ended."""
    return device.run("add", "-", stdin=uri(number).encode())


def all_is_well(device: Device) -> None:
    """See that nothing is wrong any more, and that everything is in the folder; a newcomer is no wrong."""
    left: list[Any] = []

    def mended() -> bool:
        left[:] = [one for one in told(device)["problems"] if one["kind"] != "new-device"]
        return not left

    try:
        eventually(mended, "no problem is left")
    except AssertionError:
        pytest.fail(f"still wrong: {left}")
    shown = status(device)["folder"]
    assert (shown["reachable"], shown["pending"]) == (True, 0)


def recovered(device: Device) -> list[str]:
    """Return the names of the accounts that a new device finds in the folder."""
    other = heir(device, "gamma")
    other.recover()
    return sorted(row["name"] for row in listed(other))


# the disk of the store


def test_on_a_full_disk_an_edit_fails_whole_and_the_next_is_saved_once_there_is_room(tmp_path: Path) -> None:
    with small_disk(tmp_path / "alpha") as disk:
        alpha = begun(Device(disk.point, tmp_path / "folder"))
        with alpha.daemon():
            before = (listed(alpha), logged(alpha))
            # when: the disk is full, then: status says so before anything has failed
            disk.fill()
            assert "Free some space" in problem(alpha, "store-full")["hint"]
            # and: an edit fails in so many words, and nothing of it is there
            refused = add(alpha, 2)
            assert (refused.code, refused.error["kind"]) == (1, "store-full")
            assert "Free some space" in refused.error["hint"]
            assert (listed(alpha), logged(alpha)) == before
            assert alpha.run("edit", before[0][0]["id"], "--note", "x").error["kind"] == "store-full"
            # when: there is room again, then: the next edit is saved and published
            disk.free()
            assert alpha.add(uri(3))["backed_up"] is True
            all_is_well(alpha)
        assert sorted(seq for _, seq in dots(alpha)) == list(range(1, len(dots(alpha)) + 1))
        assert recovered(alpha) == ["konto1", "konto3"]


def test_a_daemon_that_starts_on_a_full_disk_serves_what_it_can_read_and_publishes_what_waited(tmp_path: Path) -> None:
    with small_disk(tmp_path / "alpha") as disk:
        alpha = begun(Device(disk.point, tmp_path / "folder"))
        # given: an edit that is not in the folder yet, and a disk that was full when the machine was started
        alpha.folder.rename(tmp_path / "away")
        assert alpha.add(uri(2))["backed_up"] is False
        (tmp_path / "away").rename(alpha.folder)
        disk.fill()
        # then: without a daemon, too, what is there can be read
        assert "Free some space" in problem(alpha, "store-full")["hint"]
        assert [row["name"] for row in listed(alpha)] == ["konto1", "konto2"]
        with alpha.daemon():
            # and: with one, what waited is published though that can't be written down
            problem(alpha, "store-full")
            assert len(listed(alpha)) == 2
            assert add(alpha, 3).error["kind"] == "store-full"
            eventually(lambda: told(alpha)["folder"]["pending"] == 0, "what waited is published")
            assert recovered(alpha) == ["konto1", "konto2"]
            # and: it saves again, in the same process, once there is room
            disk.free()
            assert alpha.add(uri(3))["backed_up"] is True
            all_is_well(alpha)


def test_a_read_only_store_is_read_and_a_daemon_on_it_goes_on_when_it_is_mounted_for_writing(tmp_path: Path) -> None:
    with small_disk(tmp_path / "data") as disk:
        alpha = begun(Platform(tmp_path, disk.point))
        # when: the disk comes up read-only, as after an unclean end
        disk.read_only()
        assert "remount,rw" in problem(alpha, "store-read-only")["hint"]
        assert len(listed(alpha)) == 1
        with alpha.daemon():
            # then: the daemon serves what it can, and names the rest
            problem(alpha, "store-read-only")
            assert len(listed(alpha)) == 1
            assert add(alpha, 2).error["kind"] == "store-read-only"
            # and: it goes on by itself
            disk.writable()
            assert alpha.add(uri(2))["backed_up"] is True
            all_is_well(alpha)


def test_a_service_that_a_read_only_disk_lets_not_begin_is_tried_again(tmp_path: Path) -> None:
    with small_disk(tmp_path / "alpha") as disk:
        alpha = begun(Device(disk.point, tmp_path / "folder"))
        # when: not even the socket can be made
        disk.read_only()
        done = alpha.run("daemon", "run", env={"NOTIFY_SOCKET": str(tmp_path / "nobody")})
        # then: the exit code is not the one after which no service manager tries again
        assert "control socket" in done.err
        assert done.code == 1


def test_a_store_whose_disk_turns_read_only_by_an_error_is_named_and_read(tmp_path: Path) -> None:
    with ext4_disk(tmp_path / "alpha") as disk:
        alpha = begun(Device(disk.point, tmp_path / "folder"))
        with alpha.daemon() as daemon:
            # when: the file system stops all writing under the open store
            disk.fail()
            refused = add(alpha, 2)
            # then: the daemon says what to do, and what it holds can be read
            assert (refused.code, refused.error["kind"]) == (1, "store-read-only")
            assert "check it first" in problem(alpha, "store-read-only")["hint"]
            assert len(listed(alpha)) == 1
            assert daemon.poll() is None
        # and: after a repair nothing is missing
        subprocess.run(["umount", str(disk.point)], check=True)
        image = disk.point.with_name(f"{disk.point.name}.image")
        subprocess.run(["fsck.ext4", "-p", str(image)], check=False, capture_output=True)
        subprocess.run(["mount", "-o", "loop", str(image), str(disk.point)], check=True)
        with alpha.daemon():
            assert alpha.add(uri(2))["backed_up"] is True
            all_is_well(alpha)


class Platform(Device):
    """A device in the platform's own places, so that only its data is on the disk at `data`, and the socket is not."""

    def __init__(self, root: Path, data: Path) -> None:
        super().__init__(root / "alpha", root / "folder")
        self.data = data
        (root / "run").mkdir(mode=0o700)

    @property
    def env(self) -> dict[str, str]:
        """The environment of this device's commands."""
        places = {
            "XDG_DATA_HOME": str(self.data),
            "XDG_CONFIG_HOME": str(self.home.parent / "config"),
            "XDG_RUNTIME_DIR": str(self.home.parent / "run"),
        }
        return {k: v for k, v in super().env.items() if k != "OTPKEEP_HOME"} | places


# the disk of the folder


def test_a_full_folder_is_named_and_what_waited_is_published_once_there_is_room(tmp_path: Path) -> None:
    with small_disk(tmp_path / "folder") as disk:
        alpha = begun(Device(tmp_path / "alpha", disk.point))
        with alpha.daemon():
            disk.fill()
            # then: it is named before an edit could not be published
            assert "free some space" in problem(alpha, "folder-full")["hint"]
            # and: edits are saved, and say that they are not in the folder
            assert [alpha.add(uri(number))["backed_up"] for number in (2, 3)] == [False, False]
            assert "free some space" in problem(alpha, "folder-full")["hint"]
            shown = status(alpha)["folder"]
            assert (shown["reachable"], shown["pending"]) == (True, 2)
            failed = alpha.run("backup", "now")
            assert (failed.code, failed.error["kind"]) == (5, "folder-full")
            # and: nothing half written is left
            assert {path.name for path in alpha.folder.iterdir()} - {"filling", "README.txt"} == {
                path.name for path in ours(alpha.folder)
            }
            # when: there is room, then: all of it is published by itself
            disk.free()
            all_is_well(alpha)
        assert recovered(alpha) == ["konto1", "konto2", "konto3"]


def test_a_folder_remounted_read_only_is_named_and_published_to_when_it_takes_writes_again(tmp_path: Path) -> None:
    with small_disk(tmp_path / "folder") as disk:
        alpha, beta = Device(tmp_path / "alpha", disk.point), Device(tmp_path / "beta", tmp_path / "elsewhere")
        begun(alpha)
        with alpha.daemon():
            disk.read_only()
            assert "mount it for writing" in problem(alpha, "folder-read-only")["hint"]
            assert alpha.add(uri(2))["backed_up"] is False
            assert "mount it for writing" in problem(alpha, "folder-read-only")["hint"]
            assert status(alpha)["folder"]["reachable"] is True
            # and: it can still be read
            carry(alpha.folder, beta.folder)
            assert len(beta.recover()["added"]) == 1
            # when: it is mounted for writing, then: what waited is published by itself
            disk.writable()
            all_is_well(alpha)
        assert recovered(alpha)[:2] == ["konto1", "konto2"]


def test_a_folder_that_is_unmounted_and_mounted_again_is_named_left_alone_and_filled(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        alpha = Device(tmp_path / "alpha", tmp_path / "folder")
        bind = ["mount", "--bind", str(disk.point), str(alpha.folder)]
        subprocess.run(bind, check=True)
        try:
            begun(alpha)
            with alpha.daemon():
                # when: it is unmounted under the daemon: what is left is an empty directory
                subprocess.run(["umount", str(alpha.folder)], check=True)
                assert "Bring it back" in problem(alpha, "folder-unreachable")["hint"]
                assert [alpha.add(uri(number))["backed_up"] for number in (2, 3)] == [False, False]
                assert "Bring it back" in problem(alpha, "folder-unreachable")["hint"]
                assert status(alpha)["folder"] | {"reachable": False, "pending": 2} == status(alpha)["folder"]
                # then: nothing is written there
                assert list(alpha.folder.iterdir()) == []
                # when: it is mounted again, then: all is published by itself, and hints come again
                subprocess.run(bind, check=True)
                all_is_well(alpha)
                before = len(ours(disk.point))
                assert alpha.add(uri(4))["backed_up"] is True
                assert len(ours(disk.point)) == before + 1
            assert recovered(alpha) == ["konto1", "konto2", "konto3", "konto4"]
        finally:
            subprocess.run(["umount", str(alpha.folder)], check=False, capture_output=True)


# a crowded folder


def test_ten_thousand_foreign_files_are_told_once_left_alone_and_not_read_again(tmp_path: Path) -> None:
    alpha = begun(Device(tmp_path / "alpha", tmp_path / "folder"))
    crowd = [alpha.folder / f"IMG_{number:05}.jpg" for number in range(10_000)]
    with alpha.daemon() as daemon:
        # when: somebody's pictures come into the folder
        for number, path in enumerate(crowd):
            path.write_bytes(b"\xff\xd8\xff\xe0" + number.to_bytes(4) * 8)
        # then: it is said in one problem, with what to do
        eventually(lambda: _foreign(alpha, pause_s=0.5) == 10_000, "all are told of", within_s=120)
        assert "otpkeep folder" in problem(alpha, "foreign")["hint"]
        assert len(status(alpha)["problems"]) == 1
        # and: edits are published as ever, and all of theirs is as it was
        assert alpha.add(uri(2))["backed_up"] is True
        assert crowd[77].read_bytes() == b"\xff\xd8\xff\xe0" + (77).to_bytes(4) * 8
        # and: looks do not read them again
        _looked(alpha)
        before = _reads(daemon.pid)
        for _ in range(3):
            _looked(alpha)
        assert _reads(daemon.pid) - before < 3 * 500
        # when: they are gone, then: so is the problem
        for path in crowd:
            path.unlink()
        all_is_well(alpha)
    log = (tmp_path / "alpha.log").read_text()
    assert len(log.splitlines()) < 100
    assert recovered(alpha) == ["konto1", "konto2"]


def _foreign(device: Device, pause_s: float) -> int:
    """Return how many foreign files are told of; the pause leaves the daemon its time for them."""
    time.sleep(pause_s)
    return next((int(found["message"].split()[0]) for found in of_kind(device, "foreign")), 0)


def _looked(device: Device) -> None:
    """Return after one more timed look has been made."""
    before = _last_look(device)
    eventually(lambda: _last_look(device) != before, "a look is made")


def _last_look(device: Device) -> str | None:
    return next(job["last"] for job in told(device)["jobs"] if job["name"] == "look")


def _open_files(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def _reads(pid: int) -> int:
    """Return how many read calls the process has made (proc(5))."""
    lines = Path(f"/proc/{pid}/io").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("syscr:"))


# no more watches


LIMITS = [
    ("max_inotify_watches", "fs.inotify.max_user_watches=524288"),
    ("max_inotify_instances", "fs.inotify.max_user_instances=1024"),
]


@pytest.mark.parametrize(("limit", "repair"), LIMITS, ids=["watches", "instances"])
def test_exhausted_watches_are_named_and_edits_arrive_by_the_timed_look(
    tmp_path: Path, limit: str, repair: str
) -> None:
    need("unshare", "nsenter")
    alpha, beta = pair(tmp_path)
    (beta.home / "config.toml").write_text("look_every_s = 1\n")
    # given: a user who may have none, which a user namespace of its own can say
    with _in_own_namespace(beta, f"echo 0 > /proc/sys/user/{limit}") as process:
        # then: it is told for the folder and for the watched files, with the sysctl that raises it
        found = eventually(lambda: of_kind(beta, "watching"), "status names the missing watches")
        assert {str(beta.folder) in one["message"] for one in found} == {True, False}
        assert all(repair in one["hint"] for one in found)
        # and: trying again at each look leaves nothing open
        before = _open_files(process.pid)
        _looked(beta)
        _looked(beta)
        assert _open_files(process.pid) <= before + 2
        # and: an edit of another device arrives, and one of our own goes out
        account = alpha.add(uri(1))["id"]
        carry(alpha.folder, beta.folder)
        eventually(lambda: [row["id"] for row in listed(beta)] == [account], "the edit arrives")
        assert beta.add(uri(2))["backed_up"] is True
        # when: the limit is raised, then: hints come again, and the problem is gone
        enter = ["nsenter", "--user", "--preserve-credentials", f"--target={process.pid}", "sh", "-c"]
        subprocess.run([*enter, f"echo 1000 > /proc/sys/user/{limit}"], check=True)
        all_is_well(beta)


@contextmanager
def _in_own_namespace(device: Device, first: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run the daemon in a user namespace in which `first` was done before."""
    words = [
        "unshare",
        "--user",
        "--map-root-user",
        "sh",
        "-c",
        f'{first} && exec "$@"',
        "sh",
        *PROGRAM,
        "daemon",
        "run",
    ]
    with (device.home.parent / f"{device.home.name}.log").open("ab") as log:
        process = subprocess.Popen(words, env=device.env, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    with killed_at_the_end(process):
        eventually(lambda: answers(device) or process.poll() is not None, "the daemon answers")
        if process.poll() is not None and os.environ.get("CI") != "true":
            pytest.skip("this system allows no user namespaces")
        yield process
        process.terminate()
        assert process.wait(TIMEOUT_S) == 0


# the clock


@pytest.mark.parametrize("days", [365, -365], ids=["forward", "back"])
def test_a_clock_that_is_moved_by_a_year_is_named_and_stops_nothing(tmp_path: Path, days: int) -> None:
    alpha = begun(Device(tmp_path / "alpha", tmp_path / "folder"))
    with _with_a_clock(alpha) as set_clock:
        assert of_kind(alpha, "clock") == []
        # when: the wall clock is moved under the daemon
        set_clock(days)
        # then: it is named, with its repair
        found = problem(alpha, "clock")
        assert f"{'forward' if days > 0 else 'back'} by 365 days" in found["message"]
        assert "timedatectl" in found["hint"]
        # and: jobs run on, edits are saved and published
        _looked(alpha)
        _looked(alpha)
        assert alpha.add(uri(2))["backed_up"] is True
        # when: it is set right, then: so it goes on
        set_clock(0)
        assert alpha.add(uri(3))["backed_up"] is True
        all_is_well(alpha)
    assert recovered(alpha) == ["konto1", "konto2", "konto3"]


def test_a_clock_that_was_moved_while_otpkeep_did_not_run_is_named(tmp_path: Path) -> None:
    alpha = begun(Device(tmp_path / "alpha", tmp_path / "folder"))
    with alpha.daemon():
        _looked(alpha)
    with _with_a_clock(alpha, 400) as set_clock:
        assert "400 days" in problem(alpha, "clock")["message"]
        # and: what is said goes with the cause
        set_clock(0)
        all_is_well(alpha)


def _off(device: Device) -> float:
    """Return how many days the daemon's clock was ahead of this process's at its last look."""
    last = datetime.fromisoformat(eventually(lambda: _last_look(device), "a look is made"))
    return (last - datetime.now(UTC)).total_seconds() / 86_400


SLEEPING = "import threading, time; time.sleep = lambda seconds: threading.Event().wait(seconds) and None; "
"""libfaketime 0.9.10 makes absolute sleeps by the monotonic clock fail (EINVAL); waiting for a lock is untouched."""


@contextmanager
def _with_a_clock(device: Device, first: int = 0) -> Iterator[Callable[[int], None]]:
    """Run the daemon under a wall clock that can be moved while it runs; yield what moves it by days off the true one.

    It returns when the daemon goes by it, which the times of its looks show.
    """
    if FAKETIME is None:
        need("faketime")
    offset = device.home.parent / "offset"

    def write(days: int) -> None:
        offset.with_suffix(".new").write_text(f"{days:+}d\n")
        offset.with_suffix(".new").rename(offset)

    def set_clock(days: int) -> None:
        write(days)
        eventually(lambda: abs(_off(device) - days) < 1, f"the daemon looks {days} days from now")

    write(first)
    faked = {
        "LD_PRELOAD": str(FAKETIME),
        "FAKETIME_TIMESTAMP_FILE": str(offset),
        "FAKETIME_CACHE_DURATION": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "NO_FAKE_STAT": "1",
    }
    python, flag, program = PROGRAM
    with (device.home.parent / f"{device.home.name}.log").open("ab") as log:
        process = subprocess.Popen(
            [python, flag, SLEEPING + program, "daemon", "run"],
            env=device.env | faked,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    with killed_at_the_end(process):
        eventually(lambda: answers(device), "the daemon answers")
        yield set_clock
        process.terminate()
        assert process.wait(TIMEOUT_S) == 0
