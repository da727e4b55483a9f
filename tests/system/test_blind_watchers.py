"""What the system does not tell the daemon of: an overflow, a change that inotify can't see, a system without it."""

from __future__ import annotations

import mmap
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support_cli import Device
from support_system import answers, carry, eventually, killed_at_the_end, launch, listed, need, ours, pair, status, uri

MOST_QUEUED = Path("/proc/sys/fs/inotify/max_queued_events")
REASONABLE = 200_000
LIST = "otpauth://totp/Beispiel:{name}?secret=MFRGGZDFMZTWQ2LK&issuer=Beispiel\n"


@pytest.fixture
def devices(tmp_path: Path) -> tuple[Device, Device]:
    """Two devices of one vault; the second looks every second and watches a file."""
    alpha, beta = pair(tmp_path)
    (beta.home / "config.toml").write_text("look_every_s = 1\n")
    path = tmp_path / "apps" / "list.txt"
    path.parent.mkdir()
    path.write_text(LIST.format(name="before"))
    beta.run("watch", path).ok()
    return alpha, beta


def apps_of(device: Device) -> Path:
    return device.home.parent / "apps" / "list.txt"


def names(device: Device) -> set[str]:
    return {row["name"] for row in listed(device)}


def problems(device: Device) -> list[dict[str, Any]]:
    return [found for found in status(device)["problems"] if found["kind"] == "watching"]


def overflow(directory: Path) -> None:
    """Make more events than the kernel keeps for one who doesn't read them, all about what no look is for."""
    path, most = directory / ".syncthing.x.tmp", int(MOST_QUEUED.read_text())
    if most > REASONABLE:
        pytest.skip(f"the kernel keeps {most} events, which takes too long to fill")
    for _ in range(most // 2 + 1):
        path.touch()
        path.unlink()


def test_what_an_overflow_of_the_queue_swallowed_is_found_by_the_timed_look(devices: tuple[Device, Device]) -> None:
    alpha, beta = devices
    alpha.add(uri(1))
    with beta.daemon() as daemon:
        # given: a daemon that gets no time while very much happens
        os.kill(daemon.pid, signal.SIGSTOP)
        for directory in (beta.folder, apps_of(beta).parent):
            overflow(directory)
        # when: what counts comes last
        carry(alpha.folder, beta.folder)
        apps_of(beta).write_text(LIST.format(name="after"))
        os.kill(daemon.pid, signal.SIGCONT)
        # then
        eventually(lambda: names(beta) == {"konto1", "after"}, "both edits are found")
        assert problems(beta) == []
        # and: hints come as before
        beta.run("config", "look_every_s", "3600").ok()
        alpha.add(uri(2))
        carry(alpha.folder, beta.folder)
        eventually(lambda: "konto2" in names(beta), "a hint prompts a look")


def through_memory(path: Path, size: int) -> mmap.mmap:
    """Return a file's bytes for writing without a system call, of which inotify(7) tells nobody."""
    with path.open("r+b") as file:
        file.truncate(size)
        return mmap.mmap(file.fileno(), size)


def test_a_change_of_which_no_hint_comes_is_found_by_the_timed_look(devices: tuple[Device, Device]) -> None:
    alpha, beta = devices
    before = set(ours(alpha.folder))
    alpha.add(uri(1))
    (fresh,) = set(ours(alpha.folder)) - before
    # given: a client that has made room for a file, and an application that has its own in memory
    (beta.folder / fresh.name).touch()
    of_client = through_memory(beta.folder / fresh.name, fresh.stat().st_size)
    of_program = through_memory(apps_of(beta), apps_of(beta).stat().st_size)
    with beta.daemon(), of_client, of_program:
        eventually(lambda: names(beta) == {"before"}, "the daemon has looked")
        assert problems(beta) == []
        # when: both write
        for written, data in ((of_client, fresh.read_bytes()), (of_program, LIST.format(name="behind").encode())):
            written[:] = data
            written.flush()
        # then
        eventually(lambda: names(beta) == {"konto1", "behind"}, "both edits are found")
        assert problems(beta) == []


@pytest.fixture
def without_inotify(devices: tuple[Device, Device]) -> Iterator[tuple[Device, Device]]:
    """The same, the second with a daemon on a system that has no inotify at all."""
    need("strace")
    strace = ["strace", "-f", "-qq", "-o", os.devnull, "--seccomp-bpf", "-e", "trace=inotify_init,inotify_init1"]
    process = launch(devices[1], under=[*strace, "-e", "inject=inotify_init,inotify_init1:error=ENOSYS"])
    with killed_at_the_end(process):
        eventually(lambda: answers(devices[1]) or process.poll() is not None, "the daemon answers")
        if process.poll() is not None and os.environ.get("CI") != "true":
            pytest.skip("this system does not let strace trace")
        yield devices
        os.kill(status(devices[1])["daemon"]["pid"], signal.SIGTERM)
        assert process.wait(30) == 0


def test_where_only_looking_works_everything_is_found_and_status_and_doctor_say_so(
    without_inotify: tuple[Device, Device],
) -> None:
    alpha, beta = without_inotify
    # given: what blinds the daemon is told, for the folder and for the watched files, with what it costs
    found = eventually(lambda: problems(beta), "status says it")
    assert {str(beta.folder) in problem["message"] for problem in found} == {True, False}
    assert all("next timed look" in problem["message"] for problem in found)
    assert all("look_every_s" in problem["hint"] and "sysctl" not in problem["hint"] for problem in found)
    told = [check for check in beta.run("doctor").json["checks"] if check["ok"] is False]
    assert {problem["message"] for problem in found} <= {check["message"] for check in told}
    # when: an edit comes from another device, and one by hand
    alpha.add(uri(1))
    carry(alpha.folder, beta.folder)
    apps_of(beta).write_text(LIST.format(name="after"))
    # then
    eventually(lambda: names(beta) == {"konto1", "after"}, "both edits are found")
    assert status(beta)["folder"]["reachable"] is True
