"""The fold (SPEC §6): its rules one by one, then its laws over thousands of invented histories."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otpkeep_protocol.chains import Chains
from otpkeep_protocol.errors import Malformed
from otpkeep_protocol.events import Draft, Event
from otpkeep_protocol.history import annotate
from otpkeep_protocol.state import Register, State, decode, encode, fold
from otpkeep_protocol.view import view
from support_oracle import Fact, assert_state
from support_vault import START_MS, Hand, add, delete, edit, hotp, totp, use, without_body

ACCOUNT = b"a" * 16


def states(*events: Event) -> State:
    """The one state that all orders of these events give."""
    made = {encode(fold(order)) for order in permutations(events)}
    assert len(made) == 1
    return fold(events)


def alive(state: State) -> bool:
    return not view(ACCOUNT, state.subjects[ACCOUNT]).deleted


def value(state: State, name: str) -> object:
    return view(ACCOUNT, state.subjects[ACCOUNT]).values.get(name)


def conflicts(state: State) -> dict[str, list[object]]:
    found = view(ACCOUNT, state.subjects[ACCOUNT]).conflicts
    return {name: [loser.written.value for loser in losers] for name, losers in found.items()}


@pytest.fixture
def anna() -> Hand:
    return Hand("anna")


class TestDelete:
    def test_an_account_exists_from_its_add_to_its_delete(self, anna: Hand) -> None:
        added, gone = anna.write(add(ACCOUNT, name="x")), anna.write(delete(ACCOUNT))

        assert alive(states(added))
        assert not alive(states(added, gone))

    def test_a_delete_touches_live_alone(self, anna: Hand) -> None:
        added, gone = anna.write(add(ACCOUNT, name="x")), anna.write(delete(ACCOUNT))

        before, after = fold([added]).subjects[ACCOUNT].registers, fold([added, gone]).subjects[ACCOUNT].registers

        assert after["live"] == Register({}, {anna.writer: (anna.piece(last=2),)})
        assert {name: after[name] for name in ("otp", "name")} == {name: before[name] for name in ("otp", "name")}

    def test_a_concurrent_edit_beats_a_delete_and_keeps_its_secret(self, anna: Hand, ben: Hand) -> None:
        added = anna.write(add(ACCOUNT, name="x"))
        seen = [anna.piece()]
        gone = anna.write(delete(ACCOUNT), wall=START_MS + 10**12)
        renamed = ben.write(edit(ACCOUNT, name="y"), seen)

        state = states(added, gone, renamed)

        assert alive(state)
        assert value(state, "otp") == totp()
        assert value(state, "name") == "y"

    def test_a_delete_that_saw_the_edit_wins(self, anna: Hand, ben: Hand) -> None:
        added = anna.write(add(ACCOUNT))
        renamed = ben.write(edit(ACCOUNT, name="y"), [anna.piece()])
        gone = anna.write(delete(ACCOUNT), [ben.piece()])

        assert not alive(states(added, renamed, gone))

    @pytest.mark.parametrize(
        "values", [{"position": 3}, {"favourite": True}, {"icon": None}, {"position": 1, "icon": None}]
    )
    def test_what_only_arranges_does_not_revive(self, anna: Hand, ben: Hand, values: dict[str, object]) -> None:
        added = anna.write(add(ACCOUNT))
        seen = [anna.piece()]
        gone = anna.write(delete(ACCOUNT))
        arranged = ben.write(edit(ACCOUNT, **values), seen)

        assert not alive(states(added, gone, arranged))

    def test_arranging_together_with_renaming_revives(self, anna: Hand, ben: Hand) -> None:
        added = anna.write(add(ACCOUNT))
        seen = [anna.piece()]
        gone = anna.write(delete(ACCOUNT))

        assert alive(states(added, gone, ben.write(edit(ACCOUNT, position=1, name="y"), seen)))

    def test_a_use_does_not_revive(self, anna: Hand, ben: Hand) -> None:
        added = anna.write(add(ACCOUNT, otp=hotp()))
        seen = [anna.piece()]
        gone = anna.write(delete(ACCOUNT))

        assert not alive(states(added, gone, ben.write(use(ACCOUNT, hotp()["counter_key"], 9), seen)))

    def test_undoing_a_delete_brings_everything_back(self, anna: Hand) -> None:
        anna.write(add(ACCOUNT, name="x"))
        anna.write(delete(ACCOUNT))
        anna.write(Draft("account.edit", ACCOUNT, alive=True))

        state = states(*anna.events)

        assert alive(state)
        assert value(state, "name") == "x"

    def test_two_deletes_at_once_are_one(self, anna: Hand, ben: Hand) -> None:
        added = anna.write(add(ACCOUNT))
        seen = [anna.piece()]

        assert not alive(states(added, anna.write(delete(ACCOUNT)), ben.write(delete(ACCOUNT), seen)))

    def test_a_delete_before_its_add_arrives_still_deletes(self, anna: Hand) -> None:
        added, gone = anna.write(add(ACCOUNT)), anna.write(delete(ACCOUNT))
        state = fold([gone])
        assert not alive(state)

        state.apply(added)

        assert not alive(state)


class TestWinners:
    def test_causality_decides_before_clocks(self, anna: Hand, ben: Hand) -> None:
        added = anna.write(add(ACCOUNT, name="from 2099"), wall=START_MS + 10**12)
        later = ben.write(edit(ACCOUNT, name="now"), [anna.piece()])

        state = states(added, later)

        assert value(state, "name") == "now"
        assert conflicts(state) == {}

    def test_among_concurrent_edits_the_later_clock_wins_and_the_loser_is_shown(self, anna: Hand, ben: Hand) -> None:
        added = anna.write(add(ACCOUNT, name="x"))
        seen = [anna.piece()]
        early = anna.write(edit(ACCOUNT, name="early"), wall=START_MS + 1)
        late = ben.write(edit(ACCOUNT, name="late"), seen, wall=START_MS + 2)

        state = states(added, early, late)

        assert value(state, "name") == "late"
        assert conflicts(state) == {"name": ["early"]}

    def test_the_next_edit_settles_a_conflict(self, anna: Hand, ben: Hand) -> None:
        added = anna.write(add(ACCOUNT, name="x"))
        seen = [anna.piece()]
        one = anna.write(edit(ACCOUNT, name="one"))
        other = ben.write(edit(ACCOUNT, name="other"), seen)
        settled = anna.write(edit(ACCOUNT, name="settled"), [ben.piece()], wall=0)

        state = states(added, one, other, settled)

        assert value(state, "name") == "settled"
        assert conflicts(state) == {}

    def test_equal_values_are_no_conflict(self, anna: Hand, ben: Hand) -> None:
        added = anna.write(add(ACCOUNT))
        seen = [anna.piece()]

        state = states(added, anna.write(edit(ACCOUNT, name="same")), ben.write(edit(ACCOUNT, name="same"), seen))

        assert conflicts(state) == {}

    def test_edits_of_different_fields_are_both_kept(self, anna: Hand, ben: Hand) -> None:
        added = anna.write(add(ACCOUNT, name="x"))
        seen = [anna.piece()]
        renewed = anna.write(edit(ACCOUNT, otp=totp(b"renewed")))
        noted = ben.write(edit(ACCOUNT, note="n"), seen)

        state = states(added, renewed, noted)

        assert (value(state, "otp"), value(state, "note")) == (totp(b"renewed"), "n")

    def test_unsetting_is_a_value_that_can_win(self, anna: Hand, ben: Hand) -> None:
        added = anna.write(add(ACCOUNT, note="n"))
        seen = [anna.piece()]
        kept = anna.write(edit(ACCOUNT, note="kept"), wall=START_MS)
        unset = ben.write(edit(ACCOUNT, note=None), seen, wall=START_MS + 1)

        state = states(added, kept, unset)

        assert value(state, "note") is None
        assert conflicts(state) == {"note": ["kept"]}

    def test_a_weak_add_loses_without_conflict_whatever_its_clock(self, anna: Hand, ben: Hand) -> None:
        strong = anna.write(add(ACCOUNT, name="mine"))
        weak = ben.write(add(ACCOUNT, weak=True, name="imported"), wall=START_MS + 10**12)

        state = states(strong, weak)

        assert value(state, "name") == "mine"
        assert conflicts(state) == {}

    def test_two_weak_adds_conflict_with_each_other(self, anna: Hand, ben: Hand) -> None:
        one = anna.write(add(ACCOUNT, weak=True, name="one"), wall=START_MS)
        other = ben.write(add(ACCOUNT, weak=True, name="other"), wall=START_MS + 1)

        assert conflicts(states(one, other)) == {"name": ["one"]}

    def test_otp_is_compared_without_counters(self, anna: Hand, ben: Hand) -> None:
        one = anna.write(add(ACCOUNT, otp=hotp(counter=3)))
        other = ben.write(add(ACCOUNT, otp=hotp(counter=8)))

        state = states(one, other)

        assert conflicts(state) == {}
        assert view(ACCOUNT, state.subjects[ACCOUNT]).counter == 8

    def test_otp_of_another_secret_is_a_conflict(self, anna: Hand, ben: Hand) -> None:
        one, other = anna.write(add(ACCOUNT, otp=totp(b"1"))), ben.write(add(ACCOUNT, otp=totp(b"2")))

        assert list(conflicts(states(one, other))) == ["otp"]


class TestUnknown:
    def test_an_unknown_value_never_wins_over_a_known_one(self, anna: Hand, ben: Hand) -> None:
        known = anna.write(add(ACCOUNT, name="known"))
        dropped = without_body(ben.write(add(ACCOUNT, name="dropped"), wall=START_MS + 10**9))

        state = states(known, dropped)

        assert value(state, "name") == "known"
        assert conflicts(state) == {}

    def test_even_a_weak_value_beats_an_unknown_one(self, anna: Hand, ben: Hand) -> None:
        weak = anna.write(add(ACCOUNT, weak=True, name="weak"))
        dropped = without_body(ben.write(add(ACCOUNT, name="dropped")))

        assert value(states(weak, dropped), "name") == "weak"

    def test_an_unknown_value_is_replaced_when_its_body_arrives(self, anna: Hand) -> None:
        whole = anna.write(add(ACCOUNT, name="x"))
        bare = without_body(whole)
        assert view(ACCOUNT, fold([bare]).subjects[ACCOUNT]).unknown == ("name", "otp")

        assert encode(states(bare, whole)) == encode(fold([whole]))

    def test_joining_replaces_an_unknown_value_too(self, anna: Hand) -> None:
        whole = anna.write(add(ACCOUNT, name="x", otp=hotp(counter=4)))
        for first, second in permutations([fold([whole]), fold([without_body(whole)])]):
            joined = decode(encode(first))
            joined.join(second)
            assert encode(joined) == encode(fold([whole]))

    def test_an_event_without_its_body_still_gives_life_and_covers(self, anna: Hand) -> None:
        old = anna.write(add(ACCOUNT, name="old"))
        new = without_body(anna.write(edit(ACCOUNT, name="new")))

        state = states(old, new)

        assert alive(state)
        assert view(ACCOUNT, state.subjects[ACCOUNT]).unknown == ("name",)


class TestCounters:
    KEY = hotp()["counter_key"]

    def counter(self, *events: Event) -> int | None:
        return view(ACCOUNT, states(*events).subjects[ACCOUNT]).counter

    def test_the_greatest_use_counts_in_any_order(self, anna: Hand, ben: Hand) -> None:
        added = anna.write(add(ACCOUNT, otp=hotp(counter=2)))
        seen = [anna.piece()]
        uses = anna.write(use(ACCOUNT, self.KEY, 3)), ben.write(use(ACCOUNT, self.KEY, 7), seen)

        assert self.counter(added, *uses) == 7

    @pytest.mark.parametrize("changed", [hotp(counter=0), hotp(counter=0, digits=8)], ids=["import again", "digits"])
    def test_an_edit_never_lowers_the_counter(self, anna: Hand, changed: dict[str, object]) -> None:
        events = [anna.write(add(ACCOUNT, otp=hotp(counter=9))), anna.write(edit(ACCOUNT, otp=changed))]

        assert self.counter(*events) == 9

    def test_deleting_and_reviving_does_not_lower_it(self, anna: Hand) -> None:
        anna.write(add(ACCOUNT, otp=hotp()))
        anna.write(use(ACCOUNT, self.KEY, 5))
        anna.write(delete(ACCOUNT))
        anna.write(edit(ACCOUNT, otp=hotp(counter=0)))

        assert self.counter(*anna.events) == 5

    def test_another_secret_has_a_counter_of_its_own(self, anna: Hand) -> None:
        events = [anna.write(add(ACCOUNT, otp=hotp(counter=9))), anna.write(edit(ACCOUNT, otp=hotp(b"new")))]

        assert self.counter(*events) == 0

    def test_a_deliberate_reset_starts_again_under_a_new_key(self, anna: Hand) -> None:
        reset = hotp(counter=1, counter_key=b"k" * 16)
        events = [anna.write(add(ACCOUNT, otp=hotp(counter=9))), anna.write(edit(ACCOUNT, otp=reset))]

        assert self.counter(*events) == 1

    def test_a_counter_that_lost_a_conflict_still_counts(self, anna: Hand, ben: Hand) -> None:
        one = anna.write(add(ACCOUNT, otp=hotp(counter=30)), wall=START_MS)
        other = ben.write(add(ACCOUNT, otp=hotp(counter=4, digits=8)), wall=START_MS + 1)

        assert self.counter(one, other) == 30


class TestGenericFolding:
    def test_an_unknown_kind_folds_by_its_generic_keys(self, anna: Hand) -> None:
        newer = Draft("account.merge", ACCOUNT, alive=True, values={"name": "x", "colour": "red"})

        state = states(anna.write(newer))

        assert alive(state)
        assert (value(state, "name"), value(state, "colour")) == ("x", "red")

    def test_an_event_with_a_problem_changes_nothing(self, anna: Hand) -> None:
        spoilt = anna.write(add(ACCOUNT))._replace(problem="a rule is broken")

        assert encode(fold([spoilt])) == encode(State())

    def test_an_event_that_needs_an_update_changes_nothing(self, anna: Hand) -> None:
        newer = anna.write(add(ACCOUNT))._replace(held=False)

        assert encode(fold([newer])) == encode(State())

    def test_times_are_the_least_and_greatest_of_writing_events(self, anna: Hand) -> None:
        anna.write(add(ACCOUNT, otp=hotp()), wall=500)
        anna.write(edit(ACCOUNT, name="x"), wall=100)
        anna.write(use(ACCOUNT, hotp()["counter_key"], 1), wall=900)

        subject = states(*anna.events).subjects[ACCOUNT]

        assert (subject.born, subject.changed) == (100, 500)

    def test_decode_refuses_what_is_no_state(self) -> None:
        for data in (b"", b"\x01", b"\x91\x01", b"\x91\x95\xc4\x01a\xc0\xc0\x80\x81\xa1x\x01"):
            with pytest.raises(Malformed):
                decode(data)


# laws over invented histories


@dataclass
class Person:
    """A device of the invented history: what it holds, in the order in which it came."""

    hand: Hand
    held: dict[bytes, Event] = field(default_factory=dict)
    chains: Chains = field(default_factory=Chains)

    def take(self, events: Sequence[Event]) -> None:
        for event in events:
            self.held[event.hash] = event
            self.chains.add(event)


class Story:
    """Some devices that edit, use, delete, revive, import, exchange some of their events, and perhaps are cloned."""

    def __init__(self, chance: random.Random, *, clones: bool) -> None:
        self.chance = chance
        self.people = [Person(Hand(f"person {number}")) for number in range(3)]
        self.facts: dict[bytes, Fact] = {}
        self.snapshots: list[tuple[State, dict[bytes, Event]]] = []
        for person in self.people:
            self.record(person, person.hand.last)
        for _ in range(chance.randint(5, 45)):
            self.step(chance.choice(self.people), clones)

    @property
    def events(self) -> list[Event]:
        return [fact.event for fact in self.facts.values()]

    def record(self, person: Person, event: Event) -> None:
        self.facts[event.hash] = Fact(event, frozenset(person.held))
        person.take([event])

    def write(self, person: Person, draft: Draft) -> None:
        hand, chains = person.hand, person.chains
        if hand.writer in chains.forks or chains.last_known(hand.writer) > len(hand.events):
            person.hand = Hand(f"again {len(self.facts)}")
            self.record(person, person.hand.last)
        seen = [piece for piece in chains.seen() if piece.writer != person.hand.writer]
        wall = START_MS + self.chance.randint(-3, 3) * 1000
        self.record(person, person.hand.write(draft, seen, wall=wall, lamport=chains.clock + 1))

    def step(self, person: Person, clones: bool) -> None:
        chance, x = self.chance, self.chance.random()
        account = bytes([chance.randint(1, 3)]) * 16
        if x < 0.15:
            otp = chance.choice([totp(), hotp(counter=chance.randint(0, 5)), hotp(digits=8)])
            self.write(person, add(account, weak=chance.random() < 0.3, name=str(chance.randint(0, 3)), otp=otp))
        elif x < 0.4:
            self.write(person, edit(account, **{chance.choice(["name", "note"]): chance.choice(["p", "q", None])}))
        elif x < 0.5:
            self.write(person, edit(account, position=chance.randint(0, 3)))
        elif x < 0.6:
            self.write(person, delete(account))
        elif x < 0.65:
            self.write(person, use(account, hotp()["counter_key"], chance.randint(0, 9)))
        elif x < 0.7 and clones and len(self.people) < 5:
            self.clone(person)
        else:
            self.exchange(person, chance.choice(self.people))

    def clone(self, person: Person) -> None:
        twin = Person(person.hand.copy(f"twin {len(self.facts)}"))
        twin.take(list(person.held.values()))
        self.people.append(twin)

    def exchange(self, giver: Person, taker: Person) -> None:
        given = [event for event in giver.held.values() if self.chance.random() < 0.6]
        self.chance.shuffle(given)
        taker.take(given)
        if self.chance.random() < 0.5:
            self.snapshots.append((fold(taker.held.values(), taker.chains.forks), dict(taker.held)))


stories = st.integers(0, 2**40).map(random.Random)


def join(*several: State) -> bytes:
    base = State()
    for state in several:
        base.join(state)
    return encode(base)


@settings(max_examples=700)
@given(stories)
def test_a_state_is_what_the_oracle_says_with_any_holes(chance: random.Random) -> None:
    story = Story(chance, clones=False)

    assert_state(fold(story.events), story.facts.values())
    for state, held in story.snapshots[:2]:
        assert_state(state, [story.facts[event] for event in held])


@settings(max_examples=700)
@given(stories)
def test_joining_states_is_folding_the_union_of_their_events(chance: random.Random) -> None:
    story = Story(chance, clones=False)
    if len(story.snapshots) < 3:
        return
    (a, in_a), (b, in_b), (c, in_c) = chance.sample(story.snapshots, 3)

    assert join(a, b) == join(b, a) == encode(fold((in_a | in_b).values()))
    assert join(a, a) == encode(a)
    assert join(decode(join(a, b)), c) == join(a, decode(join(b, c))) == encode(fold((in_a | in_b | in_c).values()))


@settings(max_examples=700)
@given(stories)
def test_a_state_goes_on_from_its_snapshot(chance: random.Random) -> None:
    story = Story(chance, clones=False)
    if not story.snapshots:
        return
    events = story.events
    chance.shuffle(events)

    base = decode(encode(chance.choice(story.snapshots)[0]))
    for event in events:
        base.apply(event)

    assert encode(base) == encode(fold(story.events))


@settings(max_examples=1000)
@given(stories)
def test_any_order_and_any_copies_give_the_same_bytes_even_with_forks(chance: random.Random) -> None:
    story = Story(chance, clones=True)
    events = story.events
    forks = Chains(events).forks
    expected = fold(events, forks)
    assert_state(expected, story.facts.values())

    for _ in range(3):
        again = [*events, *chance.sample(events, len(events) // 3)]
        chance.shuffle(again)
        chains = Chains(again)
        assert chains.forks == forks
        assert encode(fold(again, chains.forks)) == encode(expected)


@settings(max_examples=500)
@given(stories)
def test_folding_anew_only_when_a_fork_changes_gives_the_same_bytes(chance: random.Random) -> None:
    """What a replica does: it folds as events come, and anew when its chains say so."""
    story = Story(chance, clones=True)
    events = story.events
    chance.shuffle(events)
    chains, state = Chains(), State()

    for number, event in enumerate(events):
        if chains.add(event):
            state = fold(events[:number], chains.forks)
        state.apply(event)

    assert encode(state) == encode(fold(story.events, Chains(story.events).forks))


@settings(max_examples=500)
@given(stories)
def test_holes_with_forks_depend_on_what_is_held_and_not_on_its_order(chance: random.Random) -> None:
    story = Story(chance, clones=True)
    part = [event for event in story.events if chance.random() < 0.7]
    shuffled = list(part)
    chance.shuffle(shuffled)

    one, other = Chains(part), Chains(shuffled)

    assert one.forks == other.forks
    assert (one.seen(), one.clock, one.missing()) == (other.seen(), other.clock, other.missing())
    assert encode(fold(part, one.forks)) == encode(fold(shuffled, other.forks))


@settings(max_examples=300)
@given(stories)
def test_history_says_what_each_author_knew(chance: random.Random) -> None:
    story = Story(chance, clones=True)
    forks = Chains(story.events).forks
    for account in {event.account for event in story.events}:
        mine = [event for event in story.events if event.account == account]
        log = sorted(mine, key=_log_order)
        entries = annotate(log, forks)
        for entry in entries:
            fact = story.facts[entry.event.hash]
            known = [story.facts[event].event for event in fact.held if story.facts[event].event.account == account]
            assert entry.concurrent == any(_strangers(fact, other) for other in story.facts.values())
            assert entry.before == _before(fact.event, fold(known, forks))


def _log_order(event: Event) -> tuple[int, int, bytes, int, bytes]:
    return event.lamport, event.wall, event.dot.writer, event.dot.seq, event.hash


def _strangers(one: Fact, other: Fact) -> bool:
    """Two events that did not know of each other and touch the same thing of one account."""
    a, b = one.event, other.event
    if a.account != b.account or a.hash == b.hash or a.hash in other.held or b.hash in one.held:
        return False
    return bool(set(a.fields) & set(b.fields)) or (None not in (a.alive, b.alive) and a.alive != b.alive)


def _before(event: Event, state: State) -> dict[str, object]:
    if event.account is None or event.account not in state.subjects:
        return {}
    registers = state.subjects[event.account].registers
    winners = {name: registers[name].winner() for name in event.fields if name in registers}
    return {name: winner.written.value for name, winner in winners.items() if winner is not None}
