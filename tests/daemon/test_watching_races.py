"""A watched file, its other program and another device, all at once: no edit is lost, in the vault or in the file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from otpkeep_daemon import exchange, watching
from otpkeep_daemon.vault_files import Content, read_stable
from support_service import serve
from support_vault import World, deliver
from support_watch import AegisFile

NAME = "name0"


class Side:
    """A laptop that watches a file, and a phone that knows nothing of it."""

    def __init__(self, world: World, tmp_path: Path, *, two_way: bool) -> None:
        self.laptop, self.phone = world.device("laptop"), world.device("phone")
        self.service = serve(self.laptop)
        self.file = AegisFile(tmp_path / "aegis.json", entries=6)
        with self.service.watched.turn():
            self.service.reviewing.begin(self.service.open, self.file.path, format=None, two_way=two_way, password=None)
        self.carry()
        self.account = next(v.account for v in self.phone.accounts.views() if v.values["name"] == NAME).hex()

    def carry(self) -> None:
        """Bring both up to date."""
        for _ in range(2):
            self.service.engine.run()
            deliver(self.laptop, self.phone)
            self.phone.run()
            deliver(self.phone, self.laptop)
        self.service.engine.run()

    def remote(self, **values: str) -> None:
        """Edit on the phone, and have the laptop hear of it."""
        self.phone.clock.ms += 1000
        self.phone.change(self.account, **values)
        self.carry()
        self.laptop.clock.ms = self.phone.clock.ms + 1000

    def local(self, **values: str) -> None:
        """Edit in the file, as its program does."""
        self.file.change(lambda entries: next(e for e in entries if e["name"] == NAME).update(values))

    def settle(self) -> None:
        """Do what the daemon does after hints, as often as it takes."""
        while self.service.watching.look():
            pass
        for _ in range(3):
            self.service.watching.write_back()
        self.carry()

    def shown(self) -> set[tuple[str, tuple[str, ...]]]:
        """What each device shows as the note, and as the notes that lost."""
        found = set()
        for accounts in (self.service.open, self.phone.accounts):
            view = accounts.view(bytes.fromhex(self.account))
            lost = tuple(str(candidate.written.value) for candidate in view.conflicts.get("note", ()))
            found.add((str(view.values.get("note")), lost))
        return found


@pytest.fixture(params=[False, True], ids=["read only", "two-way"])
def side(world: World, tmp_path: Path, request: pytest.FixtureRequest) -> Side:
    return Side(world, tmp_path, two_way=request.param)


@pytest.fixture
def two_way(world: World, tmp_path: Path) -> Side:
    return Side(world, tmp_path, two_way=True)


def test_a_remote_edit_that_comes_before_the_file_is_read_stays_visible_beside_the_hand_edit(side: Side) -> None:
    side.local(note="by hand")
    side.remote(note="from the phone")
    side.settle()
    assert side.shown() == {("by hand", ("from the phone",))}
    assert side.file.entry(name=NAME)["note"] == "by hand"
    # and: who sees both, settles it
    side.local(note="both")
    side.settle()
    assert side.shown() == {("both", ())}


def test_so_does_one_that_comes_while_the_file_is_being_read(side: Side, monkeypatch: pytest.MonkeyPatch) -> None:
    def read_slowly(path: Path) -> Content | None:
        content = read_stable(path)
        if path == side.file.path:
            monkeypatch.setattr(watching, "read_stable", read_stable)
            side.remote(note="from the phone")
        return content

    side.local(note="by hand")
    monkeypatch.setattr(watching, "read_stable", read_slowly)
    side.settle()
    assert side.shown() == {("by hand", ("from the phone",))}
    assert side.file.entry(name=NAME)["note"] == "by hand"


def test_a_remote_edit_that_wins_is_written_and_the_hand_edit_stays_visible(two_way: Side) -> None:
    # given: a phone whose clock is ahead
    two_way.local(note="by hand")
    two_way.phone.clock.ms += 3_600_000
    two_way.remote(note="from the phone")
    two_way.laptop.clock.ms -= 7_200_000
    # when
    two_way.settle()
    # then
    assert two_way.shown() == {("from the phone", ("by hand",))}
    assert two_way.file.entry(name=NAME)["note"] == "from the phone"
    assert all(hold.path != two_way.file.path for hold in two_way.service.watched.watches.holds())


def at_the_exchange(side: Side, monkeypatch: pytest.MonkeyPatch, act: Callable[[], None]) -> None:
    """Have something happen between our last look at the file and the exchange that writes it."""
    prepare = exchange.prepare

    def late(places: exchange.Places, data: bytes) -> None:
        prepare(places, data)
        if places.name == side.file.path.name:
            monkeypatch.setattr(exchange, "prepare", prepare)
            act()

    monkeypatch.setattr(exchange, "prepare", late)


def test_a_hand_edit_while_the_remote_one_of_the_same_field_is_being_written_loses_neither(
    two_way: Side, monkeypatch: pytest.MonkeyPatch
) -> None:
    two_way.remote(note="from the phone")
    at_the_exchange(two_way, monkeypatch, lambda: two_way.local(note="by hand"))
    two_way.settle()
    assert two_way.shown() == {("by hand", ("from the phone",))}
    assert two_way.file.entry(name=NAME)["note"] == "by hand"
    assert [path.name for path in two_way.file.path.parent.glob("*aegis*")] == ["aegis.json"]


def test_a_second_remote_edit_while_the_first_is_being_written_is_written_too(
    two_way: Side, monkeypatch: pytest.MonkeyPatch
) -> None:
    two_way.remote(note="first")
    at_the_exchange(two_way, monkeypatch, lambda: two_way.remote(note="second"))
    two_way.settle()
    assert two_way.shown() == {("second", ())}
    assert two_way.file.entry(name=NAME)["note"] == "second"


def test_of_two_fields_only_the_one_that_both_changed_is_in_conflict(side: Side) -> None:
    side.local(note="by hand", issuer="by hand")
    side.remote(note="from the phone")
    side.settle()
    view = side.phone.accounts.view(bytes.fromhex(side.account))
    assert (set(view.conflicts), view.values["issuer"]) == ({"note"}, "by hand")


def test_a_remote_edit_beats_a_delete_by_a_program_that_could_not_see_it(two_way: Side) -> None:
    two_way.file.change(lambda entries: entries.pop(0))
    two_way.remote(note="from the phone")
    two_way.settle()
    # then: it lives everywhere, and is in the file again
    assert two_way.shown() == {("from the phone", ())}
    assert NAME in two_way.phone.names()
    assert two_way.file.entry(name=NAME)["note"] == "from the phone"
    # and: a delete that has seen the edit counts
    two_way.file.change(lambda entries: entries.remove(next(e for e in entries if e["name"] == NAME)))
    two_way.settle()
    assert NAME not in two_way.phone.names()
    assert NAME not in two_way.file.names


def test_a_delete_in_a_file_that_is_only_read_counts_whatever_others_edited(world: World, tmp_path: Path) -> None:
    side = Side(world, tmp_path, two_way=False)
    side.remote(note="from the phone")
    side.file.change(lambda entries: entries.pop(0))
    side.settle()
    assert NAME not in side.phone.names()


def test_what_this_device_edited_itself_was_seen_by_whoever_sits_at_it(two_way: Side) -> None:
    two_way.service.open.edit(two_way.account, {"note": "by command"}, {}, placeholder=False)
    two_way.local(note="by hand")
    two_way.settle()
    assert two_way.shown() == {("by hand", ())}


def test_an_edit_that_had_not_seen_another_claims_all_the_rest(side: Side) -> None:
    # given: of two edits on the phone, the first is in a field that the file changes, too
    side.local(note="by hand")
    side.remote(note="from the phone")
    side.remote(name="renamed")
    side.settle()
    # then: it is the only event that the hand edit does not claim
    phone = side.phone.replica.keys.author.writer
    notes = {e.values["note"]: e for e in side.phone.replica.archive.log() if e.values and "note" in e.values}
    claims = [piece for piece in notes["by hand"].seen if piece.writer == phone]
    claimed = {seq for _, first, last, _ in claims for seq in range(first, last + 1)}
    unseen = notes["from the phone"].dot.seq
    assert set(range(1, max(claimed) + 1)) - claimed == {unseen}
    assert max(claimed) > unseen
