"""Time travel on three devices: random edits, deletes, undos, redos and restores, in every order.

`TimeTravel` adds them to the hostile cloud of test_convergence: what was at a moment is equal, byte for byte, on every
device that holds the same events, and what an independent oracle makes of the events. `WalkingBack` lets devices meet
as they like, but whole, as people's devices do, and then takes back everything since a moment that all had reached.
"""

from __future__ import annotations

from contextlib import ExitStack, nullcontext

from hypothesis import note
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from otpkeep_daemon import travel
from otpkeep_daemon.imports import Import
from otpkeep_protocol.context import Forks
from otpkeep_protocol.errors import NotFound, Refused
from otpkeep_protocol.events import Event
from otpkeep_protocol.moments import Moment, as_of_event, as_of_time
from otpkeep_protocol.state import encode
from otpkeep_protocol.undone import undoable, undoes, undone
from otpkeep_protocol.view import views
from support_convergence import Convergence, profile
from support_oracle import assert_state
from support_travel import assert_seen, commit, log_of, restore, restore_all, sight, undo
from support_vault import Device, deliver, edit, hotp, new_world, totp

DEVICES = 3
which = st.integers(0, DEVICES)
picks = st.integers(0, 2**32)
words = st.sampled_from(["red", "green", "blue", "white"])
fields = st.sampled_from(["name", "issuer", "note", "position"])


class TimeTravel(Convergence):
    """See the module."""

    def events(self, device: Device) -> list[Event]:
        return sorted((e for e in log_of(device) if undoable(e)), key=lambda e: e.hash)

    @rule(number=which, pick=picks, force=st.booleans())
    def undo_some(self, number: int, pick: int, force: bool) -> None:
        device = self.device(number)
        if events := self.events(device):
            target = events[pick % len(events)]
            try:
                self.recorded(device, lambda: undo(device, target, force=force))
            except Refused:
                assert not force
            else:
                assert target.hash in undone(log_of(device, target.account.hex() if target.account else ""))

    @rule(number=which)
    def undo_newest(self, number: int) -> None:
        device = self.device(number)
        try:
            self.recorded(device, lambda: undo(device))
        except NotFound:
            own = device.store.need("device")
            writers = {writer for writer, owner in device.store.writers().items() if owner == own}
            mine = [e for e in self.events(device) if e.dot.writer in writers and undoes(e) is None]
            assert all(e.hash in undone(log_of(device, (e.account or b"").hex())) for e in mine)
        except Refused as refusal:
            note(refusal.message)

    @rule(number=which, pick=picks, by_time=st.booleans(), everything=st.booleans())
    def restore_to_some_moment(self, number: int, pick: int, by_time: bool, everything: bool) -> None:
        device = self.device(number)
        events = self.events(device)
        if not events:
            return
        event, forks = events[pick % len(events)], device.replica.chains.forks
        then = (
            as_of_time(device.replica.archive.events(), event.wall, forks)
            if by_time
            else as_of_event(device.replica.archive.events(), event, forks)
        )
        if everything:
            self.recorded(device, lambda: restore_to(device, then))
            assert_seen(device.replica.state, sight(then.state))
            assert not any(shown.conflicts for shown in views(device.replica.state) if not shown.deleted)

    def settle(self) -> None:
        super().settle()
        for event in list(getattr(self, "facts", {}).values())[::7]:
            self.assert_alike(event.event)

    def assert_alike(self, event: Event) -> None:
        """What was right after an event, and at its time, is alike everywhere, and what the oracle says."""
        facts = self.facts
        after = [
            as_of_event(reversed(list(d.replica.archive.events())), event, forks_of(d)) for d in self.world.devices
        ]
        at = [as_of_time(d.replica.archive.events(), event.wall, forks_of(d)) for d in self.world.devices]
        assert len({encode(moment.state) for moment in after}) == 1
        assert len({encode(moment.state) for moment in at}) == 1
        seen = {event.hash} | facts[event.hash].held
        assert_state(after[0].state, [facts[digest] for digest in seen])
        early = [fact for fact in facts.values() if fact.event.wall <= event.wall]
        held = {fact.event.hash for fact in early}.union(*(fact.held for fact in early))
        assert_state(at[0].state, [facts[digest] for digest in held])


def restore_to(device: Device, then: Moment) -> list[Event]:
    made = travel.restoring_all_to(device.accounts, then)
    assert made.left_out == []
    return commit(device, made)


def forks_of(device: Device) -> Forks:
    return device.replica.chains.forks


