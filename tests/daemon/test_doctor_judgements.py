"""What the doctor makes of facts that this machine can't be given: other systems, other kernels, other versions."""

from __future__ import annotations

import plistlib
import stat
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from otpkeep_daemon.doctor.clock import Clock, judge_clock
from otpkeep_daemon.doctor.machine import Daemon, this_machine
from otpkeep_daemon.doctor.outcome import Finding, NotHereError, outcomes
from otpkeep_daemon.doctor.places import (
    FolderFacts,
    Space,
    StorePlace,
    Watchable,
    judge_folder,
    judge_space,
    judge_store_place,
    judge_watchable,
)
from otpkeep_daemon.doctor.registry import CHECKS, Check, report
from otpkeep_daemon.doctor.service_unit import Agent, Unit, agent, judge_agent, judge_lingering, judge_unit, lingering
from otpkeep_daemon.doctor.serving import Serving, SocketPlace, judge_serving, judge_socket_place
from otpkeep_daemon.doctor.software import Needed, judge_software, software
from otpkeep_daemon.doctor.unlocking import Unlocking, judge_unlocking
from otpkeep_daemon.doctor.watching import Inotify, judge_inotify
from otpkeep_daemon.mounts import filesystem_type, is_blind
from otpkeep_daemon.paths import Paths
from otpkeep_protocol.errors import Busy, OtpkeepError

HERE = Path("/home/a/.local/share/otpkeep")
FINE = FolderFacts(Path("/f"), 1000, owner=1000, mode=stat.S_IFDIR | 0o700, kind="ext4")
PROGRAM = Path(sys.executable)
RUNS = {"ActiveState": "active", "UnitFileState": "enabled", "NeedDaemonReload": "no"}
UNIT = Unit(f"[Service]\nExecStart={PROGRAM} daemon run\n", PROGRAM, "", RUNS)
DAEMON = Daemon(7, "1.0", locked=False, status={})
ENOUGH = Inotify(128, 1000, instances=3, watches=3, needed=4, of_daemon=None)


def said(findings: list[Finding]) -> str:
    assert all(found.hint for found in findings if not found.unknown)
    return "\n".join(f"{found.message} / {found.hint}" for found in findings)


# file systems


@pytest.mark.parametrize("kind", ["nfs4", "cifs", "9p", "fuse.sshfs", "fuse.rclone", "fuse", "virtiofs", "vboxsf"])
def test_where_others_change_files_unheard_a_more_frequent_look_is_the_repair(kind: str) -> None:
    facts = Watchable(((Path("/f"), kind), (Path("/g"), "ext4")), 60)
    (found,) = judge_watchable(facts)
    assert "60 seconds" in found.message
    assert found.hint == "otpkeep config look_every_s 15"
    assert judge_watchable(replace(facts, look_every_s=15)) == []


@pytest.mark.parametrize("kind", ["ext4", "btrfs", "apfs", "tmpfs", "fuseblk", "overlay", None])
def test_a_local_disk_is_not_blind(kind: str | None) -> None:
    assert not is_blind(kind)


def test_the_mount_table_of_a_machine_with_a_remote_folder_is_read() -> None:
    table = (
        "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n40 22 0:40 / /home/a/Cloud\\040Drive rw,nosuid - fuse.rclone remote: rw\n"
    )
    assert is_blind(filesystem_type(table, "/home/a/Cloud Drive/otpkeep"))
    assert not is_blind(filesystem_type(table, "/home/a/Cloud"))


@pytest.mark.parametrize("kind", ["nfs4", "fuse.sshfs", "tmpfs", "vfat", "exfat"])
def test_a_store_does_not_belong_on_such_a_disk(kind: str) -> None:
    assert kind in said(judge_store_place(StorePlace(HERE, kind, read_only=False, links=True)))


def test_a_store_needs_a_disk_to_write_on_that_knows_links() -> None:
    assert "read-only" in said(judge_store_place(StorePlace(HERE, "ext4", read_only=True, links=True)))
    assert "hard links" in said(judge_store_place(StorePlace(HERE, None, read_only=False, links=False)))
    assert judge_store_place(StorePlace(HERE, "ext4", read_only=False, links=True)) == []


