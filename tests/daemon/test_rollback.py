"""A device whose local state was restored from a backup loses no edit that it acknowledged since."""

from __future__ import annotations

import shutil
from pathlib import Path

from support_vault import Device, World, deliver


def test_an_edit_after_a_rollback_survives_claims_about_the_lost_ones(world: World) -> None:
    # given: the phone has seen three edits of the laptop, and made one of its own
    laptop, phone = _pair(world)
    account = laptop.add("mail")
    saved = _save(laptop)
    for number in range(3):
        _note(laptop, account, f"lost {number}")
    deliver(laptop, phone)
    phone.run()
    _note(phone, account, "by the phone")
    # when: the laptop and its folder go back to before these edits, and the laptop edits again
    _restore(laptop, saved)
    _note(laptop, account, "after the restore")
    # and: the phone's file arrives, but the lost ones never do
    _carry_own(phone, laptop)
    laptop.run()
    laptop.run()
    # then: both values are there, on both sides
    assert _notes(laptop, account) == {"by the phone", "after the restore"}
    deliver(laptop, phone)
    phone.run()
    assert _notes(phone, account) == {"by the phone", "after the restore"}
    # and: should the lost ones turn up after all, both devices agree, and the values stay
    deliver(phone, laptop)
    laptop.run()
    deliver(laptop, phone)
    phone.run()
    assert laptop.state() == phone.state()
    assert _notes(laptop, account) >= {"after the restore"}


def test_nothing_is_written_again_when_the_folder_still_has_the_lost_events(world: World) -> None:
    laptop, phone = _pair(world)
    account = laptop.add("mail")
    saved = _save(laptop, keep_folder=True)
    _note(laptop, account, "later")
    laptop.run()
    deliver(laptop, phone)
    phone.run()
    _note(phone, account, "by the phone")
    deliver(phone, laptop)

    _restore(laptop, saved, keep_folder=True)
    before = laptop.store.event_count()
    laptop.run()

    assert _notes(laptop, account) == {"by the phone"}
    kinds = [event.kind for event in laptop.replica.archive.log()]
    assert laptop.store.event_count() > before
    assert kinds.count("account.edit") == 2


def _pair(world: World) -> tuple[Device, Device]:
    laptop, phone = world.device("laptop"), world.device("phone")
    laptop.run()
    phone.run()
    deliver(laptop, phone)
    deliver(phone, laptop)
    laptop.run()
    phone.run()
    return laptop, phone


def _note(device: Device, account: str, text: str) -> None:
    device.accounts.edit(account, {"note": text}, {}, placeholder=False)
    device.run()


def _notes(device: Device, account: str) -> set[str]:
    shown = device.accounts.view(bytes.fromhex(account))
    losers = {loser.written.value for loser in shown.conflicts.get("note", ())}
    return {shown.values["note"], *losers}


def _save(device: Device, *, keep_folder: bool = False) -> tuple[Path, dict[str, bytes]]:
    device.close()
    saved = device.path.parent / f"{device.label}-saved"
    shutil.copytree(device.path, saved)
    device.open()
    return saved, {} if keep_folder else {name: device.folder.read(name) or b"" for name in device.folder.names()}


def _restore(device: Device, saved: tuple[Path, dict[str, bytes]], *, keep_folder: bool = False) -> None:
    device.close()
    shutil.rmtree(device.path)
    saved[0].rename(device.path)
    if not keep_folder:
        for name in set(device.folder.names()) - saved[1].keys():
            device.folder.take(name)
    device.open()


def _carry_own(giver: Device, taker: Device) -> None:
    for name in giver.own_files():
        taker.folder.put(name, giver.folder.read(name) or b"")
