"""A folder that others fill: files that are huge or closed to us, and names that would steer a terminal or a log."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from otpkeep_protocol import sealing
from support_cli import PROGRAM, Device, Result
from support_system import eventually, heir, listed, need, need_root, of_type, status, uri

LARGE = 81 * 1024 * 1024
STRANGER = 54_321
NAMES = [
    b"\xff\xfe\x80.otpk",
    b"line\nCRITICAL forged line.otpk",
    b"esc\x1b[2J\x1b]0;title\x07.otpk",
    b"back\r\x08\x08.otpk",
    "bidi\u202e\u2066.otpk".encode(),
    b"per%s%n%d.otpk",
    b"x" * 250 + b".otpk",
]
OTHERS = [b"\xff note", b"new\nline", b"\x1b[31mred.jpg"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with files of somebody else: one of them larger than any of ours."""
    made = tmp_path / "folder"
    made.mkdir()
    for name in ("film.mkv", "large.otpk", f".{LARGE}.otpk"):
        with (made / name).open("wb") as file:
            file.truncate(LARGE)
    return made


def test_a_large_foreign_file_stops_nothing(tmp_path: Path, folder: Path) -> None:
    alpha = Device(tmp_path / "alpha", folder)
    alpha.init()
    assert alpha.add(uri(1))["backed_up"] is True
    with alpha.daemon():
        assert alpha.add(uri(2))["backed_up"] is True
        assert status(alpha)["folder"]["pending"] == 0
    beta = heir(alpha)
    assert len(beta.recover()["added"]) == 2
    listed(alpha)
    # then: verify goes through, naming at most what pretends to be ours
    done = alpha.run("verify", "--depth", "rebuild")
    assert done.code in (0, 4)
    assert {problem["file"] for problem in done.json["problems"]} <= {"large.otpk", f".{LARGE}.otpk"}
    assert done.json["events"] == beta.run("verify", "--depth", "rebuild").json["events"]


def test_a_foreign_file_that_we_may_not_read_stops_nothing(tmp_path: Path) -> None:
    need_root("make files of other users")
    need("setpriv")
    alpha = Device(tmp_path / "alpha", tmp_path / "folder")
    for name in ("closed", f"{'ab' * 16}.otpk", "closed.otpk"):
        path = alpha.folder / name
        path.write_bytes(b"of another user")
        path.chmod(0o600)
        os.chown(path, STRANGER, STRANGER)
    # `<32 hex>.otpk` may be a vault that has not arrived: init is right to refuse that one
    done = plainly(alpha, "init", "--folder", str(alpha.folder), "--device", "alpha")
    assert (done.code, done.error["kind"]) == (1, "refused")
    (alpha.folder / f"{'ab' * 16}.otpk").rename(alpha.folder / "also closed.otpk")
    plainly(alpha, "init", "--folder", str(alpha.folder), "--device", "alpha").ok()
    assert plainly(alpha, "add", "-", stdin=uri(1)).ok().json["backed_up"] is True
    beta = heir(alpha)
    assert len(plainly(beta, "recover", str(alpha.folder), "--device", "beta").ok().json["added"]) == 1
    assert plainly(beta, "add", "-", stdin=uri(2)).ok().json["backed_up"] is True
    done = plainly(alpha, "verify", "--depth", "rebuild")
    assert done.code == 4
    assert {(p["file"], p["kind"]) for p in done.json["problems"]} <= {
        ("closed.otpk", "unreadable"), ("also closed.otpk", "unreadable"), ("closed", "unreadable"),
    }  # fmt: skip
    assert len(plainly(alpha, "list").ok().json) == 2


def plainly(device: Device, *words: str, stdin: str = "") -> Result:
    """Run a command as root without the right to read what belongs to others."""
    without = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
    done = subprocess.run(
        [*without, *PROGRAM, *words, "--json"],
        env=device.env,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return Result(done.returncode, done.stdout, done.stderr)


@pytest.mark.parametrize(
    "how",
    [
        "damaged",
        "empty",
        "large",
    ],
)
def test_names_that_steer_neither_stop_anything_nor_reach_the_log_raw(tmp_path: Path, how: str) -> None:
    alpha = Device(tmp_path / "alpha", tmp_path / "folder")
    alpha.init()
    alpha.add(uri(1))
    (alpha.home / "config.toml").write_text("look_every_s = 1\n")
    data = of_type(alpha.folder, sealing.SEALED).read_bytes()
    content = {"damaged": data[:-1], "empty": b"", "large": b""}[how]
    for number, name in enumerate([*NAMES, *OTHERS]):
        path = alpha.folder / os.fsdecode(name)
        path.write_bytes(content)
        if how == "large":
            os.truncate(path, LARGE + number)
    # when: a daemon starts, takes an edit, and looks again
    with alpha.daemon():
        assert alpha.add(uri(2))["backed_up"] is True
        status(alpha)
        done = alpha.run("verify", json=False)
        assert done.code in (0, 4)
        assert clean(done.out)
        assert clean(alpha.run("status", json=False).ok().out)
        (alpha.folder / os.fsdecode(NAMES[1])).rename(alpha.folder / os.fsdecode(NAMES[1] + b"\n\x1b[1m"))
        eventually(lambda: alpha.run("backup", "now").code == 0, "passes go on")
    # then: each line of the log is one of the daemon's own
    log = (tmp_path / "alpha.log").read_bytes()
    assert log.strip()
    assert all(line.split(b" ")[0] in (b"INFO", b"WARNING", b"ERROR", b"CRITICAL") for line in log.splitlines()), log
    assert clean(log.decode("ascii"))
    # and: another device takes in everything
    beta = heir(alpha)
    beta.recover()
    assert listed(beta) == listed(alpha)


def clean(text: str) -> bool:
    """Tell whether a text has no character that steers, ends of lines aside."""
    return all(sign.isprintable() or sign == "\n" for sign in text)
