"""The service and the daemon around it: keys that come for one request, backup off, whoever listens at the socket."""

from __future__ import annotations

import os
import resource
import select
import socket
import subprocess
import threading
import time
from pathlib import Path

import pytest

from otpkeep_daemon.calls import call
from otpkeep_daemon.engine import BATCH
from otpkeep_daemon.folder import Published
from otpkeep_daemon.memory_folder import MemoryFolder
from otpkeep_daemon.server import Server
from otpkeep_daemon.service import Service
from otpkeep_protocol import control
from otpkeep_protocol.control import Request
from otpkeep_protocol.errors import Busy, Locked, NotFound, OtpkeepError
from support_cli import PROGRAM, environment
from support_cli import Device as Program
from support_service import serve
from support_system import answers, eventually, need, need_root, uri
from support_vault import Device, World, keyring

LIST = {"tag": None, "deleted": False, "secrets": False}
STRANGER = 65_534
LONER = 54_321
"""A user who has no processes, so that a bound on their number is one on ours."""


def is_locked(service: Service) -> bool:
    with pytest.raises(Locked):
        call(service, "list", LIST)
    return service.accounts is None and service.engine.replica is None


def fill_store(device: Device) -> None:
    """Let the store take nothing more."""
    pages = device.store._db.execute("PRAGMA page_count").fetchone()[0]
    device.store._db.execute(f"PRAGMA max_page_count = {pages}")


class TestKeysForOneRequest:
    def test_they_are_forgotten_when_it_fails(self, laptop: Device) -> None:
        service = serve(laptop, locked=True)
        with pytest.raises(NotFound):
            call(service, "rm", {"account": "nothing"}, keyring().without_seed())
        assert is_locked(service)

    def test_they_are_forgotten_when_it_fails_unforeseen(self, laptop: Device) -> None:
        service = serve(laptop, locked=True)
        with pytest.raises(KeyError):
            call(service, "list", {}, keyring().without_seed())
        assert is_locked(service)

    @pytest.mark.parametrize(
        "op",
        [
            "list",
            "unlock",
        ],
    )
    def test_they_are_forgotten_when_the_pass_before_it_fails(self, world: World, laptop: Device, op: str) -> None:
        # given: a store of which a part can't be read, so that no pass can be made
        service = serve(laptop, locked=True)
        laptop.store.change("ALTER TABLE looked RENAME TO lost")
        # then: the request fails, and the keys are gone
        with pytest.raises(OtpkeepError):
            call(service, op, LIST, keyring().without_seed())
        assert is_locked(service)
        laptop.store.change("ALTER TABLE lost RENAME TO looked")


class Patient(MemoryFolder):
    """A folder on a slow disk that publishes its first file only once it may."""

    def __init__(self) -> None:
        super().__init__("patient")
        self.entered, self.go, self.never = threading.Event(), threading.Event(), threading.Event()
        self.published = 0

    def publish(self, name: str, data: bytes) -> Published:
        self.entered.set()
        assert self.go.wait(30)
        self.never.wait(0.002)  # so long a file takes
        self.published += 1
        return super().publish(name, data)


def test_backup_off_ends_the_publishing_of_a_pass_under_way(world: World) -> None:
    folder = Patient()
    laptop = world.device("laptop", folder=folder)
    for number in range(10 * BATCH):
        laptop.add(f"konto{number}")
    service = serve(laptop, locked=False)
    # given: a pass that has begun to publish
    running = threading.Thread(target=service.engine.run)
    running.start()
    assert folder.entered.wait(30)
    # when: backup is turned off meanwhile
    answered: list[int] = []

    def off() -> None:
        call(service, "backup", {"mode": "off", "here": False})
        answered.append(folder.published)

    asking = threading.Thread(target=off)
    asking.start()
    folder.go.set()
    asking.join(60)
    running.join(60)
    # then: from the answer on nothing is published, and most of it was not
    assert folder.published == answered[0]
    assert folder.published <= 2 * BATCH
    # and: neither an edit nor another pass does
    laptop.add("more")
    service.engine.run()
    assert folder.published == answered[0]
    assert call(service, "backup", {"mode": "on", "here": False})["pending"] == 0


