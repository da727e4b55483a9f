"""What two devices write without knowing of each other, and what many processes of one device write at once."""

from __future__ import annotations

import subprocess
from pathlib import Path

from support_cli import Device
from support_system import base32, begin, dots, listed, logged, meet, pair, picture, secret_of, uri

STORM = 8


def test_concurrent_edits_of_different_fields_both_survive(tmp_path: Path) -> None:
    # given: two devices in step
    alpha, beta = pair(tmp_path)
    account = alpha.add(uri(1))["id"]
    meet(alpha, beta)
    # when: each changes another field of one account, and they meet again
    alpha.run("edit", account, "--note", "from alpha").ok()
    beta.run("edit", account, "--name", "from beta").ok()
    meet(alpha, beta)
    # then: both edits stand, no conflict, on both devices alike
    (shown,) = listed(alpha)
    assert (shown["note"], shown["name"], shown["conflict"]) == ("from alpha", "from beta", None)
    assert picture(alpha) == picture(beta)


def test_the_loser_of_one_field_stands_in_list_and_log_until_an_edit_settles_it(tmp_path: Path) -> None:
    alpha, beta = pair(tmp_path)
    account = alpha.add(uri(1))["id"]
    meet(alpha, beta)
    # when: both change the same field without having seen the other
    alpha.run("edit", account, "--note", "from alpha").ok()
    beta.run("edit", account, "--note", "from beta").ok()
    meet(alpha, beta)
    # then: one wins on both devices, and the other stands beside it, with its device
    (shown,) = listed(alpha)
    (lost,) = shown["conflict"]["note"]
    assert {shown["note"], lost["value"]} == {"from alpha", "from beta"}
    assert lost["device"] == lost["value"].removeprefix("from ")
    rivals = [row for row in logged(beta, account) if "note" in row["changes"]]
    assert [row["changes"]["note"][1] for row in rivals] and all(row["concurrent"] for row in rivals)
    assert picture(alpha) == picture(beta)
    # and: the next edit, which has seen both, settles it
    beta.run("edit", account, "--note", "settled").ok()
    meet(alpha, beta)
    assert [(row["note"], row["conflict"]) for row in listed(alpha)] == [("settled", None)]
    assert picture(alpha) == picture(beta)


def test_a_concurrent_edit_beats_a_delete_and_keeps_its_secret(tmp_path: Path) -> None:
    alpha, beta = pair(tmp_path)
    edited, untouched = alpha.add(uri(1))["id"], alpha.add(uri(2))["id"]
    meet(alpha, beta)
    # when: alpha deletes two accounts, and beta, not knowing, renames one of them
    alpha.run("rm", edited).ok()
    alpha.run("rm", untouched).ok()
    beta.run("edit", edited, "--name", "renamed").ok()
    meet(alpha, beta)
    # then: the renamed one lives, with its secret and its codes; the other is deleted
    (shown,) = listed(alpha)
    assert (shown["id"], shown["name"], shown["secret"]) == (edited, "renamed", base32(secret_of(1)))
    assert alpha.run("code", edited).ok().json["code"].isdecimal()
    assert [row["id"] for row in listed(beta, "--deleted")] == [untouched]
    assert picture(alpha) == picture(beta)


def test_counters_used_offline_on_both_sides_end_at_the_maximum(tmp_path: Path) -> None:
    alpha, beta = pair(tmp_path)
    account = alpha.add("otpauth://hotp/Zaehler?secret=MFRGGZDFMZTWQ2LKNNWG23TPOA&counter=40")["id"]
    meet(alpha, beta)
    # when: three codes are used on one side and five on the other
    for device, times in ((alpha, 3), (beta, 5)):
        used = [device.run("code", account).ok().json["counter"] for _ in range(times)]
        assert used == list(range(40, 40 + times))
    meet(alpha, beta)
    # then: both go on after the greatest, and an edit of the digits lowers nothing
    assert [row["counter"] for row in (*listed(alpha), *listed(beta))] == [45, 45]
    alpha.run("edit", account, "--digits", "8").ok()
    meet(alpha, beta)
    assert [row["counter"] for row in (*listed(alpha), *listed(beta))] == [45, 45]
    assert picture(alpha) == picture(beta)


def test_many_commands_at_once_never_make_one_dot_twice(tmp_path: Path) -> None:
    # given: one device and nobody serving it
    device = Device(tmp_path / "alpha", tmp_path / "folder")
    device.init()
    # when: eight processes add at once, every one by itself
    added = _storm(device, range(STORM))
    # then: all were told success, and each has an event of its own
    assert sorted(row["id"] for row in listed(device)) == sorted(added)
    _each_dot_is_there_once(device, 3 + STORM)


def test_commands_and_a_daemon_that_comes_and_goes_never_make_one_dot_twice(tmp_path: Path) -> None:
    device = Device(tmp_path / "alpha", tmp_path / "folder")
    device.init()
    # when: storms of eight processes meet a daemon at its start, in mid-run and at its stop
    before = _begin(device, range(STORM))
    with device.daemon():
        added = [*_finish(before), *_storm(device, range(100, 100 + STORM))]
        during = _begin(device, range(200, 200 + STORM))
    results = [_result(process) for process in during]
    # then: what was told success is there, once; what came too late for the daemon says that it failed
    added += [account for account in results if account is not None]
    assert set(added) <= {row["id"] for row in listed(device)}
    _each_dot_is_there_once(device, 3 + len(listed(device)))


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
    import json

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
