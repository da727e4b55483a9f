"""The installed unit under a real `systemd --user` of an ordinary user, with its sandbox, and a real journal."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from otpkeep_daemon.version import VERSION
from support_system import eventually, need, uri
from support_systemd import HOME, RUNTIME, UID, Machine, user_machine
from support_watch import PLAIN, entry_of

pytestmark = pytest.mark.xdist_group("service")  # they share one manager

PASSPHRASE = "correct horse battery staple"
FOLDER = HOME / 'Cloud "100%" \\$x' / "otpkeep"
WATCHED = HOME / "apps" / "aegis.json"
UNITS = HOME / ".config" / "systemd" / "user"
DROP_INS = UNITS / "otpkeep.service.d"
CLEAN_S = 5.0
KEY = {"OTPKEEP_PASSPHRASE_FILE": str(HOME / "pass")}
PROBE = """
import errno, json, mmap, os, socket, subprocess, sys
def tried(act):
    try: act()
    except OSError as error: return errno.errorcode[error.errno]
    return "done"
def touched(path): return tried(lambda: open(path, "a").close())
own = "/sys/fs/cgroup" + open("/proc/self/cgroup").read().rsplit("0::", 1)[1].strip()
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
mounts = [line.split() for line in open("/proc/self/mountinfo")]
print(json.dumps({
    "written": {path: touched(path) for path in sys.argv[1:]},
    "capabilities": int(status["CapBnd"], 16),
    "no_new_privileges": status["NoNewPrivs"].strip(),
    "write and execute": tried(lambda: mmap.mmap(-1, 4096, prot=7)),
    "internet": tried(lambda: socket.socket(socket.AF_INET)),
    "interfaces": [line.split(":")[0].strip() for line in open("/proc/net/dev")][2:],
    "set-uid": tried(lambda: os.chmod(sys.argv[1], 0o4700)),
    "own cgroup": tried(lambda: os.mkdir(own + "/more")),
    "disks": [name for name in os.listdir("/dev") if name.startswith(("vd", "sd", "nvme", "loop", "kmsg", "mem"))],
    "kernel": [f[5].split(",")[0] for f in mounts if f[4] == "/proc/sys"],
    "hostname": os.readlink("/proc/self/ns/uts"),
    "user": open("/proc/self/uid_map").read().split(),
    "messages": os.readlink("/proc/self/ns/ipc"),
}))
"""


@pytest.fixture(scope="module")
def machine() -> Iterator[Machine]:
    """A user who set otpkeep up, watches a file, and has installed the service."""
    with user_machine() as made:
        made.write(HOME / "pass", PASSPHRASE)
        made.write(WATCHED, PLAIN.read_text())
        made.write(
            DROP_INS / "test.conf", f"[Service]\nEnvironment=OTPKEEP_PASSPHRASE_FILE={HOME}/pass\nRestartSec=100ms\n"
        )
        made.otpkeep("init", "--folder", FOLDER, "--device", "laptop", env=KEY).ok()
        made.otpkeep("watch", WATCHED, env=KEY).ok()
        made.installed = made.json("service", "install")
        yield made


def status(machine: Machine) -> Any:
    return machine.json("service", "status")


def names(machine: Machine) -> set[str]:
    return {row["name"] for row in machine.json("list")}


def files(machine: Machine, folder: Path = FOLDER) -> set[str]:
    return set(machine.run("ls", folder).ok().out.split())


def served_anew(machine: Machine, before: int) -> int:
    """Wait until another process of the service serves, and return it."""

    def other() -> int:
        daemon = status(machine)["daemon"]
        return daemon["pid"] if daemon["running"] and daemon["pid"] != before else 0

    return eventually(other, "another process serves")


def edit(machine: Machine, number: int) -> str:
    """Add an entry to the watched file as another program would, and return its name."""
    document = json.loads(machine.read(WATCHED))
    document["db"]["entries"].append(entry_of(number))
    machine.write(WATCHED.with_name("~new"), json.dumps(document))
    machine.run("mv", WATCHED.with_name("~new"), WATCHED).ok()
    return f"name{number}"


def test_the_unit_gets_ready_and_an_edit_of_a_watched_file_lands_in_the_folder(machine: Machine) -> None:
    # given: READY has come, else `start` would not have returned with success
    assert machine.installed["changed"]
    assert machine.installed["sandboxed"]
    assert (machine.show("Type"), machine.show("SubState")) == ("notify", "running")
    assert machine.show("StatusText") == "unlocked; no files wait to be published"
    # when: another program edits the watched file
    before = files(machine)
    name = edit(machine, 100)
    # then: the edit is an account, and its file is in the folder
    eventually(lambda: name in names(machine), "the edit is taken in")
    eventually(lambda: files(machine) - before, "it is published")


def test_status_and_logs_tell_what_systemd_and_the_daemon_say(machine: Machine) -> None:
    found = status(machine)
    assert found["running"]
    assert found["enabled"]
    assert found["state"] == "active (running)"
    assert found["pid"] == int(machine.show("MainPID")) == found["daemon"]["pid"]
    assert found["restarts"] == int(machine.show("NRestarts"))
    assert found["daemon"] == {"running": True, "pid": found["pid"], "locked": False}
    assert found["since"]
    # and: the log has what the daemon wrote, with its priority, and what systemd wrote about it
    log = machine.json("service", "logs")
    ready = [row for row in log if row["message"].startswith("event=ready ")]
    assert [row["level"] for row in ready][-1:] == ["info"]
    assert any("Started otpkeep.service" in row["message"] for row in log)
    # and: fewer lines, newer lines
    assert machine.json("service", "logs", "--lines", "1") == log[-1:]
    assert machine.json("service", "logs", "--since", "2099-01-01T00:00:00Z") == []
    assert ready[-1]["message"] in machine.run("otpkeep", "service", "logs").ok().out


def test_what_lingering_is_missing_for_is_said_until_it_is_on(machine: Machine) -> None:
    (problem,) = status(machine)["problems"]
    assert problem["kind"] == "no-lingering"
    assert problem["hint"].endswith("loginctl enable-linger")
    # when: logind was told, which keeps a file for it
    machine.shell("touch /var/lib/systemd/linger/otpkeep-test", root=True).ok()
    assert status(machine)["problems"] == []
    machine.shell("rm /var/lib/systemd/linger/otpkeep-test", root=True).ok()


def test_a_killed_daemon_is_started_again_and_nothing_is_lost(machine: Machine) -> None:
    # given: an edit that was acknowledged
    before, known = status(machine), names(machine)
    added = machine.json("add", "-", stdin=uri(1, issuer="Kill"))
    assert added["backed_up"]
    # when: the daemon is killed
    machine.systemctl("kill", "--signal=KILL", "otpkeep.service").ok()
    served_anew(machine, before["pid"])
    # then: everything is there, and status tells how it ended
    assert names(machine) == known | {"konto1"}
    found = status(machine)
    assert found["restarts"] == before["restarts"] + 1
    assert (found["last_exit"]["cause"], found["last_exit"]["status"]) == ("killed", "9")
    machine.otpkeep("verify", env=KEY).ok()


def test_a_daemon_that_hangs_is_caught_by_the_watchdog(machine: Machine) -> None:
    machine.write(DROP_INS / "watchdog.conf", "[Service]\nWatchdogSec=5s\n")
    machine.systemctl("daemon-reload").ok()
    machine.otpkeep("service", "restart").ok()
    before = status(machine)["pid"]
    # given: one that works is left alone for longer than that
    first = eventually(lambda: machine.show("WatchdogTimestampMonotonic"), "it is fed")
    eventually(lambda: int(machine.show("WatchdogTimestampMonotonic")) - int(first) > 6_000_000, "it is fed again")
    assert status(machine)["pid"] == before
    # when: it stops working
    machine.systemctl("kill", "--signal=STOP", "otpkeep.service").ok()
    # then: another takes its place, and the log says why
    served_anew(machine, before)
    log = machine.json("service", "logs", "--lines", "200")
    assert any("Watchdog timeout" in row["message"] for row in log)
    machine.run("rm", DROP_INS / "watchdog.conf").ok()
    machine.systemctl("daemon-reload").ok()
    machine.otpkeep("service", "restart").ok()


def test_stopping_is_clean_and_quick_and_commands_work_without_it(machine: Machine) -> None:
    began = time.monotonic()
    stopped = machine.json("service", "stop")
    assert time.monotonic() - began < CLEAN_S
    assert (stopped["state"], stopped["running"]) == ("inactive (dead)", False)
    assert (stopped["last_exit"]["cause"], stopped["last_exit"]["status"]) == ("exited", "0")
    assert machine.show("Result") == "success"
    assert machine.run("ls", RUNTIME / "otpkeep").code != 0
    assert {problem["kind"] for problem in status(machine)["problems"]} == {"not-running", "no-lingering"}
    assert machine.json("list", env=KEY)
    started = machine.json("service", "start")
    assert started["running"]


def test_the_sandbox_holds_for_an_ordinary_user_and_leaves_the_folder_writable(machine: Machine) -> None:
    # given: a unit with the same sandbox that reports what it can do
    places = [FOLDER / "x", HOME / ".local/share/otpkeep/x", HOME / ".config/otpkeep/x", RUNTIME / "probe/x"]
    others = [HOME / "x", HOME / ".profile", FOLDER.parent / "x", WATCHED, RUNTIME / "x", UNITS / "x", Path("/usr/x")]
    machine.write(HOME / ".profile", "")
    machine.write(HOME / "probe.py", PROBE)
    words = " ".join(f'"{path!s}"' for path in (HOME / "probe.py",))
    arguments = " ".join(_quoted(path) for path in [*places, *others])
    machine.shell(f"cd {UNITS}; cp otpkeep.service probe.service; cp -r {DROP_INS} probe.service.d").ok()
    machine.write(
        UNITS / "probe.service.d" / "z.conf",
        f"[Service]\nType=oneshot\nRuntimeDirectory=\nRuntimeDirectory=probe\nExecStart=\n"
        f"ExecStart={sys.executable} {words} {arguments}\n",
    )
    machine.systemctl("daemon-reload").ok()
    # when: it runs
    machine.systemctl("start", "probe.service").ok()
    said = eventually(lambda: _said(machine, "probe.service"), "the journal has what it said")
    # then: it writes where the daemon must, and nowhere else
    written = said["written"]
    assert [written[str(path)] for path in places] == ["done"] * len(places)
    assert {written[str(path)] for path in others} == {"EROFS"}, written
    # and: each of the other options does something
    assert said["user"] == [str(UID), str(UID), "1"]
    assert (said["capabilities"], said["no_new_privileges"]) == (0, "1")
    assert (said["write and execute"], said["set-uid"], said["own cgroup"]) == ("EPERM", "EPERM", "EROFS")
    assert (said["internet"], said["interfaces"], said["disks"]) == ("EAFNOSUPPORT", ["lo"], [])
    assert said["kernel"][-1] == "ro"
    assert said["hostname"] != machine.run("readlink", "/proc/self/ns/uts").ok().out.strip()
    assert said["messages"] != machine.run("readlink", "/proc/self/ns/ipc").ok().out.strip()
    machine.shell(f"rm -r {UNITS}/probe.service*").ok()
    machine.shell(f"rm -f {' '.join(_quoted(path) for path in places)}").ok()


def _quoted(path: Path) -> str:
    """Return a path for a unit file and for a shell: both read a quoted word so, but for $ and %."""
    escaped = str(path).replace("\\", "\\\\").replace('"', '\\"').replace("$", "$$").replace("%", "%%")
    return f'"{escaped}"'


def _said(machine: Machine, unit: str) -> Any:
    lines = machine.run("journalctl", "--user", "-u", unit, "-o", "cat", "--no-pager").ok().out.splitlines()
    return next((json.loads(line) for line in lines if line.startswith("{")), None)


def test_installing_again_is_harmless_and_brings_an_old_unit_up_to_date(machine: Machine) -> None:
    # when: nothing is different
    before = status(machine)["pid"]
    again = machine.json("service", "install")
    # then: nothing happens
    assert (again["changed"], again["restarted"]) == (False, False)
    assert status(machine)["pid"] == before
    # when: an older version had installed another unit
    machine.shell(f"echo '# old' >> {UNITS}/otpkeep.service").ok()
    again = machine.json("service", "install")
    # then: it is replaced, and the daemon started anew
    assert (again["changed"], again["restarted"]) == (True, True)
    assert "# old" not in machine.read(UNITS / "otpkeep.service")
    assert status(machine)["pid"] != before


def test_installing_again_after_an_update_starts_the_new_daemon(machine: Machine) -> None:
    # given: a daemon that runs, of the otpkeep that was there before
    program = HOME / "bin" / "otpkeep"
    present = machine.read(program)
    older = "import otpkeep_daemon.version\notpkeep_daemon.version.VERSION = '0.0.1'\nfrom otpkeep_cli"
    machine.run("sh", "-c", f"cat > {program}", root=True, stdin=present.replace("from otpkeep_cli", older, 1)).ok()
    machine.otpkeep("service", "restart").ok()
    machine.run("sh", "-c", f"cat > {program}", root=True, stdin=present).ok()
    assert machine.json("status")["daemon"]["version"] == "0.0.1"
    # when
    again = machine.json("service", "install")
    # then
    assert (again["changed"], again["restarted"]) == (False, True)
    assert machine.json("status")["daemon"]["version"] == VERSION


def test_a_two_way_file_named_later_is_opened_in_the_sandbox_and_the_keys_are_kept(machine: Machine) -> None:
    other = HOME / "Documents" / "plain.json"
    machine.write(other, PLAIN.read_text())
    before = status(machine)["pid"]
    machine.otpkeep("watch", other, "--two-way", env=KEY).ok()
    assert status(machine)["daemon"]["locked"] is False
    assert status(machine)["pid"] != before
    # when: an edit is made elsewhere
    machine.json("add", "-", stdin=uri(2, issuer="Zwei"))
    # then: the sandboxed daemon writes it into the file
    eventually(lambda: "konto2" in machine.read(other), "the file is written")
    # and: one that lies in an open directory restarts nothing
    before = status(machine)["pid"]
    machine.write(other.with_name("second.json"), PLAIN.read_text())
    machine.otpkeep("watch", other.with_name("second.json"), "--two-way").ok()
    assert status(machine)["pid"] == before
    for path in (other, other.with_name("second.json")):
        machine.otpkeep("unwatch", path).ok()


def test_a_folder_that_is_removed_and_made_again_is_written_again(machine: Machine) -> None:
    before = status(machine)["pid"]
    # when: the cloud client puts another directory in its place, which the sandbox was not made for
    quoted = _quoted(FOLDER).replace("$$", "\\$").replace("%%", "%")
    machine.shell(f"cp -a {quoted} ~/kept && rm -r {quoted} && cp -a ~/kept {quoted}").ok()
    machine.otpkeep("backup", "now", env=KEY)
    # then: the daemon takes a new sandbox by itself, and publishes there
    served_anew(machine, before)
    assert machine.json("add", "-", stdin=uri(3, issuer="Drei"))["backed_up"]


def test_the_folder_moves_to_a_disk_that_may_be_unmounted_and_mounted_again(machine: Machine) -> None:
    # given: a disk beside home (bound, so that what is on it stays)
    disk = "/mnt/stick"
    mount = f"mount --bind /srv/disk {disk}"
    machine.shell(f"mkdir -p /srv/disk {disk}; chown {UID} /srv/disk; {mount}", root=True).ok()
    machine.otpkeep("folder", f"{disk}/otpkeep", env=KEY).ok()
    assert machine.json("add", "-", stdin=uri(4, issuer="Vier"))["backed_up"]
    before = status(machine)["pid"]
    # when: it is unmounted
    machine.shell(f"umount {disk}", root=True).ok()
    # then: the daemon does not keep it, and says so
    assert machine.json("add", "-", stdin=uri(5, issuer="Fuenf"))["backed_up"] is False
    assert machine.json("status")["folder"]["reachable"] is False
    # and: once it is back, all is published, by the same process
    machine.shell(mount, root=True).ok()
    machine.otpkeep("backup", "now").ok()
    assert machine.json("status")["folder"]["pending"] == 0
    assert status(machine)["pid"] == before
    machine.otpkeep("folder", FOLDER, env=KEY).ok()


def test_settings_in_error_are_told_and_do_not_keep_the_service_down(machine: Machine) -> None:
    config = HOME / ".config" / "otpkeep" / "config.toml"
    machine.run("mv", config, HOME / "config.kept").ok()
    machine.write(config, "look_evry_s = 60\n")
    machine.otpkeep("service", "restart").ok()
    (problem,) = [row for row in machine.json("status")["problems"] if row["kind"] == "config"]
    assert "look_every_s" in problem["hint"]
    machine.run("mv", HOME / "config.kept", config).ok()


def test_what_no_restart_can_mend_is_told_and_not_tried_for_ever(machine: Machine) -> None:
    store = HOME / ".local" / "share" / "otpkeep"
    machine.otpkeep("service", "stop").ok()
    machine.run("mv", store, HOME / "kept-store").ok()
    failed = machine.otpkeep("service", "start")
    assert failed.code == 1
    assert (machine.show("ActiveState"), machine.show("NRestarts")) == ("failed", "0")
    machine.run("rm", "-rf", store).ok()
    machine.run("mv", HOME / "kept-store", store).ok()
    machine.otpkeep("service", "start").ok()


def test_the_unit_is_found_by_the_manager_whatever_the_shell_calls_its_settings(machine: Machine) -> None:
    # given: a shell with settings elsewhere, which the manager does not know of
    shell = {"XDG_CONFIG_HOME": str(HOME / "elsewhere")}
    found = machine.json("service", "status", env=shell)
    assert found["files"][0] == str(UNITS / "otpkeep.service")
    assert [row["kind"] for row in found["problems"] if row["kind"] != "no-lingering"] == ["elsewhere"]
    # then: installing from there would be for other places, and is refused
    assert machine.otpkeep("service", "install", env=shell).error["kind"] == "refused"


def test_a_daemon_of_the_person_is_not_taken_over(machine: Machine) -> None:
    machine.otpkeep("service", "stop").ok()
    machine.systemctl("set-environment", f"OTPKEEP_PASSPHRASE_FILE={HOME}/pass").ok()
    machine.run("systemd-run", "--user", "--unit=byhand", "otpkeep", "daemon", "run").ok()
    eventually(lambda: status(machine)["daemon"]["running"], "it serves")
    refused = machine.otpkeep("service", "install")
    assert refused.error["kind"] == "refused"
    assert str(status(machine)["daemon"]["pid"]) in refused.error["message"]
    assert "another-daemon" in {problem["kind"] for problem in status(machine)["problems"]}
    machine.systemctl("stop", "byhand.service").ok()
    machine.otpkeep("service", "start").ok()


def test_a_passphrase_command_runs_outside_of_the_sandbox(machine: Machine) -> None:
    need("dbus-daemon")
    machine.systemctl("start", "dbus.socket").ok()
    machine.write(HOME / "bin2" / "say", '#!/bin/sh\ntouch "$HOME/asked" && cat "$HOME/pass"\n')
    machine.run("chmod", "700", HOME / "bin2" / "say").ok()
    machine.write(
        DROP_INS / "zcommand.conf",
        f"[Service]\nUnsetEnvironment=OTPKEEP_PASSPHRASE_FILE\nEnvironment=OTPKEEP_PASSPHRASE_COMMAND={HOME}/bin2/say\n",
    )
    machine.systemctl("unset-environment", "OTPKEEP_PASSPHRASE_FILE").ok()
    machine.systemctl("daemon-reload").ok()
    machine.otpkeep("service", "restart").ok()
    assert status(machine)["daemon"]["locked"] is False
    machine.run("ls", HOME / "asked").ok()
    machine.run("rm", DROP_INS / "zcommand.conf").ok()
    machine.systemctl("daemon-reload").ok()
    machine.otpkeep("service", "restart").ok()


def test_uninstalling_leaves_data_and_the_persons_own_settings(machine: Machine) -> None:
    known, inside = names(machine), files(machine)
    machine.write(DROP_INS / "credential.conf", "[Service]\n")
    gone = machine.json("service", "uninstall")
    # then: the unit and its drop-ins are gone, and what the person wrote is not
    assert {Path(path).name for path in gone["removed"]} == {"otpkeep.service", "here.conf", "credential.conf"}
    assert machine.run("ls", DROP_INS).ok().out.split() == ["test.conf"]
    assert gone["data"] == str(HOME / ".local/share/otpkeep")
    # and: so is everything else, and saying it again harms nobody
    assert {row["name"] for row in machine.json("list", env=KEY)} == known
    assert files(machine) >= inside
    assert machine.json("service", "uninstall")["removed"] == []
    assert [problem["kind"] for problem in status(machine)["problems"]] == ["not-installed"]
    assert machine.otpkeep("service", "start").error["kind"] == "refused"
    # and: it can be installed again
    assert machine.json("service", "install")["changed"]


def test_a_machine_that_forbids_sandboxes_runs_the_daemon_without_and_says_so(machine: Machine) -> None:
    # given: a sandbox that can't be made, as where user namespaces are forbidden
    machine.otpkeep("service", "uninstall").ok()
    machine.write(DROP_INS / "forbidden.conf", "[Service]\nReadWritePaths=/not/there\n")
    # when: the service is installed all the same
    done = machine.json("service", "install")
    # then: it runs, and says what is missing
    assert done["sandboxed"] is False
    found = status(machine)
    assert found["running"]
    assert "no-sandbox" in {problem["kind"] for problem in found["problems"]}
    assert machine.json("service", "install")["changed"] is False
    machine.run("rm", DROP_INS / "forbidden.conf").ok()
    machine.otpkeep("service", "uninstall").ok()
    assert machine.json("service", "install")["sandboxed"]
