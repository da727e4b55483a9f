"""What compaction asks of the store: which file has which events, what took whose place, which run says nothing new."""

from __future__ import annotations

import pytest

from otpkeep_daemon.duplicates import duplicates
from otpkeep_protocol.events import Draft
from otpkeep_protocol.ids import sha256
from otpkeep_protocol.naming import hash_name
from support_vault import Device, Hand, add, odd_run, raw_event, seal


@pytest.fixture
def ben() -> Hand:
    """A writer of five events."""
    made = Hand("ben")
    for number in range(4):
        made.write(add(number.to_bytes(16), name=f"account {number}"))
    return made


def taken_in(device: Device, *runs: bytes) -> list[bytes]:
    """Have a device take in runs, one after the other, and return their files' hashes."""
    files = [seal(run, f"run {number}") for number, run in enumerate(runs)]
    for data in files:
        assert [verdict.kind for verdict in device.replica.ingest([data])] == ["ok"]
    return [sha256(data) for data in files]


def test_each_event_is_read_from_the_file_that_brought_it_first(laptop: Device, ben: Hand) -> None:
    first, second, third = taken_in(laptop, ben.run(1, 3), ben.run(2, 5), ben.run(2, 3))
    store, owner = laptop.store, ben.author.device
    assert store.pieces_in(first) == [(ben.writer, 1, 3, 3)]
    assert store.span(second) == (ben.writer, 4, 5)
    assert store.spans(second) == [(owner, ben.writer, 2, 5)]
    assert store.span(third) is None
    assert store.files_of_events(ben.writer, 3, 4) == sorted([first, second])
    assert store.idle_runs(owner) == [third]
    assert store.newest_published((), [ben.writer]) == {ben.writer: 5}
    assert store.newest_published({hash_name(second)}, [ben.writer, b"nobody" + bytes(10)]) == {ben.writer: 3}


def test_the_latest_in_a_chain_of_replacements_is_found_by_hash_and_by_name(laptop: Device, ben: Hand) -> None:
    old, middle, new = taken_in(laptop, ben.run(1, 2), ben.run(1, 4), ben.run(1, 5))
    carl = Hand("carl")
    for replaced, file in ((old, middle), (middle, new)):
        carl.write(Draft("pack", extra={"replaced": [replaced], "file": file}))
    taken_in(laptop, carl.run())
    store = laptop.store
    assert store.latest(old) == store.replacement_of(hash_name(old)) == new
    assert store.latest(new) is None
    assert store.replaced_by(new) == [middle]
    assert [store.is_replaced(digest) for digest in (old, middle, new)] == [True, True, False]
    assert [store.has(digest) for digest in (old, middle, new)] == [False, False, True]
    assert store.claimed() == set()


@pytest.mark.parametrize("odd", [False, True], ids=["plain", "with an event that nobody understands"])
def test_a_run_of_which_another_has_everything_is_superfluous(laptop: Device, ben: Hand, odd: bool) -> None:
    # given: two runs that are the same but for one event; the smaller one came late
    if odd:
        ben.pairs[-1] = raw_event(writer=ben.writer, seq=5, prev=ben.events[-2].hash, v=2, lamport=..., fields=...)
    whole, part = taken_in(laptop, odd_run(ben), odd_run(ben, 3))
    # then
    assert duplicates(laptop.store, laptop.replica.archive, ben.author.device) == [(part, whole)]