def test_a_daemon_of_another_user_gets_no_request(tmp_path: Path) -> None:
    need_root("become another user")
    alpha = Program(tmp_path / "alpha", tmp_path / "folder")
    alpha.init()
    heard, theirs = os.pipe()
    listening, ready = os.pipe()
    child = os.fork()
    if child == 0:
        _listen_as_stranger(alpha.home / "control.sock", ready, theirs)
    os.close(theirs)
    try:
        assert os.read(listening, 1) == b"r"
        for words in (["list"], ["status"], ["add", "-"], ["lock"]):
            done = alpha.run(*words, stdin=uri(1).encode())
            assert (words, done.code, done.error["kind"]) == (words, 1, "refused")
            assert "another user" in done.error["message"]
    finally:
        os.kill(child, 15)
        os.waitpid(child, 0)
    with os.fdopen(heard, "rb") as pipe:
        assert pipe.read() == b""


def _listen_as_stranger(path: Path, ready: int, heard: int) -> None:
    """Accept for ever as another user, passing on what was heard. Does not return."""
    try:
        with socket.socket(socket.AF_UNIX) as peer:
            peer.bind(str(path))
            path.chmod(0o666)
            os.setgroups([])
            os.setgid(STRANGER)
            os.setuid(STRANGER)
            peer.listen()
            os.write(ready, b"r")
            while select.select([peer], [], [])[0]:
                asker, _ = peer.accept()
                with asker:
                    os.write(heard, asker.recv(65_536))
    finally:
        os._exit(0)


@pytest.fixture(scope="module")
def laptop_home(tmp_path_factory: pytest.TempPathFactory) -> Program:
    """A device that is set up, with no daemon."""
    made = Program(tmp_path_factory.mktemp("service") / "alpha", tmp_path_factory.mktemp("folder"))
    made.init()
    return made


@pytest.mark.parametrize("threads", range(1, 5))
def test_a_daemon_of_which_a_part_can_t_start_ends_with_a_failure_and_leaves_no_thread(
    laptop_home: Program, threads: int
) -> None:
    """With room for so few threads, the worker, the watcher, the scheduler or the server finds none for itself."""
    need_root("become another user")
    need("setpriv")
    done = subprocess.run(
        ["setpriv", "--ruid", str(LONER), "--bounding-set=-sys_resource,-sys_admin", *PROGRAM, "daemon", "run"],
        env=environment(OTPKEEP_HOME=str(laptop_home.home)),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NPROC, (threads, threads)),
    )
    assert done.returncode == 1, done
    assert "event=ready" not in done.stderr
    assert not answers(laptop_home)
    assert laptop_home.run("list").ok().json == []


def test_a_socket_whose_thread_dies_ends_the_daemon_rather_than_leave_commands_waiting(
    laptop: Device, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ended = threading.Event()
    server = Server(serve(laptop, locked=False), tmp_path / "control.sock", ended.set)
    server.start()
    # when: the system takes away what it waits with
    server._selector.close()
    server._wake()
    # then
    assert ended.wait(30)
    assert server.failure is not None
    assert "socket-failed" in caplog.text
    server.stop()
    assert not (tmp_path / "control.sock").exists()


def test_who_takes_no_answer_holds_up_the_end_only_shortly(laptop: Device, tmp_path: Path) -> None:
    for number in range(300):
        laptop.add(f"konto{number}", issuer=1000 * "x")
    server = Server(serve(laptop, locked=False), tmp_path / "control.sock")
    server.start()
    with socket.socket(socket.AF_UNIX) as peer:
        peer.connect(str(tmp_path / "control.sock"))
        peer.sendall(control.encode_request(Request("list", LIST)))
        eventually(lambda: select.select([peer], [], [], 0)[0], "the answer begins to come")
        begun = time.monotonic()
        server.stop()
    assert time.monotonic() - begun < 15


def test_a_check_of_the_folder_is_given_up_when_the_daemon_is_to_end(laptop: Device) -> None:
    laptop.add("mail")
    service = serve(laptop, locked=False)
    service.ending = True
    with pytest.raises(Busy, match="stopping"):
        call(service, "verify", {"depth": "content"})


@pytest.mark.parametrize("seq", ["9" * 20, "-1", "", "1.5", "0x1", "9" * 5_000])
def test_an_event_name_that_makes_no_sense_exits_2(laptop_home: Program, seq: str) -> None:
    done = laptop_home.run("event", f"9f86d0.{seq}")
    assert (done.code, done.error["kind"]) == (2, "usage")


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        (["event", "9f86d0.99999999"], "not-found"),
        (["unlock"], "refused"),
        (["log", "--device", "nobody"], "not-found"),
    ],
)
def test_what_is_not_there_exits_1(laptop_home: Program, words: list[str], kind: str) -> None:
    done = laptop_home.run(*words)
    assert (done.code, done.error["kind"]) == (1, kind)
