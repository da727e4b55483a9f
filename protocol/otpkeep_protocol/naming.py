"""File names in the folder: what ours are called, and what a reader passes over without opening (SPEC §8).

A name decides only whether a file is looked at. What a file is, its magic, MAC and hash decide; a name
that no rule below knows is a candidate, because a conflict copy can be the only copy left.
"""

from __future__ import annotations

import enum
import hashlib
import re

EXTENSION = ".otpk"
README_NAME = "README.txt"

_SEALED = re.compile(r"[0-9a-f]{32}\.otpk")
_OWN_TEMPORARY = re.compile(r"~otpkeep-[0-9A-Za-z]+-[0-9A-Za-z]+\.tmp")
_PLACEHOLDER = re.compile(r"\..+\.icloud", re.DOTALL)

_TEMPORARY_BY_PROVIDER = {
    "Dropbox": r"\.dropbox\.cache",
    "Google Drive": r"\.tmp\.drive(?:download|upload)",
    "Syncthing": r"\.syncthing\..+\.tmp|~syncthing~.+\.tmp|\.stfolder|\.stignore|\.stversions",
    "Nextcloud": r"\..+\.~[0-9a-f]+|\.sync_.*\.db.*|\.owncloudsync\.log.*|.+\.part|.+\.filepart",
    "Resilio": r".+\.rsls|.*\.!sync|\.sync",
    "Seafile": r".+\.sbak",
    "rclone": r".+\.[0-9A-Za-z]{8}\.partial",
}
_TEMPORARY = re.compile("|".join([*_TEMPORARY_BY_PROVIDER.values(), _OWN_TEMPORARY.pattern]), re.DOTALL)


class NameKind(enum.Enum):
    """What a name alone says about a file in the folder."""

    SEALED_NAME = "sealed"
    """32 lower-case hex digits and `.otpk`: the name that its writer gave it."""
    CANDIDATE = "candidate"
    """Anything else, every conflict copy included: to be judged by its content."""
    TEMPORARY = "temporary"
    """A cloud client's, or our own, unfinished or private file: passed over."""
    PLACEHOLDER = "placeholder"
    """Stands for a file that the cloud client has not downloaded: there, but not to be opened."""
    README = "readme"
    """The text for the person who finds the folder: passed over."""


def file_name(data: bytes) -> str:
    """Return the name of the file that holds `data`: 32 hex digits of its SHA-256, and `.otpk` (SPEC §3)."""
    return hash_name(hashlib.sha256(data).digest())


def hash_name(digest: bytes) -> str:
    """Return the name of the file whose SHA-256 is `digest`."""
    return digest.hex()[:32] + EXTENSION


def classify(name: str) -> NameKind:
    """Say what the name of a directory entry (one path component) tells about it; never fails."""
    if _SEALED.fullmatch(name):
        return NameKind.SEALED_NAME
    if name == README_NAME:
        return NameKind.README
    if _PLACEHOLDER.fullmatch(name):
        return NameKind.PLACEHOLDER
    if _TEMPORARY.fullmatch(name):
        return NameKind.TEMPORARY
    return NameKind.CANDIDATE


def hidden_name(placeholder: str) -> str:
    """Return the name of the file that a placeholder stands for: iCloud hides N as `.N.icloud`, others keep it."""
    if _PLACEHOLDER.fullmatch(placeholder):
        return placeholder.removeprefix(".").removesuffix(".icloud")
    return placeholder


def temporary_name(tag: str, token: str) -> str:
    """Return a name for an unfinished file of the device `tag`; both parts are ASCII letters and digits.

    Dropbox skips names that begin with `~` and end in `.tmp`, OneDrive skips `.tmp`, and Nextcloud's list
    of exclusions has `~*.tmp`; so these three don't carry the file off, or lock it, half written. The tag
    lets a device clear what it left behind in a crash without touching another's file in mid-write.
    """
    return f"~otpkeep-{tag}-{token}.tmp"


def is_own_temporary(name: str, tag: str) -> bool:
    """Say whether `name` is a temporary name of the device `tag`, and so that device's to remove."""
    return bool(_OWN_TEMPORARY.fullmatch(name)) and name.startswith(f"~otpkeep-{tag}-")


_COPY_ENDINGS = {
    "Dropbox": r" \(.+'s conflicted copy \d{4}-\d\d-\d\d(?: \(\d+\))?\)| \(Case Conflict(?: \d+)?\)",
    "OneDrive, Google Drive": r" ?\(\d+\)",
    "OneDrive, of another device": r"-[^/]+-safeBackup-\d{4}",
    "iCloud Drive": r" \d+",
    "Syncthing": r"\.sync-conflict-\d{8}-\d{6}-[A-Z0-9]{7}",
    "Nextcloud": r" \((?:conflicted copy|case clash from) .+\)",
    "Resilio": r"\.Conflict",
    "pCloud": r" \[conflicted\]",
    "Seafile": r" \(SFConflict .+\)",
}
_COPY = re.compile("|".join(_COPY_ENDINGS.values()))
_COPY_AFTER = re.compile(r"\.\.path\d+|\.conflict\d+")


def is_conflict_copy(candidate: str, name: str) -> bool:
    """Say whether `candidate` is what a cloud client calls another version of the file `name`, beside it.

    OneDrive's plain `NAME-DEVICE` is not among them: nothing tells it from any other name.
    """
    dot = name.rfind(".")
    stem, extension = (name[:dot], name[dot:]) if dot > 0 else (name, "")
    if candidate.startswith(stem) and candidate.endswith(extension) and len(candidate) > len(name):
        middle = candidate[len(stem) : len(candidate) - len(extension)]
        if _COPY.fullmatch(middle):
            return True
    return candidate.startswith(name) and bool(_COPY_AFTER.fullmatch(candidate[len(name) :]))
