"""The harness of support_faults.py for what a daemon does: strace is attached to it while it works.

One daemon that is unlocked once meets many faults, since it must live on after each that does not kill it:

    with at_work(device) as daemon:
        daemon.withstand(lambda number: add(device, number), most=24)

Calls are counted from the moment at which strace is attached, which is when the daemon has nothing to do.
"""

from __future__ import annotations

import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from otpkeep_cli.failure import error_json, exit_code
from otpkeep_daemon import access
from otpkeep_daemon.formats.otpauth_uri import parse_uri
from otpkeep_daemon.paths import Paths
from otpkeep_protocol.control import Call
from otpkeep_protocol.errors import Busy, OtpkeepError
from support_cli import Device, Result
from support_faults import judge
from support_strace import KILL, Fault, chosen, faults, paths_in, places_in, strace, was_hit
from support_system import answers, eventually, killed_at_the_end, launch, uri

Act = Callable[[int], object]
"""Has the daemon do something; the number makes each time another thing. OtpkeepError if the daemon says so."""


@contextmanager
def asking(device: Device) -> Iterator[Call]:
    """Yield the operations of the daemon that runs unlocked for a device, over its socket; Busy if none does."""
    with access.daemon(Paths.from_environment({"OTPKEEP_HOME": str(device.home)})) as call:
        if call is None:
            raise Busy("no daemon listens")
        yield call


def add(device: Device, number: int) -> Any:
    """Have the daemon add an invented account; return what it answers."""
    with asking(device) as call:
        return call("add", {"fields": parse_uri(uri(number)).to_fields(), "placeholder": False})


@dataclass(slots=True)
class Daemon:
    """A daemon that is hit while it works; `own` are the directories whose calls count."""

    device: Device
    own: Sequence[Path]
    process: subprocess.Popen[bytes]
    acknowledged: set[int] = field(default_factory=set)
    failed: set[int] = field(default_factory=set)
    hit: int = 0
    missed: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def withstand(self, act: Act, settled: Callable[[int], bool], *, most: int, kills: int) -> None:
        """Have `act` hit by about `most` errors and `kills` kills; `settled` tells that a number's act is through."""
        places, paths = self._places(act, settled)
        every = faults(places)
        errors, deaths = ([f for f in every if (f.what == KILL) is kill] for kill in (False, True))
        taken = [*chosen(errors, most), *chosen(deaths, kills)]
        for number, fault in enumerate(taken, 1):
            try:
                self._strike(act, number, fault, paths)
                eventually(lambda number=number: number in self.failed or settled(number), "the daemon goes on")  # type: ignore[misc]
            except (AssertionError, OtpkeepError) as error:
                self.wrong.append(f"{fault}: {type(error).__name__}: {error}")
        print(f"{len(taken)} of {len(every)} faults; missed: {', '.join(self.missed) or 'none'}")
        assert self.wrong == [], "\n".join([f"{len(self.wrong)} of {len(taken)}", *self.wrong])
        assert self.hit > len(taken) / 2

    def _places(self, act: Act, settled: Callable[[int], bool]) -> tuple[Sequence[Any], Sequence[str]]:
        with _traced(self.process, None, ()) as lines:
            act(0)
            eventually(lambda: settled(0), "an undisturbed daemon does it")
        self.acknowledged.add(0)
        return places_in(lines, self.own), paths_in(lines, self.own)

    def _strike(self, act: Act, number: int, fault: Fault, paths: Sequence[str]) -> None:
        with _traced(self.process, fault, paths) as lines:
            try:
                act(number)
                self.acknowledged.add(number)
            except OtpkeepError as error:
                self.failed.add(number)
                if not (fault.what == KILL and isinstance(error, Busy)):
                    judge(Result(exit_code(error.kind), error_json(error), ""), fault.what)
        killed = self._is_dead() if fault.what == KILL else False
        if was_hit(lines, fault, self.own, killed=killed):
            self.hit += 1
        else:
            self.missed.append(str(fault))
        if killed:
            self.process = launch(self.device)
            eventually(lambda: answers(self.device), "the daemon is there again")
        assert self.process.poll() is None, "the daemon has ended"

    def _is_dead(self) -> bool:
        try:
            return self.process.wait(0.3) == -signal.SIGKILL
        except subprocess.TimeoutExpired:
            return False


@contextmanager
def at_work(device: Device, *more: Path) -> Iterator[Daemon]:
    """Run a daemon that is to be hit; at the end it stops as always."""
    daemon = Daemon(device, (device.home, device.folder, *more), launch(device))
    try:
        eventually(lambda: answers(device), "the daemon answers")
        yield daemon
        daemon.process.terminate()
        assert daemon.process.wait(60) == 0
    finally:
        with killed_at_the_end(daemon.process):
            pass


@contextmanager
def _traced(process: subprocess.Popen[bytes], fault: Fault | None, paths: Sequence[str]) -> Iterator[list[str]]:
    """Have strace attached to a process and its threads during the block; the lines of its log are there after it."""
    lines: list[str] = []
    with tempfile.NamedTemporaryFile(mode="r", suffix=".strace") as log:
        words = strace(log.name, fault, paths, attached=process.pid)
        with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as tracer:
            eventually(lambda: _is_traced(process.pid) or tracer.poll() is not None, "strace is attached")
            try:
                yield lines
            finally:
                _detach(tracer)
        lines += log.read().splitlines()


def _detach(tracer: subprocess.Popen[bytes]) -> None:
    """End strace; one whose process was killed may wait for its threads for ever."""
    tracer.terminate()
    try:
        tracer.communicate(timeout=0.2)
    except subprocess.TimeoutExpired:
        tracer.kill()
        tracer.communicate()


def _is_traced(pid: int) -> bool:
    """Tell whether each thread of a process has a tracer (proc(5))."""
    states = [task.read_text() for task in Path(f"/proc/{pid}/task").glob("*/status")]
    return all("TracerPid:\t0\n" not in state for state in states)
