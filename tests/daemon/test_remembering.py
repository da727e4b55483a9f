"""What the daemon unlocks itself with: a key apart from the store, never the passphrase; and how it is forgotten."""

from __future__ import annotations

import threading
from contextlib import nullcontext
from pathlib import Path

import pytest

from otpkeep_cli import unlocking
from otpkeep_daemon import credentials, patience
from otpkeep_daemon.remembering import METHODS, RECORD, Offer, Remembering, best
from otpkeep_protocol import keyring, wire
from otpkeep_protocol.errors import Locked, Malformed, NotAuthentic, OtpkeepError, Refused
from support_vault import Device, World


def remembering(device: Device) -> Remembering:
    return Remembering(device.store, device.path, device.around, nullcontext())


def key_files(device: Device) -> list[Path]:
    return sorted(device.path.glob("unlock-*"))


def reason(remembered: Remembering) -> str:
    """Why the daemon would stay locked, which must come with something to do."""
    why = remembered.check()
    assert why is not None
    assert "otpkeep unlock" in why.hint
    return why.message


def test_what_is_remembered_opens_the_device_and_holds_neither_passphrase_nor_admin_seed(laptop: Device) -> None:
    remembered = remembering(laptop)
    remembered.choose(laptop.replica.keys, "file")
    assert (remembered.method, remembered.check()) == ("file", None)
    assert remembered.keys() == laptop.replica.keys
    assert remembered.keys().keyring.seed is None
    # and: neither the store nor the key file says anything alone
    (file,) = key_files(laptop)
    kept = laptop.store.need(RECORD)
    for secret in (laptop.ring.newest.key, laptop.ring.id_key, laptop.replica.keys.local_key):
        assert secret not in kept
    assert file.stat().st_mode & 0o777 == 0o600
    assert len(bytes.fromhex(file.read_text())) == 32


def test_nothing_remembered_says_so_with_the_way_to_change_it(laptop: Device) -> None:
    assert remembering(laptop).method == "none"
    assert "nothing is remembered" in reason(remembering(laptop))


def test_choosing_anew_makes_a_new_key_and_the_old_one_opens_nothing(laptop: Device) -> None:
    remembered = remembering(laptop)
    remembered.choose(laptop.replica.keys, "file")
    (first,) = key_files(laptop)
    old, record = first.read_text(), laptop.store.need(RECORD)
    assert remembered.choose(laptop.replica.keys, "file") == ""
    (second,) = key_files(laptop)
    assert second != first
    assert second.read_text() != old
    wrapped = wire.decode(laptop.store.need(RECORD), 100_000)["wrapped"]
    assert wrapped != wire.decode(record, 100_000)["wrapped"]
    with pytest.raises(NotAuthentic):
        keyring.unwrap(bytes.fromhex(old), keyring.unlock_label(laptop.ring.vault), wrapped)


def test_forgetting_removes_the_wrapped_keys_and_the_key(laptop: Device) -> None:
    remembered = remembering(laptop)
    remembered.choose(laptop.replica.keys, "file")
    assert remembered.forget() == ""
    assert key_files(laptop) == []
    assert laptop.store.get(RECORD) == b""
    assert "nothing is remembered" in reason(remembered)


@pytest.mark.parametrize("text", ["00" * 32, "00" * 31, "no key", "", "\xff"])
def test_a_key_that_does_not_fit_leaves_it_locked_with_the_reason(laptop: Device, text: str) -> None:
    remembered = remembering(laptop)
    remembered.choose(laptop.replica.keys, "file")
    key_files(laptop)[0].write_text(text, encoding="latin-1")
    assert "not the one that this store was given" in reason(remembered) or "does not hold a key" in reason(remembered)


def test_a_key_file_that_others_may_read_or_that_is_gone_is_not_used(laptop: Device) -> None:
    remembered = remembering(laptop)
    remembered.choose(laptop.replica.keys, "file")
    (file,) = key_files(laptop)
    file.chmod(0o640)
    assert "only you may read" in reason(remembered)
    file.unlink()
    assert "can't be read" in reason(remembered)
    file.symlink_to("/dev/zero")
    assert "can't be read" in reason(remembered)


def test_the_keys_of_another_device_of_the_vault_are_not_taken(world: World) -> None:
    laptop, phone = world.device("laptop"), world.device("phone")
    remembering(laptop).choose(laptop.replica.keys, "file")
    with phone.store.transaction():
        phone.store.put(RECORD, laptop.store.need(RECORD))
    (phone.path / key_files(laptop)[0].name).write_bytes(key_files(laptop)[0].read_bytes())
    (phone.path / key_files(laptop)[0].name).chmod(0o600)
    assert "not the one that this store was given" in reason(remembering(phone))


def test_a_method_that_can_t_be_used_is_refused_and_the_earlier_choice_stays(laptop: Device) -> None:
    remembered = Remembering(laptop.store, laptop.path, laptop.around, nullcontext())
    remembered.choose(laptop.replica.keys, "file")
    elsewhere = Remembering(laptop.store, laptop.path / "missing", laptop.around, nullcontext())
    with pytest.raises(Refused, match="the choice stays as it was") as caught:
        elsewhere.choose(laptop.replica.keys, "file")
    assert "keychain" in caught.value.hint
    assert remembered.check() is None


def test_a_store_that_takes_nothing_more_keeps_the_earlier_choice_and_no_new_key(laptop: Device) -> None:
    remembered = remembering(laptop)
    remembered.choose(laptop.replica.keys, "file")
    before = key_files(laptop)
    laptop.store._db.execute("PRAGMA query_only = ON")
    with pytest.raises(OtpkeepError):
        remembered.choose(laptop.replica.keys, "file")
    laptop.store._db.execute("PRAGMA query_only = OFF")
    assert key_files(laptop) == before
    assert remembered.check() is None


def test_an_unknown_method_is_malformed(laptop: Device) -> None:
    with pytest.raises(Malformed, match="no way of unlocking"):
        remembering(laptop).choose(laptop.replica.keys, "magic")


def test_the_best_offer_is_never_a_key_file() -> None:
    offered = [
        Offer("keychain", "", "locked"),
        Offer("credential", "", ""),
        Offer("file", "", ""),
        Offer("none", "", ""),
    ]
    assert best(offered) == "credential"
    assert best([offered[0], *offered[2:]]) == "none"


def test_the_command_line_names_the_same_methods() -> None:
    assert tuple(METHODS) == unlocking.METHODS


def test_a_credential_that_the_daemon_s_own_unit_was_given_is_read(tmp_path: Path) -> None:
    (tmp_path / credentials.NAME).write_text("00ff\n")
    assert credentials.given({"CREDENTIALS_DIRECTORY": str(tmp_path)}) == "00ff"
    assert credentials.given({"CREDENTIALS_DIRECTORY": str(tmp_path / "other")}) is None
    assert credentials.given({}) is None


def test_a_keychain_that_says_nothing_is_waited_for_only_so_long() -> None:
    answer = threading.Event()
    with pytest.raises(TimeoutError):
        patience.within(0.01, answer.wait)
    answer.set()
    assert patience.within(10, answer.wait) is True
    with pytest.raises(Locked):
        patience.within(10, _fail)


def _fail() -> None:
    raise Locked("no")
