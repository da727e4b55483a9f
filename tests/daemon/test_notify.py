"""What a supervisor hears: a real datagram socket, as systemd's."""

from __future__ import annotations

import json
import os
import socket
import sqlite3
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from otpkeep_daemon.engine import BATCH
from otpkeep_daemon.notify import Supervisor
from otpkeep_daemon.worker import Worker
from support_cli import Device as Program
from support_cli import secret_file
from support_service import serve
from support_system import eventually, killed_at_the_end, launch, status
from support_vault import Device, deliver

PID = 77


@pytest.fixture
def ear(tmp_path: Path) -> Iterator[socket.socket]:
    """The socket of a supervisor."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as made:
        made.bind(str(tmp_path / "notify"))
        made.settimeout(30)
        yield made


def heard(ear: socket.socket) -> str:
    return ear.recv(4096).decode()


def test_starting_asks_for_time_and_working_feeds_the_watchdog(ear: socket.socket) -> None:
    supervisor = Supervisor({"NOTIFY_SOCKET": ear.getsockname(), "WATCHDOG_USEC": "3000000"}, PID)
    assert supervisor.watchdog_s == 3.0
    supervisor.alive()
    assert heard(ear) == "EXTEND_TIMEOUT_USEC=120000000"
    supervisor.ready("unlocked")
    assert heard(ear) == "READY=1\nSTATUS=unlocked"
    supervisor.alive()
    assert heard(ear) == "WATCHDOG=1"
    # and: only another status is said
    supervisor.status("unlocked")
    supervisor.status("locked")
    assert heard(ear) == "STATUS=locked"
    supervisor.stopping()
    assert heard(ear) == "STOPPING=1\nSTATUS=stopping"


def test_an_abstract_socket_is_heard_too() -> None:
    name = f"otpkeep-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
        ear.bind(f"\0{name}")
        ear.settimeout(30)
        Supervisor({"NOTIFY_SOCKET": f"@{name}"}, PID).ready("x")
        assert heard(ear) == "READY=1\nSTATUS=x"


@pytest.mark.parametrize(
    "env",
    [{}, {"WATCHDOG_USEC": "0"}, {"WATCHDOG_USEC": "soon"}, {"WATCHDOG_USEC": "9", "WATCHDOG_PID": str(PID + 1)}],
)
def test_no_watchdog_is_fed_where_none_is_meant(ear: socket.socket, env: dict[str, str]) -> None:
    supervisor = Supervisor(env | {"NOTIFY_SOCKET": ear.getsockname()}, PID)
    assert supervisor.watchdog_s is None
    supervisor.ready("x")
    heard(ear)
    supervisor.alive()
    supervisor.stopping()
    assert heard(ear).startswith("STOPPING")


def test_without_a_supervisor_nothing_is_said_and_one_that_is_gone_harms_nobody(tmp_path: Path) -> None:
    alone = Supervisor({"WATCHDOG_USEC": "9"}, PID)
    assert (alone.listens, alone.watchdog_s) == (False, None)
    alone.ready("x")
    Supervisor({"NOTIFY_SOCKET": str(tmp_path / "gone")}, PID).ready("x")


def test_passes_are_made_in_time_though_nothing_prompts_them(laptop: Device) -> None:
    service = serve(laptop, locked=True)
    passes: list[float] = []
    worker = Worker(
        service,
        lambda: 0.01,
        passed=lambda: passes.append(time.monotonic()),
        failed=lambda: passes.append(0),
        at_least_every_s=0.05,
    )
    worker.start()
    try:
        eventually(lambda: len(passes) >= 4, "passes go on by themselves")
    finally:
        worker.stop()
    assert worker.failure is None
    assert min(after - before for before, after in pairwise(passes[1:])) >= 0.04


def test_a_daemon_that_nobody_will_start_again_tells_a_person(ear: socket.socket, tmp_path: Path) -> None:
    device = Program(tmp_path / "alpha", tmp_path / "folder")
    device.init()
    told, hook = tmp_path / "told", tmp_path / "hook"
    hook.write_text(f"#!/bin/sh\ncat > {told}\n")
    hook.chmod(0o700)
    (device.home / "config.toml").write_text(f'on_problem = "{hook}"\n')
    # given: a store that starting again does not mend
    with sqlite3.connect(device.home / "store.sqlite3") as store:
        store.execute("PRAGMA user_version = 99")
    store.close()
    env = {"NOTIFY_SOCKET": ear.getsockname(), "DBUS_SESSION_BUS_ADDRESS": "unix:path=/nonexistent"}
    assert device.run("daemon", "run", env=env).code == 78
    # then
    document = json.loads(told.read_text())
    assert (document["kind"], document["state"]) == ("not-started", "raised")
    assert "newer otpkeep" in document["message"]


def test_a_service_whose_passphrase_does_not_fit_starts_locked_and_says_why(ear: socket.socket, tmp_path: Path) -> None:
    device = Program(tmp_path / "alpha", tmp_path / "folder")
    device.init()
    wrong = str(secret_file(tmp_path / "wrong", "not the passphrase at all"))
    with killed_at_the_end(launch(device, NOTIFY_SOCKET=ear.getsockname(), OTPKEEP_PASSPHRASE_FILE=wrong)) as daemon:
        eventually(lambda: "READY=1" in heard(ear), "it is ready")
        found = status(device)
        assert found["daemon"]["locked"] is True
        (problem,) = [row for row in found["problems"] if row["kind"] == "locked"]
        assert "wrong passphrase" in problem["message"]
        daemon.terminate()
        assert daemon.wait(30) == 0


def test_a_pass_that_fails_is_a_problem_until_one_does_not(laptop: Device) -> None:
    service = serve(laptop, locked=True)
    passes: list[int] = []
    worker = Worker(service, lambda: 0.01, passed=lambda: passes.append(1), failed=lambda: passes.append(0))
    # given: a store of which nothing can be read, as of a damaged one
    laptop.store._db.set_authorizer(lambda *_: sqlite3.SQLITE_DENY)
    worker.start()
    try:
        (problem,) = eventually(worker.problems, "it is told")
        assert (problem["kind"], problem["subject"]) == ("integrity", "pass")
        # when: it can be read again
        laptop.store._db.set_authorizer(None)
        worker.look()
        eventually(lambda: not worker.problems(), "it is over")
    finally:
        worker.stop()
    assert worker.failure is None


def test_a_long_pass_tells_of_each_step(laptop: Device, phone: Device) -> None:
    # given: many files to read
    for number in range(3 * BATCH):
        phone.add(f"konto{number}")
    phone.engine.run()
    deliver(phone, laptop)
    # when: one pass reads them
    steps: list[int] = []
    laptop.engine.progressed = lambda: steps.append(laptop.store.event_count())
    read = laptop.engine.run().read
    # then: it told of its progress again and again, while it went on
    assert read > 2 * BATCH
    assert len(set(steps)) >= read // BATCH


def test_a_daemon_feeds_the_watchdog_by_its_passes_and_says_when_it_ends(ear: socket.socket, tmp_path: Path) -> None:
    device = Program(tmp_path / "alpha", tmp_path / "folder")
    device.init()
    with killed_at_the_end(launch(device, NOTIFY_SOCKET=ear.getsockname(), WATCHDOG_USEC="1500000")) as daemon:
        said = [heard(ear)]
        while "READY=1" not in said[-1]:
            said.append(heard(ear))
        assert set(said[:-1]) <= {"EXTEND_TIMEOUT_USEC=120000000"}
        for _ in range(3):
            assert heard(ear) == "WATCHDOG=1"
        daemon.terminate()
        eventually(lambda: heard(ear).startswith("STOPPING=1"), "it says that it ends")
        assert daemon.wait(30) == 0


def test_a_service_that_cannot_start_says_so_by_log_and_exit_code(ear: socket.socket, tmp_path: Path) -> None:
    device = Program(tmp_path / "alpha", tmp_path / "folder")
    # given: a home that was never set up
    bus = {"DBUS_SESSION_BUS_ADDRESS": "unix:path=/nonexistent"}
    done = device.run("daemon", "run", env={"NOTIFY_SOCKET": ear.getsockname(), **bus})
    assert done.code == 78
    assert done.err.startswith("CRITICAL event=not-started reason=")
    assert not done.out
    # and: a person is told as ever
    assert device.run("daemon", "run").error["kind"] == "refused"
