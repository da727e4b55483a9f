"""Clocks a hundred years off, running backwards or standing still: no edit is lost, and nothing is removed early."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from otpkeep_daemon import clocks
from otpkeep_daemon.clocks import Anchor, Reading
from otpkeep_daemon.compactor import Compactor
from otpkeep_daemon.engine import PASSING
from support_restore import ask
from support_vault import DAY_MS, START_MS, Device, World

CENTURY_MS = 36_525 * DAY_MS
QUARANTINE_S = 14 * 24 * 3600

WRONG: dict[str, Callable[[int, int], int]] = {
    "right": lambda true, _step: true,
    "a century ahead": lambda true, _step: true + CENTURY_MS,
    "a century behind": lambda true, _step: true - CENTURY_MS,
    "running backwards": lambda true, step: 2 * START_MS - true - step * DAY_MS,
    "frozen": lambda _true, _step: START_MS,
    "set to and fro": lambda true, step: true + (CENTURY_MS if step % 2 else -CENTURY_MS),
    "set ahead in mid-run": lambda true, step: true + (CENTURY_MS if step > 4 else 0),
}
"""What a clock shows at a true time (ms), in this step of the story."""


@dataclass
class Story:
    """Two devices that edit, delete, undo, compact and beat, days apart, each by a clock of its own."""

    world: World
    laptop: Device
    phone: Device
    shows: tuple[Callable[[int, int], int], Callable[[int, int], int]]
    now: int = START_MS
    step: int = 0
    anchors: dict[str, Anchor | None] = field(default_factory=dict)
    published: dict[str, int] = field(default_factory=dict)
    removed: int = 0

    def go_on(self, *, days: float = 0.5) -> None:
        self.step += 1
        self.now += int(days * DAY_MS)
        for device, shown in zip((self.laptop, self.phone), self.shows, strict=True):
            device.clock.ms = shown(self.now, self.step)
        self.world.sync()
        self.note()
        assert self.laptop.state() == self.phone.state()
        assert self.laptop.held() == self.phone.held()

    def note(self) -> None:
        """Note since when each file is in the folder of either device."""
        for device in (self.laptop, self.phone):
            for name in device.folder.names():
                self.published.setdefault(name, self.now)

    def compact(self, device: Device) -> None:
        """Compact as the daemon does, which knows whether its clock was moved since the machine was started."""
        anchor = self.anchors.get(device.label)
        reading = Reading(device.clock.ms, self.now - START_MS + DAY_MS, "boot")
        self.anchors[device.label], moved = clocks.follow(anchor, reading)
        before = set(device.folder.names()) - {file.name for kind in PASSING for file in device.store.files_of(kind)}
        compactor = Compactor(device.engine, device.folder, device.replica, QUARANTINE_S)
        compactor.run(fanout=2, clock_moved=moved != 0)
        for name in before - set(device.folder.names()):
            self.removed += 1
            assert self.now - self.published[name] >= QUARANTINE_S * 1000, f"{name} went early"
        self.note()


CASES = [(one, "right") for one in WRONG] + [("a century ahead", "a century behind")]


@pytest.mark.parametrize(("laptops", "phones"), CASES, ids=[f"{one}, {other}" for one, other in CASES])
def test_no_edit_is_lost_and_nothing_goes_early(
    world: World, laptop: Device, phone: Device, laptops: str, phones: str
) -> None:
    story = Story(world, laptop, phone, (WRONG[laptops], WRONG[phones]))
    story.go_on()
    # given: edits of every kind, each of which the other device has seen before it answers
    kept, gone, back = (laptop.add(name) for name in ("kept", "gone", "back"))
    story.go_on()
    phone.change(kept, note="first")
    story.go_on()
    laptop.change(kept, note="second")
    ask(phone, "rm", account=gone)
    ask(laptop, "rm", account=back)
    story.go_on()
    ask(laptop, "undo", event=None, force=False)
    story.go_on()
    phone.change(kept, note="third")
    story.go_on()
    # then: what was seen before loses to what was written after, whatever the clocks say
    for device in (laptop, phone):
        assert device.names() == ["back", "kept"]
        assert device.values(kept)["note"] == "third"
        assert device.accounts.view(bytes.fromhex(kept)).conflicts == {}
    # when: many files are merged, and replaced ones may go one day
    for number in range(12):
        for device in (laptop, phone):
            device.add(f"{device.label} {number}")
            device.run()
    for _ in range(10):
        for device in (laptop, phone):
            story.compact(device)
        story.go_on(days=3)
    # then
    assert story.removed > 0 or laptops != "right"
    everything = {"back", "kept", *(f"{d.label} {n}" for d in (laptop, phone) for n in range(12))}
    fresh = world.device("tablet", introduced=False)
    for name in phone.folder.names():
        fresh.folder.put(name, phone.folder.read(name) or b"")
    fresh.run()
    for device in (laptop, phone, fresh):
        assert set(device.names()) == everything
        assert device.replica.chains.missing() == {}
    assert fresh.held() == laptop.held()
