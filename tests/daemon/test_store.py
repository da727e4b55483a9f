"""The store: all or nothing, for one process, under what was written before."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from otpkeep_daemon.lock import try_lock
from otpkeep_daemon.store import NewFile, Store
from otpkeep_protocol.errors import IntegrityProblem, Refused, UnknownVersion
from otpkeep_protocol.events import Event
from otpkeep_protocol.ids import sha256
from otpkeep_protocol.naming import file_name
from support_vault import Hand, add

ACCOUNT = b"a" * 16


def open_store(path: Path) -> Store:
    lock = try_lock(path / "lock", "tests")
    assert lock is not None
    try:
        return Store(path / "store.db", lock)
    except BaseException:
        lock.release()
        raise


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with closing(open_store(tmp_path)) as opened:
        yield opened


def new_file(data: bytes, *events: Event, kind: str = "run", published: bool = False) -> NewFile:
    writer = events[0].dot.writer if events else None
    return NewFile(sha256(data), file_name(data), kind, b"d" * 16, published, data, writer, events)


def add_file(store: Store, *files: NewFile) -> None:
    with store.transaction():
        for each in files:
            store.add(each)


def order_indexes(path: Path) -> set[str]:
    with closing(sqlite3.connect(path / "store.db")) as db:
        rows = db.execute("SELECT name FROM sqlite_master WHERE type = 'index' AND name LIKE '%_order'").fetchall()
    return {name for (name,) in rows}


class TestManyEventsAtOnce:
    def test_the_log_has_its_order_during_it_and_its_indexes_after_it(self, tmp_path: Path, store: Store) -> None:
        anna = Hand("anna")
        anna.write(add(ACCOUNT))
        whole = order_indexes(tmp_path)

        with store.ordered_later():
            add_file(store, new_file(b"one", *anna.events))
            during = list(store.log(None))
            assert order_indexes(tmp_path) == {"chain_order"}

        assert during == list(store.log(None)) == [(e.hash, sha256(b"one")) for e in reversed(anna.events)]
        assert order_indexes(tmp_path) == whole > {"chain_order"}

    def test_one_that_broke_off_gets_its_indexes_when_the_store_is_opened(self, tmp_path: Path) -> None:
        with closing(open_store(tmp_path)) as store:
            whole = order_indexes(tmp_path)
            with pytest.raises(KeyboardInterrupt), store.ordered_later():
                raise KeyboardInterrupt

        with closing(open_store(tmp_path)):
            assert order_indexes(tmp_path) == whole

    def test_a_store_with_events_keeps_its_indexes(self, tmp_path: Path, store: Store) -> None:
        add_file(store, new_file(b"one", *Hand("anna").events))

        with store.ordered_later():
            assert order_indexes(tmp_path) > {"chain_order"}

    def test_the_log_needs_no_sorting_of_all_events(self, tmp_path: Path, store: Store) -> None:
        # SQLite sorts only within equal lamports if it walks the index
        with closing(sqlite3.connect(tmp_path / "store.db")) as db:
            order = "ORDER BY lamport DESC, wall DESC, writer DESC, seq DESC, hash DESC"
            for where, index in (("", "log_order"), ("WHERE account = x'00'", "account_order")):
                query = f"EXPLAIN QUERY PLAN SELECT hash FROM events {where} {order}"  # noqa: S608 - constants
                plan = [row[3] for row in db.execute(query)]
                assert index in plan[0]
                assert not any("FOR ORDER BY" in step for step in plan)


class TestTransactions:
    def test_a_failed_block_leaves_nothing(self, store: Store) -> None:
        def fail() -> None:
            with store.transaction():
                store.put("key", b"value")
                store.add(new_file(b"data"))
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            fail()

        assert store.get("key") is None
        assert store.files() == []

    def test_what_was_committed_is_there_after_a_crash(self, tmp_path: Path, store: Store) -> None:
        add_file(store, new_file(b"data"))
        copy = tmp_path / "copy"
        copy.mkdir()
        for name in ("store.db", "store.db-wal"):
            (copy / name).write_bytes((tmp_path / name).read_bytes())

        with closing(open_store(copy)) as again:
            assert again.data(sha256(b"data")) == b"data"

    def test_it_syncs_each_commit_and_erases_what_is_deleted(self, store: Store) -> None:
        pragmas = {
            p: store._db.execute(f"PRAGMA {p}").fetchone()[0] for p in ("journal_mode", "synchronous", "secure_delete")
        }

        assert pragmas == {"journal_mode": "wal", "synchronous": 2, "secure_delete": 1}


class TestOpening:
    def test_only_its_owner_can_read_it(self, tmp_path: Path, store: Store) -> None:
        add_file(store, new_file(b"data"))

        for path in tmp_path.glob("store.db*"):
            assert path.stat().st_mode & 0o077 == 0

    def test_a_store_of_a_newer_otpkeep_is_not_touched(self, tmp_path: Path) -> None:
        open_store(tmp_path).close()
        db = sqlite3.connect(tmp_path / "store.db")
        db.execute("PRAGMA user_version = 99")
        db.close()

        with pytest.raises(UnknownVersion):
            open_store(tmp_path)

    @pytest.mark.parametrize("data", [b"no database at all" * 100, b"SQLite format 3\0" + b"\xff" * 5000])
    def test_a_damaged_store_says_what_to_do(self, tmp_path: Path, data: bytes) -> None:
        (tmp_path / "store.db").write_bytes(data)

        with pytest.raises(IntegrityProblem) as raised:
            open_store(tmp_path)

        assert "recover" in raised.value.hint

    def test_what_must_be_set_up_says_so(self, store: Store) -> None:
        with pytest.raises(Refused, match="not set up"):
            store.need("vault")

    def test_closing_lets_the_next_one_in(self, tmp_path: Path) -> None:
        store = open_store(tmp_path)
        assert try_lock(tmp_path / "lock", "tests") is None

        store.close()

        open_store(tmp_path).close()


class TestFiles:
    def test_a_file_is_stored_once(self, store: Store) -> None:
        add_file(store, new_file(b"data"), new_file(b"data", published=True))

        assert [file.published for file in store.files()] == [False]

    def test_the_outbox_is_what_was_never_published(self, store: Store) -> None:
        add_file(store, new_file(b"1"), new_file(b"2"), new_file(b"3", published=True))
        with store.transaction():
            store.mark_published([sha256(b"1")])
        assert [file.hash for file in store.outbox()] == [sha256(b"2")]

        with store.transaction():
            store.mark_unpublished([sha256(b"3")])
        assert [file.hash for file in store.outbox()] == [sha256(b"2"), sha256(b"3")]

    def test_a_missing_file_is_a_key_error(self, store: Store) -> None:
        with pytest.raises(KeyError):
            store.data(sha256(b"none"))
        assert not store.has(sha256(b"none"))
        assert store.file_named("none") is None


class TestEvents:
    def test_an_event_counts_once_in_however_many_files(self, store: Store) -> None:
        anna = Hand("anna")
        anna.write(add(ACCOUNT))
        add_file(store, new_file(b"1", *anna.events), new_file(b"2", *anna.events[1:]))

        assert store.event_count() == 2

    @pytest.mark.parametrize("newest", [True, False])
    def test_both_branches_of_a_fork_are_kept_in_an_order_that_is_the_same_everywhere(
        self, store: Store, newest: bool
    ) -> None:
        anna = Hand("anna")
        twins = [anna, *(anna.copy(f"twin {number}") for number in range(4))]
        events = [twin.write(add(ACCOUNT)) for twin in twins]
        add_file(store, *(new_file(str(number).encode(), *twin.events) for number, twin in enumerate(twins)))

        in_order = sorted((event.hash for event in events), reverse=newest)
        assert [event for event, _ in store.log(ACCOUNT, newest=newest)] == in_order

    def test_the_head_is_the_last_of_a_writer(self, store: Store) -> None:
        anna = Hand("anna")
        made = anna.write(add(ACCOUNT))
        add_file(store, new_file(b"1", *anna.events))

        assert store.head(anna.writer) == (2, made.hash)
        assert store.head(b"w" * 16) is None

    def test_events_are_counted_by_device(self, store: Store) -> None:
        anna = Hand("anna")
        anna.write(add(ACCOUNT), wall=5)
        anna.write(add(ACCOUNT), wall=10**15)
        add_file(store, new_file(b"1", *anna.events[1:]))

        assert store.events_of_devices() == {b"d" * 16: (2, 5, 10**15)}


class TestLocals:
    def test_a_local_secret_is_kept_replaced_and_forgotten(self, store: Store) -> None:
        for sealed in (b"one", b"two"):
            with store.transaction():
                store.set_local(ACCOUNT, sealed)
            assert store.local(ACCOUNT) == sealed
        with store.transaction():
            store.set_local(ACCOUNT, None)

        assert store.local(ACCOUNT) is None
        assert store.locals() == {}

    def test_a_forgotten_secret_is_not_left_in_the_file(self, tmp_path: Path) -> None:
        store = open_store(tmp_path)
        with store.transaction():
            store.set_local(ACCOUNT, b"very visible")
        with store.transaction():
            store.set_local(ACCOUNT, None)
        store.close()

        assert b"very visible" not in (tmp_path / "store.db").read_bytes()
