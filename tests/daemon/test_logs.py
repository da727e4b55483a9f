"""Logs: one line an event, whatever is in it; to the journal with priorities, else to a file that rotates."""

from __future__ import annotations

import contextlib
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from otpkeep_daemon import logs
from otpkeep_daemon.services import logfile
from support_cli import environment

BEGIN = """
import logging, os, sys
from pathlib import Path
from otpkeep_daemon import logs
if sys.argv[2] == "journal":
    status = os.fstat(2)
    os.environ["JOURNAL_STREAM"] = f"{status.st_dev}:{status.st_ino}"
logs.begin(Path(sys.argv[1]), os.environ)
log = logging.getLogger("test")
log.info(logs.event("pass", read=3, file="a b"))
log.warning("a library says\\ntwo lines \\x1b[1m")
try:
    raise ValueError("secret words")
except ValueError:
    log.exception(logs.event("failed"))
"""
EVENTS = [
    'event=pass read=3 file="a b"',
    r'event=test message="a library says\ntwo lines \u001b[1m"',
    "event=failed error=ValueError",
]


def _begun(file: Path, how: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", BEGIN, str(file), how], env=environment(), capture_output=True, check=True, timeout=60
    )
    return done.stderr.decode("ascii").splitlines()


def test_an_event_is_one_line_of_ascii_whatever_its_values_are() -> None:
    line = logs.event("left-alone", file="a\nb\x1b[1m ü\u202e", reason='"no"', count=3, path=Path("/a/b-c.otpk"))
    assert line == r'event=left-alone file="a\nb\u001b[1m \u00fc\u202e" reason="\"no\"" count=3 path=/a/b-c.otpk'
    assert line.isascii()
    assert line.isprintable()


def test_a_surrogate_of_a_file_name_does_not_stop_the_log() -> None:
    assert logs.event("x", file=os.fsdecode(b"\xff\n")) == r'event=x file="\udcff\n"'


def test_under_systemd_each_line_has_its_priority_and_no_file_is_written(tmp_path: Path) -> None:
    file = tmp_path / "data" / "log" / "otpkeep.log"
    file.parent.parent.mkdir()
    assert _begun(file, "journal") == [f"<{n}>{text}" for n, text in zip((6, 4, 3), EVENTS, strict=True)]
    assert not file.parent.exists()


def test_elsewhere_lines_go_to_standard_error_and_to_a_file_of_ones_own(tmp_path: Path) -> None:
    file = tmp_path / "data" / "log" / "otpkeep.log"
    file.parent.parent.mkdir()
    levels = ("INFO", "WARNING", "ERROR")
    assert _begun(file, "file") == [f"{level} {text}" for level, text in zip(levels, EVENTS, strict=True)]
    entries = list(logfile.read(file, 10, None, follow=False))
    assert [entry.message for entry in entries] == EVENTS
    assert [entry.level for entry in entries] == [level.lower() for level in levels]
    assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)


def test_a_log_file_that_cannot_be_written_is_told_and_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("a file in the way")
    said = _begun(tmp_path / "log" / "otpkeep.log", "file")
    assert said[0].startswith("WARNING event=no-log-file ")
    assert len(said) == 1 + len(EVENTS)


def test_the_journal_is_known_by_its_stream_alone(tmp_path: Path) -> None:
    with (tmp_path / "stream").open("w") as stream:
        status = os.fstat(stream.fileno())
        own = f"{status.st_dev}:{status.st_ino}"
        assert logs.goes_to_journal(stream, {"JOURNAL_STREAM": own})
        assert not logs.goes_to_journal(stream, {"JOURNAL_STREAM": f"{own}0"})
        assert not logs.goes_to_journal(stream, {})
    assert not logs.goes_to_journal(stream, {"JOURNAL_STREAM": own})
    assert not logs.goes_to_journal(None, {"JOURNAL_STREAM": own})


def test_a_person_is_told_the_words_of_an_event_without_its_keys() -> None:
    said = logs.event("left-alone", file="x.otpk", reason="it is too large")
    record = logging.LogRecord("x", logging.WARNING, "", 0, said, None, None)
    assert logs.Remarks().format(record) == "otpkeep: left alone: x.otpk: it is too large"


# reading the file


def _written(file: Path, numbers: range, mode: str = "w") -> None:
    with file.open(mode) as text:
        text.writelines(f"2026-05-01T12:00:{n:02}.250Z INFO event=n number={n}\n" for n in numbers)


def test_the_newest_lines_come_from_all_the_files_oldest_first(tmp_path: Path) -> None:
    file = tmp_path / "otpkeep.log"
    _written(file, range(20, 25))
    _written(tmp_path / "otpkeep.log.1", range(10, 20))
    _written(tmp_path / "otpkeep.log.2", range(10))
    read = [entry.message for entry in logfile.read(file, 17, None, follow=False)]
    assert read == [f"event=n number={n}" for n in range(8, 25)]
    # and: only what is newer than a moment, and no line that is not one of ours
    with file.open("a") as text:
        text.write("Traceback (most recent call last):\n")
    moment = 1_777_636_822.25  # 2026-05-01T12:00:22.250Z
    assert [entry.time - moment for entry in logfile.read(file, 100, moment, follow=False)] == [0.0, 1.0, 2.0]


def test_a_log_that_is_not_there_is_empty(tmp_path: Path) -> None:
    assert list(logfile.read(tmp_path / "otpkeep.log", 10, None, follow=False)) == []


def test_a_followed_log_goes_on_when_its_file_rotates(tmp_path: Path) -> None:
    file = tmp_path / "otpkeep.log"
    _written(file, range(2))
    with contextlib.closing(logfile.read(file, 1, None, follow=True)) as entries:
        assert next(entries).message == "event=n number=1"
        _written(file, range(2, 3), "a")
        assert next(entries).message == "event=n number=2"
        _written(file, range(3, 4), "a")
        file.rename(tmp_path / "otpkeep.log.1")
        _written(file, range(4, 5))
        assert [next(entries).message for _ in range(2)] == ["event=n number=3", "event=n number=4"]


def test_every_log_file_is_for_this_user_alone_those_after_a_rotation_as_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "log").mkdir()
    file = tmp_path / "log" / "otpkeep.log"
    monkeypatch.setattr(logs, "LIMIT_BYTES", 200)
    before = os.umask(0o022)
    try:
        (handler,) = logs._rotating(file)
        with contextlib.closing(handler):
            for number in range(20):
                handler.emit(logging.makeLogRecord({"msg": logs.event("n", number=number), "levelno": logging.INFO}))
    finally:
        os.umask(before)
    assert {path.stat().st_mode & 0o777 for path in file.parent.iterdir()} == {0o600}
    assert len(list(file.parent.iterdir())) == logs.KEPT + 1


@pytest.mark.parametrize("line", ["", "event=x", "2026-05-01 INFO x", "yesterday INFO x"])
def test_a_line_that_is_none_of_ours_is_no_entry(line: str) -> None:
    assert logfile.parse(line) is None
