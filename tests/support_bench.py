"""What the benchmarks share: figures as ratios of one run, an installed program, a device with its daemon."""

from __future__ import annotations

import json
import os
import shlex
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from otpkeep_daemon.mounts import filesystem_type
from otpkeep_daemon.paths import Paths
from otpkeep_daemon.sockets import connect, receive
from otpkeep_protocol import control
from otpkeep_protocol.control import Request

ROOT = Path(__file__).parents[1]
PASSPHRASE = "correct horse battery staple"
ANSWERS_WITHIN_S = 60.0

Timed = Callable[[], float]
"""Does one thing and returns how long it took, in seconds; what it needs beforehand is not in that time."""


# figures


def timed(act: Callable[[], object]) -> Timed:
    """Return `act` as something that times itself."""

    def run() -> float:
        begin = time.perf_counter()
        act()
        return time.perf_counter() - begin

    return run


@dataclass(frozen=True, slots=True)
class Pair:
    """Times (s) of one thing and of what it is measured against, taken in turns."""

    ours: Sequence[float]
    theirs: Sequence[float]

    @property
    def ratio(self) -> float:
        """The median of ours over the median of theirs."""
        return statistics.median(self.ours) / statistics.median(self.theirs)


def in_turns(ours: Timed, theirs: Timed, n: int, *, rest_s: float = 0.0, warm: int = 2) -> Pair:
    """Take `n` times of each, A B A B, so that whatever slows the machine slows both; `warm` rounds don't count.

    `rest_s` lies before each, so that what one leaves to be done behind the scenes is not in the time of the other.
    """
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(warm + n):
        for act, found in zip((ours, theirs), times, strict=True):
            time.sleep(rest_s)
            found.append(act())
    return Pair(times[0][warm:], times[1][warm:])


