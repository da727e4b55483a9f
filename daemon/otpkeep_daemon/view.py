"""What this process sees of the file system, which in a sandbox is not what everybody sees."""

from __future__ import annotations

import os
import sys
from pathlib import Path

MOUNTS = Path("/proc/self/mountinfo")


if sys.platform == "win32":

    def is_shut(path: Path) -> bool:
        """Nothing is: there is no sandbox."""
        del path
        return False

else:

    def is_shut(path: Path) -> bool:
        """Tell whether `path` is read-only for this process alone, on a file system that others can write.

        A directory that was removed and made again is: the sandbox had opened the old one. False if it is not there.
        """
        try:
            status = path.stat()
            if not os.statvfs(path).f_flag & os.ST_RDONLY:
                return False
            return _writable_device(MOUNTS.read_text(errors="replace"), status.st_dev)
        except OSError:
            return False

    def _writable_device(mountinfo: str, device: int) -> bool:
        """Tell whether the file system of that number is mounted for writing, whatever this mount says (proc(5))."""
        number = f"{os.major(device)}:{os.minor(device)}"
        rows = (line.split(" - ") for line in mountinfo.splitlines())
        return any("rw" in row[-1].split()[-1].split(",") for row in rows if row[0].split()[2] == number)
