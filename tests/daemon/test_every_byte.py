"""Every byte flipped and every length cut, of every kind of file; and files in the wrong place (faults.md 4 and 5)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache

import pytest

from otpkeep_daemon import device as device_secrets
from otpkeep_daemon.formats import aegis
from otpkeep_daemon.formats.entry import Parsed
from otpkeep_daemon.store import NewFile
from otpkeep_daemon.turns import Turns
from otpkeep_daemon.verify import Verification
from otpkeep_protocol import content, sealing, slots, state, wire
from otpkeep_protocol.account import Account
from otpkeep_protocol.errors import Malformed, NotAuthentic, OtpkeepError, UnknownVersion, WrongPassphrase
from otpkeep_protocol.ids import sha256
from otpkeep_protocol.keyring import Epoch, Keyring
from otpkeep_protocol.naming import file_name
from otpkeep_protocol.statements import check_admin
from support_vault import (
    START_MS,
    Device,
    Hand,
    Random,
    add,
    deliver,
    new_world,
    seal,
    slot_set,
    totp,
)
from support_vault import keyring as ring_of

CHEAP = slots.Cost(19_456, 2, 1)
PASSPHRASE = "six words that nobody would ever guess"
CODE = Random("a code")(slots.CODE_SIZE)
ACCOUNT = b"a" * 16
REFUSED = ("pending", "rejected")
"""Before it was opened: it may still be on its way; after: it is nobody's who was admitted."""


def flips(data: bytes) -> Iterator[bytes]:
    """Every version of some bytes that differs in one byte, in its lowest, highest or every bit by turns."""
    for at in range(len(data)):
        yield data[:at] + bytes([data[at] ^ (1, 0x80, 0xFF)[at % 3]]) + data[at + 1 :]


def cuts(data: bytes) -> Iterator[bytes]:
    """Every beginning of some bytes that is shorter than they are."""
    return (data[:length] for length in range(len(data)))


def a_run(hand: Hand) -> bytes:
    return hand.run()


def a_beat(hand: Hand) -> bytes:
    return content.make_beat(hand.author, hand.vault, START_MS, [hand.piece()])


def a_snapshot(hand: Hand) -> bytes:
    encoded = state.encode(state.fold(hand.events))
    return content.make_snapshot(hand.author, hand.vault, encoded, [hand.piece()])


KINDS: dict[str, Callable[[Hand], bytes]] = {"run": a_run, "beat": a_beat, "snapshot": a_snapshot}


def written(ring: Keyring | None = None) -> Hand:
    """A device that is not here, and has added an account."""
    hand = Hand("gamma", ring)
    hand.write(add(ACCOUNT, name="mail"))
    return hand


@pytest.mark.parametrize("kind", KINDS)
class TestSealedFiles:
    def test_no_flip_and_no_cut_opens_or_is_anything_but_refused(self, kind: str) -> None:
        ring, data = ring_of(), seal(KINDS[kind](written()))

        def read(stored: bytes) -> content.Content:
            header = sealing.read_header(stored)
            return content.read(sealing.open_sealed(stored, header, ring.newest.key), ring)

        assert read(data)
        for damaged in (*flips(data), *cuts(data)):
            with pytest.raises((Malformed, NotAuthentic, UnknownVersion)):
                read(damaged)

    def test_a_folder_full_of_them_changes_nothing_and_hides_nothing(
        self, laptop: Device, phone: Device, kind: str
    ) -> None:
        # given: a device with an account of its own, and every damaged version of a file that it never saw
        laptop.add("bank")
        laptop.run()
        before, held = laptop.state(), laptop.held()
        data = seal(KINDS[kind](written()))
        spoilt = [*flips(data), *cuts(data)]
        for number, damaged in enumerate(spoilt):
            laptop.folder.put(f"{number:032x}.otpk", damaged)

        # when: they are looked at, with another device's news among them
        phone.add("mail")
        phone.run()
        deliver(phone, laptop)
        outcome = laptop.run()

        # then: each has been judged, none is in, the news are, and the right file is taken as soon as it comes
        assert outcome.trouble is None
        verdicts = laptop.verdicts()
        judged = {verdicts[f"{number:032x}.otpk"] for number in range(len(spoilt))}
        assert judged <= {"pending", "newer", "other-vault", "foreign"}, judged
        assert laptop.names() == ["bank", "mail"]
        assert laptop.state() != before
        assert laptop.held() >= held
        laptop.folder.put(file_name(data), data)
        laptop.run()
        assert laptop.verdicts()[file_name(data)] == "ok"

    def test_verify_names_each_with_what_it_means_and_what_to_do(self, laptop: Device, kind: str) -> None:
        data = seal(KINDS[kind](written()))
        laptop.run()
        spoilt = [*list(flips(data))[::97], *list(cuts(data))[::97]]
        for number, damaged in enumerate(spoilt):
            laptop.folder.put(f"{number:032x}.otpk", damaged)

        done = Verification(laptop.store, laptop.folder, laptop.accounts, "content", Turns()).run()

        named = {problem["file"]: problem for problem in done["problems"]}
        for number in range(len(spoilt)):
            problem = named[f"{number:032x}.otpk"]
            assert problem["message"]
            assert problem["hint"]


