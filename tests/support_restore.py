"""Images of a device as backups keep them, restored whole or in part, and every file that was ever in a folder."""

from __future__ import annotations

import copy
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from otpkeep_daemon import problems
from otpkeep_daemon.calls import call
from otpkeep_daemon.memory_folder import MemoryFolder
from otpkeep_daemon.own_vault import OwnVault
from otpkeep_daemon.service import Service
from otpkeep_protocol import sealing
from otpkeep_protocol.ids import sha256
from support_vault import Clock, Device, World

MINUTE_MS = 60_000


class Recorded(MemoryFolder):
    """A folder that remembers every file that was ever put into it or another one with the same `ever`."""

    def __init__(self, tag: str, ever: dict[bytes, bytes]) -> None:
        super().__init__(tag)
        self.ever = ever

    def put(self, name: str, data: bytes) -> None:
        self.ever[sha256(data)] = data
        super().put(name, data)


@dataclass(frozen=True)
class Image:
    """A device's store and folder at one moment."""

    store: Path
    files: dict[str, bytes]


def save(device: Device, name: str = "image") -> Image:
    """Copy what the device has on its disk while it is stopped."""
    device.close()
    kept = device.path.parent / f"{device.label}-{name}"
    shutil.copytree(device.path, kept)
    device.open()
    return Image(kept, files_of(device.folder))


def files_of(folder: MemoryFolder) -> dict[str, bytes]:
    return {name: folder.read(name) or b"" for name in folder.names()}


def restore(device: Device, image: Image, *, store: bool = True, folder: bool = True) -> None:
    """Put the store, the folder or both back to what they were."""
    if store:
        device.close()
        shutil.rmtree(device.path)
        shutil.copytree(image.store, device.path)
    if folder:
        roll_back(device.folder, image.files)
    if store:
        device.open()


def roll_back(folder: MemoryFolder, files: dict[str, bytes]) -> None:
    """Have the folder hold these files and no other."""
    for name in set(folder.names()) - files.keys():
        folder.take(name)
    for name, data in files.items():
        if folder.read(name) != data:
            folder.put(name, data)


def copy_device(world: World, device: Device, label: str, *, same_random: bool = False) -> Device:
    """Copy a device's disk to another machine, its random generator as well if asked; both go on."""
    image = save(device, label)
    folder = Recorded(label, device.folder.ever) if isinstance(device.folder, Recorded) else MemoryFolder(label)
    roll_back(folder, image.files)
    made = Device(image.store, label, folder, world.ring, Clock(device.clock.ms))
    if same_random:
        made.random.__dict__.update(copy.deepcopy(device.random.__dict__))
    world.devices.append(made)
    return made


def assert_no_salt_repeats(ever: dict[bytes, bytes]) -> None:
    """Each salt stands in the header of one file alone, whatever was lost, restored and written again."""
    salts = [sealing.read_header(data).salt for data in ever.values()]
    assert len(salts) > 3
    assert len(set(salts)) == len(salts)


def twice_made(devices: list[Device]) -> set[tuple[bytes, int]]:
    """Return the (writer, seq) that stand for two events, in all that the devices hold."""
    query = "SELECT DISTINCT writer, seq, hash FROM events"
    rows = {row for device in devices for row in device.store.rows(query)}
    places = [(writer, seq) for writer, seq, _ in rows]
    return {place for place in places if places.count(place) > 1}


def found(device: Device, kind: str, *, labels: bool = True) -> list[dict[str, str]]:
    """Return the problems of a kind that `status` shows."""
    accounts = device.accounts if device.engine.replica is not None else None
    shown = problems.problems(device.store, device.engine, accounts, device.clock.ms, labels=labels)
    return [problem for problem in shown if problem["kind"] == kind]


def messages(device: Device, kind: str) -> list[str]:
    return [problem["message"] for problem in found(device, kind)]


def ask(device: Device, op: str, /, **args: Any) -> Any:
    """Have the service of a device do what a command asks for."""
    service = Service(device.store, device.folder, OwnVault(device.path / "v.json", device.random), device.around)
    service.engine = device.engine
    service.pid = os.getpid()
    service.unlock(device.replica.keys)
    service.accounts = device.accounts
    device.engine.replica = device.replica
    return call(service, op, args)


def look(device: Device, times: int = 1, *, minutes: int = 1) -> None:
    """Make looks at the folder that are so far apart."""
    for _ in range(times):
        device.clock.ms += minutes * MINUTE_MS
        device.run()
