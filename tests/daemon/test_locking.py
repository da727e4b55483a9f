"""Locking: by hand, and by itself after a time without use; and that nothing decrypts any more."""

from __future__ import annotations

import gc
import os
from pathlib import Path
from typing import Any

import pytest

from otpkeep_daemon.calls import ask, call
from otpkeep_daemon.config import Config, parse_config
from otpkeep_daemon.idle import Idle, is_due
from otpkeep_daemon.keys import Keys
from otpkeep_daemon.own_vault import OwnVault
from otpkeep_daemon.replica import Replica
from otpkeep_daemon.service import Service
from otpkeep_protocol.errors import Locked, Malformed, Refused
from support_vault import Device, World, totp
from support_watch import AegisFile, entry_of

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
    own = OwnVault(device.path / "vault.aegis.json", device.random)
    made = Service(
        device.store, device.folder, own, device.around, pid=os.getpid(), config=lambda: Config(lock_after_s=AFTER_S)
    )
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


def raise_with(replica: Replica) -> None:
    """Raise an error whose traceback holds on to the keys."""
    raise Refused(f"a trouble with {len(replica.keys.keyring.epochs)} epochs")


def keys_in_memory(local_key: bytes) -> list[Keys]:
    """Return the keys of one device that any object still has; a test's own device does not count."""
    return [thing for thing in gc.get_objects() if isinstance(thing, Keys) and thing.local_key == local_key]


@pytest.mark.parametrize("value", ["-1", "1.5", "true", "86401"])
def test_the_setting_may_be_zero_and_nothing_odd(value: str) -> None:
    assert parse_config("lock_after_s = 0", "config.toml").lock_after_s == 0
    with pytest.raises(Malformed, match="lock_after_s must be a whole number from 0"):
        parse_config(f"lock_after_s = {value}", "config.toml")
