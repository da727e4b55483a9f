"""The version of this program. The build reads it from here, and a running daemon keeps the one it was started with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

VERSION = "0.1.0"


def skew(daemon: Mapping[str, Any]) -> dict[str, str] | None:
    """Return the problem of a daemon (as in `status`) that is not of this otpkeep; None if it is, or none runs."""
    if not daemon.get("running") or daemon.get("version") == VERSION:
        return None
    from otpkeep_protocol.control import RESTART  # needs msgpack, which the build of the manual does not have

    theirs = daemon.get("version") or "an older version"
    message = f"the running daemon is otpkeep {theirs}, this command {VERSION}"
    return {"kind": "old-daemon", "message": message, "hint": RESTART}
