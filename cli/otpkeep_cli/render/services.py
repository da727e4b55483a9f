"""The service as rows and text."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from otpkeep_cli.render.health import problems_text
from otpkeep_cli.render.plain import plain
from otpkeep_cli.render.table import pairs

if TYPE_CHECKING:
    from otpkeep_daemon.services.state import Entry, State


def state_row(state: State) -> dict[str, Any]:
    """Return what the system knows of the service, for JSON."""
    ended = state.last_exit
    last = {"cause": ended.cause, "status": ended.status, "time": _time(ended.time)} if ended is not None else None
    return {
        "service": state.kind,
        "installed": state.installed,
        "enabled": state.enabled,
        "state": state.state,
        "running": state.running,
        "pid": state.pid,
        "since": _time(state.since),
        "restarts": state.restarts,
        "last_exit": last,
        "says": state.says,
        "sandboxed": state.sandboxed,
        "lingering": state.lingering,
        "files": [str(path) for path in state.files],
    }


def status_text(row: Mapping[str, Any]) -> str:
    """Return the problems, then what is known of service and daemon."""
    daemon, since = row["daemon"], f" since {row['since']}" if row["since"] else ""
    answers = "does not answer"
    if daemon["running"]:
        answers = f"process {daemon['pid']} answers, {'locked' if daemon['locked'] else 'unlocked'}"
    known = pairs(
        [
            ("Service", f"{row['service']}, {plain(row['state'])}{since}"),
            ("At login", "starts" if row["enabled"] else "does not start"),
            ("Daemon", answers),
            ("Says", plain(row["says"]) if row["running"] else ""),
            ("Restarts", str(row["restarts"]) if row["restarts"] is not None else ""),
            ("Last end", _end(row["last_exit"])),
        ]
    )
    return "\n\n".join(part for part in (problems_text(row["problems"]), known) if part)


def _end(ended: Mapping[str, Any] | None) -> str:
    if ended is None:
        return ""
    return f"{plain(ended['cause'])}, {plain(ended['status'])}" + (f", {ended['time']}" if ended["time"] else "")


def installed_text(row: Mapping[str, Any]) -> str:
    """Return what an installation did, and what may still be wanted."""
    from otpkeep_daemon.services import advice  # only words, and only here

    lines = ["Nothing to do: it runs."]
    if row["changed"]:
        lines = ["Installed: the daemon runs now, and from every login on."]
    elif row["restarted"]:
        lines = ["Started again: the daemon that ran was of another otpkeep than this."]
    if row["locked"]:
        lines.append("It is locked and only keeps what is sealed in step: otpkeep unlock --remember METHOD")
    if row["lingering"] is False:
        lines += [advice.LINGER_MESSAGE, f"  {advice.LINGER_HINT}"]
    if row["service"] == "systemd" and not row["sandboxed"]:
        lines += [advice.SANDBOX_MESSAGE, f"  {advice.SANDBOX_HINT}"]
    return "\n".join(lines)


def uninstalled_text(row: Mapping[str, Any], *, elsewhere: bool) -> str:
    """Return what was taken away, and where the data is; `elsewhere` if the service was not for these places."""
    first = "The service is gone." if row["removed"] else "There was no service."
    if elsewhere:
        return f"{first} It was for other places (OTPKEEP_HOME or XDG directories); all data is where it was."
    return f"{first} Your accounts are where they were, in {plain(row['data'])} and in the folder; commands still work."


def entry_row(entry: Entry) -> dict[str, Any]:
    """Return a line of the log for JSON."""
    return {"time": _time(entry.time), "level": entry.level, "message": entry.message}


def entry_text(entry: Entry) -> str:
    """Return a line of the log."""
    return f"{_time(entry.time)} {entry.level:<7} {plain(entry.message)}"


def _time(seconds: float | None) -> str | None:
    if seconds is None:
        return None
    moment = datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
    return moment.replace("+00:00", "Z").replace(".000Z", "Z")
