"""Importing over and over, and placeholders' secrets: what stays local stays so, and no counter goes back."""

from __future__ import annotations

from typing import Any

import pytest

from otpkeep_daemon.calls import call
from otpkeep_daemon.imports import Import, Imported
from otpkeep_daemon.own_vault import OwnVault
from otpkeep_daemon.service import Service
from otpkeep_protocol import wire
from otpkeep_protocol.errors import Refused
from support_vault import Device, hotp, totp

LOCAL = b"very local"
COUNTED = b"counted secret"
ID = ["aegis", "1"]


def entry(name: str, otp: dict[str, Any], identity: list[str] | None = None) -> dict[str, Any]:
    return {"fields": {"name": name, "otp": otp}, "identity": identity, "label": f"entry {name}"}


def bring(device: Device, *entries: dict[str, Any], placeholder: bool = False) -> Imported:
    made = Import(device.accounts, placeholder=placeholder).plan(entries)
    if made.drafts:
        device.replica.commit(made.drafts, made.secrets)
    elif made.secrets:
        with device.store.transaction():
            device.replica.keep_locals(made.secrets)
    return made


def counter(device: Device, name: str = "counted") -> int:
    otp = device.accounts.otp(device.accounts.find(name))
    assert otp is not None
    assert otp.counter is not None
    return otp.counter


def use(device: Device, times: int) -> None:
    for _ in range(times):
        device.accounts.code("counted", at=0, peek=False)


def events(device: Device) -> bytes:
    return b"".join(wire.encode(dict(event.values or {})) for event in device.replica.archive.log())


def keep_local(device: Device, name: str = "kept here", secret: bytes = LOCAL) -> str:
    account, _ = device.accounts.add({"name": name, "otp": totp(secret)}, placeholder=True)
    return account.hex()


class TestCounters:
    @pytest.mark.parametrize("placeholder", [True, False])
    @pytest.mark.parametrize("identity", [None, ID])
    @pytest.mark.parametrize(("brought", "kept"), [(5, 8), (2, 8), (8, 8), (20, 20)])
    def test_importing_again_never_lowers_one(
        self, laptop: Device, placeholder: bool, identity: list[str] | None, brought: int, kept: int
    ) -> None:
        bring(laptop, entry("counted", hotp(COUNTED, 5), identity), placeholder=placeholder)
        use(laptop, 3)
        made = bring(laptop, entry("counted", hotp(COUNTED, brought), identity), placeholder=placeholder)
        assert counter(laptop) == kept
        assert len(made.all) == 1
        assert made.skipped == []
        laptop.restart()
        assert counter(laptop) == kept

    @pytest.mark.parametrize(
        "placeholder",
        [pytest.param(True, id="placeholder"), pytest.param(False, id="backed up")],
    )
    def test_importing_after_a_deliberate_reset_does_not_raise_it(self, laptop: Device, placeholder: bool) -> None:
        bring(laptop, entry("counted", hotp(COUNTED, 50), ID), placeholder=placeholder)
        laptop.accounts.edit("counted", {}, {"counter": 3}, placeholder=placeholder)
        bring(laptop, entry("counted", hotp(COUNTED, 50), ID), placeholder=placeholder)
        assert counter(laptop) == 3
        use(laptop, 2)
        bring(laptop, entry("counted", hotp(COUNTED, 1), ID), placeholder=placeholder)
        assert counter(laptop) == 5

    def test_a_placeholder_imported_again_after_it_was_deleted_goes_on_where_it_was(self, laptop: Device) -> None:
        bring(laptop, entry("counted", hotp(COUNTED, 5), ID), placeholder=True)
        use(laptop, 3)
        laptop.accounts.remove("counted")
        bring(laptop, entry("counted", hotp(COUNTED, 5), ID), placeholder=True)
        assert counter(laptop) == 8
        assert COUNTED not in events(laptop)