def spread(times: Sequence[float]) -> str:
    """Return the median in milliseconds, and between which two nine times in ten lie."""
    ordered = sorted(times)
    low, high = ordered[len(ordered) // 20], ordered[-1 - len(ordered) // 20]
    return f"{statistics.median(ordered) * 1e3:.2f} ms ({low * 1e3:.2f} … {high * 1e3:.2f})"


def show_pair(title: str, pair: Pair, goal: float, against: str) -> None:
    """Print one figure line: the ratio and its goal, both medians, n."""
    told = f"ratio {pair.ratio:.2f}, goal at most {goal:g}"
    show(
        title,
        told,
        pair.ratio <= goal,
        f"{spread(pair.ours)} against {spread(pair.theirs)} of {against}",
        len(pair.ours),
    )


def show(title: str, figure: str, good: bool, detail: str, n: int) -> None:
    """Print one figure line."""
    print(f"{'ok  ' if good else 'MISS'} {title}: {figure}; {detail}; n = {n}", flush=True)


def begin(module: str, place: Path) -> None:
    """Say how to run this benchmark again, and where it runs."""
    table = Path("/proc/self/mountinfo")
    disk = filesystem_type(table.read_text(errors="surrogateescape"), str(place.resolve())) if table.exists() else None
    print(
        f"== {shlex.join(['python', '-m', module, *sys.argv[1:]])}  (Python {sys.version.split()[0]}, on {disk})",
        flush=True,
    )


@contextmanager
def workplace() -> Iterator[Path]:
    """Yield a directory for one run. TMPDIR chooses the disk; on a memory disk no write is durable, or takes time."""
    with tempfile.TemporaryDirectory(prefix="otpkeep-bench-") as made:
        yield Path(made)


# the program


def program(place: Path) -> list[str]:
    """Return the words that start otpkeep as a person has it: installed, never editable, which starts more slowly."""
    script = Path(sys.executable).with_name("otpkeep")
    if script.exists() and _is_installed():
        return [str(script)]
    made = place / "installed"
    venv.create(made, with_pip=True)
    pip = [str(made / "bin" / "python"), "-m", "pip", "--quiet", "--disable-pip-version-check"]
    run([*pip, "install", str(ROOT)], bare_environment())
    return [str(made / "bin" / "otpkeep")]


def _is_installed() -> bool:
    try:
        origin = distribution("otpkeep").read_text("direct_url.json")
    except PackageNotFoundError:
        return False
    return not json.loads(origin or "{}").get("dir_info", {}).get("editable", False)


def bare_environment() -> dict[str, str]:
    """Return this environment without what would steer otpkeep or lead its program to the checkout."""
    return {key: value for key, value in os.environ.items() if not key.startswith(("OTPKEEP_", "PYTHONPATH"))}


def run(words: Sequence[str], env: Mapping[str, str], stdin: bytes = b"") -> bytes:
    """Run a command to its end and return its standard output; whatever fails ends the benchmark, and says why."""
    done = subprocess.run(list(words), env=dict(env), input=stdin, capture_output=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{shlex.join(words)} ended with {done.returncode}:\n{done.stderr.decode()}")
    return done.stdout


def uri(number: int) -> str:
    """Return the otpauth URI of an invented account; equal numbers give equal ones."""
    return f"otpauth://totp/Beispiel%20{number}:anna{number}@example.org?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP&issuer=Beispiel%20{number}"


def fields(number: int, **others: Any) -> dict[str, Any]:
    """Return the wire fields of the account of `uri(number)`."""
    secret = b"Hello!\xde\xad\xbe\xef" * 2
    otp = {"type": "totp", "secret": secret, "algorithm": "SHA1", "digits": 6, "period": 30}
    return {"issuer": f"Beispiel {number}", "name": f"anna{number}@example.org", "otp": otp, **others}


# devices


@dataclass(frozen=True, slots=True)
class Bench:
    """A device with a home and a folder, driven by the installed program or straight over its socket."""

    program: Sequence[str]
    home: Path
    folder: Path
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list, init=False)

    @property
    def env(self) -> dict[str, str]:
        """The environment of its commands."""
        secret = self.home.with_name(f"{self.home.name}.passphrase")
        if not secret.exists():
            secret.touch(mode=0o600)
            secret.write_text(PASSPHRASE)
        return bare_environment() | {"OTPKEEP_HOME": str(self.home), "OTPKEEP_PASSPHRASE_FILE": str(secret)}

    @property
    def paths(self) -> Paths:
        """Where its files are."""
        return Paths.from_environment({"OTPKEEP_HOME": str(self.home)})

    def command(self, *words: str, stdin: bytes = b"") -> bytes:
        """Run one command."""
        return run([*self.program, *words], self.env, stdin)

    def init(self) -> None:
        """Make a vault in the folder."""
        self.command("init", "--folder", str(self.folder), "--device", self.home.name, "--json")

    def recover(self) -> None:
        """Become a device of the folder's vault."""
        self.command("recover", str(self.folder), "--device", self.home.name, "--json")

    def call(self, op: str, args: Mapping[str, Any]) -> Any:
        """Ask the daemon over its socket, one connection for each request, as commands do."""
        peer = connect(self.paths.socket, ANSWERS_WITHIN_S)
        if peer is None:
            raise SystemExit("the daemon does not listen")
        with peer:
            peer.sendall(control.encode_request(Request(op, args)))
            return control.decode_reply(receive(peer, control.REPLY_LIMIT))

    def add(self, number: int, **others: Any) -> dict[str, Any]:
        """Add an invented account by a request, which must end in the folder."""
        added: dict[str, Any] = self.call("add", {"fields": fields(number, **others), "placeholder": False})
        assert added["backed_up"], added
        return added

    @contextmanager
    def daemon(self) -> Iterator[int]:
        """Run the daemon until the end of the block. Yields its process id once it answers, unlocked."""
        log = self.home.with_name(f"{self.home.name}.log")
        with log.open("ab") as out:
            words = [*self.program, "daemon", "run"]
            process = subprocess.Popen(words, env=self.env, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        try:
            wait_until(lambda: process.poll() is not None or connect(self.paths.socket, 1) is not None)
            if process.poll() is not None:
                raise SystemExit(f"the daemon ended at once:\n{log.read_text()}")
            assert not self.call("ping", {})["locked"]
            yield process.pid
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(ANSWERS_WITHIN_S)


def wait_until(holds: Callable[[], bool], every_s: float = 0.002) -> None:
    """Wait until a condition holds; one that does not come ends the benchmark."""
    deadline = time.monotonic() + ANSWERS_WITHIN_S
    while not holds():
        if time.monotonic() > deadline:
            raise SystemExit("what was waited for did not come")
        time.sleep(every_s)
