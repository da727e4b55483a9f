"""What a person says about devices: retire one, make it active again, give it another name."""

from __future__ import annotations

from typing import Any

import pytest

from otpkeep_daemon.calls import call
from otpkeep_daemon.service import Service
from otpkeep_protocol.errors import Ambiguous, NotFound, Refused, Usage
from otpkeep_protocol.events import Draft
from support_service import serve
from support_vault import DAY_MS, Device, World, totp


@pytest.fixture
def service(world: World) -> Service:
    """A laptop's service in a vault with a phone."""
    laptop, _phone = world.device("laptop"), world.device("phone")
    world.sync()
    made = serve(laptop)
    laptop.engine = made.engine
    return made


def row(service: Service, name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(row for row in call(service, "devices", {}) if row["name"] == name)
    return found


def retire(service: Service, device: str, *, undo: bool = False, own: bool = False) -> dict[str, Any]:
    done: dict[str, Any] = call(service, "retire", {"device": device, "undo": undo, "own": own})
    return done


def test_a_device_is_retired_by_its_name_or_six_digits_of_its_id_and_active_again(service: Service) -> None:
    phone = row(service, "phone")["id"]
    done = retire(service, "Phone")
    assert (done["id"], done["name"], done["state"], done["backed_up"]) == (phone, "phone", "retired", True)
    assert row(service, "phone")["state"] == "retired"
    again = retire(service, phone[:6])
    assert (again["event"], again["state"]) == (None, "retired")
    back = retire(service, phone[:6], undo=True)
    assert back["event"] is not None
    assert row(service, "phone")["state"] == "active"
    assert retire(service, "phone", undo=True)["event"] is None


def test_this_very_device_is_retired_only_if_that_is_meant(service: Service) -> None:
    with pytest.raises(Usage, match="this very device"):
        retire(service, "laptop")
    assert row(service, "laptop")["state"] == "active"
    assert retire(service, "laptop", own=True)["state"] == "retired"
    # and: an account that is edited here makes it active again
    call(service, "add", {"fields": {"name": "mail", "otp": totp()}, "placeholder": False})
    assert row(service, "laptop")["state"] == "active"


def test_of_two_devices_that_retire_and_use_at_once_the_later_word_counts_everywhere(world: World) -> None:
    laptop, phone = world.device("laptop"), world.device("phone")
    world.sync()
    services = []
    for device in (laptop, phone):
        services.append(serve(device))
        device.engine = services[-1].engine
    retire(services[0], "phone")
    phone.clock.ms += DAY_MS
    retire(services[1], "phone", own=True)
    phone.clock.ms += 1
    retire(services[1], "phone", undo=True)
    world.sync()
    assert {row(service, "phone")["state"] for service in services} == {"active"}


@pytest.mark.parametrize("words", ["nobody", "", "ab"])
def test_a_device_that_is_not_there_is_not_found(service: Service, words: str) -> None:
    with pytest.raises(NotFound):
        retire(service, words)


def test_a_name_that_two_devices_have_is_ambiguous_and_names_both(world: World, service: Service) -> None:
    world.device("phone 2")
    world.devices[-1].commit(_renamed(world.devices[-1], "PHONE"))
    world.sync()
    with pytest.raises(Ambiguous) as caught:
        retire(service, "phone")
    assert len(caught.value.data["candidates"]) == 2


def test_a_device_gets_another_name(service: Service) -> None:
    done = call(service, "rename", {"device": "phone", "label": " old phone "})
    assert (done["name"], done["backed_up"]) == ("old phone", True)
    assert row(service, "old phone")["state"] == "active"
    assert call(service, "rename", {"device": "old phone", "label": "old phone"})["event"] is None


@pytest.mark.parametrize("label", ["", "  ", "x" * 257, "a\nb"])
def test_a_name_that_can_t_be_one_changes_nothing(service: Service, label: str) -> None:
    with pytest.raises(Usage):
        call(service, "rename", {"device": "phone", "label": label})


def test_a_name_that_another_device_has_is_refused(service: Service) -> None:
    with pytest.raises(Refused):
        call(service, "rename", {"device": "phone", "label": "Laptop"})


def _renamed(device: Device, label: str) -> Draft:
    return Draft("device.rename", device.store.need("device"), values={"label": label})