class WalkingBack(RuleBasedStateMachine):
    """See the module. `mark` is the moment to go back to: what was seen, and which events there were."""

    @initialize()
    def set_up(self) -> None:
        self.rooms = ExitStack()
        self.world = self.rooms.enter_context(new_world())
        for number in range(DEVICES):
            device = self.world.device(f"device {number}")
            device.clock.ms += (number - 1) * 3_600_000
        self.set_mark()

    def teardown(self) -> None:
        with getattr(self, "rooms", nullcontext()):
            if hasattr(self, "world"):
                self.take_everything_back(0)

    def device(self, number: int) -> Device:
        device = self.world.devices[number % len(self.world.devices)]
        device.clock.ms += 1000
        return device

    def accounts(self, device: Device, *, deleted: bool = False) -> list[str]:
        return sorted(shown.account.hex() for shown in device.accounts.views() if shown.deleted == deleted)

    @rule(number=which, word=words, counted=st.booleans())
    def add_account(self, number: int, word: str, counted: bool) -> None:
        device = self.device(number)
        secret = device.random(10)
        device.add(word, otp=hotp(secret, 5) if counted else totp(secret))

    @rule(number=which, pick=picks, word=words)
    def import_entry(self, number: int, pick: int, word: str) -> None:
        device = self.device(number)
        entry = {"fields": {"otp": totp(b"imported"), "name": word}, "identity": ["aegis", "1"], "label": "x"}
        made = Import(device.accounts, placeholder=False).plan([entry])
        if made.drafts:
            device.replica.commit(made.drafts, made.secrets)

    @rule(number=which, pick=picks, word=words, name=fields)
    def edit_field(self, number: int, pick: int, word: str, name: str) -> None:
        device = self.device(number)
        if living := self.accounts(device):
            device.change(living[pick % len(living)], **{name: pick % 5 if name == "position" else word})

    @rule(number=which, pick=picks, digits=st.integers(6, 8))
    def edit_otp(self, number: int, pick: int, digits: int) -> None:
        device = self.device(number)
        if living := [a for a in self.accounts(device) if "otp" in device.values(a)]:
            device.change(living[pick % len(living)], otp={"digits": digits})

    @rule(number=which, pick=picks)
    def use_counter(self, number: int, pick: int) -> None:
        device = self.device(number)
        if counted := sorted(
            v.account.hex() for v in device.accounts.views() if v.counter is not None and not v.deleted
        ):
            device.accounts.code(counted[pick % len(counted)], at=0, peek=False)

    @rule(number=which, pick=picks)
    def delete(self, number: int, pick: int) -> None:
        device = self.device(number)
        if living := self.accounts(device):
            device.accounts.remove(living[pick % len(living)])

    @rule(number=which, pick=picks, word=words)
    def revive(self, number: int, pick: int, word: str) -> None:
        device = self.device(number)
        if deleted := self.accounts(device, deleted=True):
            device.commit(edit(bytes.fromhex(deleted[pick % len(deleted)]), name=word))

    @rule(number=which, pick=picks, force=st.booleans())
    def undo_or_redo(self, number: int, pick: int, force: bool) -> None:
        device = self.device(number)
        if events := [e for e in log_of(device) if undoable(e)]:
            try:
                undo(device, events[pick % len(events)], force=force)
            except Refused:
                assert not force

    @rule(number=which, pick=picks)
    def restore_one(self, number: int, pick: int) -> None:
        device = self.device(number)
        if events := [e for e in log_of(device) if undoable(e)]:
            event = events[pick % len(events)]
            assert event.account is not None
            restore(device, event.account.hex(), event.wall)

    @rule(number=which, pick=picks)
    def restore_everything(self, number: int, pick: int) -> None:
        device = self.device(number)
        if events := [e for e in log_of(device) if undoable(e)]:
            event = events[pick % len(events)]
            restore_all(device, event.wall)
            then = as_of_time(device.replica.archive.events(), event.wall, forks_of(device))
            assert_seen(device.replica.state, sight(then.state))

    @rule(giver=which, taker=which)
    def meet(self, giver: int, taker: int) -> None:
        there, here = self.device(giver), self.device(taker)
        there.run()
        deliver(there, here)
        here.run()

    @precondition(lambda self: len(self.world.devices) == DEVICES)
    @rule(number=which)
    def clone(self, number: int) -> None:
        self.world.sync()
        self.world.clone(self.device(number), "clone")

    @rule()
    def set_mark(self) -> None:
        self.world.sync()
        self.mark = sight(self.world.devices[0].replica.state), self.world.devices[0].held()

    @rule(number=which)
    def take_everything_back(self, number: int) -> None:
        """Undo all that came after the mark, newest first; nothing may stand in the way."""
        self.world.sync()
        device, (seen, held) = self.device(number), self.mark
        for event in [e for e in log_of(device) if undoable(e) and e.hash not in held]:
            undo(device, event)
        assert_seen(device.replica.state, seen)
        self.world.sync()
        assert len({each.state() for each in self.world.devices}) == 1
        self.set_mark()


TestTimeTravel = TimeTravel.TestCase
TestTimeTravel.settings = profile(100)
TestWalkingBack = WalkingBack.TestCase
TestWalkingBack.settings = profile(100)
