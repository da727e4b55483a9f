"""Telling systemd how the daemon is: sd_notify(3), a datagram to the socket that $NOTIFY_SOCKET names."""

from __future__ import annotations

import logging
import socket
import sys
from collections.abc import Mapping

from otpkeep_daemon.logs import event

STARTING_S = 120
"""How much longer a start may take after each step of it that was made."""
log = logging.getLogger(__name__)


class Supervisor:
    """Whoever started the daemon, if it listens; else nothing is sent and `watchdog_s` is None."""

    def __init__(self, env: Mapping[str, str], pid: int) -> None:
        """`env` is the daemon's environment and `pid` its process: only the one that is meant may answer."""
        address = env.get("NOTIFY_SOCKET", "")
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self.watchdog_s = _watchdog_s(env, pid) if address else None
        self._ready = False
        self._status = ""

    @property
    def listens(self) -> bool:
        """Whether there is one."""
        return bool(self._address)

    def ready(self, status: str) -> None:
        """Say that the daemon serves, and how it is."""
        self._ready = True
        self._status = status
        self._send("READY=1", f"STATUS={status}")

    def alive(self) -> None:
        """Say that work went on: while starting that asks for more time, later it feeds the watchdog."""
        if not self._ready:
            self._send(f"EXTEND_TIMEOUT_USEC={STARTING_S * 1_000_000}")
        elif self.watchdog_s is not None:
            self._send("WATCHDOG=1")

    def status(self, text: str) -> None:
        """Show another line in `systemctl status`, if it is another."""
        if self._ready and text != self._status:
            self._status = text
            self._send(f"STATUS={text}")

    def stopping(self) -> None:
        """Say that the end was asked for."""
        self._send("STOPPING=1", "STATUS=stopping")

    def _send(self, *fields: str) -> None:
        if not self._address or sys.platform == "win32":
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
                sender.sendto("\n".join(fields).encode(), self._address)
        except OSError as error:
            log.warning(event("not-notified", reason=error.strerror))


def _watchdog_s(env: Mapping[str, str], pid: int) -> float | None:
    """Return within how many seconds a sign of life is expected, None if none is (sd_watchdog_enabled(3))."""
    period = env.get("WATCHDOG_USEC", "")
    if not period.isdigit() or int(period) == 0 or env.get("WATCHDOG_PID", str(pid)) != str(pid):
        return None
    return int(period) / 1_000_000
