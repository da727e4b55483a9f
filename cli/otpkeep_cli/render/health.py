"""The state of the backup as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from otpkeep_cli.render.comparing import comparison_text
from otpkeep_cli.render.plain import counted, plain, short
from otpkeep_cli.render.table import pairs, table
from otpkeep_cli.render.unlocking import WORDS

_NEEDS_KEY = "known with the passphrase only"


def status_text(found: Mapping[str, Any], width: int) -> str:
    """Return the problems, then what is known of vault, folder, daemon and jobs; what needs a key is left out."""
    parts = [problems_text(found.get("problems") or ()), comparison_text(found.get("comparison"))]
    folder, daemon = found.get("folder") or {}, found.get("daemon") or {}
    parts.append(
        pairs(
            [
                ("Vault", plain(found.get("vault") or "")),
                ("Device", _named(found.get("device"))),
                ("Backup", "on" if found.get("backup") else "off on this device"),
                ("Accounts", _known(found.get("accounts")) or _NEEDS_KEY),
                ("Events", _known(found.get("events"))),
                ("Digest", _known(found.get("digest")) or _NEEDS_KEY),
                ("Last event", _last(found.get("last_event"))),
                ("Folder", _folder(folder)),
                ("Published", _known(folder.get("published"))),
                ("Waiting", _known(folder.get("pending"))),
                ("Devices", _known(found.get("devices"))),
                ("Verified", _verified(found.get("verified"))),
                ("Restore drill", _last_drill(found.get("drill"))),
                ("Own vault file", plain((found.get("own_vault") or {}).get("path") or "")),
                ("Daemon", _daemon(daemon)),
                ("Unlocks", WORDS.get(found.get("unlocks_by") or "", "")),
            ]
        )
    )
    parts.append("\n".join([*_waiting(folder), *_seen(folder), *_left_out(found.get("own_vault") or {})]))
    parts.append(jobs_text(found.get("jobs") or (), width))
    return "\n\n".join(part for part in parts if part)


def verify_text(found: Mapping[str, Any]) -> str:
    """Return what was put back, whether everything holds, and each file that does not."""
    looked = f"{counted(found['files'], 'file')}, {_known(found['events']) or 'no'} events"
    parts = [repaired_text(found["repaired"])] if "repaired" in found else []
    if found["ok"]:
        parts += [f"Everything holds: {looked}.", problems_text(found["problems"])]
    else:
        parts += [problems_text(found["problems"]), f"Looked at {looked}."]
    if found.get("drill"):
        parts.append(_drilled(found["drill"]))
    return "\n".join(part for part in parts if part)


def repaired_text(repaired: Sequence[Mapping[str, Any]]) -> str:
    """Return what was done about each file; what could not be done is told with its problem."""
    lines = [f"{plain(row['file'])}: {plain(row['message'])}." for row in repaired if row["done"]]
    left = [row for row in repaired if not row["done"]]
    lines += [f"{plain(row['file'] or row['device'] or 'The vault')}: {plain(row['message'])}." for row in left]
    return "\n".join(lines or ["There was nothing to put back."])


def _drilled(drill: Mapping[str, Any]) -> str:
    """Return what the restore drill rebuilt, and in what time."""
    rebuilt = f"{counted(drill['accounts'], 'account')} from {counted(drill['files'], 'file')}"
    held = "the same as on this device" if drill["ok"] else "not the same as on this device"
    return f"Restore drill: rebuilt {rebuilt} in {drill['duration_ms'] / 1000:.1f} s, {held}."


def problems_text(problems: Sequence[Mapping[str, Any]]) -> str:
    """Return each problem with its file, its device and what to do; "" for none."""
    lines = []
    for problem in problems:
        places = [plain(problem[key]) for key in ("file", "device") if problem.get(key)]
        where = f"{' of '.join(places)}: " if places else ""
        lines.append(f"! {where}{plain(problem['message'])}")
        if problem.get("hint"):
            lines.append(f"  {plain(problem['hint'])}")
    return "\n".join(lines)


def jobs_text(jobs: Sequence[Mapping[str, Any]], width: int) -> str:
    """Return a table of what the daemon does every so often; "" where there is none."""
    rows = [
        (plain(job["name"]), plain(job["last"] or "never"), plain(job["next"]), "ok" if job["ok"] else "failed")
        for job in jobs
    ]
    return table(("job", "last", "next", ""), rows, width) if rows else ""


def devices_text(devices: Sequence[Mapping[str, Any]], width: int) -> str:
    """Return a table of the devices of the vault."""
    headers = ("id", "name", "state", "joined", "last seen", "events")
    return table(headers, [_device(item) for item in devices], width)


def _device(item: Mapping[str, Any]) -> tuple[str, ...]:
    name = plain(item.get("name") or "") + (" (this device)" if item.get("this") else "")
    times = (plain(item.get("joined") or ""), plain(item.get("last_seen") or ""))
    return (plain(item["id"])[:8], name, plain(item["state"]), *times, _known(item.get("events")))


def _known(value: object) -> str:
    """Return a number or a count of things; "" for what is not known."""
    if value is None:
        return ""
    return str(len(value)) if isinstance(value, list) else plain(value)


def compact_text(done: Mapping[str, Any], *, dry_run: bool) -> str:
    """Return what a compaction did, or would do."""
    would = "would be " if dry_run else ""
    lines = [f"{item['files']} files with {item['events']} events {would}merged into one." for item in done["merged"]]
    if done["snapshot"]:
        lines.append(f"A snapshot {would or 'was '}written.")
    if done["removed"]:
        lines.append(f"{counted(len(done['removed']), 'replaced file')} {would}removed.")
    lines += [f"{counted(item['files'], 'replaced file')} must stay: {item['reason']}." for item in done["waiting"]]
    left = f"This device has {counted(done['files'], 'current file')} in the folder."
    return "\n".join([*(lines or ["There is nothing to compact."]), left])


def _verified(found: object) -> str:
    """Return when the folder was verified last, how deep, and whether it held."""
    if not isinstance(found, Mapping):
        return ""
    held = "everything held" if found["ok"] else f"problems: {_known(found['problems'])}"
    return f"{plain(found['time'])}, {plain(found['depth'])}, {_known(found['files'])} files: {held}"


def _last_drill(found: object) -> str:
    """Return when the vault was last rebuilt from the folder alone, in what time, and whether it was the same."""
    if not isinstance(found, Mapping):
        return "none yet: `otpkeep verify --depth rebuild` makes one"
    held = "the same as here" if found["ok"] else f"problems: {_known(found['problems'])}"
    took = f"{found['duration_ms'] / 1000:.1f} s"
    return f"{plain(found['time'])}, {counted(found['accounts'], 'account')} in {took}: {held}"


def _named(device: object) -> str:
    """Return the name and id of a device, or whatever there is of it."""
    if not isinstance(device, Mapping):
        return plain(device or "")
    name = device["name"]
    return f"{plain(name)} ({short(device['id'])})" if name else short(device["id"])


def _left_out(own_vault: Mapping[str, Any]) -> list[str]:
    left_out = own_vault.get("left_out") or ()
    return [f"Not in the own vault file: {short(item['entry'])}, {plain(item['reason'])}" for item in left_out]


def _last(event: object) -> str:
    """Return when the newest event was made and what it is."""
    if not isinstance(event, Mapping):
        return plain(event or "")
    return f"{plain(event['time'])} {plain(event['kind'])} on {plain(event['device'])}"


def _folder(folder: Mapping[str, Any]) -> str:
    remarks = {
        "can't be reached": not folder.get("reachable", True),
        "on this machine only: not a backup": folder.get("local_only"),
    }
    said = "; ".join(remark for remark, holds in remarks.items() if holds)
    return plain(folder.get("path") or "") + (f" ({said})" if said else "")


def _daemon(daemon: Mapping[str, Any]) -> str:
    if not daemon.get("running"):
        return "not running: commands work by themselves, and nothing comes in meanwhile"
    facts = [f"process {daemon.get('pid')}", *(["locked"] if daemon.get("locked") else [])]
    return f"running ({', '.join([*facts, *([f'otpkeep {plain(v)}'] if (v := daemon.get('version')) else [])])})"


def _waiting(folder: Mapping[str, Any]) -> list[str]:
    return [
        f"Incomplete: waiting for {counted(item['events'], 'event')} of {plain(item['device'])}"
        for item in folder.get("waiting_for") or ()
    ]


def _seen(folder: Mapping[str, Any]) -> list[str]:
    return [f"Seen by {plain(item['device'])}: {plain(item['time'])}" for item in folder.get("seen_by") or ()]
