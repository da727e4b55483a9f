"""The systemd user unit: installed, removed and asked with systemctl, as a person would."""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from otpkeep_daemon.services import systemctl
from otpkeep_daemon.services.files import put, take_away
from otpkeep_daemon.services.needs import Needs, widened
from otpkeep_daemon.services.program import shipped
from otpkeep_daemon.services.state import Entry, Exit, Installed, State
from otpkeep_daemon.services.unit import (
    HERE,
    SANDBOX_FAILED,
    UNIT,
    Here,
    drop_in,
    is_sandboxed,
    owned_names,
    written_environment,
    written_needs,
    written_program,
)
from otpkeep_protocol.errors import OtpkeepError, Refused

assert sys.platform != "win32"  # where no service is installed; type checkers skip the rest

LINGERING = Path("/var/lib/systemd/linger")
"""Where logind keeps a file for each user whose services run without a login (loginctl(1))."""


class Systemd:
    """The unit of the user who runs this."""

    def __init__(self, units: Path, home: Path) -> None:
        """`units` is the directory in which the user's manager looks for units."""
        self._home = home
        self._unit = units / UNIT
        self._drop_ins = units / f"{UNIT}.d"
        self._here = self._drop_ins / HERE

    # changing

    def install(self, program: Path, environment: Mapping[str, str], needs: Needs) -> Installed:
        """See Platform. A machine without user namespaces gets the unit without what needs them."""
        _systemctl("show", "--property=Version")  # before anything is written: is a user manager there?
        writable = frozenset(widened(path, self._home, os.path.ismount) for path in needs.writable)
        here = Here(program, environment, Needs(writable, needs.visible), sandboxed=self._was_sandboxed())
        changed = put(self._unit, shipped(UNIT).encode()) | put(self._here, drop_in(here).encode())
        if changed:
            _systemctl("daemon-reload")
        _systemctl("enable", UNIT)
        was_active = self.state().running
        if self._begin("restart" if changed else "start"):
            return Installed(changed, changed and was_active, here.sandboxed)
        if not here.sandboxed or not self._sandbox_failed():
            raise self._not_started()
        put(self._here, drop_in(Here(program, environment, needs, sandboxed=False)).encode())
        _systemctl("daemon-reload")
        self.start()
        return Installed(changed=True, restarted=was_active, sandboxed=False)

    def _was_sandboxed(self) -> bool:
        """Return False where an installation has found out that there can be no sandbox, and it is that one still."""
        return not self._here.is_file() or is_sandboxed(self._here.read_text())

    def uninstall(self) -> list[Path]:
        """See Platform."""
        if self._unit.is_file():
            _systemctl("disable", "--now", UNIT)
        names = self._drop_in_names()
        gone = [
            path for path in (self._unit, *(self._drop_ins / name for name in owned_names(names))) if take_away(path)
        ]
        if self._drop_ins.is_dir() and not self._drop_in_names():
            self._drop_ins.rmdir()
        _systemctl("daemon-reload")
        _systemctl("reset-failed", UNIT, accept=(0, 1))
        return gone

    def _drop_in_names(self) -> list[str]:
        return [path.name for path in self._drop_ins.iterdir()] if self._drop_ins.is_dir() else []

    def start(self) -> None:
        """See Platform."""
        self._check_installed()
        if not self._begin("start"):
            raise self._not_started()

    def stop(self) -> None:
        """See Platform."""
        self._check_installed()
        _systemctl("stop", UNIT)

    def restart(self) -> None:
        """See Platform."""
        self._check_installed()
        if not self._begin("restart"):
            raise self._not_started()

    def reaches(self, needs: Needs) -> bool:
        """See Platform."""
        text = self._here.read_text() if self._here.is_file() else ""
        return not text or not is_sandboxed(text) or needs.met_by(written_needs(text))

    def give(self, needs: Needs) -> None:
        """See Platform."""
        text = self._here.read_text()
        writable = frozenset(widened(path, self._home, os.path.ismount) for path in needs.writable)
        wider = written_needs(text).beside(writable=writable, visible=needs.visible)
        put(self._here, drop_in(Here(written_program(text), written_environment(text), wider)).encode())
        _systemctl("daemon-reload")
        if self.state().running:
            self.restart()

    def _begin(self, verb: str) -> bool:
        """Start or restart, whatever failed before; return whether it serves now."""
        _systemctl("reset-failed", UNIT, accept=(0, 1))
        return systemctl.run("systemctl", "--user", verb, UNIT).returncode == 0

    def _sandbox_failed(self) -> bool:
        status = self._show().get("ExecMainStatus", "")
        return status.isdigit() and int(status) in SANDBOX_FAILED

    def _not_started(self) -> OtpkeepError:
        found = self._show()
        ended = systemctl.exit_of(found)
        how = f"{ended.cause} with {ended.status}" if ended is not None else found.get("Result", "unknown")
        return OtpkeepError(
            f"The service did not start ({how}). It stays installed, and what you saved is safe.",
            "`otpkeep service logs` says why; `otpkeep daemon run` shows it here.",
        )

    def _check_installed(self) -> None:
        if not self._unit.is_file():
            raise Refused("The service is not installed. Nothing was changed.", "Run `otpkeep service install`.")

    # asking

    def environment(self) -> Mapping[str, str] | None:
        """See Platform."""
        return written_environment(self._here.read_text()) if self._here.is_file() else None

    def program_there(self) -> bool:
        """See Platform."""
        return self._here.is_file() and os.access(written_program(self._here.read_text()), os.X_OK)

    def state(self) -> State:
        """See Platform."""
        files = (self._unit, self._here)
        if not self._unit.is_file():
            return State("systemd", files, installed=False)
        found = self._show()
        pid = int(found.get("MainPID") or 0) or None
        return State(
            "systemd",
            files,
            installed=True,
            enabled=found.get("UnitFileState") == "enabled",
            state=f"{found.get('ActiveState', 'unknown')} ({found.get('SubState', 'unknown')})",
            running=found.get("ActiveState") == "active",
            pid=pid,
            since=systemctl.moment(found.get("StateChangeTimestamp", "")),
            restarts=int(found.get("NRestarts") or 0),
            last_exit=self._last_exit(found),
            says=found.get("StatusText", ""),
            sandboxed=self._was_sandboxed(),
            lingering=(LINGERING / pwd.getpwuid(os.getuid()).pw_name).exists(),
        )

    def _last_exit(self, found: Mapping[str, str]) -> Exit | None:
        """Return the last end by the unit itself, or while it runs again by the journal."""
        if (ended := systemctl.exit_of(found)) is not None:
            return ended
        try:
            return systemctl.exit_told(systemctl.run(*systemctl.exit_words()).stdout)
        except Refused:
            return None

    def _show(self) -> dict[str, str]:
        return systemctl.properties(_told(systemctl.run(*systemctl.show_words()), (0,)))

    def log(self, lines: int, since: float | None, *, follow: bool) -> Iterator[Entry]:
        """See Platform."""
        words = systemctl.log_words(lines, since, follow=follow)
        try:
            with subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as journal:
                assert journal.stdout is not None
                try:
                    yield from systemctl.entries(journal.stdout)
                finally:
                    journal.terminate()
        except FileNotFoundError as error:
            raise Refused("journalctl is not on this machine.", "Ask whoever installed systemd here.") from error


def _systemctl(*words: str, accept: tuple[int, ...] = (0,)) -> str:
    """Run systemctl for this user and return what it said."""
    return _told(systemctl.run("systemctl", "--user", *words), accept)


def _told(done: subprocess.CompletedProcess[str], accept: tuple[int, ...]) -> str:
    if "connect to bus" in done.stderr:
        raise Refused(
            "systemd runs no services for this user in this session. Nothing was changed.",
            "Log in as this user (not with su or sudo), or run `otpkeep daemon run` yourself.",
        )
    if done.returncode not in accept:
        raise OtpkeepError(
            f"systemctl failed: {done.stderr.strip() or done.returncode}", "See: systemctl --user status"
        )
    return done.stdout