def test_who_owns_a_folder_counts_where_the_disk_keeps_owners() -> None:
    assert "another user" in said(judge_folder(replace(FINE, owner=0)))
    assert judge_folder(replace(FINE, owner=0, kind="exfat", mode=stat.S_IFDIR | 0o777)) == []
    assert judge_folder(FINE) == []


def test_room_for_few_files_is_too_little_and_a_disk_without_such_a_limit_is_fine() -> None:
    assert "only 3 more files" in said(judge_space([Space("folder", Path("/f"), 10**12, False, 3)]))
    assert judge_space([Space("folder", Path("/f"), 10**12, False, None)]) == []


# inotify


@pytest.mark.parametrize("used", [{"instances": 126}, {"watches": 998}])
def test_a_limit_that_the_next_start_would_reach_is_found(used: dict[str, int]) -> None:
    (found,) = judge_inotify(replace(ENOUGH, **used))
    assert found.hint.startswith("sudo sysctl fs.inotify.max_user_")
    assert judge_inotify(ENOUGH) == []


def test_a_daemon_that_has_its_watches_needs_no_more_and_one_that_has_none_does() -> None:
    full = replace(ENOUGH, instances=128)
    assert judge_inotify(replace(full, of_daemon=2)) == []
    assert "timed look alone" in said(judge_inotify(replace(full, of_daemon=0)))


# the daemon and its service


def test_an_older_or_other_daemon_behind_the_socket_is_to_be_restarted() -> None:
    facts = Serving(DAEMON, "1.0", "", Path("/s"))
    assert judge_serving(facts) == []
    for version in (None, "0.9", "2.0"):
        assert "Restart the daemon" in said(judge_serving(replace(facts, daemon=replace(DAEMON, version=version))))


def test_a_daemon_that_hangs_is_found() -> None:
    hangs = Busy("the daemon (7) does not answer", "Look at its log, or restart it.")
    assert "does not answer" in said(judge_serving(Serving(hangs, "1.0", "", Path("/s"))))


def test_a_command_that_has_the_store_for_a_moment_is_no_daemon_without_a_socket() -> None:
    assert "no daemon is running" in said(judge_serving(Serving(None, "1.0", "7 command", Path("/s"))))


def test_a_path_too_long_for_a_socket_matters_where_the_system_has_no_way_around() -> None:
    path = Path("/" + "x" * 120) / "control.sock"
    assert "too long" in said(judge_socket_place(SocketPlace(path, in_the_way=False, shortens=False)))
    assert judge_socket_place(SocketPlace(path, in_the_way=False, shortens=True)) == []


def test_a_service_that_is_installed_enabled_and_running_is_well() -> None:
    assert judge_unit(UNIT) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"text": None}, "no service is installed"),
        ({"text": "[Service]\n"}, "names no program"),
        ({"text": "[Service]\nExecStart=/gone/otpkeep daemon run\n"}, "/gone/otpkeep, which can't be run"),
        ({"text": "[Service]\nExecStart=/bin/sh daemon run\n"}, "and this is"),
        ({"home": "/home/a/other"}, "OTPKEEP_HOME is /home/a/other here"),
        ({"shown": RUNS | {"UnitFileState": "disabled"}}, "not enabled"),
        ({"shown": RUNS | {"ActiveState": "failed"}}, "the service is failed"),
        ({"shown": RUNS | {"NeedDaemonReload": "yes"}}, "daemon-reload"),
    ],
)
def test_what_keeps_a_service_from_running_is_found(change: dict[str, object], words: str) -> None:
    (found,) = judge_unit(replace(UNIT, **change))  # type: ignore[arg-type]
    assert words in said([found])


def test_the_program_that_a_drop_in_names_last_counts(tmp_path: Path) -> None:
    program = tmp_path / "my programs" / "100%" / "otpkeep"
    program.parent.mkdir(parents=True)
    program.touch(0o700)
    named = str(program).replace("%", "%%")
    text = f'[Service]\nExecStart=/usr/bin/otpkeep daemon run\n[Service]\nExecStart=\nExecStart="{named}" daemon run\n'
    assert judge_unit(replace(UNIT, text=text, program=program)) == []


