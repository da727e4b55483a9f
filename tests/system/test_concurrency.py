"""What two devices write without knowing of each other, and what many processes of one device write at once."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from support_cli import Device
from support_system import base32, begin, dots, listed, logged, meet, pair, secret_of, uri

STORM = 8
Two = tuple[Device, Device]


@pytest.fixture
def two(tmp_path: Path) -> Iterator[Two]:
    """Two devices of one vault, each with a daemon and a folder of its own; `meet` carries files between them."""
    alpha, beta = pair(tmp_path)
    with alpha.daemon(), beta.daemon():
        yield alpha, beta


def test_concurrent_edits_of_different_fields_both_survive(two: Two) -> None:
    # given: two devices in step
    alpha, beta = two
    account = alpha.add(uri(1))["id"]
    meet(alpha, beta)
    # when: each changes another field of one account, and they meet again
    alpha.run("edit", account, "--note", "from alpha").ok()
    beta.run("edit", account, "--name", "from beta").ok()
    (shown,) = meet(alpha, beta)
    # then: both edits stand, no conflict
    assert (shown["note"], shown["name"], shown["conflict"]) == ("from alpha", "from beta", None)


def test_the_loser_of_one_field_stands_in_list_and_log_until_an_edit_settles_it(two: Two) -> None:
    alpha, beta = two
    account = alpha.add(uri(1))["id"]
    meet(alpha, beta)
    # when: both change the same field without having seen the other
    alpha.run("edit", account, "--note", "from alpha").ok()
    beta.run("edit", account, "--note", "from beta").ok()
    (shown,) = meet(alpha, beta)
    # then: one wins, and the other stands beside it, with its device
    (lost,) = shown["conflict"]["note"]
    assert {shown["note"], lost["value"]} == {"from alpha", "from beta"}
    assert lost["device"] == lost["value"].removeprefix("from ")
    # and: both are in the log, as concurrent ones
    rivals = {row["changes"]["note"][1]: row["concurrent"] for row in logged(beta, account) if "note" in row["changes"]}
    assert rivals == {"from alpha": True, "from beta": True}
    # and: the next edit, which has seen both, settles it
    beta.run("edit", account, "--note", "settled").ok()
    assert [(row["note"], row["conflict"]) for row in meet(alpha, beta)] == [("settled", None)]


def test_a_concurrent_edit_beats_a_delete_and_keeps_its_secret(two: Two) -> None:
    alpha, beta = two
    edited, untouched = alpha.add(uri(1))["id"], alpha.add(uri(2))["id"]
    meet(alpha, beta)
    # when: alpha deletes two accounts, and beta, not knowing, renames one of them
    alpha.run("rm", edited).ok()
    alpha.run("rm", untouched).ok()
    beta.run("edit", edited, "--name", "renamed").ok()
    (shown,) = meet(alpha, beta)
    # then: the renamed one lives, with its secret and its codes; the other is deleted
    assert (shown["id"], shown["name"], shown["secret"]) == (edited, "renamed", base32(secret_of(1)))
    assert alpha.run("code", edited).ok().json["code"].isdecimal()
    assert [row["id"] for row in listed(beta, "--deleted")] == [untouched]


def test_counters_used_offline_on_both_sides_end_at_the_maximum(two: Two) -> None:
    alpha, beta = two
    account = alpha.add("otpauth://hotp/Zaehler?secret=MFRGGZDFMZTWQ2LKNNWG23TPOA&counter=40")["id"]
    meet(alpha, beta)
    # when: three codes are used on one side and five on the other
    for device, times in ((alpha, 3), (beta, 5)):
        used = [device.run("code", account).ok().json["counter"] for _ in range(times)]
        assert used == list(range(40, 40 + times))
    # then: both go on after the greatest
    assert [row["counter"] for row in meet(alpha, beta)] == [45]
    # and: an edit of the digits lowers nothing, nor does one that has seen fewer uses
    alpha.run("edit", account, "--digits", "8").ok()
    beta.run("code", account).ok()
    assert [(row["counter"], row["digits"]) for row in meet(alpha, beta)] == [(46, 8)]


def test_many_commands_at_once_never_make_one_dot_twice(tmp_path: Path) -> None:
    # given: one device and nobody serving it
    device = Device(tmp_path / "alpha", tmp_path / "folder")
    device.init()
    # when: eight processes add at once, every one by itself
    added = _storm(device, range(STORM))
    # then: all were told success, and each has an event of its own
    assert sorted(row["id"] for row in listed(device)) == sorted(added)
    _each_dot_is_there_once(device, 3 + STORM)


def test_commands_and_a_daemon_that_stops_amid_them_never_make_one_dot_twice(tmp_path: Path) -> None:
    # given: a device whose daemon serves a storm of eight processes
    device = Device(tmp_path / "alpha", tmp_path / "folder")
    device.init()
    with device.daemon() as daemon:
        added = _storm(device, range(STORM))
        # when: it is asked to stop in the middle of another, and the rest work by themselves
        late = _begin(device, range(100, 100 + STORM))
        daemon.send_signal(signal.SIGTERM)
        results = [_result(process) for process in late]
    # then: what was told success is there, and no dot is there twice
    accounts = {row["id"] for row in listed(device)}
    assert {*added, *(account for account in results if account is not None)} <= accounts
    _each_dot_is_there_once(device, 3 + len(accounts))


def _begin(device: Device, numbers: range) -> list[subprocess.Popen[bytes]]:
    processes = [begin(device, ["add", "-"]) for _ in numbers]
    for process, number in zip(processes, numbers, strict=True):
        assert process.stdin is not None
        process.stdin.write(uri(number).encode())
        process.stdin.close()
        process.stdin = None
    return processes


def _result(process: subprocess.Popen[bytes]) -> str | None:
    """Return the id of the added account, None if the command said that it failed."""
    out, err = process.communicate(timeout=60)
    said = json.loads(out)
    assert b"Traceback" not in err
    if process.returncode != 0:
        assert said["error"]["kind"] == "busy", said
        return None
    return str(said["id"])


def _finish(processes: list[subprocess.Popen[bytes]]) -> list[str]:
    found = [_result(process) for process in processes]
    assert None not in found, "a command gave up"
    return [account for account in found if account is not None]


def _storm(device: Device, numbers: range) -> list[str]:
    return _finish(_begin(device, numbers))


def _each_dot_is_there_once(device: Device, count: int) -> None:
    made = dots(device)
    assert len(made) == len(set(made)) == count
    (writer,) = {writer for writer, _ in made}
    assert sorted(seq for _, seq in made) == list(range(1, count + 1)), writer.hex()
