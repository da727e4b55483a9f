"""What the tests with real parts share: programs that must be there, waiting, two devices of one vault."""

from __future__ import annotations

import base64
import os
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest

from otpkeep_daemon import sockets
from otpkeep_protocol import naming, sealing
from support_cli import PROGRAM, Device

T = TypeVar("T")
SHARED_EXPORTS = Path(__file__).parents[2] / "shared" / "fixtures" / "exports"
OWN_EXPORTS = Path(__file__).parent / "fixtures"


def need(*programs: str) -> None:
    """Skip the test where a program is not installed; in CI, where all of them must be, fail it."""
    missing = [program for program in programs if shutil.which(program) is None]
    if missing and os.environ.get("CI") == "true":
        pytest.fail(f"not installed, and CI must have it: {', '.join(missing)}")
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")


def need_root(what: str) -> None:
    """Skip the test where it is not run as root, which it needs for `what`."""
    if os.geteuid() != 0:
        pytest.skip(f"only root may {what}")


def eventually(condition: Callable[[], T], what: str, within_s: float = 30.0) -> T:
    """Return the first true value of `condition`, looking again and again; fail with `what` when time is over."""
    deadline = time.monotonic() + within_s
    while not (found := condition()):
        assert time.monotonic() < deadline, f"not within {within_s} s: {what}"
        time.sleep(0.02)  # between two looks at the condition
    return found


def uri(number: int, *, issuer: str = "Beispiel", secret: bytes | None = None, more: str = "") -> str:
    """Return the otpauth URI of an invented account; secrets of different numbers differ."""
    text = base32(secret if secret is not None else secret_of(number))
    return f"otpauth://totp/{issuer}:konto{number}?secret={text}&issuer={issuer}{more}"


def secret_of(number: int) -> bytes:
    """Return the 20-byte secret of an invented account."""
    return f"Geheimnis {number:010}".encode()


def base32(secret: bytes) -> str:
    """Return base32 without padding."""
    return base64.b32encode(secret).decode().rstrip("=")


def listed(device: Device, *words: str) -> list[dict[str, Any]]:
    """Return what `list` shows, secrets included."""
    found: list[dict[str, Any]] = device.run("list", "--show-secrets", *words).ok().json
    return found


def logged(device: Device, *words: str) -> list[dict[str, Any]]:
    """Return what `log` shows, newest first."""
    found: list[dict[str, Any]] = device.run("log", *words).ok().json
    return found


def status(device: Device) -> dict[str, Any]:
    """Return what `status` shows; with the passphrase at hand only if a daemon runs unlocked."""
    found: dict[str, Any] = device.run("status").ok().json
    return found


def picture(device: Device) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return accounts and log: what two devices in step must show alike."""
    return listed(device), logged(device)


def ours(folder: Path) -> list[Path]:
    """Return the files in a folder that have a name of ours."""
    return sorted(path for path in folder.iterdir() if naming.classify(path.name) is naming.NameKind.SEALED_NAME)


def carry(source: Path, target: Path) -> None:
    """Copy what `target` lacks out of `source`, as a cloud client would: whole files under their own names."""
    for path in ours(source):
        if not (target / path.name).exists():
            shutil.copy2(path, target / f".{path.name}.part")
            (target / f".{path.name}.part").rename(target / path.name)


def pair(root: Path, *, shared: bool = False) -> tuple[Device, Device]:
    """Return two devices of one vault, `alpha` and `beta`, with one folder or one each."""
    alpha = Device(root / "alpha", root / "folder-a")
    beta = Device(root / "beta", root / "folder-a" if shared else root / "folder-b")
    alpha.init()
    if not shared:
        carry(alpha.folder, beta.folder)
    beta.recover()
    if not shared:
        carry(beta.folder, alpha.folder)
    return alpha, beta


def meet(alpha: Device, beta: Device) -> list[dict[str, Any]]:
    """Exchange files both ways and return the accounts that both devices, served by daemons, then show alike."""
    for source, target in ((alpha, beta), (beta, alpha)):
        carry(source.folder, target.folder)
    eventually(lambda: picture(alpha) == picture(beta), "both devices show the same")
    return listed(alpha)


def dots(device: Device) -> list[tuple[bytes, int]]:
    """Return (writer, seq) of every event in a store that nobody has open, each as often as it was made."""
    with sqlite3.connect(f"file:{device.home}/store.sqlite3?mode=ro", uri=True) as store:
        found = store.execute("SELECT writer, seq FROM events").fetchall()
    store.close()
    return found


def begin(device: Device, words: Iterable[str | Path], **env: str) -> subprocess.Popen[bytes]:
    """Start a command and don't wait for it; its output is kept for whoever reads it."""
    return subprocess.Popen(
        [*PROGRAM, *map(str, words), "--json"],
        env=device.env | env,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def under_strace(
    device: Device, calls: str, *words: str | Path, fault: str | None = None, log: Path = Path(os.devnull)
) -> int:
    """Run a command with its system calls of these kinds traced, and return how it ended, -9 if it was killed.

    `fault` is what happens at one of them, as in `signal=SIGKILL:when=3` or `error=ENOSPC:when=3+`.
    """
    strace = ["strace", "-f", "-qq", "-o", str(log), "-e", f"trace={calls}"]
    inject = [] if fault is None else ["-e", f"inject={calls}:{fault}"]
    done = subprocess.run(
        [*strace, *inject, *PROGRAM, *map(str, words)],
        env=device.env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=120,
        check=False,
    )
    return done.returncode


@contextmanager
def killed_at_the_end(process: subprocess.Popen[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    """Yield the process and see that it is gone afterwards, whatever happens."""
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def answers(device: Device) -> bool:
    """Tell whether a daemon listens on the device's socket, without a command that costs a process."""
    peer = sockets.connect(device.home / "control.sock", 5.0)
    if peer is None:
        return False
    peer.close()
    return True


def launch(device: Device, *, under: Sequence[str] = (), **env: str) -> subprocess.Popen[bytes]:
    """Start the daemon, `under` a program that runs others, and don't wait; its output goes to the device's log."""
    with (device.home.parent / f"{device.home.name}.log").open("ab") as log:
        return subprocess.Popen(
            [*under, *PROGRAM, "daemon", "run"],
            env=device.env | env,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def heir(device: Device, name: str = "beta") -> Device:
    """Return a device that is not set up, beside `device` and with its folder."""
    return Device(device.home.parent / name, device.folder)


def of_type(folder: Path, kind: int) -> Path:
    """Return a file of that header type in a folder."""
    return next(path for path in ours(folder) if sealing.read_header(path.read_bytes()).type == kind)


def flipped(data: bytes, at: int) -> bytes:
    """Return the bytes with one bit changed."""
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
