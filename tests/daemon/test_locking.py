"""Locking: by hand, and by itself after a time without use; and that nothing decrypts any more."""

from __future__ import annotations

import gc
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import support_service
from otpkeep_daemon import sockets
from otpkeep_daemon.calls import ask, call
from otpkeep_daemon.config import Config, parse_config
from otpkeep_daemon.folder import Listing
from otpkeep_daemon.formats.registry import Opened
from otpkeep_daemon.idle import Idle, is_due
from otpkeep_daemon.keys import Keys
from otpkeep_daemon.maintenance import _while_possible
from otpkeep_daemon.operations.verifying import verification
from otpkeep_daemon.replica import Replica
from otpkeep_daemon.scheduler import Postponed
from otpkeep_daemon.server import Server
from otpkeep_daemon.service import Service
from otpkeep_daemon.watches import Watch
from otpkeep_protocol import control
from otpkeep_protocol.control import Request
from otpkeep_protocol.errors import Locked, Malformed, Refused
from otpkeep_protocol.keyring import encode as encode_keyring
from support_system import eventually
from support_vault import Device, World, keyring, totp
from support_watch import ENCRYPTED, PASSWORD, AegisFile, entry_of

LIST = {"tag": None, "deleted": False, "secrets": False}
AFTER_S = 300