class TestTwiceInOneFile:
    def row(self, device: Device, *entries: dict[str, Any], placeholder: bool = False) -> dict[str, Any]:
        """What `import` answers."""
        own = OwnVault(device.path / "vault.aegis.json", device.random)
        service = Service(device.store, device.folder, own, device.around)
        service.unlock(device.replica.keys)
        args = {"entries": entries, "skipped": [], "placeholder": placeholder, "dry_run": False}
        answer: dict[str, Any] = call(service, "import", args)
        return answer

    @pytest.mark.parametrize("placeholder", [True, False])
    @pytest.mark.parametrize("state", ["new", "there", "changed", "deleted"])
    def test_the_second_is_reported_and_each_id_is_named_once(
        self, laptop: Device, state: str, placeholder: bool
    ) -> None:
        old = {"changed": "old name"}.get(state, "mail")
        if state != "new":
            bring(laptop, entry(old, totp(LOCAL), ID), placeholder=placeholder)
        if state == "deleted":
            laptop.accounts.remove(old)
        answer = self.row(
            laptop, entry("mail", totp(LOCAL), ID), entry("mail", totp(LOCAL), ID), placeholder=placeholder
        )
        named = [*answer["added"], *answer["changed"], *answer["unchanged"]]
        assert len(named) == len(set(named)) == 1
        assert [skipped["entry"] for skipped in answer["skipped"]] == ["entry mail"]
        assert len(answer["ready"]) == 1

    def test_two_ids_with_the_secret_of_one_living_account_do_not_both_become_it(self, laptop: Device) -> None:
        bring(laptop, entry("mail", totp(LOCAL), ID))
        answer = self.row(laptop, entry("one", totp(LOCAL), ["aegis", "2"]), entry("two", totp(LOCAL), ["aegis", "3"]))
        named = [*answer["added"], *answer["changed"], *answer["unchanged"]]
        assert len(named) == len(set(named))

    def test_an_entry_by_id_and_one_by_secret_that_mean_one_account_are_told(self, laptop: Device) -> None:
        bring(laptop, entry("mail", totp(b"first"), ID))
        laptop.accounts.edit("mail", {}, {"secret": b"second"}, placeholder=False)
        answer = self.row(laptop, entry("mail", totp(b"first"), ID), entry("mail", totp(b"second"), ["aegis", "9"]))
        named = [*answer["added"], *answer["changed"], *answer["unchanged"]]
        assert len(named) == len(set(named)) == 1
        assert len(answer["skipped"]) == 1


class TestSecretsThatStayHere:
    def test_after_the_placeholder_is_removed_its_secret_can_be_added_anew(self, laptop: Device) -> None:
        account = keep_local(laptop)
        with pytest.raises(Refused, match="placeholder"):
            laptop.accounts.add({"name": "mail", "otp": totp(LOCAL)}, placeholder=False)
        laptop.accounts.remove(account)
        laptop.accounts.add({"name": "mail", "otp": totp(LOCAL)}, placeholder=False)
        assert laptop.names() == ["mail"]
        assert LOCAL in events(laptop)

    def test_it_is_refused_even_after_a_restart_and_a_failed_edit(self, laptop: Device) -> None:
        keep_local(laptop)
        laptop.restart()
        for _ in range(2):
            with pytest.raises(Refused):
                laptop.accounts.add({"name": "mail", "otp": totp(LOCAL)}, placeholder=False)
        assert LOCAL not in events(laptop)

    @pytest.mark.parametrize("kind", ["totp", "hotp"])
    def test_no_edit_leads_it_into_an_account_that_is_backed_up(self, laptop: Device, kind: str) -> None:
        keep_local(laptop)
        mail = laptop.add("mail")
        with pytest.raises(Refused):
            laptop.accounts.edit(mail, {"name": "x"}, {"secret": LOCAL, "type": kind}, placeholder=False)
        assert laptop.values(mail)["name"] == "mail"
        assert LOCAL not in events(laptop)

    @pytest.mark.parametrize("how", ["new", "by id", "by a shared secret", "revived"])
    def test_no_import_leads_it_into_an_account_that_is_backed_up(self, laptop: Device, how: str) -> None:
        keep_local(laptop)
        if how in ("by id", "revived"):
            bring(laptop, entry("mail", totp(b"backed up"), ID))
        if how == "revived":
            laptop.accounts.remove("mail")
        if how in ("new", "by a shared secret", "revived"):
            keep_local(laptop, "kept twice")
        made = bring(laptop, entry("mail", totp(LOCAL), ID if how != "by a shared secret" else None))
        assert LOCAL not in events(laptop)
        assert len(made.skipped) == 1
        assert "placeholder" in made.skipped[0]["reason"]

    def test_a_secret_that_was_backed_up_once_can_not_become_local(self, laptop: Device) -> None:
        laptop.add("mail", otp=totp(LOCAL))
        with pytest.raises(Refused, match="backed up already"):
            keep_local(laptop)

    def test_it_can_not_even_after_its_account_was_deleted(self, laptop: Device) -> None:
        laptop.add("mail", otp=totp(LOCAL))
        laptop.accounts.remove("mail")
        with pytest.raises(Refused, match="backed up already"):
            keep_local(laptop)

    def test_a_new_secret_of_a_placeholder_is_an_event_and_stays_here(self, laptop: Device) -> None:
        keep_local(laptop)
        account = laptop.accounts.views()[0].account
        _, event = laptop.accounts.edit(account.hex(), {}, {"secret": b"another secret altogether"}, placeholder=False)
        assert event is not None
        assert b"another secret" not in repr(event.values).encode()
        assert b"another secret" in (laptop.replica.local_secret(account) or b"")
