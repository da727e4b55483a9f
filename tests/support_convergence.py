"""Three devices and a hostile cloud: whatever happens between them, they end alike and nothing is lost.

Real stores, files and engines; each device has a folder of its own, and the machine is the cloud that carries files
between them: late, in part, twice, out of order, under the names of conflict copies. Devices compact, write and read
snapshots, are cloned and restored, and not all are of one version: what a newer one wrote with a critical feature waits
on the others until they are updated.
"""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, nullcontext
from dataclasses import replace
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from otpkeep_daemon.accounts import edit_draft
from otpkeep_daemon.engine import PASSING
from otpkeep_daemon.imports import Import
from otpkeep_daemon.memory import digest_of
from otpkeep_daemon.store import FOLDED
from otpkeep_protocol import content
from otpkeep_protocol.branches import unsettled
from otpkeep_protocol.chains import Chains
from otpkeep_protocol.events import Event
from otpkeep_protocol.ids import Dot
from otpkeep_protocol.state import State, decode, encode, fold
from otpkeep_protocol.view import is_account
from support_oracle import Fact, assert_state
from support_vault import DAY_MS, Device, edit, hotp, new_world, totp

DEVICES = 3
FEATURE = "merge"
"""A critical feature that only the last device understands at first."""
SPELLINGS = (
    "{0} (anna's conflicted copy 2026-01-02).otpk",
    "{0}-LAPTOP.otpk",
    "{0} (1).otpk",
    "{0} 2.otpk",
    "{0}.sync-conflict-20260102-030405-ABCDEFG.otpk",
    "{0} (conflicted copy 2026-01-02 030405).otpk",
    "{0}.otpk.conflict1",
)

SWEEP = 20
"""How many times as many examples a full sweep takes."""


def profile(examples: int) -> settings:
    """Return the settings of a machine that runs so many examples.

    With OTPKEEP_SWEEP=all they are SWEEP times as many, with a number at least that many.
    """
    wanted = os.environ.get("OTPKEEP_SWEEP") or "0"
    most = examples * SWEEP if wanted == "all" else max(examples, int(wanted))
    allowed = [*settings().suppress_health_check, HealthCheck.filter_too_much]
    return settings(max_examples=most, stateful_step_count=40, suppress_health_check=allowed)


which = st.integers(0, DEVICES)
picks = st.integers(0, 2**32)
words = st.sampled_from(["red", "green", "blue", "white"])