class TestSlots:
    @pytest.fixture(autouse=True)
    def once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Derive each key once: only what a flip changes costs anything again."""
        monkeypatch.setattr(slots, "_stretch", cache(slots._stretch))

    @pytest.mark.parametrize("kind", ["passphrase", "code"])
    def test_no_flip_and_no_cut_opens(self, kind: str) -> None:
        ring = ring_of()
        with_code = kind == "code"
        data = (
            slots.recovery_slot(ring, CODE, bytes(32))
            if with_code
            else slots.passphrase_slot(ring, PASSPHRASE, bytes(32), CHEAP)
        )

        def opened(stored: bytes) -> Keyring:
            return slots.open_slot(stored, code=CODE) if with_code else slots.open_slot(stored, passphrase=PASSPHRASE)

        assert opened(data) == ring
        for damaged in (*flips(data), *cuts(data)):
            with pytest.raises(OtpkeepError):
                opened(damaged)
            # and: the other copy opens, whatever stands before it
        spoilt = [*list(flips(data))[::61], *list(cuts(data))[::61], data]
        found, used = (
            device_secrets.open_with_code(spoilt, CODE)
            if with_code
            else device_secrets.open_with_passphrase(spoilt, PASSPHRASE)
        )
        assert (found, used) == (ring, data)

    def test_a_slot_of_a_passphrase_that_says_it_is_of_a_code_opens_with_neither(self) -> None:
        data = slots.passphrase_slot(ring_of(), PASSPHRASE, bytes(32), CHEAP)
        downgraded = data[:109] + bytes([slots.RECOVERY]) + bytes(9) + data[119:]

        for given in ({"passphrase": PASSPHRASE}, {"code": CODE}):
            with pytest.raises(WrongPassphrase):
                slots.open_slot(downgraded, **given)

    def test_superseded_slots_that_come_back_unlock_this_device_no_more(self, laptop: Device) -> None:
        """Passphrase slots are put into the folder again under other names, as if they had just arrived."""
        old = self.set_slots(laptop, "the old passphrase", [])
        new = self.set_slots(laptop, PASSPHRASE, [self.statement_id(laptop)])
        for number, data in enumerate(old):
            laptop.folder.put(f"{number:032x}.otpk", data)

        candidates = list(device_secrets.slot_files(laptop.store, laptop.folder))

        assert device_secrets.open_with_passphrase(candidates, PASSPHRASE)[1] in new
        with pytest.raises(WrongPassphrase):
            device_secrets.open_with_passphrase(candidates, "the old passphrase")

    def set_slots(self, device: Device, passphrase: str, supersedes: list[bytes]) -> list[bytes]:
        made = [slots.passphrase_slot(device.ring, passphrase, device.random(32), CHEAP) for _ in range(2)]
        with device.store.transaction():
            for data in made:
                device.store.add(NewFile(sha256(data), file_name(data), "slot", None, False, data))
        device.commit(slot_set(made, device.ring, supersedes))
        device.run()
        return made

    def statement_id(self, device: Device) -> bytes:
        return check_admin(device.replica.slot_statement(), device.ring)


class TestWhatTheStoreWraps:
    def test_no_flip_and_no_cut_of_the_device_secrets_unlocks(self, laptop: Device) -> None:
        whole = laptop.store.need("secrets")
        for damaged in (*flips(whole), *cuts(whole)):
            with laptop.store.transaction():
                laptop.store.put("secrets", damaged)
            with pytest.raises((Malformed, NotAuthentic)):
                device_secrets.unlock(laptop.store, laptop.ring)
        with laptop.store.transaction():
            laptop.store.put("secrets", whole)
        assert device_secrets.unlock(laptop.store, laptop.ring).author.device == laptop.replica.keys.author.device

    def test_no_flip_and_no_cut_of_what_unlocks_by_itself_does(self, laptop: Device) -> None:
        key = bytes(32)
        whole = device_secrets.wrap_for_unlock(laptop.replica.keys, key, Random("wrap")(32))
        assert device_secrets.unlock_remembered(laptop.store, whole, key)
        for damaged in (*flips(whole), *cuts(whole)):
            with pytest.raises((Malformed, NotAuthentic)):
                device_secrets.unlock_remembered(laptop.store, damaged, key)


class TestTheOwnVaultFile:
    def test_no_flip_shows_other_accounts_and_no_cut_any(self) -> None:
        """What stands in clear around the encrypted part may be spoilt without harm; then nothing is lost either."""
        key, slot = bytes(range(32)), {"uuid": "u", "key": b"k", "nonce": b"n" * 12, "tag": b"t" * 16, "salt": b"s"}
        account = Account.from_fields({"name": "mail", "otp": totp()})
        made = aegis.write_with_master_key([(ACCOUNT, account)], key, {**slot, "n": 2**15, "r": 8, "p": 1}, bytes)

        def read(data: bytes) -> Parsed | OtpkeepError:
            try:
                return aegis.read_with_key(data, key)
            except OtpkeepError as error:
                return error

        right = read(made.data)
        assert isinstance(right, Parsed)
        refused = 0
        for damaged in flips(made.data):
            found = read(damaged)
            refused += isinstance(found, OtpkeepError)
            assert isinstance(found, OtpkeepError) or found == right
        assert refused > len(made.data) // 2
        for cut in cuts(made.data):
            assert isinstance(read(cut), OtpkeepError)


class TestSplicing:
    """Sound parts in the wrong place: each is refused for what it is, and the rest of the folder counts."""

    def test_a_file_of_another_vault_under_this_vaults_id_is_not_opened(self, laptop: Device) -> None:
        other = ring_of("another vault")
        data = seal(written(other).run(), ring=other)
        spliced = data[:13] + laptop.ring.vault + laptop.ring.newest.id + data[45:]
        assert self.verdict(laptop, spliced) in REFUSED

    @pytest.mark.parametrize("kind", KINDS)
    def test_content_of_another_vault_sealed_under_this_ones_key_is_refused(self, laptop: Device, kind: str) -> None:
        assert self.verdict(laptop, seal(KINDS[kind](written(ring_of("another vault"))))) == "rejected"

    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize("said", KINDS)
    def test_no_kind_passes_for_another(self, laptop: Device, kind: str, said: str) -> None:
        value = wire.unpack(KINDS[kind](written()))
        if said != kind:
            assert self.verdict(laptop, seal(wire.encode({**value, "kind": said}))) == "rejected"
        else:
            assert self.verdict(laptop, seal(wire.encode(value))) == "ok"

    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize("part", ["signature", "certificate", "device", "nonce", "payload"])
    def test_no_part_of_one_devices_file_fits_into_anothers(self, laptop: Device, kind: str, part: str) -> None:
        other = Hand("delta")
        other.write(add(b"b" * 16, name="forged"))
        mine, theirs = wire.unpack(KINDS[kind](written())), wire.unpack(KINDS[kind](other))
        assert self.verdict(laptop, seal(wire.encode({**mine, part: theirs[part]}))) == "rejected"
        assert laptop.names() == []

    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize("stripped", [bytes(64), b"", None], ids=["zeros", "empty", "nil"])
    def test_a_stripped_signature_is_refused(self, laptop: Device, kind: str, stripped: bytes | None) -> None:
        value = wire.unpack(KINDS[kind](written()))
        assert self.verdict(laptop, seal(wire.encode({**value, "signature": stripped}))) == "rejected"

    def test_a_file_moved_into_another_epoch_is_refused(self) -> None:
        # given: a vault of two epochs, and a file of the first whose header is made to say the second
        first = ring_of()
        epochs = (*first.epochs, Epoch(b"2" * 16, b"k" * 32, first.newest.admin))
        ring = replace(first, epochs=epochs)
        data = seal(written().run())
        moved = data[:29] + epochs[1].id + data[45:]
        with new_world(ring) as world:
            laptop = world.device("laptop", introduced=False)
            assert self.verdict(laptop, moved) in REFUSED
            # and: the same content sealed anew under the second epoch is the same content
            assert self.verdict(laptop, seal(written().run(), ring=ring)) == "ok"
            assert laptop.names() == ["mail"]

    def test_a_sealed_file_does_not_pass_for_a_slot_nor_a_slot_for_a_sealed_file(self, laptop: Device) -> None:
        sealed, slot = seal(written().run()), slots.recovery_slot(laptop.ring, CODE, bytes(32))
        as_slot = sealed[:12] + bytes([sealing.SLOT]) + sealed[13:]
        as_sealed = slot[:12] + bytes([sealing.SEALED]) + slot[13:]

        assert self.verdict(laptop, as_sealed) in REFUSED
        assert self.verdict(laptop, as_slot) in ("pending", "slot")
        with pytest.raises(OtpkeepError):
            slots.open_slot(as_slot, code=CODE)
        assert laptop.names() == []

    def verdict(self, device: Device, data: bytes) -> str:
        """Put a file into the folder beside another device's sound one; return what is made of it."""
        sound = Hand("epsilon")
        device.folder.put(file_name(data), data)
        device.folder.put(file_name(seal(sound.run())), seal(sound.run()))
        assert device.run().trouble is None
        assert device.verdicts()[file_name(seal(sound.run()))] == "ok"
        return device.verdicts()[file_name(data)]
