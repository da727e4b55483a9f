"""A hostile folder between devices that go on editing: in the end it becomes honest, and nothing is lost or invented.

What happens to files, on each device's side: cut short, filled with zeros, put under another's name, renamed, doubled
under the spellings of all clients, removed, brought back, put away as placeholders, the whole folder copied into
itself, and the folder gone. Files also arrive late, in part, twice and out of order, as in `Convergence`.
"""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule

from otpkeep_daemon.healing import AT_ONCE
from otpkeep_protocol.errors import Unreachable
from otpkeep_protocol.ids import sha256
from otpkeep_protocol.naming import file_name
from otpkeep_protocol.plan import PATIENCE_S
from support_convergence import SPELLINGS, Convergence, picks, which
from support_vault import Device, deliver

HARM = {
    "emptied": lambda data: b"",
    "one byte": lambda data: data[:1],
    "header only": lambda data: data[:109],
    "half": lambda data: data[: len(data) // 2],
    "last byte missing": lambda data: data[:-1],
    "zeros": lambda data: bytes(len(data)),
    "half zeros": lambda data: data[: len(data) // 2] + bytes(len(data) - len(data) // 2),
    "bit flipped": lambda data: data[:-1] + bytes(byte ^ 1 for byte in data[-1:]),
}
"""What clients and disks make of a file in place."""
spellings = st.sampled_from(SPELLINGS)


class HostileFolder(Convergence):
    """See the module. `whole` has the bytes of every file that a device ever wrote, by the name that they stand for."""

    def __init__(self) -> None:
        super().__init__()
        self.whole: dict[str, bytes] = {}

    # helpers

    @invariant()
    def what_devices_wrote_is_known(self) -> None:
        for device in self.world.devices if hasattr(self, "world") else []:
            self.remember(device)

    def recorded(self, device: Device, act: Any) -> Any:
        result = super().recorded(device, act)
        self.remember(device)
        return result

    def harmed(self, number: int) -> Device:
        """Return a device that has looked at all that is in its folder; what it published is known."""
        device = self.device(number)
        for _ in range(2):
            device.run()
        self.remember(device)
        return device

    def remember(self, device: Device) -> None:
        for file in device.store.files():
            if file.name not in self.whole:
                self.whole[file.name] = device.store.data(file.hash)

    def some(self, device: Device, pick: int) -> str:
        """Return the name of some file in the folder, "" if there is none."""
        names = [name for name in device.folder.names() if name not in device.folder.evicted]
        return names[pick % len(names)] if names else ""

    def bytes_of(self, device: Device, name: str) -> bytes:
        data = device.folder.take(name) or b""
        device.folder.put(name, data)
        return data

    # what happens to files

    @rule(number=which, pick=picks, how=st.sampled_from(sorted(HARM)))
    def harm_a_file(self, number: int, pick: int, how: str) -> None:
        device = self.harmed(number)
        if name := self.some(device, pick):
            device.folder.put(name, HARM[how](self.bytes_of(device, name)))
            device.run()

    @rule(number=which, pick=picks, other=picks)
    def put_a_file_under_another_name_of_ours(self, number: int, pick: int, other: int) -> None:
        device = self.harmed(number)
        if name := self.some(device, pick):
            device.folder.put(name, self.bytes_of(device, self.some(device, other)))
            device.run()

    @rule(number=which, pick=picks, spelling=spellings)
    def rename_a_file(self, number: int, pick: int, spelling: str) -> None:
        device = self.harmed(number)
        if name := self.some(device, pick):
            device.folder.put(spelling.format(name.removesuffix(".otpk")), device.folder.take(name) or b"")
            device.run()

    @rule(number=which, pick=picks, other=picks, spelling=spellings, how=st.sampled_from(["another", *sorted(HARM)]))
    def make_two_of_one_name(self, number: int, pick: int, other: int, spelling: str, how: str) -> None:
        device = self.harmed(number)
        if name := self.some(device, pick):
            data = self.bytes_of(device, self.some(device, other) if how == "another" else name)
            made = data if how == "another" else HARM[how](data)
            device.folder.put(spelling.format(name.removesuffix(".otpk")), made)
            device.run()

    @rule(number=which, pick=picks)
    def remove_a_file(self, number: int, pick: int) -> None:
        device = self.harmed(number)
        if name := self.some(device, pick):
            device.folder.take(name)
            device.run()

    @rule(number=which, pick=picks)
    def resurrect_a_file(self, number: int, pick: int) -> None:
        device = self.harmed(number)
        gone = sorted(self.whole.keys() - set(device.folder.names()))
        if gone:
            name = gone[pick % len(gone)]
            device.folder.put(name, self.whole[name])
            device.run()

    @rule(number=which, spelling=spellings)
    def copy_the_folder_into_itself(self, number: int, spelling: str) -> None:
        device = self.harmed(number)
        names = [name for name in device.folder.names() if name in self.whole]
        if device.folder.reachable:
            deliver(device, device, names, lambda name: spelling.format(name.removesuffix(".otpk")))
            device.run()

    @rule(number=which, pick=picks, hidden=st.booleans())
    def evict_a_file(self, number: int, pick: int, hidden: bool) -> None:
        device = self.harmed(number)
        name = self.some(device, pick)
        if name and hidden and not name.endswith(".icloud"):
            device.folder.put(f".{name}.icloud", device.folder.take(name) or b"")
        elif name:
            device.folder.evicted.add(name)
        device.run()

    @rule(number=which)
    def bring_back_what_was_evicted(self, number: int) -> None:
        device = self.harmed(number)
        self.bring_back(device)
        device.run()

    @rule(number=which)
    def unmount_or_mount(self, number: int) -> None:
        device = self.device(number)
        device.folder.reachable = not device.folder.reachable
        outcome = device.run()
        assert device.folder.reachable or isinstance(outcome.trouble, Unreachable)

    # rules of the honest cloud that promise more than a hostile one keeps

    def lose_own_file(self, number: int, pick: int) -> None:
        """Removed here: `remove_a_file` takes any."""

    # promises

    def bring_back(self, device: Device) -> None:
        device.folder.evicted.clear()
        for name in device.folder.names():
            if name.endswith(".icloud"):
                device.folder.put(name[1:].removesuffix(".icloud"), device.folder.take(name) or b"")

    def settle(self) -> None:
        if not hasattr(self, "facts"):
            return
        for device in self.world.devices:
            device.folder.reachable = True
            self.assert_named(device)
        self.become_honest()
        super().settle()
        for device in self.world.devices:
            self.assert_named(device)

    def assert_named(self, device: Device) -> None:
        """What does not open for long is named in status, as are events that are waited for."""
        for _ in range(2):
            device.run()
            device.clock.ms += PATIENCE_S * 1000
        outcome = device.run()
        self.remember(device)
        if outcome.trouble is not None:
            assert {"unreachable", "folder-unreachable"} & {problem["kind"] for problem in device.problems()}
            return
        sound = {sha256(data) for data in self.whole.values()}
        present = [found.name for found in device.folder.look().files]
        broken = [name for name in present if sha256(self.bytes_seen(device, name)) not in sound]
        damaged = [problem for problem in device.problems() if problem["kind"] == "damaged"]
        if {problem["subject"] for problem in damaged} == {""}:
            assert int(damaged[0]["message"].split()[0]) >= len(broken)
        else:
            assert set(broken) <= {problem["subject"] for problem in damaged}
        gaps = {problem["subject"] for problem in device.problems() if problem["kind"] == "gap"}
        devices = device.store.writers()
        assert gaps == {devices.get(writer, writer).hex() for writer in device.replica.chains.missing()}

    def bytes_seen(self, device: Device, name: str) -> bytes:
        data = device.folder.read(name)
        assert data is not None
        return data

    def become_honest(self) -> None:
        """Bring everything back, have each device put right what it can, and carry what is whole everywhere."""
        for device in self.world.devices:
            self.bring_back(device)
            if device.run().trouble is not None:
                device.engine.adopt_folder()  # as the person does whom status asked for it
            with device.store.transaction():
                device.store.put(AT_ONCE, b"yes")  # as `accept-rollback` does: they need not wait days for it
            for _ in range(3):
                device.run()
        for source in self.world.devices:
            self.remember(source)
            names = [name for name in source.folder.names() if self.is_whole(source, name)]
            for target in self.world.devices:
                deliver(source, target, names)
        for device in self.world.devices:
            device.run()

    def is_whole(self, device: Device, name: str) -> bool:
        data = self.bytes_seen(device, name)
        return self.whole.get(file_name(data)) == data and (name not in self.whole or name == file_name(data))
