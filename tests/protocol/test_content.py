"""What is inside a sealed file (SPEC §8): who vouches for it, and a chain without a break."""

from __future__ import annotations

from typing import Any

import pytest

from otpkeep_protocol import state as states
from otpkeep_protocol import wire
from otpkeep_protocol.content import Beat, Run, Snapshot, ends, make_beat, read, reread
from otpkeep_protocol.errors import Malformed, NotAuthentic
from otpkeep_protocol.ids import sha256
from otpkeep_protocol.statements import sign
from support_vault import START_MS, Hand, add, edit, keyring, make_author, raw_event

ACCOUNT = b"a" * 16


@pytest.fixture
def anna() -> Hand:
    made = Hand("anna")
    made.write(add(ACCOUNT, name="x"))
    made.write(edit(ACCOUNT, name="y"))
    return made


def changed(data: bytes, **changes: Any) -> bytes:
    return wire.encode(wire.unpack(data) | changes)


class TestRuns:
    def test_a_run_reads_as_it_was_written(self, anna: Hand) -> None:
        run = read(anna.run(), keyring())

        assert isinstance(run, Run)
        assert (run.device, run.writer) == (anna.author.device, anna.writer)
        assert list(run.events) == anna.events
        assert reread(anna.run()) == anna.events
        assert ends(anna.run(2)) == (anna.writer, 2, len(anna.events))

    def test_what_is_in_doubt_is_read_as_from_outside(self, anna: Hand) -> None:
        doubtful = anna.events[1]

        found = reread(anna.run(), {doubtful.hash}, lambda _envelope, _body: doubtful._replace(problem="so"))

        assert [event.problem for event in found] == [None, "so", None]
        assert [event.hash for event in found] == [event.hash for event in anna.events]

    def test_one_signature_speaks_for_any_run_that_ends_where_it_was_given(self, anna: Hand) -> None:
        whole, tail = wire.unpack(anna.run()), wire.unpack(anna.run(2))

        assert whole["signature"] == tail["signature"]
        assert isinstance(read(changed(anna.run(), payload=tail["payload"]), keyring()), Run)

    def test_bodies_may_be_dropped(self, anna: Hand) -> None:
        bare = [[envelope, None] for envelope, _ in anna.pairs]

        run = read(changed(anna.run(), payload=bare), keyring())

        assert isinstance(run, Run)
        assert [event.values for event in run.events] == [None] * 3

    @pytest.mark.parametrize("order", [[0, 2], [1, 0, 2], [0, 1, 1, 2], [0, 0, 1, 2], [2, 1, 0]])
    def test_a_broken_chain_is_refused(self, anna: Hand, order: list[int]) -> None:
        payload = [list(anna.pairs[index]) for index in order]

        with pytest.raises((Malformed, NotAuthentic)):
            read(changed(anna.run(), payload=payload), keyring())

    def test_a_run_cut_at_its_end_is_refused(self, anna: Hand) -> None:
        with pytest.raises(NotAuthentic):
            read(changed(anna.run(), payload=[list(pair) for pair in anna.pairs[:2]]), keyring())

    def test_two_branches_do_not_make_one_run(self, anna: Hand) -> None:
        twin = anna.copy("twin")
        anna.write(edit(ACCOUNT, name="here"))
        twin.write(edit(ACCOUNT, name="there"))
        twin.write(edit(ACCOUNT, name="on"))

        with pytest.raises((Malformed, NotAuthentic)):
            read(changed(twin.run(), payload=[list(p) for p in (*anna.pairs, twin.pairs[4])]), keyring())

    def test_another_writers_events_are_refused(self, anna: Hand) -> None:
        ben = Hand("ben")
        ben.write(add(ACCOUNT))

        with pytest.raises(NotAuthentic):
            read(changed(ben.run(), payload=[list(pair) for pair in anna.pairs]), keyring())

    def test_a_swapped_body_spoils_the_file(self, anna: Hand) -> None:
        payload = [list(pair) for pair in anna.pairs]
        payload[1][1] = payload[2][1]

        with pytest.raises(Malformed):
            read(changed(anna.run(), payload=payload), keyring())

    def test_an_invalid_event_spoils_nothing(self, anna: Hand) -> None:
        anna.pairs.append(raw_event(writer=anna.writer, seq=4, prev=anna.last.hash, wall=-1))

        run = read(anna.run(), keyring())

        assert isinstance(run, Run)
        assert [event.problem is None for event in run.events] == [True, True, True, False]

    @pytest.mark.parametrize("payload", [[], None, {}, [5], [[b"x"]], [[b"x", 5]], [[None, None]], [[b"", None]]])
    def test_what_is_no_array_of_events_is_malformed(self, anna: Hand, payload: Any) -> None:
        with pytest.raises(Malformed):
            read(changed(anna.run(), payload=payload), keyring())


