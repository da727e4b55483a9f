"""Events that an older otpkeep can't understand: they wait, wherever they lie, and count once it was updated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from otpkeep_daemon.accounts import edit_draft
from otpkeep_protocol import content
from otpkeep_protocol.events import Draft
from otpkeep_protocol.ids import sha256
from support_compaction import compact
from support_vault import Device, Hand, World, add, deliver, odd_run, raw_event, seal

FEATURE = "merge"
UNDERSTOOD = frozenset({FEATURE})


@pytest.fixture
def newer(world: World) -> Device:
    """A device that writes what only its own version understands, among much that any does; each edit is a file."""
    made = world.device("newer")
    made.update(UNDERSTOOD)
    account = made.add("mail")
    for number in range(12):
        made.clock.ms += 1000
        draft = edit_draft(bytes.fromhex(account), {"note": f"{number}"} if number % 3 else {"name": f"mail {number}"})
        made.commit(replace(draft, critical=(FEATURE,)) if number % 2 else draft)
        assert made.engine.publish()
    return made


@pytest.fixture
def older(world: World, newer: Device) -> Device:
    """A device of an older version that has all of it, file by file."""
    made = world.device("older")
    deliver(newer, made)
    made.run()
    assert waiting(made) == 6
    assert made.state() != newer.state()
    return made


def waiting(device: Device) -> int:
    return len(device.store.events_that_need_update())


def arrived(older: Device, newer: Device, names: Sequence[str], *, restart: bool) -> None:
    """Carry these files over, and restart the older device before anything else comes, if that is asked for."""
    deliver(newer, older, names)
    older.run()
    if restart:
        older.restart()
    assert waiting(older) == 6


def compacted(newer: Device) -> tuple[list[str], list[str]]:
    """Merge the newer device's files. Return the names of the merged ones, and of those that say so."""
    before = set(newer.folder.names())
    assert compact(newer, fanout=2).merged
    fresh = [file for file in newer.store.files_of("run") if file.name not in before]
    merged = [file.name for file in fresh if newer.store.replaces(file.hash)]
    return merged, [file.name for file in fresh if file.name not in merged]


@pytest.mark.parametrize("restart", [True, False])
@pytest.mark.parametrize("arrival", ["none", "merged first", "pack first", "merged alone", "pack alone"])
def test_events_that_wait_for_an_update_survive_a_compaction_of_their_files_and_a_restart(
    world: World, newer: Device, older: Device, arrival: str, restart: bool
) -> None:
    # given: what the writer's compaction leaves, in every order in which it may come, or in part
    merged, packs = compacted(newer) if arrival != "none" else ([], [])
    orders = {"merged first": [merged, packs], "pack first": [packs, merged], "merged alone": [merged]}
    for names in orders.get(arrival, [packs]):
        arrived(older, newer, names, restart=restart)
    if arrival in ("merged first", "pack first"):
        assert len(older.store.files_of("run")) < 12
    # when
    older.update(UNDERSTOOD)
    # then: they count
    assert waiting(older) == 0
    account = newer.accounts.views()[0].account.hex()
    assert older.values(account) == newer.values(account)
    # and: what comes after the update finds its place
    newer.add("bank")
    world.sync()
    assert older.state() == newer.state()
    assert older.held() == newer.held()
    assert older.replica.chains.whole
    assert older.problems() == []
    # and: it stays so
    older.restart()
    assert older.state() == newer.state()


def test_a_pack_that_only_a_newer_version_understood_lets_go_of_what_it_replaced(newer: Device, older: Device) -> None:
    # given: a pack event that has to wait itself
    replaced = sorted(file.hash for file in newer.store.files_of("run"))[:2]
    older_files = {file.hash for file in older.store.files_of("run")}
    runs = [newer.replica.archive.run(file.hash) for file in newer.store.files_of("run")]
    merged = newer.replica.keys.seal_merged(content.merge(runs))
    assert set(replaced) <= older_files
    assert older.replica.ingest([merged])[0].kind == "ok"
    draft = Draft("pack", extra={"replaced": replaced, "file": sha256(merged)}, critical=(FEATURE,))
    newer.commit(draft)
    assert newer.engine.publish()
    deliver(newer, older)
    older.run()
    assert all(older.store.has(digest) for digest in replaced)
    # when
    older.update(UNDERSTOOD)
    # then
    assert not any(older.store.has(digest) for digest in replaced)
    assert older.held() >= newer.held()


ODD: Mapping[str, dict[str, Any]] = {
    "of a later version with other keys": {"v": 2, "lamport": ..., "seen": ..., "fields": ..., "kind": ...},
    "with an unknown critical feature": {"critical": [FEATURE]},
    "without a clock": {"lamport": ...},
    "with a field that it does not write": {"fields": ["name", "other"]},
}


@pytest.mark.parametrize("what", ODD)
def test_an_event_that_can_t_be_taken_for_what_it_seems_spoils_nothing_however_many_files_it_lies_in(
    world: World, what: str
) -> None:
    # given: an event without effect in two files, of which the store reads it from one
    laptop, ben = world.device("laptop"), Hand("ben")
    ben.write(add(bytes(16), name="mail"))
    ben.pairs.append(raw_event(writer=ben.writer, seq=3, prev=ben.last.hash, **ODD[what]))
    first, second = (seal(odd_run(ben, begin), f"run {begin}") for begin in (1, 2))
    assert [verdict.kind for verdict in laptop.replica.ingest([first, second])] == ["ok", "ok"]
    before = laptop.state()
    # when: the device starts again
    laptop.restart()
    # then
    assert laptop.state() == before
    assert laptop.names() == ["mail"]
    # and: also if a pack takes the first file away, the event has no effect, and is named
    whole = seal(odd_run(ben), "merged")
    laptop.replica.ingest([whole])
    laptop.restart()
    carl = Hand("carl")
    carl.write(Draft("pack", extra={"replaced": [sha256(first)], "file": sha256(whole)}))
    laptop.replica.ingest([seal(carl.run(), "pack")])
    assert not laptop.store.has(sha256(first))
    found = next(event for event in laptop.replica.archive.log() if event.dot[:2] == (ben.writer, 3))
    assert found.problem is not None
    assert found.values is None
    assert laptop.state() == before
