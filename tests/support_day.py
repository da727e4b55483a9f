"""A daemon without threads, for simulated days: the real service, folder, jobs and alarms under a clock that is set."""

from __future__ import annotations

import datetime
import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from otpkeep_daemon import device as device_secrets
from otpkeep_daemon.alarms import Notice
from otpkeep_daemon.calls import call
from otpkeep_daemon.config import Config
from otpkeep_daemon.folder import RealFolder
from otpkeep_daemon.jobs import Job, Record, Timetable
from otpkeep_daemon.maintenance import Maintenance
from otpkeep_daemon.own_vault import OwnVault
from otpkeep_daemon.service import Service
from otpkeep_protocol.errors import OtpkeepError
from support_vault import Device, World, publish_slots

MIDNIGHT_MS = 1_700_006_400_000
HOUR_MS = 3_600_000
Act = Callable[[], object]


@dataclass(frozen=True, slots=True)
class Disk:
    """What a disk is measured as, in bytes."""

    total: int = 10**12
    free: int = 5 * 10**11


@dataclass(slots=True)
class Seen:
    """What came of it: each run of a job and each notice, with the simulated time of day."""

    runs: list[tuple[str, str]] = field(default_factory=list)
    notices: list[tuple[str, str, str]] = field(default_factory=list)
    facts: list[Mapping[str, Any]] = field(default_factory=list)

    def times(self, job: str) -> list[str]:
        """Return when a job ran."""
        return [at for at, name in self.runs if name == job]


class Day:
    """One device from midnight on. `config` and `disk` may be set at any time, and take effect at once."""

    def __init__(self, world: World, path: Path, **config: Any) -> None:
        self.config = replace(Config(), **config)
        self.disk = Disk()
        self.seen = Seen()
        self.broken = False
        self.folder = path / "folder"
        self.folder.mkdir()
        self._path = path
        self.device = self._set_up(world)
        self._plans: list[tuple[int, Act]] = []
        self._numbers = itertools.count()
        self.restart()

    def _set_up(self, world: World) -> Device:
        device = world.device("laptop", introduced=False)
        device.clock.ms = MIDNIGHT_MS
        publish_slots(device)
        device.introduce()
        with device.store.transaction():
            device.store.put("folder", str(self.folder).encode())
            device.store.put("folder.device", str(self.folder.stat().st_dev).encode())
        return device

    def restart(self) -> None:
        """Forget all that is only in memory, as a daemon that is started anew."""
        device = self.device
        own = OwnVault(self._path / "own.json", device.random)
        folder = RealFolder(self.folder, "ab12")
        self.service = Service(device.store, folder, own, device.around, pid=1, config=lambda: self.config)
        self.service.unlock(device_secrets.unlock(device.store, device.ring))
        self.maintenance = Maintenance(
            self.service, lambda: self.config, look=self._look, tell=self._tell, measure=lambda _path: self.disk
        )
        jobs = {
            "look": Job(self._look, lambda config: config.look_every_s),
            "broken": Job(self._broken, lambda _config: 3600.0),
            **self.maintenance.jobs(),
        }
        record = Record(self.service.store, self.service.lock)
        self.timetable = Timetable(jobs, record, lambda: self.config, lambda: device.clock.ms / 1000)
        self.service.jobs = lambda: record.rows(self.timetable.due())
        self.service.more_problems = lambda: record.problems() + self.maintenance.problems()

    # time

    def at(self, hour: float, act: Act) -> None:
        """Have something happen at that time of the day, before the jobs of that moment."""
        self._plans.append((MIDNIGHT_MS + int(hour * HOUR_MS), act))
        self._plans.sort(key=lambda plan: plan[0])

    def until(self, hour: float) -> None:
        """Let time pass: whatever is due happens at its moment, one after the other."""
        clock, end = self.device.clock, MIDNIGHT_MS + int(hour * HOUR_MS)
        while True:
            due = {name: round(when * 1000) for name, when in self.timetable.due().items()}
            name = min(due, key=lambda job: (due[job], job))
            moment = min([max(due[name], clock.ms), *(when for when, _ in self._plans)])
            if moment >= end:
                clock.ms = end
                return
            clock.ms = max(clock.ms, moment)
            if self._plans and self._plans[0][0] <= clock.ms:
                self._plans.pop(0)[1]()
                continue
            self.seen.runs.append((self.time, name))
            self.timetable.run(name)

    def sleep(self, hours: float) -> None:
        """Let time pass in which the machine does nothing."""
        self.device.clock.ms += int(hours * HOUR_MS)

    @property
    def time(self) -> str:
        """The simulated time of the day."""
        moment = datetime.datetime.fromtimestamp(self.device.clock.ms / 1000, datetime.UTC)
        return moment.strftime("%H:%M")

    # what happens

    def status(self) -> dict[str, Any]:
        """Return what `status` shows."""
        found: dict[str, Any] = call(self.service, "status", {})
        return found

    def kinds(self) -> list[str]:
        """Return the kinds of the problems in `status`."""
        return sorted(problem["kind"] for problem in self.status()["problems"])

    def edit(self, count: int) -> None:
        """Make edits as a person does, spread over a few accounts."""
        if not hasattr(self, "_accounts"):
            self._accounts = [self.device.add(f"account {n}") for n in range(5)]
            self.restart()
        for number in itertools.islice(self._numbers, count):
            fields = {"note": f"edit {number}"}
            args = {"account": self._accounts[number % 5], "fields": fields, "otp": {}, "placeholder": False}
            call(self.service, "edit", args)

    def away(self) -> None:
        """Take the folder away, as an unplugged disk."""
        self.folder.rename(self.folder.with_name("unplugged"))

    def back(self) -> None:
        """Bring it back."""
        self.folder.with_name("unplugged").rename(self.folder)

    def join(self, world: World, label: str) -> Device:
        """Have another device become one of the vault, and its files arrive in the folder."""
        other = world.device(label, introduced=False)
        other.clock.ms = self.device.clock.ms
        other.introduce()
        other.run()
        for name in other.folder.names():
            (self.folder / name).write_bytes(other.folder.read(name) or b"")
        return other

    def _look(self) -> None:
        self.service.look_at_files()
        self.service.engine.run()

    def _broken(self) -> None:
        if self.broken:
            raise OtpkeepError("the machine under it is broken", "Mend it.")

    def _tell(self, notice: Notice, document: Mapping[str, Any]) -> None:
        self.seen.notices.append((self.time, document["state"], notice.kind))
        self.seen.facts.append(document)