class TestWhoVouches:
    def test_a_signature_by_another_device_is_refused(self, anna: Hand) -> None:
        ben = make_author("ben")
        with pytest.raises(NotAuthentic):
            read(changed(anna.run(), device=ben.public_key, certificate=ben.certificate), keyring())

    def test_a_certificate_of_another_device_is_refused(self, anna: Hand) -> None:
        with pytest.raises(NotAuthentic):
            read(changed(anna.run(), certificate=make_author("ben").certificate), keyring())

    def test_a_device_that_another_admin_admitted_is_refused(self) -> None:
        stranger = Hand("stranger", keyring("another vault"))
        stranger.vault = keyring().vault

        with pytest.raises(NotAuthentic):
            read(stranger.run(), keyring())

    def test_a_run_of_another_vault_is_refused(self) -> None:
        stranger = Hand("stranger", keyring("another vault"))

        with pytest.raises((Malformed, NotAuthentic)):
            read(stranger.run(), keyring())

    def test_a_stripped_signature_is_refused(self, anna: Hand) -> None:
        with pytest.raises(NotAuthentic):
            read(changed(anna.run(), signature=bytes(64)), keyring())

    def test_a_changed_kind_is_refused(self, anna: Hand) -> None:
        beat = make_beat(anna.author, anna.vault, START_MS, [])
        with pytest.raises((Malformed, NotAuthentic)):
            read(changed(beat, kind="run"), keyring())
        with pytest.raises((Malformed, NotAuthentic)):
            read(changed(beat, kind="snapshot", payload={"state": b"", "seen": []}), keyring())

    def test_another_nonce_is_another_writer(self, anna: Hand) -> None:
        with pytest.raises(NotAuthentic):
            read(changed(anna.run(), nonce=bytes(16)), keyring())

    @pytest.mark.parametrize(
        "change",
        [
            {"kind": "dream"},
            {"kind": 5},
            {"device": b"short"},
            {"nonce": None},
            {"certificate": []},
            {"certificate": [bytes(16), bytes(63)]},
            {"signature": "text"},
            {"more": 1},
        ],
    )
    def test_another_form_is_malformed(self, anna: Hand, change: dict[str, Any]) -> None:
        with pytest.raises(Malformed):
            read(changed(anna.run(), **change), keyring())

    def test_a_key_that_is_no_point_is_refused(self, anna: Hand) -> None:
        with pytest.raises(NotAuthentic):
            read(changed(anna.run(), device=b"\xff" * 32), keyring())


class TestBeats:
    def test_a_beat_reads_as_it_was_written(self, anna: Hand) -> None:
        beat = read(make_beat(anna.author, anna.vault, START_MS, [anna.piece()]), keyring())

        assert beat == Beat(anna.author.device, anna.writer, START_MS, (anna.piece(),))
        assert reread(make_beat(anna.author, anna.vault, START_MS, [])) == []

    def test_a_changed_beat_is_refused(self, anna: Hand) -> None:
        made = make_beat(anna.author, anna.vault, START_MS, [anna.piece()])
        for payload in ({"wall": START_MS + 1, "seen": [list(anna.piece())]}, {"wall": START_MS, "seen": []}):
            with pytest.raises(NotAuthentic):
                read(changed(made, payload=payload), keyring())

    @pytest.mark.parametrize(
        "payload",
        [
            [],
            {"wall": 1},
            {"wall": -1, "seen": []},
            {"wall": True, "seen": []},
            {"wall": 1, "seen": 5},
            {"wall": 1, "seen": [[b"w", 1, 1, b"h" * 16]]},
            {"wall": 1, "seen": [], "more": 1},
        ],
    )
    def test_another_form_is_malformed(self, anna: Hand, payload: Any) -> None:
        with pytest.raises(Malformed):
            read(changed(make_beat(anna.author, anna.vault, 1, []), payload=payload), keyring())


class TestSnapshots:
    def snapshot(self, anna: Hand, signed: bytes, **payload: Any) -> bytes:
        message = b"otpkeep/v1/content" + wire.encode([anna.vault, "snapshot", anna.writer, sha256(signed), []])
        return wire.encode(
            {
                "kind": "snapshot",
                "device": anna.author.public_key,
                "nonce": anna.author.nonce,
                "certificate": anna.author.certificate,
                "payload": {"state": signed, "seen": []} | payload,
                "signature": sign(anna.author.seed, message),
            }
        )

    def test_a_snapshot_reads(self, anna: Hand) -> None:
        found = read(self.snapshot(anna, b"\x90"), keyring())

        assert found == Snapshot(anna.author.device, anna.writer, b"\x90", ())

    def test_a_changed_one_is_refused(self, anna: Hand) -> None:
        with pytest.raises((Malformed, NotAuthentic)):
            read(self.snapshot(anna, b"\x90", state=states.encode(states.fold(anna.events))), keyring())
        with pytest.raises(NotAuthentic):
            read(self.snapshot(anna, b"\x90", seen=[list(anna.piece())]), keyring())

    @pytest.mark.parametrize("payload", [{"state": None}, {"more": 1}, {"seen": None}])
    def test_another_form_is_malformed(self, anna: Hand, payload: dict[str, Any]) -> None:
        with pytest.raises(Malformed):
            read(self.snapshot(anna, b"\x90", **payload), keyring())


def test_secrets_are_not_in_reprs(anna: Hand) -> None:
    run = read(anna.run(), keyring())

    assert repr(anna.author.seed) not in repr(anna.author)
    assert "secret" not in repr(run)
    assert "12345678901234567890" not in repr(run)
