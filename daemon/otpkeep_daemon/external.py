"""Programs of others, run with a text on their standard input: for a limited time, with nothing of ours in reach."""

from __future__ import annotations

import math
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence

from otpkeep_daemon.outside import outside
from otpkeep_protocol.errors import OtpkeepError

_OURS = frozenset(
    {"CREDENTIALS_DIRECTORY", "NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC", "LISTEN_FDS", "LISTEN_PID"}
)
"""What systemd has given to the daemon alone."""
_UNBLOCKED = """
import os, signal, sys
signal.pthread_sigmask(signal.SIG_SETMASK, [])
try:
    os.execvp(sys.argv[1], sys.argv[1:])
except OSError:
    os._exit(126)
"""
"""The daemon blocks signals that it waits for, and a program would inherit that: `timeout` would fail in a script."""


def clean_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return an environment without what leads to a passphrase, and without what is meant for the daemon itself."""
    return {
        name: value
        for name, value in environ.items()
        if name not in _OURS and not (name.startswith("OTPKEEP_") and "PASSPHRASE" in name)
    }


class External:
    """Runs one program at a time; `stop`, from another thread, ends it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._stopped = False

    def run(self, words: Sequence[str], text: bytes, timeout_s: float) -> None:
        """Run a program, without a shell. OtpkeepError if it can't be run, takes too long, or fails."""
        if shutil.which(words[0]) is None:
            raise OtpkeepError(f"there is no program {words[0]!r}", "Name an executable file, with its whole path.")
        with self._lock:
            if self._stopped:
                return
            self._process = self._begin(outside(words, os.environ, math.ceil(timeout_s)))
        try:
            self._process.communicate(text, timeout_s)
        except subprocess.TimeoutExpired as error:
            _kill(self._process)
            raise OtpkeepError(f"{words[0]!r} took longer than {timeout_s:.0f} s and was ended", _QUICK) from error
        code = self._process.returncode
        if code and not self._stopped:
            raise OtpkeepError(f"{words[0]!r} ended with {code}", "Run it by hand, with JSON on its standard input.")

    def stop(self) -> None:
        """End the program that runs, and run none any more."""
        with self._lock:
            self._stopped = True
            if self._process is not None and self._process.returncode is None:
                _kill(self._process)

    def _begin(self, words: Sequence[str]) -> subprocess.Popen[bytes]:
        wrapper = [sys.executable, "-I", "-S", "-c", _UNBLOCKED] if hasattr(signal, "pthread_sigmask") else []
        return subprocess.Popen(
            [*wrapper, *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=clean_environment(os.environ),
            start_new_session=True,
        )


_QUICK = "Have it hand over what takes long to another program."


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End a program and all that it has started."""
    if sys.platform != "win32":
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            return
    else:
        process.kill()
    process.wait()
