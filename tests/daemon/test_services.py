"""The unit and the agent as text, what they need, and what systemd, launchd and the journal answer."""

from __future__ import annotations

import plistlib
import re
import shutil
import subprocess
import tomllib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from otpkeep_daemon import outside, view
from otpkeep_daemon.main import HOPELESS
from otpkeep_daemon.services import launchctl, program, systemctl, unit
from otpkeep_daemon.services.advice import problems
from otpkeep_daemon.services.files import put, take_away
from otpkeep_daemon.services.launchd import Launchd
from otpkeep_daemon.services.needs import Needs, needs_of, widened
from otpkeep_daemon.services.platform import choose, kept_environment
from otpkeep_daemon.services.state import Exit, State
from otpkeep_daemon.services.unit import Here, drop_in
from otpkeep_protocol.errors import NotFound, OtpkeepError, Refused
from support_cli import ROOT
from support_system import need

SHIPPED = ROOT / "systemd" / "otpkeep.service"
HOME = Path("/home/ada")
ODD = Path('/home/ada/a "b" 100% $x \\n ü/otpkeep')
WORST_SCORE = 1.5
"""How exposed `systemd-analyze security` may find the unit, from 0 to 10; it is 1.0 with systemd 252."""
PRINTED = """gui/501/io.otpkeep.daemon = {
	active count = 1
	path = /Users/ada/Library/LaunchAgents/io.otpkeep.daemon.plist
	state = running

	program = /opt/otpkeep
	runs = 3
	pid = 4711
	last exit code = 1
	endpoints = {
		state = active
	}
}
"""


# the unit


def test_the_unit_is_as_closed_as_it_says() -> None:
    need("systemd-analyze")
    words = ["systemd-analyze", "security", "--offline=true", "--no-pager", str(SHIPPED)]
    done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=60)
    score = float(re.findall(r"exposure level for otpkeep.service: ([0-9.]+)", done.stdout)[0])
    assert score <= WORST_SCORE
    assert f"it {score} (OK)" in SHIPPED.read_text() or score != 1.0


def test_the_unit_does_not_try_again_what_cannot_help() -> None:
    assert f"RestartPreventExitStatus={HOPELESS}" in SHIPPED.read_text().splitlines()


def test_each_option_that_needs_a_user_namespace_can_be_taken_back() -> None:
    text = SHIPPED.read_text()
    section = text[text.index("PrivateUsers=") : text.index("# Left out")]
    options = {line.partition("=")[0] for line in section.splitlines() if "=" in line and not line.startswith("#")}
    assert options == {line.partition("=")[0] for line in unit.NO_SANDBOX}


def test_what_a_drop_in_says_can_be_read_back_whatever_the_names() -> None:
    needs = Needs(frozenset({ODD, Path("/mnt")}))
    text = drop_in(Here(ODD / "bin", {"OTPKEEP_HOME": str(ODD)}, needs))
    assert unit.written_needs(text) == needs
    assert unit.written_environment(text) == {"OTPKEEP_HOME": str(ODD)}
    assert unit.written_program(text) == ODD / "bin"
    assert unit.is_sandboxed(text)
    assert not unit.is_sandboxed(drop_in(Here(ODD, {}, needs, sandboxed=False)))


def test_a_name_that_could_forge_a_line_is_refused() -> None:
    for name in ("a\nExecStartPre=/bin/sh", "a\x1b", "\udcff"):
        with pytest.raises(Refused):
            drop_in(Here(Path("/bin/otpkeep"), {}, Needs(frozenset({HOME / name}))))