class Seconds:
    """A clock in seconds that stands still until it is set."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Seconds:
    return Seconds()


@pytest.fixture
def service(laptop: Device, clock: Seconds) -> Service:
    return serve(laptop, clock)


def serve(device: Device, clock: Seconds) -> Service:
    """Return the service of an unlocked daemon that locks itself after AFTER_S."""
    with device.store.transaction():
        device.store.put("folder", b"/nowhere")
    made = support_service.serve(device, locked=True, config=lambda: Config(lock_after_s=AFTER_S))
    made.idle = Idle(clock)
    made.unlock(device.replica.keys)
    return made


def locked_problem(service: Service) -> dict[str, Any]:
    (found,) = [p for p in call(service, "status", {})["problems"] if p["kind"] == "locked"]
    assert "it waits" in found["message"]
    assert "otpkeep unlock" in found["hint"]
    return dict(found)


@pytest.mark.parametrize(
    ("after", "idle", "due"), [(0, 10**9, False), (60, 59.9, False), (60, 60, True), (60, 10**9, True), (1, 0, False)]
)
def test_it_locks_after_the_time_of_the_settings_and_never_with_zero(after: int, idle: float, due: bool) -> None:
    assert is_due(after, idle) is due


def test_a_command_that_needs_keys_counts_as_use_and_a_look_at_the_status_does_not(
    service: Service, clock: Seconds
) -> None:
    clock.now += AFTER_S - 1
    ask(service, "list", LIST)
    clock.now += AFTER_S - 1
    ask(service, "status", {})
    assert service.accounts is not None
    # when: the time is over, whatever the jobs have noticed, as after a sleep
    clock.now += 1
    # then: the next command finds it locked
    with pytest.raises(Locked):
        ask(service, "list", LIST)
    assert f"nobody used it for {AFTER_S} seconds" in locked_problem(service)["message"]


def test_what_the_daemon_does_by_itself_is_no_use(service: Service, clock: Seconds) -> None:
    clock.now += AFTER_S
    call(service, "compact", {"all": False, "dry_run": True})
    service.expire()
    assert service.accounts is None


def test_it_is_not_locked_in_the_middle_of_a_command(service: Service, clock: Seconds) -> None:
    with service.idle.use():
        clock.now += AFTER_S * 2
        service.expire()
        assert service.accounts is not None
    clock.now += AFTER_S - 1
    service.expire()
    assert service.accounts is not None


def test_files_are_up_to_date_before_it_locks_and_edits_meanwhile_are_read_once_unlocked(
    service: Service, laptop: Device, tmp_path: Path, clock: Seconds
) -> None:
    file = AegisFile(tmp_path / "aegis.json", entries=2)
    call(service, "watch", {"path": str(file.path), "format": None, "two_way": True, "password": None})
    # given: an edit that the file does not show yet
    fields = {"otp": totp(b"a secret of twenty b"), "issuer": "New", "name": "ours"}
    call(service, "add", {"fields": fields, "placeholder": False})
    assert "ours" not in file.names
    # when: it locks
    clock.now += AFTER_S
    service.expire()
    # then: the file shows it
    assert "ours" in file.names
    # when: another program changes the file meanwhile
    file.change(lambda entries: entries.append(entry_of(9)))
    service.look_at_files()
    # then: that is noted, with what to do, and read once it is unlocked
    (noted,) = [p for p in call(service, "status", {})["problems"] if str(file.path) in p["message"]]
    assert (noted["kind"], "is read once otpkeep is unlocked" in noted["message"]) == ("locked", True)
    service.unlock(laptop.replica.keys)
    service.look_at_files()
    assert "name9" in [row["name"] for row in call(service, "list", LIST)]


def test_after_lock_nothing_decrypts_and_no_object_has_the_keys_any_more(world: World) -> None:
    device = world.device("the device of this test alone")
    service = serve(device, Seconds())
    mine = device.replica.keys.local_key
    # given: a service that has worked with its keys, and an error that is kept for `status`
    call(service, "list", LIST)
    try:
        raise_with(service.open.replica)
    except Refused as error:
        service.watched.troubles[Path("/somewhere")] = error
    assert keys_in_memory(mine)
    # when
    device.lock_keys()
    del device.replica, device.accounts
    call(service, "lock", {})
    # then
    with pytest.raises(Locked):
        call(service, "list", LIST)
    assert "`otpkeep lock` was run" in locked_problem(service)["message"]
    assert not keys_in_memory(mine)


def test_a_verification_that_runs_ends_when_it_is_locked_and_lets_go_of_the_keys(world: World) -> None:
    device = world.device("the device of this test alone")
    device.add("mail")
    service = serve(device, Seconds())
    mine = device.replica.keys.local_key
    device.lock_keys()
    del device.replica, device.accounts
    # when: it is locked in the midst of the weekly one
    with pytest.raises(Locked, match="in the midst"):
        verification(service, "content", lambda: call(service, "lock", {}))
    # then
    assert not keys_in_memory(mine)
    # and: that is no failure of the job, which is tried again soon
    with pytest.raises(Postponed), _while_possible("verified"):
        raise Locked("in the midst")


def test_a_lock_that_comes_while_the_key_is_being_fetched_counts(service: Service) -> None:
    call(service, "remember", {"method": "file"})
    service.lock_keys()
    fetch = service.remembering.keys

    def slowly() -> Keys:
        keys = fetch()
        call(service, "lock", {})  # by a person, while a keychain takes its time
        return keys

    service.remembering.keys = slowly  # type: ignore[method-assign]
    # when: the daemon unlocks again by itself, then: it stays locked
    assert service.unlock_by_itself(asked=False) is False
    assert service.accounts is None
    # when: a person asks for it, then: it does not
    assert service.unlock_by_itself() is True


def test_the_key_of_a_file_that_is_being_opened_when_it_locks_is_not_kept(service: Service) -> None:
    accounts, path = service.open, Path("/somewhere/aegis.json")
    watch = Watch(path, "aegis-encrypted", two_way=False, password=None, content=None, held=b"")
    # given: a file of which the key is derived, which takes a while
    assert isinstance(service.watched.open(accounts, watch, ENCRYPTED.read_bytes(), password=PASSWORD), Opened)
    assert path in service.watched._keys
    # when: it is locked meanwhile
    service.lock_keys()
    service.watched.open(accounts, watch, ENCRYPTED.read_bytes(), password=PASSWORD)
    # then
    assert not service.watched._keys


def test_what_needs_no_keys_keeps_nobody_waiting_while_it_is_locked(service: Service) -> None:
    service.lock_keys()
    free = []
    progressed = []
    service.engine.progressed = lambda: progressed.append(True)
    files = service.folder.look

    def look() -> Listing:
        free.append(not service.lock.mine)
        return files()

    service.folder.look = look  # type: ignore[method-assign]
    # when: names are checked without keys, then: others have their turn
    assert call(service, "verify", {"depth": "names"})["depth"] == "names"
    # when: keys came for this check alone, then: the watchdog sees that it goes on
    assert not progressed
    assert call(service, "verify", {"depth": "content"}, keyring().without_seed())["depth"] == "content"
    assert free[0] is True
    assert progressed


def test_keys_that_came_for_one_request_and_answers_stay_in_no_thread(laptop: Device, tmp_path: Path) -> None:
    service = serve(laptop, Seconds())
    laptop.add("mail")
    service.lock_keys()
    server = Server(service, tmp_path / "control.sock")
    server.start()
    try:
        ring = encode_keyring(keyring().without_seed())
        answer = asked(tmp_path / "control.sock", Request("list", {**LIST, "secrets": True}, ring))
        assert service.accounts is None
        eventually(lambda: not held_in_threads(ring) and not held_in_threads(answer), "no thread has them any more")
    finally:
        server.stop()


def test_keys_for_one_request_about_files_and_a_look_at_files_never_wait_for_each_other(
    service: Service, tmp_path: Path
) -> None:
    service.lock_keys()
    file = AegisFile(tmp_path / "aegis.json", entries=2)
    args = {"path": str(file.path), "format": None, "two_way": False, "password": None}
    answers: list[Any] = []
    asking = threading.Thread(
        target=lambda: answers.append(call(service, "watch", args, keyring().without_seed())), name="asking"
    )
    # given: files that are being looked at, when a request about files comes with keys
    with service.watched.turn():
        asking.start()
        eventually(lambda: "turn" in functions_of(asking), "the request waits for its turn")
        # then: the look can go on meanwhile
        with ThreadPoolExecutor() as other:
            assert other.submit(lambda: call(service, "status", {})).result(5)["accounts"] is None
    asking.join(30)
    assert answers[0]["added"] == 2


def functions_of(thread: threading.Thread) -> set[str]:
    """Return the names of the functions that a thread is in."""
    frame = sys._current_frames().get(thread.ident or 0)
    names = set()
    while frame is not None:
        names.add(frame.f_code.co_name)
        frame = frame.f_back
    return names


def asked(path: Path, request: Request) -> bytes:
    """Return the unframed answer to a request."""
    peer = sockets.connect(path, 10.0)
    assert peer is not None
    with peer:
        peer.sendall(control.encode_request(request))
        return sockets.receive(peer, control.REPLY_LIMIT)


def held_in_threads(data: bytes) -> list[str]:
    """Return the names of other threads of which some frame has a variable with these bytes in it."""
    frames = sys._current_frames()
    threads = [t for t in threading.enumerate() if t is not threading.current_thread() and t.ident in frames]
    return [t.name for t in threads if any(holds(value, data) for value in variables(frames[t.ident or 0]))]


def variables(frame: FrameType | None) -> Iterator[Any]:
    while frame is not None:
        yield from list(frame.f_locals.values())
        frame = frame.f_back


def holds(value: Any, data: bytes) -> bool:
    if isinstance(value, tuple):
        return any(holds(one, data) for one in value)
    return isinstance(value, bytes) and data in value


def raise_with(replica: Replica) -> None:
    """Raise an error whose traceback holds on to the keys."""
    raise Refused(f"a trouble with {len(replica.keys.keyring.epochs)} epochs")


def keys_in_memory(local_key: bytes) -> list[Keys]:
    """Return the keys of one device that any object still has; a test's own device does not count."""
    return [thing for thing in gc.get_objects() if isinstance(thing, Keys) and thing.local_key == local_key]


@pytest.mark.parametrize("value", ["-1", "1.5", "true", "31536001"])
def test_the_setting_may_be_zero_and_nothing_odd(value: str) -> None:
    assert parse_config("lock_after_s = 0", "config.toml").lock_after_s == 0
    with pytest.raises(Malformed, match="lock_after_s must be a whole number from 0"):
        parse_config(f"lock_after_s = {value}", "config.toml")
