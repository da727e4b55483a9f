"""The folder, its move, and the cloud folders of this machine as text."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from otpkeep_cli.render.plain import counted, plain

if TYPE_CHECKING:
    from otpkeep_daemon.clouds import Cloud

_LOCAL_ONLY = "on this machine only: not a backup"


def folder_text(shown: Mapping[str, Any]) -> str:
    """Return where the folder is, with what a person must know of it."""
    remarks = {
        "can't be reached": not shown["reachable"],
        _LOCAL_ONLY: shown["local_only"],
        "backup is off on this device": not shown["backup"],
    }
    said = "; ".join(remark for remark, holds in remarks.items() if holds)
    return plain(shown["folder"]) + (f" ({said})" if said else "")


def moved_text(moved: Mapping[str, Any]) -> str:
    """Return what a move did, and what is left to do."""
    new, old = plain(moved["folder"]), plain(moved["old"])
    if not moved["moved"]:
        return f"{new} is the folder already. Nothing was changed."
    lines = [f"The folder is now {new}. All {counted(moved['files'], 'file')} of this vault were read back there."]
    if moved["local_only"]:
        lines.append(f"It is {_LOCAL_ONLY}.")
    if moved["taken_in"]:
        lines.append(f"{counted(moved['taken_in'], 'event')} that it had and this device had not were taken in.")
    if not moved["old_reachable"]:
        lines.append(
            f"{old} could not be reached: what other devices left there, and this one never read, stays there."
        )
    if moved["left_behind"]:
        left = counted(moved["left_behind"], "file")
        lines.append(f"{left} in {old} could not be read and stay there: let that folder sync, then move once more.")
    lines.append(f"The old folder {old} is as it was, and what is in it still opens with the passphrase.")
    if moved["other_devices"]:
        lines += [
            f"{counted(moved['other_devices'], 'other device')} may still use it: run there, with that machine's path,",
            f"    {plain(shlex.join(['otpkeep', 'folder', str(moved['folder'])]))}",
            "and remove the old folder once every device has moved.",
        ]
    return "\n".join(lines)


def offers_text(clouds: Sequence[Cloud], local: object) -> str:
    """Return the numbered offers: the fit cloud folders, then a plain local one, then any other path."""
    fit = [cloud for cloud in clouds if not cloud.trouble]
    lines = ["Where should the backup live? Cloud folders found on this machine:" if fit else _NOTHING_FOUND, ""]
    for number, cloud in enumerate(fit, start=1):
        lines.append(f"  {number}  {cloud.provider}: {plain(cloud.target)}")
        lines.append(f"     found by {plain(cloud.why)}")
        lines += [f"     {remark}" for remark in _remarks(cloud)]
    lines.append(f"  {len(fit) + 1}  A plain local folder: {plain(local)}")
    lines.append(f"     {_LOCAL_ONLY}")
    lines.append(f"  {len(fit) + 2}  Another path")
    return "\n".join([*lines, *_unfit(clouds), ""])


def found_text(clouds: Sequence[Cloud]) -> str:
    """Return the cloud folders of this machine with the command that uses each, for where nobody can be asked."""
    lines = []
    for cloud in clouds:
        if not cloud.trouble:
            lines.append(f"Found {cloud.provider} by {plain(cloud.why)}. {_VAULT_THERE if cloud.has_vault else _FREE}")
            lines.append(f"    {_command('recover' if cloud.has_vault else 'folder', cloud)}")
            lines += [f"    {plain(cloud.remark)}"] if cloud.remark else []
    return "\n".join([*lines, *_unfit(clouds)])


def _remarks(cloud: Cloud) -> list[str]:
    vault = f"holds a vault already; to use that one: {_command('recover', cloud)}" if cloud.has_vault else ""
    return [remark for remark in (plain(cloud.remark), vault) if remark]


def _command(word: str, cloud: Cloud) -> str:
    return plain(shlex.join(["otpkeep", word, str(cloud.target)]))


def _unfit(clouds: Sequence[Cloud]) -> list[str]:
    lines = [
        f"  {cloud.provider} {plain(cloud.path or cloud.why)}: {plain(cloud.trouble)}"
        for cloud in clouds
        if cloud.trouble
    ]
    return ["", "Not offered:", *lines] if lines else []


_NOTHING_FOUND = "Where should the backup live? No cloud folder was found on this machine."
_FREE = "To move the backup there:"
_VAULT_THERE = "It holds a vault already; to use that one, with another OTPKEEP_HOME:"