def test_a_systemd_that_can_t_be_asked_is_no_finding() -> None:
    (found,) = judge_unit(replace(UNIT, shown={}))
    assert found.unknown


def test_lingering_is_asked_for_and_an_answer_that_does_not_come_is_unknown() -> None:
    assert judge_lingering("yes") == []
    assert said(judge_lingering("no")).endswith("loginctl enable-linger")
    assert judge_lingering(None)[0].unknown


def test_on_macos_the_launchd_agent_is_read(tmp_path: Path) -> None:
    paths = Paths.from_environment({"OTPKEEP_HOME": str(tmp_path / "home")})
    machine = replace(this_machine(paths, {}), platform="darwin", home=tmp_path)
    # none
    assert "no service is installed" in said(judge_agent(agent(machine)))
    # one whose program is gone, and that no launchd has
    place = tmp_path / "Library" / "LaunchAgents" / "io.otpkeep.daemon.plist"
    place.parent.mkdir(parents=True)
    place.write_bytes(plistlib.dumps({"ProgramArguments": ["/gone/otpkeep", "daemon", "run"]}))
    found = said(judge_agent(agent(machine)))
    assert "/gone/otpkeep, which can't be run" in found
    assert "not loaded" in found
    assert judge_agent(Agent(sys.executable, loaded=True)) == []
    # elsewhere it is left out
    with pytest.raises(NotHereError):
        agent(replace(machine, platform="linux"))
    with pytest.raises(NotHereError):
        lingering(replace(machine, home=None))


def test_a_keychain_that_can_t_be_used_is_found() -> None:
    assert "it is locked" in said(judge_unlocking(Unlocking("keychain", "it is locked")))
    assert judge_unlocking(Unlocking("keychain", "")) == []


# clock and software


def test_a_clock_that_nobody_keeps_right_is_found() -> None:
    now = 1_800_000_000.0
    assert judge_clock(Clock(now, now + 60, None)) == judge_clock(Clock(now, None, synchronized=True)) == []
    assert said(judge_clock(Clock(now, now, synchronized=False))).endswith("timedatectl set-ntp true")


def test_what_is_missing_or_too_old_is_found() -> None:
    needed = [
        Needed("a", ">=2", "1.9"),
        Needed("b", ">=1", None),
        Needed("c", ">=3.11,<4", "3.11.2"),
        Needed("d", "", "0"),
    ]
    assert [found.message.split()[0] for found in judge_software(needed)] == ["a", "b"]
    assert judge_software(None)[0].unknown


def test_what_is_installed_here_is_what_is_needed(tmp_path: Path) -> None:
    needed = software(this_machine(Paths.from_environment({"OTPKEEP_HOME": str(tmp_path)}), {}))
    if needed is None:
        pytest.skip("otpkeep is not installed here")
    assert {"Python", "SQLite", "click"} <= {one.name for one in needed}


# the report


def test_a_check_that_fails_is_a_line_and_stops_no_other(tmp_path: Path) -> None:
    machine = this_machine(Paths.from_environment({"OTPKEEP_HOME": str(tmp_path)}), {})

    def fails(_: object) -> None:
        raise PermissionError(13, "Permission denied")

    (row,) = Check("sample", "fine", fails, lambda _: []).run(machine)
    assert (row.ok, row.message) == (None, "it could not be checked: Permission denied")


def test_what_could_not_be_checked_counts_as_neither() -> None:
    assert [row.ok for row in outcomes("a", [Finding("?", unknown=True)], "fine")] == [None]
    assert [row.ok for row in outcomes("a", [], "fine")] == [True]


def test_without_store_or_daemon_the_report_is_whole(tmp_path: Path) -> None:
    machine = this_machine(Paths.from_environment({"OTPKEEP_HOME": str(tmp_path)}), {})
    broken = replace(machine, stored=OtpkeepError("the store can't be read", "See the check of the store."))
    done = report(broken)
    assert {row["check"] for row in done["checks"]} <= {check.name for check in CHECKS}
    assert {row["check"]: row["ok"] for row in done["checks"]}["folder"] is None
