"""What `recover` tells of each account: a code now, or what a person has to do and why."""

from __future__ import annotations

from otpkeep_daemon.recovery_report import NOT_HERE, PUSH, SET_UP_AGAIN, found, recovered
from otpkeep_protocol.account import Otp
from otpkeep_protocol.events import Draft
from support_vault import Device, World, delete, totp

MARKED, PUSHED, HALF = (bytes([number]) * 16 for number in range(1, 4))


def test_each_account_gives_codes_or_has_a_reason_and_a_push_is_one_beside_a_code(
    world: World, laptop: Device, phone: Device
) -> None:
    # given: accounts of every sort: plain, with push beside the key, a placeholder, push alone, without its secret
    key = laptop.add("key")
    both = laptop.add("both", push={"vendor": "somebody"})
    marked = {"issuer": "Bank", "name": "me", "otp": Otp.from_wire(totp()).as_placeholder().to_wire()}
    pushed = {"name": "pushed", "otp": {"placeholder": "push"}}
    for account, values in ((MARKED, marked), (PUSHED, pushed), (HALF, {"name": "half"})):
        laptop.commit(Draft("account.edit", account, alive=True, values=values))
    laptop.commit(delete(bytes.fromhex(laptop.add("gone"))))
    world.sync()
    # then: the other device says of each what it is
    told = recovered(phone.store, phone.accounts, [])
    assert set(told["ready"]) == {key, both}
    assert len(told["added"]) == 5
    reasons = {(row["id"], row["reason"]) for row in told["needs_action"]}
    assert reasons == {(both, PUSH), (MARKED.hex(), SET_UP_AGAIN), (PUSHED.hex(), PUSH), (HALF.hex(), NOT_HERE)}
    assert {(row["issuer"], row["name"]) for row in told["needs_action"]} >= {("Bank", "me"), ("", "pushed")}


def test_what_was_found_names_devices_by_their_last_event_and_what_is_missing(
    world: World, laptop: Device, phone: Device
) -> None:
    # given: an edit of the laptop that refers to one of the phone, which did not arrive
    laptop.clock.ms += 5000
    phone.add("late")
    world.sync()
    laptop.add("newest")
    tablet = world.device("tablet", introduced=False)
    held = {name: laptop.store.data(file.hash) for file in laptop.store.files() for name in [file.name]}
    late = next(file.name for file in phone.store.files() if file.owner == phone.store.need("device"))
    tablet.replica.ingest([data for name, data in held.items() if name != late])
    told = found(tablet.store, tablet.accounts, 3)
    assert told["devices"][0]["name"] == "laptop"
    assert {row["last_event"] for row in told["devices"]} >= {"2023-11-14T22:13:25.000Z"}
    assert (told["unreadable"], told["events"]) == (3, tablet.store.event_count())
    assert sum(row["events"] for row in told["waiting_for"]) > 0
    assert told["digest"] != recovered(laptop.store, laptop.accounts, [])["digest"]
