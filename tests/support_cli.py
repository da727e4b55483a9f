"""A device that is driven as a person drives it: the real program in processes of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PACKAGES = [str(ROOT / home) for home in ("protocol", "daemon", "cli")]
BYTECODE = ROOT / ".pytest_cache" / "bytecode"
"""Where the programs' bytecode is kept if it must not lie beside the sources: compiling takes as long as a command."""
PROGRAM = (sys.executable, "-c", "from otpkeep_cli.main import main; main()")
CHEAPLY = (
    "from otpkeep_protocol import slots; slots.passphrase_slot.__defaults__ = (slots.Cost(19_456, 2, 1),); "
    "from otpkeep_cli.main import main; main()"
)
"""The program, whose new slots cost as little as SPEC §9 allows: each later command then derives for 20 ms, not 150."""
PASSPHRASE = "correct horse battery staple"
TIMEOUT_S = 60
_ANSWERS_WITHIN_S = 20


@dataclass(frozen=True, slots=True)
class Result:
    """How one command ended: exit code, standard output and error."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The value on standard output, which must be exactly one JSON document."""
        return json.loads(self.out)

    @property
    def error(self) -> Mapping[str, Any]:
        """The error under --json, which must have its three keys."""
        error: Mapping[str, Any] = self.json["error"]
        assert {"kind", "message", "hint"} <= error.keys()
        return error

    def ok(self) -> Result:
        """Return this result, which must be one of success."""
        assert self.code == 0, (self.code, self.out, self.err)
        return self


def environment(**changes: str) -> dict[str, str]:
    """Return the environment of this process without what would steer otpkeep, with the packages on the path."""
    env = {key: value for key, value in os.environ.items() if not key.startswith("OTPKEEP_")}
    env["PYTHONPATH"] = os.pathsep.join([*PACKAGES, *filter(None, [env.get("PYTHONPATH")])])
    if env.pop("PYTHONDONTWRITEBYTECODE", None):
        env["PYTHONPYCACHEPREFIX"] = str(BYTECODE)
    return env | changes


def run_program(
    words: Sequence[str], env: Mapping[str, str], stdin: bytes | None = None, program: Sequence[str] = PROGRAM
) -> Result:
    """Run the program with no terminal in sight; without `stdin` its standard input is empty."""
    done = subprocess.run(
        [*program, *words],
        env=env,
        input=stdin or b"",
        capture_output=True,
        timeout=TIMEOUT_S,
        check=False,
        start_new_session=True,
    )
    return Result(done.returncode, done.stdout.decode(), done.stderr.decode())


class Device:
    """One device with its home, its folder and a file that holds its passphrase."""

    def __init__(self, home: Path, folder: Path, passphrase: str = PASSPHRASE) -> None:
        self.home, self.folder = home, folder
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.mkdir(parents=True, exist_ok=True)
        self.passphrase_file = secret_file(home.parent / f"{home.name}.passphrase", passphrase)

    @property
    def env(self) -> dict[str, str]:
        """The environment of this device's commands."""
        return environment(OTPKEEP_HOME=str(self.home), OTPKEEP_PASSPHRASE_FILE=str(self.passphrase_file))

    def run(
        self,
        *words: str | Path,
        json: bool = True,
        stdin: bytes | None = None,
        env: Mapping[str, str | None] | None = None,
    ) -> Result:
        """Run a command, with --json unless told otherwise; `env` changes variables, None taking one away."""
        changed = {**self.env, **(env or {})}
        kept = {key: value for key, value in changed.items() if value is not None}
        return run_program([*map(str, words), *(["--json"] if json else [])], kept, stdin)

    def init(self) -> Any:
        """Make a vault in the folder, with a passphrase that is cheap to try, and return what init answers."""
        words = ["init", "--folder", str(self.folder), "--device", self.home.name, "--json"]
        return run_program(words, self.env, program=(sys.executable, "-c", CHEAPLY)).ok().json

    def recover(self) -> Any:
        """Become a device of the folder's vault and return what recover answers."""
        return self.run("recover", self.folder, "--device", self.home.name).ok().json

    def add(self, uri: str, *words: str) -> Any:
        """Add an account and return what add answers."""
        return self.run("add", "-", *words, stdin=uri.encode()).ok().json

    @contextmanager
    def daemon(self, **env: str) -> Iterator[subprocess.Popen[bytes]]:
        """Run the daemon until the end of the block, where it must stop cleanly on SIGTERM."""
        log = (self.home.parent / f"{self.home.name}.log").open("ab")
        with (
            log,
            subprocess.Popen(
                [*PROGRAM, "daemon", "run"],
                env=self.env | env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            ) as process,
        ):
            try:
                self._await_daemon(process)
                yield process
            finally:
                if process.poll() is None:
                    process.send_signal(signal.SIGTERM)
                process.wait(TIMEOUT_S)

    def _await_daemon(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + _ANSWERS_WITHIN_S
        while time.monotonic() < deadline:
            assert process.poll() is None, "the daemon ended at once"
            found = self.run("status")
            if found.code == 0 and found.json["daemon"]["running"]:
                return
            time.sleep(0.05)  # between two looks at the condition
        raise AssertionError("the daemon did not answer in time")


def secret_file(path: Path, text: str) -> Path:
    """Write a file that only its owner may read, as otpkeep wants secret files to be."""
    path.touch(mode=0o600)
    path.write_text(text, encoding="utf-8")
    return path


def only(device: Device, *words: str) -> Any:
    """The one account that `list` prints."""
    (item,) = device.run("list", *words).ok().json
    return item