def test_systemd_takes_a_drop_in_with_odd_names_as_it_is_meant(tmp_path: Path) -> None:
    need("systemd-analyze")
    place = tmp_path / "otpkeep.service"
    needs = Needs(frozenset({ODD}), frozenset({Path("/tmp/x")}))  # noqa: S108  # what must be seen there
    text = drop_in(Here(Path("/bin/true"), {"OTPKEEP_HOME": str(ODD)}, needs))
    place.write_text(SHIPPED.read_text())
    (tmp_path / "otpkeep.service.d").mkdir()
    (tmp_path / "otpkeep.service.d" / "here.conf").write_text(text)
    words = ["systemd-analyze", "security", "--offline=true", "--no-pager", f"--root={tmp_path}", str(place)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
    assert "Failed to parse" not in done.stderr
    assert "ignoring" not in done.stderr


# needs


def test_needs_are_the_own_directories_the_folder_and_where_two_way_files_lie() -> None:
    watched = [{"path": "/home/ada/a/one", "two_way": True}, {"path": "/home/ada/b/two", "two_way": False}]
    found = needs_of([HOME / "data"], {"folder": {"path": "/mnt/x"}, "watched": watched})
    assert found.writable == {HOME / "data", Path("/mnt/x"), HOME / "a"}
    assert found.visible == {HOME / "a" / "one", HOME / "b" / "two"}


def test_what_lies_in_an_open_directory_is_reached() -> None:
    given = Needs(frozenset({HOME / "a"}))
    assert Needs(frozenset({HOME / "a" / "b"})).met_by(given)
    assert not Needs(frozenset({HOME})).met_by(given)
    assert not Needs(frozenset({HOME / "ab"})).met_by(given)
    # and: what lies in /tmp is not, unless the daemon sees everybody's
    temporary = Needs(frozenset(), frozenset({Path("/tmp/x")}))  # noqa: S108  # as above
    assert not temporary.met_by(given)
    assert temporary.met_by(unit.written_needs(drop_in(Here(HOME, {}, temporary))))


@pytest.mark.parametrize(
    ("path", "mounts", "named"),
    [
        ("/home/ada/Cloud/otpkeep", ["/"], "/home/ada/Cloud/otpkeep"),
        ("/home/ada/Cloud/otpkeep", ["/", "/home"], "/home/ada/Cloud/otpkeep"),
        ("/media/ada/STICK/otpkeep", ["/", "/media/ada/STICK"], "/media/ada"),
        ("/mnt/otpkeep", ["/", "/mnt"], "/mnt"),
        ("/home/ada/drive/otpkeep", ["/", "/home/ada/drive"], "/home/ada/drive"),
        ("/home/ada/mnt/drive/otpkeep", ["/", "/home/ada/mnt/drive"], "/home/ada/mnt"),
    ],
)
def test_a_disk_is_named_so_that_it_can_come_and_go_and_home_stays_closed(
    path: str, mounts: list[str], named: str
) -> None:
    assert widened(Path(path), HOME, lambda place: str(place) in mounts) == Path(named)


# the program


def test_the_program_is_the_one_that_was_called_or_lies_beside_python_or_on_the_search_path(tmp_path: Path) -> None:
    places = [tmp_path / name / "otpkeep" for name in ("called", "scripts", "path")]
    for place in places:
        place.parent.mkdir()
        place.write_text("")
        place.chmod(0o755)
    called, scripts, searched = places

    def find(argv0: Path | str) -> Path:
        return program.find_program(str(argv0), str(scripts.parent), lambda _: str(searched))

    assert find(called) == called
    link = tmp_path / "links" / "otpkeep"
    link.parent.mkdir()
    link.symlink_to(called)
    assert find(link) == link
    assert find("-c") == find(tmp_path / "gone" / "otpkeep") == scripts
    scripts.chmod(0o644)
    assert find("-c") == searched
    searched.unlink()
    with pytest.raises(NotFound):
        find("-c")


def test_the_texts_are_shipped_where_they_are_looked_for() -> None:
    assert program.shipped("otpkeep.service") == SHIPPED.read_text()
    with pytest.raises(NotFound):
        program.shipped("nothing.service")
    # and: the wheel carries them inside of the package
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert wheel["force-include"] == {"systemd": "otpkeep_daemon/systemd"}


def test_files_are_written_only_where_they_change_and_for_their_owner_alone(tmp_path: Path) -> None:
    file = tmp_path / "a" / "b" / "unit"
    assert put(file, b"one") is True
    assert put(file, b"one") is False
    assert put(file, b"two") is True
    assert (file.read_bytes(), file.stat().st_mode & 0o777) == (b"two", 0o600)
    assert [path.name for path in file.parent.iterdir()] == ["unit"]
    assert (take_away(file), take_away(file)) == (True, False)
    (tmp_path / "file").write_text("")
    with pytest.raises(Refused):
        put(tmp_path / "file" / "unit", b"")


# what systemd answers


def test_properties_and_times_are_read() -> None:
    found = systemctl.properties("MainPID=12\nStatusText=a=b\nStateChangeTimestamp=@1700000000\n")
    assert found == {"MainPID": "12", "StatusText": "a=b", "StateChangeTimestamp": "@1700000000"}
    assert systemctl.moment("@1700000000") == 1_700_000_000.0
    assert systemctl.moment("") is systemctl.moment("n/a") is None


def test_an_end_is_told_by_the_unit_or_by_the_journal() -> None:
    ended = {"ExecMainCode": "2", "ExecMainStatus": "9", "StateChangeTimestamp": "@5"}
    assert systemctl.exit_of(ended) == Exit("killed", "9", 5.0)
    assert systemctl.exit_of({"ExecMainCode": "0"}) is None
    row = '{"EXIT_CODE":"exited","EXIT_STATUS":"78","__REALTIME_TIMESTAMP":"1500000"}\n'
    assert systemctl.exit_told(row) == Exit("exited", "78", 1.5)
    assert systemctl.exit_told("") is None


def test_the_journal_gives_text_also_where_it_is_no_text() -> None:
    lines = ['{"MESSAGE":[102,255],"PRIORITY":"3","__REALTIME_TIMESTAMP":"1"}', "-- No entries --", '{"MESSAGE":null}']
    assert [(entry.level, entry.message) for entry in systemctl.entries(lines)] == [("error", "f\ufffd"), ("info", "")]


# macOS


class Launchctl:
    """What launchctl would do: one agent, loaded or not. The program itself is on macOS only."""

    def __init__(self) -> None:
        self.loaded = False
        self.asked: list[list[str]] = []

    def __call__(self, words: Sequence[str]) -> subprocess.CompletedProcess[str]:
        verb = words[1]
        if verb != "print":
            self.asked.append(list(words[1:]))
        failed = verb in ("print", "bootout", "kickstart") and not self.loaded
        self.loaded = verb == "bootstrap" or (self.loaded and verb != "bootout")
        return subprocess.CompletedProcess(words, 113 if failed else 0, PRINTED, "not loaded" if failed else "")


def test_an_agent_is_written_loaded_updated_and_taken_away(tmp_path: Path) -> None:
    system, environment = Launchctl(), {"OTPKEEP_HOME": "/Users/ada/x & <y>"}
    agent = Launchd(tmp_path, tmp_path / "data" / "log" / "otpkeep.log", system)
    file, needs, uid = tmp_path / "Library/LaunchAgents/io.otpkeep.daemon.plist", Needs(frozenset()), agent._uid
    with pytest.raises(Refused):
        agent.start()
    # when: it is installed, twice
    assert agent.install(Path("/opt/a b/otpkeep"), environment, needs).changed
    assert not agent.install(Path("/opt/a b/otpkeep"), environment, needs).changed
    # then: the file says what launchd must know, and it was loaded once
    written: dict[str, Any] = plistlib.loads(file.read_bytes())
    assert written["ProgramArguments"] == ["/opt/a b/otpkeep", "daemon", "run"]
    assert written["KeepAlive"] == {"SuccessfulExit": False}
    assert written["ThrottleInterval"] > 0
    assert written["RunAtLoad"] is True
    assert written["EnvironmentVariables"] == environment == agent.environment()
    assert Path(written["StandardErrorPath"]).parent.is_dir()
    target = f"gui/{uid}/io.otpkeep.daemon"
    assert system.asked == [["enable", target], ["bootstrap", f"gui/{uid}", str(file)]]
    # and: another program means another agent, which takes the place of the old one
    system.asked.clear()
    done = agent.install(Path("/opt/new/otpkeep"), environment, needs)
    assert (done.changed, done.restarted) == (True, True)
    assert [words[0] for words in system.asked] == ["bootout", "enable", "bootstrap"]
    # and: what launchd prints is what is told
    state = agent.state()
    assert (state.running, state.pid, state.restarts, state.last_exit) == (True, 4711, 2, Exit("exited", "1"))
    # and: stopping unloads it, since it would come back; restarting one that is loaded kills it first
    agent.stop()
    assert agent.state().state == "not loaded"
    agent.restart()
    assert system.asked[-1] == ["kickstart", "-k", target]
    assert agent.uninstall() == [file]
    assert (agent.uninstall(), file.exists(), system.loaded) == ([], False, False)


def test_what_launchctl_refuses_is_told() -> None:
    def refuse(words: Sequence[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(words, 5, "", "Bootstrap failed: 5: Input/output error\n")

    agent = Launchd(Path("/nonexistent"), Path("/nonexistent/log/x"), refuse)
    with pytest.raises(OtpkeepError, match="Bootstrap failed: 5"):
        agent._do(launchctl.bootstrap(501, Path("/x")))


# platforms


def test_windows_and_systems_without_systemd_are_told_what_to_run(tmp_path: Path) -> None:
    for system in ("win32", "linux", "freebsd14"):
        with pytest.raises(Refused) as refused:
            choose(system, {}, tmp_path, tmp_path, lambda _: None)
        assert "otpkeep daemon run" in refused.value.hint
    assert isinstance(choose("darwin", {}, tmp_path, tmp_path, shutil.which), Launchd)


def test_the_service_gets_the_places_and_nothing_else_of_the_environment(tmp_path: Path) -> None:
    env = {"OTPKEEP_HOME": "rel", "XDG_DATA_HOME": "/d", "OTPKEEP_PASSPHRASE_FILE": "/p", "PATH": "/bin", "HOME": "/h"}
    assert kept_environment(env) == {"OTPKEEP_HOME": str(Path.cwd() / "rel"), "XDG_DATA_HOME": "/d"}


# advice


def test_a_service_that_is_as_it_should_be_has_no_problem() -> None:
    fine = State("systemd", (), installed=True, enabled=True, running=True, pid=5, sandboxed=True, lingering=True)
    assert problems(fine, 5, program_there=True) == []
    assert [row["kind"] for row in problems(fine, None, program_there=True)] == ["not-served"]
    assert [row["kind"] for row in problems(fine, 6, program_there=True)] == ["another-daemon"]
    assert [row["kind"] for row in problems(fine, 5, program_there=False)] == ["program-gone"]
    assert [row["kind"] for row in problems(fine, 6, program_there=True, elsewhere=True)] == ["elsewhere"]
    ended = replace(fine, running=False, pid=None, last_exit=Exit("exited", "226"))
    assert [row["kind"] for row in problems(ended, None, program_there=True)] == ["sandbox-failed", "not-running"]
    ended = replace(ended, last_exit=Exit("exited", "243"))
    assert [row["kind"] for row in problems(ended, None, program_there=True)] == ["credential-failed", "not-running"]


# what a sandboxed daemon does about it


def test_a_command_of_the_person_is_given_to_the_manager_under_systemd_alone() -> None:
    words = ["say", "$HOME", "a b"]
    assert outside.outside(words, {}, 60) == words
    made = outside.outside(words, {"OTPKEEP_SERVICE": "systemd"}, 60)
    assert made[:2] == ["systemd-run", "--user"]
    assert made[-4:] == ["--", "say", "$$HOME", "a b"]
    assert "--property=RuntimeMaxSec=60" in made


def test_a_place_is_shut_only_where_others_can_write_it(tmp_path: Path) -> None:
    assert not view.is_shut(tmp_path)
    assert not view.is_shut(tmp_path / "gone")
    rows = "36 35 98:0 /a /a ro,noatime shared:1 - ext4 /dev/x {}\n37 35 98:1 / /b rw - tmpfs none ro\n"
    assert view._writable_device(rows.format("rw,errors=continue"), 98 << 8)
    assert not view._writable_device(rows.format("ro"), 98 << 8)
    assert not view._writable_device("", 98 << 8)