class Convergence(RuleBasedStateMachine):
    """See the module. `facts` is all that was ever acknowledged, for the oracle."""

    @initialize()
    def set_up(self) -> None:
        self.rooms = ExitStack()
        self.world = self.rooms.enter_context(new_world())
        self.facts: dict[bytes, Fact] = {}
        self.counts: dict[tuple[int, bytes, bytes], int] = {}
        self.critical: set[bytes] = set()
        for number in range(DEVICES):
            device = self.world.device(f"device {number}", introduced=False)
            device.clock.ms += (number - 1) * 3_600_000
            self.recorded(device, device.introduce)
        device.update(frozenset({FEATURE}))

    def teardown(self) -> None:
        with getattr(self, "rooms", nullcontext()):
            self.settle()

    # helpers

    def device(self, number: int) -> Device:
        return self.world.devices[number % len(self.world.devices)]

    def recorded(self, device: Device, act: Any) -> Any:
        """Do `act`, and note each event that it made with exactly what the device held before."""
        before, held = device.held(), self.held(device)
        result = act()
        new = device.held() - before
        made = [event for event in device.replica.archive.log(newest=False) if event.hash in new] if new else []
        for event in sorted(made, key=lambda event: event.dot.seq):
            assert event.problem is None
            assert event.hash not in self.facts
            self.facts[event.hash] = Fact(event, frozenset(held))
            held.add(event.hash)
        device.clock.ms += 1000
        return result

    def held(self, device: Device) -> set[bytes]:
        """Hashes of the events that a device holds: not of those that wait for its update."""
        waiting = {event for event, _ in device.store.events_that_need_update()}
        return device.held() - waiting

    def living(self, device: Device) -> list[str]:
        return sorted(v.account.hex() for v in device.accounts.views() if not v.deleted)

    def deleted(self, device: Device) -> list[str]:
        return sorted(v.account.hex() for v in device.accounts.views() if v.deleted)

    # edits

    @rule(number=which, word=words, counted=st.booleans())
    def add_account(self, number: int, word: str, counted: bool) -> None:
        device = self.device(number)
        secret = device.random(10)
        otp = hotp(secret, 5) if counted else totp(secret)
        self.recorded(device, lambda: device.add(word, otp=otp, issuer=word.upper()))

    @rule(number=which, pick=picks, word=words, name=st.sampled_from(["name", "issuer", "note"]))
    def edit_field(self, number: int, pick: int, word: str, name: str) -> None:
        device = self.device(number)
        if living := self.living(device):
            account = living[pick % len(living)]
            self.recorded(device, lambda: device.change(account, **{name: word}))

    @rule(number=which, pick=picks, place=st.integers(0, 3))
    def arrange(self, number: int, pick: int, place: int) -> None:
        device = self.device(number)
        if living := self.living(device):
            account = living[pick % len(living)]
            self.recorded(device, lambda: device.change(account, position=place))

    @rule(number=which, pick=picks, digits=st.integers(6, 8), renewed=st.booleans())
    def edit_otp(self, number: int, pick: int, digits: int, renewed: bool) -> None:
        device = self.device(number)
        whole = [account for account in self.living(device) if "otp" in device.values(account)]
        if whole:
            changes = {"digits": digits} | ({"secret": device.random(10)} if renewed else {})
            self.recorded(device, lambda: device.change(whole[pick % len(whole)], otp=changes))

    @rule(number=which, pick=picks)
    def delete(self, number: int, pick: int) -> None:
        device = self.device(number)
        if living := self.living(device):
            self.recorded(device, lambda: device.accounts.remove(living[pick % len(living)]))

    @rule(number=which, pick=picks)
    def revive(self, number: int, pick: int) -> None:
        device = self.device(number)
        if deleted := self.deleted(device):
            account = bytes.fromhex(deleted[pick % len(deleted)])
            self.recorded(device, lambda: device.commit(edit(account)))

    @rule(number=which, pick=picks)
    def use_counter(self, number: int, pick: int) -> None:
        device = self.device(number)
        counted = [v.account.hex() for v in device.accounts.views() if v.counter is not None and not v.deleted]
        if counted:
            account = sorted(counted)[pick % len(counted)]
            row = self.recorded(device, lambda: device.accounts.code(account, at=0, peek=False))
            assert device.accounts.view(bytes.fromhex(account)).counter == row["counter"] + 1

    @rule(number=which, pick=picks, word=words)
    def import_entry(self, number: int, pick: int, word: str) -> None:
        device = self.device(number)
        secret = f"imported {pick % 3}".encode()
        entry = {"fields": {"otp": totp(secret), "name": word}, "identity": ["aegis", str(pick % 3)], "label": "x"}
        made = Import(device.accounts, placeholder=False).plan([entry])
        assert made.skipped == []
        if made.drafts:
            self.recorded(device, lambda: device.replica.commit(made.drafts, made.secrets))

    # versions and compaction

    @rule(number=which, pick=picks, word=words)
    def edit_as_only_newer_versions_understand(self, number: int, pick: int, word: str) -> None:
        device = self.device(number)
        living = self.living(device)
        if device.understood and living:
            draft = edit_draft(bytes.fromhex(living[pick % len(living)]), {"name": word, "note": word})
            made = self.recorded(device, lambda: device.commit(replace(draft, critical=(FEATURE,))))
            self.critical.add(made.hash)

    @rule(number=which)
    def update(self, number: int) -> None:
        device = self.device(number)
        device.update(frozenset({FEATURE}))
        assert device.store.events_that_need_update() == []

    @rule(number=which, fanout=st.sampled_from([2, 8]), days=st.sampled_from([0, 14]))
    def compact(self, number: int, fanout: int, days: int) -> None:
        device = self.device(number)
        if device.run().trouble is None:
            before = device.state()
            self.recorded(device, lambda: device.compact(fanout=fanout, quarantine_ms=days * DAY_MS))
            assert device.state() == before

    @rule(number=which)
    def write_snapshot(self, number: int) -> None:
        """Write one long before it would pay."""
        device = self.device(number)
        replica, held = device.replica, digest_of(device.store.index())
        folded = replica.memory.folded
        if folded is not None and replica.chains.whole and device.store.all_bodied():
            seen = replica.chains.seen()
            made = content.make_snapshot(replica.keys.author, replica.keys.keyring.vault, encode(folded), seen)
            replica.keep("snapshot", made, also=lambda digest: device.store.put(FOLDED, digest + held))

    # the cloud

    @rule(giver=which, taker=which, seed=picks, share=st.sampled_from([0.3, 0.7, 1.0]))
    def carry_some(self, giver: int, taker: int, seed: int, share: float) -> None:
        chance = random.Random(seed)
        there, here = self.device(giver), self.device(taker)
        if not (there.folder.reachable and here.folder.reachable):
            return
        there.run()
        names = [name for name in there.folder.names() if chance.random() < share]
        chance.shuffle(names)
        for name in names:
            data = there.folder.read(name)
            if data is not None and here.folder.read(name) is None:
                here.folder.put(name, data)
        here.run()

    @rule(giver=which, taker=which, seed=picks)
    def carry_as_conflict_copy(self, giver: int, taker: int, seed: int) -> None:
        chance = random.Random(seed)
        there, here = self.device(giver), self.device(taker)
        if not (there.folder.reachable and here.folder.reachable):
            return
        names = there.folder.names()
        for name in chance.sample(names, min(2, len(names))):
            spelt = chance.choice(SPELLINGS).format(name.removesuffix(".otpk"))
            here.folder.put(spelt, there.folder.read(name) or b"")
        here.run()

    @rule(number=which, pick=picks)
    def lose_own_file(self, number: int, pick: int) -> None:
        device = self.device(number)
        device.run()
        device.run()
        passing = {file.name for kind in PASSING for file in device.store.files_of(kind)}
        own = [name for name in device.own_files() if device.folder.has(name) and name not in passing]
        if len(own) > 1:
            lost = own[pick % len(own)]
            data = device.folder.take(lost)
            for _ in range(9):  # a file that was lost before waits for longer, up to a week
                device.run()
                device.run()
                if device.folder.has(lost):
                    break
                device.clock.ms += DAY_MS
            assert any(device.folder.read(name) == data for name in device.folder.names())

    # the machine

    @rule(number=which)
    def restart(self, number: int) -> None:
        device = self.device(number)
        before = device.state()
        device.restart()
        assert device.state() == before

    @rule(number=which, days=st.integers(1, 3))
    def time_passes(self, number: int, days: int) -> None:
        device = self.device(number)
        device.clock.ms += days * DAY_MS
        device.run()

    @precondition(lambda self: len(self.world.devices) == DEVICES)
    @rule(number=which)
    def clone(self, number: int) -> None:
        if self.device(number).folder.reachable:
            self.world.clone(self.device(number), "clone")

    @rule(number=which, then_edit=st.booleans(), word=words)
    def roll_back(self, number: int, then_edit: bool, word: str) -> None:
        """Restore a device to what it was before its last edits, which its folder has."""
        device = self.device(number)
        if device.run().trouble is not None:  # then its folder would not get them
            return
        device.close()
        saved = self.world.path / "saved"
        shutil.copytree(device.path, saved)
        device.open()
        self.recorded(device, lambda: device.add(word))
        device.run()
        assert not device.engine.waiting()
        device.close()
        shutil.rmtree(device.path)
        saved.rename(device.path)
        device.open()
        self.counts = {key: count for key, count in self.counts.items() if key[0] != id(device)}
        if then_edit:
            self.recorded(device, lambda: device.add(word))
        device.run()

    # promises

    @invariant()
    def no_dot_is_made_twice(self) -> None:
        dots = [fact.event.dot for fact in getattr(self, "facts", {}).values()]
        assert len(set(dots)) == len(dots)

    @invariant()
    def no_counter_is_lowered(self) -> None:
        for device in self.world.devices if hasattr(self, "world") else []:
            for account, subject in device.replica.state.subjects.items():
                for key, count in subject.counters.items():
                    assert count >= self.counts.get((id(device), account, key), 0)
                    self.counts[id(device), account, key] = count

    @rule(first=which, second=which, third=which)
    def states_join_as_their_events_do(self, first: int, second: int, third: int) -> None:
        replicas = [self.device(number).replica for number in (first, second, third)]
        events = {event.hash: event for one in replicas for event in one.archive.events() if event.held}
        folded = [one.memory.folded for one in replicas]
        if Chains(events.values()).forks or None in folded:  # joined only under knowledge of all forks (SPEC §7)
            return
        one, two, three = [copy_of(state) for state in folded if state is not None]
        expected = encode(fold(events.values()))
        assert joined(one, two, three) == joined(three, two, one) == joined(two, one, three) == expected
        assert joined(one, decode(joined(two, three))) == joined(decode(joined(one, two)), three) == expected
        assert joined(one, one) == encode(one)

    def settle(self) -> None:
        if not hasattr(self, "facts"):
            return
        self.world.sync()
        self.note_what_passes_wrote()
        self.assert_versions_agree()
        for device in self.world.devices:
            device.update(frozenset({FEATURE}))
        self.world.sync()
        self.note_what_passes_wrote()
        facts = list(self.facts.values())
        for device in self.world.devices:
            assert device.held() == self.facts.keys()
            assert device.replica.chains.missing() == {}
            assert device.replica.state.forks.keys() == {e.dot.writer for e in branches(facts)}
            assert_state(device.replica.state, facts)
            self.assert_complete(device)
            assert unsettled(device.replica.chains, device.store.writers()) == []
        states = {device.state() for device in self.world.devices}
        assert len(states) == 1
        for device in self.world.devices:
            device.restart()
            assert {device.state()} == states

    def note_what_passes_wrote(self) -> None:
        """Note what devices wrote by themselves, to settle forks; it held what its `seen` says."""
        events = {e.dot: e for device in self.world.devices for e in device.replica.archive.events()}
        for event in events.values():
            if event.hash not in self.facts:
                assert event.kind in ("writer.open", "account.edit", "account.delete")
                self.facts[event.hash] = Fact(event, frozenset(e.hash for e in seen_by(event, events)))

    def assert_versions_agree(self) -> None:
        """Devices of one version hold the same and fold the same, whatever the other one may do besides."""
        if branches(self.facts.values()):  # what an older version knows of a fork depends on what it understands
            return
        states: dict[bool, set[bytes]] = {}
        for device in self.world.devices:
            facts = [f for f in self.facts.values() if device.understood or f.event.hash not in self.critical]
            assert self.held(device) == {fact.event.hash for fact in facts}
            assert_state(device.replica.state, facts)
            states.setdefault(bool(device.understood), set()).add(device.state())
        assert all(len(found) == 1 for found in states.values())

    def assert_complete(self, device: Device) -> None:
        for account, subject in device.replica.state.subjects.items():
            if is_account(subject) and subject.registers["live"].dots:
                assert "otp" in device.accounts.view(account).values
        assert device.replica.keys.author.writer not in device.replica.chains.forks


def copy_of(state: State) -> State:
    return decode(encode(state))


def seen_by(event: Event, events: Mapping[Dot, Event]) -> Iterator[Event]:
    """Yield what an event has seen, each piece from its end back to its beginning."""
    for piece in event.seen:
        dot = Dot(piece.writer, piece.last, piece.hash)
        while dot.seq >= piece.first:
            yield events[dot]
            dot = Dot(dot.writer, dot.seq - 1, (events[dot].prev or b"")[:16])


def joined(*states: State) -> bytes:
    """The join of states, in this order."""
    base = State()
    for state in states:
        base.join(state)
    return encode(base)


def branches(facts: Iterable[Fact]) -> list[Event]:
    """Events of writers that have two events of one seq."""
    facts = list(facts)
    seqs = [fact.event.dot[:2] for fact in facts]
    split = {place[0] for place in seqs if seqs.count(place) > 1}
    return [fact.event for fact in facts if fact.event.dot.writer in split]
