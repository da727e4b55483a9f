"""What kind of file system a path is on, from /proc/self/mountinfo (proc(5)); unknown elsewhere."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

_MOUNTINFO = Path("/proc/self/mountinfo")

_NETWORK = frozenset({"afs", "beegfs", "ceph", "cifs", "coda", "davfs", "glusterfs", "gpfs", "lustre"}) | {
    *("ncpfs", "nfs", "nfs4", "orangefs", "smb", "smb3", "smbfs", "sshfs", "9p"),
    *("fuse.davfs", "fuse.gcsfuse", "fuse.glusterfs", "fuse.rclone", "fuse.s3fs", "fuse.sshfs"),
}
"""Where locks and shared memory, and with them SQLite's write-ahead log, can't be relied on."""


_SHARED = frozenset({"autofs", "fuse", "prl_fs", "vboxsf", "virtiofs", "vmhgfs"})
"""Where others change files without this kernel's knowing: programs behind FUSE, hosts of virtual machines."""


def network_filesystem(path: Path) -> str | None:
    """Return the type of the network file system that `path` is on (`nfs4` …), else None, also if unknown."""
    kind = filesystem_of(path)
    return kind if kind in _NETWORK else None


def filesystem_of(path: Path) -> str | None:
    """Return the type of the file system that `path` is on, None if unknown."""
    try:
        table = _MOUNTINFO.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return None
    return filesystem_type(table, str(path.resolve()))


def is_network(kind: str | None) -> bool:
    """Tell whether a type is that of a network file system."""
    return kind in _NETWORK


def is_blind(kind: str | None) -> bool:
    """Tell whether files of that type can change without any watcher's hearing of it (inotify(7), "Limitations")."""
    return kind is not None and (kind in _NETWORK | _SHARED or kind.startswith("fuse."))


def filesystem_type(mountinfo: str, path: str) -> str | None:
    """Return the type of the file system that holds the absolute `path`, by the text of a mountinfo table.

    The deepest mount point above the path counts, and the last of several on one point, which hides the rest.
    """
    best, kind = -1, None
    for line in mountinfo.splitlines():
        before, dash, after = line.partition(" - ")
        fields = before.split(" ")
        if not dash or len(fields) < 5:
            continue
        point = PurePosixPath(_unescaped(fields[4]))
        if PurePosixPath(path).is_relative_to(point) and len(point.parts) >= best:
            best, kind = len(point.parts), after.split(" ")[0]
    return kind


def _unescaped(field: str) -> str:
    """Undo the kernel's octal escapes: a space in a mount point is written \\040."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), field)
