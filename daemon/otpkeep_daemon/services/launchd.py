"""The launchd agent: written, loaded and asked. What it builds is tested everywhere, launchctl itself only on macOS."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from otpkeep_daemon.services import launchctl, logfile
from otpkeep_daemon.services.files import put, take_away
from otpkeep_daemon.services.needs import Needs
from otpkeep_daemon.services.program import shipped
from otpkeep_daemon.services.state import Entry, Exit, Installed, State
from otpkeep_protocol.errors import OtpkeepError, Refused

assert sys.platform != "win32"  # where no service is installed; type checkers skip the rest

TIMEOUT_S = 60
Run = Callable[[Sequence[str]], "subprocess.CompletedProcess[str]"]


def run_launchctl(words: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run launchctl and return how it ended. Refused if it is not there or does not answer."""
    try:
        return subprocess.run(
            words, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=TIMEOUT_S
        )
    except (FileNotFoundError, subprocess.TimeoutExpired) as error:
        raise Refused("launchctl does not answer. Nothing more was changed.", "Run `otpkeep daemon run`.") from error


class Launchd:
    """The agent of the user who runs this."""

    def __init__(self, home: Path, log: Path, run: Run = run_launchctl) -> None:
        """`log` is the daemon's own log file; what a crash prints goes beside it."""
        self._file = home / "Library" / "LaunchAgents" / launchctl.FILE
        self._log = log
        self._output = log.with_name("launchd.log")
        self._run = run
        self._uid = os.getuid()

    def install(self, program: Path, environment: Mapping[str, str], needs: Needs) -> Installed:
        """See Platform. launchd has no sandbox to be told of the needs."""
        del needs
        self._log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        made = launchctl.agent(shipped(launchctl.FILE).encode(), program, environment, self._output)
        changed, loaded = put(self._file, made), self._loaded()
        if changed and loaded:
            self._do(launchctl.bootout(self._uid))
        if changed or not loaded:
            self._do(launchctl.enable(self._uid))
            self._do(launchctl.bootstrap(self._uid, self._file))
        return Installed(changed, restarted=changed and loaded, sandboxed=False)

    def uninstall(self) -> list[Path]:
        """See Platform."""
        if self._loaded():
            self._do(launchctl.bootout(self._uid))
        return [self._file] if take_away(self._file) else []

    def start(self) -> None:
        """See Platform."""
        self._check_installed()
        if not self._loaded():
            self._do(launchctl.bootstrap(self._uid, self._file))
        self._do(launchctl.kickstart(self._uid, again=False))

    def stop(self) -> None:
        """See Platform. It is unloaded, or launchd would start it again."""
        self._check_installed()
        if self._loaded():
            self._do(launchctl.bootout(self._uid))

    def restart(self) -> None:
        """See Platform."""
        self._check_installed()
        if not self._loaded():
            self._do(launchctl.bootstrap(self._uid, self._file))
        self._do(launchctl.kickstart(self._uid, again=True))

    def reaches(self, needs: Needs) -> bool:
        """See Platform: an agent has no sandbox."""
        del needs
        return True

    def give(self, needs: Needs) -> None:
        """See Platform."""

    def environment(self) -> Mapping[str, str] | None:
        """See Platform."""
        return launchctl.environment_of(self._file.read_bytes()) if self._file.is_file() else None

    def program_there(self) -> bool:
        """See Platform."""
        return self._file.is_file() and os.access(launchctl.program_of(self._file.read_bytes()), os.X_OK)

    def state(self) -> State:
        """See Platform."""
        if not self._file.is_file():
            return State("launchd", (self._file,), installed=False)
        asked = self._run(launchctl.print_words(self._uid))
        found = launchctl.printed(asked.stdout) if asked.returncode == 0 else {}
        code, runs = found.get("last exit code", ""), found.get("runs", "")
        return State(
            "launchd",
            (self._file,),
            installed=True,
            enabled=True,
            state=found.get("state", "not loaded"),
            running=found.get("state") == "running",
            pid=int(found["pid"]) if found.get("pid", "").isdigit() else None,
            restarts=max(0, int(runs) - 1) if runs.isdigit() else None,
            last_exit=Exit("exited", code) if code.lstrip("-").isdigit() else None,
        )

    def log(self, lines: int, since: float | None, *, follow: bool) -> Iterator[Entry]:
        """See Platform."""
        return logfile.read(self._log, lines, since, follow=follow)

    def _loaded(self) -> bool:
        return self._run(launchctl.print_words(self._uid)).returncode == 0

    def _do(self, words: Sequence[str]) -> None:
        done = self._run(words)
        if done.returncode != 0:
            raise OtpkeepError(
                f"launchctl {words[1]} failed: {done.stderr.strip() or done.returncode}",
                f"Look at it: {' '.join(launchctl.print_words(self._uid))}",
            )

    def _check_installed(self) -> None:
        if not self._file.is_file():
            raise Refused("The service is not installed. Nothing was changed.", "Run `otpkeep service install`.")
