"""A Python that lacks what CPython on Windows lacks, as far as this system can play it; the program runs in it.

It has no Unix sockets, opens no directories, knows no flags and user ids of POSIX, and can't wait for signals. What it
can't play: names and locks of NTFS, files that can't be renamed while they are open, msvcrt.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from support_cli import Device
from support_system import eventually

PRELUDE = """
import functools, os, signal, socket
socket.socketpair = functools.partial(socket.socketpair, socket.AF_UNIX)  # on Windows it goes over TCP
del socket.AF_UNIX
os.supports_dir_fd.clear()
for name in "O_DIRECTORY O_NOFOLLOW O_NONBLOCK O_CLOEXEC O_TMPFILE".split():
    delattr(os, name)
for name in "geteuid getuid fchmod pwrite posix_fadvise".split():
    delattr(os, name)
for name in "pthread_sigmask sigwait".split():
    delattr(signal, name)
from otpkeep_cli.main import main
main()
"""
PROGRAM = (sys.executable, "-c", PRELUDE)


def run(device: Device, *words: str | Path, stdin: bytes = b"", home: Path | None = None) -> Any:
    """Return what a command answers, which must succeed; `home` is the profile, if not what is around the device."""
    done = subprocess.run(
        [*PROGRAM, *map(str, words), "--json"],
        env=_env(device) | ({"HOME": str(home)} if home is not None else {}),
        input=stdin,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, (done.stdout, done.stderr)
    return json.loads(done.stdout)


@contextmanager
def daemon(device: Device) -> Iterator[subprocess.Popen[bytes]]:
    """Run the daemon for the length of the block, at whose end it must stop cleanly on Ctrl-C."""
    with (device.home.parent / "windows.log").open("ab") as log:
        process = subprocess.Popen(
            [*PROGRAM, "daemon", "run"], env=_env(device), stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
    try:
        eventually(
            lambda: process.poll() is not None or run(device, "status")["daemon"]["running"], "the daemon answers"
        )
        assert process.poll() is None
        yield process
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def _env(device: Device) -> dict[str, str]:
    return device.env | {"HOME": str(device.home.parent), "PATH": os.environ["PATH"]}
