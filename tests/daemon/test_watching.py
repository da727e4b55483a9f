"""Watched files in one process: first looks, captures, write-backs, holds and reviews, over real files."""

from __future__ import annotations

import json
import os
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from otpkeep_daemon import exchange, vault_files
from otpkeep_daemon.calls import call
from otpkeep_daemon.formats import aegis, registry
from otpkeep_daemon.formats.entry import Rewrite
from otpkeep_daemon.problems import watched_problems
from otpkeep_daemon.service import Service
from otpkeep_protocol.errors import NotFound, Refused, WrongPassphrase
from support_service import serve
from support_system import base32
from support_vault import World, publish_slots, totp
from support_watch import ENCRYPTED, PASSWORD, AegisFile, entry_of, in_place, uuid_of


@pytest.fixture
def service(world: World) -> Service:
    return serve(world.device("laptop"))


@pytest.fixture
def file(tmp_path: Path) -> AegisFile:
    return AegisFile(tmp_path / "aegis.json", entries=6)


def watch(service: Service, path: Path, *, two_way: bool = False, password: str | None = None) -> dict[str, Any]:
    args = {"path": str(path), "format": None, "two_way": two_way, "password": password}
    found: dict[str, Any] = call(service, "watch", args)
    return found


def review(service: Service, accept: bool | None = None, password: str | None = None) -> list[dict[str, Any]]:
    """List what waits; with `accept`, decide about the only one."""
    holds: list[dict[str, Any]] = call(service, "review", {"id": None, "accept": None, "password": None})
    if accept is not None:
        assert len(holds) == 1, holds
        call(service, "review", {"id": holds[0]["id"], "accept": accept, "password": password})
    return holds


def log(service: Service, since: int = 0) -> list[tuple[str, Any]]:
    """What happened since the store held so many events, oldest first: (kind, fields)."""
    events = list(service.open.replica.archive.log(None, newest=False))[since:]
    return [(event.kind, dict(event.values or {})) for event in events]


def count(service: Service) -> int:
    return service.store.event_count()


def accounts(service: Service, *, deleted: bool = False) -> dict[str, dict[str, Any]]:
    rows = call(service, "list", {"tag": None, "deleted": deleted, "secrets": True})
    return {row["name"]: row for row in rows}


def problems(service: Service) -> set[str]:
    return {problem["kind"] for problem in watched_problems(service.watched)}


def settle(service: Service) -> None:
    """Do what the daemon does after a hint and a pause."""
    service.watching.look()
    service.watching.write_back()


class TestCapture:
    def test_the_first_look_imports(self, service: Service, file: AegisFile) -> None:
        found = watch(service, file.path)
        assert (found["added"], len(found["watched"])) == (6, 1)
        assert set(accounts(service)) == {f"name{n}" for n in range(6)}

    def test_a_hand_edit_becomes_exactly_its_events(self, service: Service, file: AegisFile) -> None:
        watch(service, file.path)
        before = count(service)

        def act(entries: list[dict[str, Any]]) -> None:
            entries[0]["name"] = "renamed"
            entries[1] |= {"note": "n", "unknown": {"a": 1}}
            entries[2]["usage_count"] = 99
            del entries[3]
            entries.reverse()
            entries.append(entry_of(77))

        file.change(act)
        settle(service)
        made = log(service, before)
        edits = [values for kind, values in made if kind == "account.edit"]
        assert sorted(edits, key=str) == [{"name": "renamed"}, {"note": "n"}]
        assert sorted(kind for kind, _ in made)[:2] == ["account.add", "account.delete"]
        assert len(made) == 4
        settle(service)
        assert len(log(service, before)) == 4

    def test_late_additions_from_elsewhere_are_no_local_deletes(self, service: Service, file: AegisFile) -> None:
        watch(service, file.path)
        service.open.add({"name": "elsewhere", "otp": totp(b"elsewhere")}, placeholder=False)
        file.change(lambda entries: entries[0].update(note="n"))
        settle(service)
        assert "elsewhere" in accounts(service)
        assert "elsewhere" not in file.names  # read only

    def test_two_equal_names_and_a_copied_entry_stay_apart(self, service: Service, file: AegisFile) -> None:
        watch(service, file.path)
        file.change(lambda entries: entries.append({**entries[0], "uuid": uuid_of(500), "note": "the copy"}))
        settle(service)
        rows = call(service, "list", {"tag": None, "deleted": False, "secrets": False})
        assert sorted(row["note"] for row in rows if row["name"] == "name0") == ["", "the copy"]

    def test_the_secret_of_a_placeholder_enters_no_event_and_its_entry_stays(
        self, service: Service, file: AegisFile
    ) -> None:
        secret = b"stays on this device"
        service.open.add({"name": "hidden", "otp": totp(secret)}, placeholder=True)
        info = {"secret": base32(secret), "algo": "SHA1", "digits": 6, "period": 30}
        file.change(lambda entries: entries.append(entry_of(9, name="mine", info=info)))
        watch(service, file.path, two_way=True)
        file.change(lambda entries: entries[-1].update(note="edited there"))
        settle(service)
        file.change(lambda entries: entries[0]["info"].update(secret=base32(secret)))
        settle(service)
        service.open.remove("hidden")
        settle(service)
        assert file.entry(name="mine")["note"] == "edited there"
        assert all(secret not in event.values.get("otp", {}).values() for event in self._events(service))

    def _events(self, service: Service) -> list[Any]:
        found = [event for event in service.open.replica.archive.log(None) if event.values is not None]
        assert found
        return [event for event in found if isinstance(event.values.get("otp", {}), dict)]

    def test_a_missing_file_deletes_nothing_and_is_named(self, service: Service, file: AegisFile) -> None:
        watch(service, file.path)
        file.path.unlink()
        settle(service)
        assert len(accounts(service)) == 6
        assert "watched-missing" in problems(service)

    def test_a_locked_device_notes_it_and_reads_it_once_unlocked(self, service: Service, file: AegisFile) -> None:
        watch(service, file.path)
        keys = service.open.replica.keys
        service.lock_keys()
        file.change(lambda entries: entries[0].update(note="n"))
        settle(service)
        assert "locked" in problems(service)
        service.unlock(keys)
        settle(service)
        assert accounts(service)["name0"]["note"] == "n"
        assert "locked" not in problems(service)

    def test_nothing_of_a_watched_file_is_in_the_store_in_clear(
        self, world: World, service: Service, file: AegisFile
    ) -> None:
        watch(service, file.path)
        path = file.path.with_name("encrypted.json")
        path.write_bytes(ENCRYPTED.read_bytes())
        watch(service, path, password=PASSWORD)
        stored = b"".join(p.read_bytes() for p in (world.path / "laptop").glob("store.db*"))
        for word in (
            b"Eintrag 0000",
            b"Firma 1",
            b"name1",
            PASSWORD.encode(),
            base32(b"Eintrag 000000000001").encode(),
        ):
            assert word not in stored

    def test_unwatch_leaves_file_and_accounts(self, service: Service, file: AegisFile) -> None:
        watch(service, file.path)
        assert call(service, "unwatch", {"path": str(file.path)}) == []
        file.change(lambda entries: entries.clear())
        settle(service)
        assert len(accounts(service)) == 6
        with pytest.raises(NotFound):
            call(service, "unwatch", {"path": str(file.path)})


class TestHolds:
    def test_a_mass_delete_waits_and_is_done_when_accepted(self, service: Service, file: AegisFile) -> None:
        watch(service, file.path)
        before = count(service)
        file.change(lambda entries: entries.__delitem__(slice(0, 4)))
        settle(service)
        assert len(log(service, before)) == 0
        holds = review(service, accept=True)
        assert (holds[0]["kind"], len(holds[0]["deletes"])) == ("mass-delete", 4)
        assert set(accounts(service)) == {"name4", "name5"}
        assert review(service) == []

    def test_a_rejected_one_is_remembered_as_seen(self, service: Service, file: AegisFile) -> None:
        watch(service, file.path)
        file.change(lambda entries: entries.__delitem__(slice(0, 4)))
        settle(service)
        review(service, accept=False)
        settle(service)
        assert (len(accounts(service)), review(service)) == (6, [])
        file.change(lambda entries: entries[0].update(note="later"))
        settle(service)
        assert (accounts(service)["name4"]["note"], len(accounts(service))) == ("later", 6)

    def test_a_rejected_one_of_a_two_way_file_is_written_back(self, service: Service, file: AegisFile) -> None:
        watch(service, file.path, two_way=True)
        file.change(lambda entries: (entries.__delitem__(slice(0, 4)), entries.append(entry_of(50))))
        settle(service)
        assert len(file.names) == 3
        review(service, accept=False)
        assert sorted(file.names) == [f"name{n}" for n in range(6)]
        assert (len(accounts(service)), review(service)) == (6, [])

    def test_a_file_that_is_put_right_waits_no_longer(self, service: Service, file: AegisFile) -> None:
        watch(service, file.path)
        whole = file.read()
        file.change(lambda entries: entries.clear())
        settle(service)
        assert [hold["kind"] for hold in review(service)] == ["empty"]
        file.write(whole)
        settle(service)
        assert review(service) == []

    def test_an_older_state_waits(self, service: Service, file: AegisFile) -> None:
        watch(service, file.path)
        older = file.read()
        for n in range(2):
            file.change(lambda entries, n=n: entries[n].update(note="newer"))  # type: ignore[misc]
            settle(service)
        file.write(older)
        settle(service)
        assert [hold["kind"] for hold in review(service)] == ["older"]
        assert accounts(service)["name0"]["note"] == "newer"

    def test_the_first_look_holds_what_was_deleted_here_and_takes_the_rest(
        self, service: Service, file: AegisFile
    ) -> None:
        watch(service, file.path)
        call(service, "unwatch", {"path": str(file.path)})
        service.open.remove("name1")
        file.change(lambda entries: entries.append(entry_of(7)))
        assert watch(service, file.path, two_way=True)["held"] == 1
        assert {"name7"} <= set(accounts(service))
        assert "name1" not in accounts(service)
        assert "name1" in file.names
        assert review(service, accept=True)[0]["kind"] == "deleted-here"
        assert accounts(service)["name1"]["secret"] == base32(b"Eintrag 000000000001")

    def test_or_rejected_leaves_them_deleted_and_takes_them_out_of_the_file(
        self, service: Service, file: AegisFile
    ) -> None:
        watch(service, file.path)
        call(service, "unwatch", {"path": str(file.path)})
        service.open.remove("name1")
        watch(service, file.path, two_way=True)
        review(service, accept=False)
        assert "name1" not in file.names
        assert "name1" not in accounts(service)

    def test_another_password_waits_until_it_is_given(self, service: Service, tmp_path: Path) -> None:
        path = tmp_path / "aegis.json"
        path.write_bytes(ENCRYPTED.read_bytes())
        with pytest.raises(WrongPassphrase):
            watch(service, path, password="wrong")
        watch(service, path, password=PASSWORD)
        opened = registry.read(path.read_bytes(), format=None, passphrase=lambda: PASSWORD)
        pairs = [(bytes([n]) * 16, entry.account) for n, entry in enumerate(opened.entries[:-1])]
        path.write_bytes(registry.write("aegis-encrypted", pairs, passphrase="another", random=os.urandom).data)
        settle(service)
        holds = review(service)
        assert [hold["kind"] for hold in holds] == ["another-key"]
        with pytest.raises(WrongPassphrase):
            review(service, accept=True)
        before = len(accounts(service))
        review(service, accept=True, password="another")
        assert len(accounts(service)) == before - 1

    def test_a_change_since_is_not_accepted_unseen(self, service: Service, file: AegisFile) -> None:
        watch(service, file.path)
        file.change(lambda entries: entries.__delitem__(slice(0, 4)))
        settle(service)
        ident = review(service)[0]["id"]
        file.change(lambda entries: entries.clear())
        with pytest.raises((Refused, NotFound)):
            call(service, "review", {"id": ident, "accept": True, "password": None})
        assert len(accounts(service)) == 6


class TestTwoWay:
    def test_an_edit_here_is_written_and_unknown_fields_stay(self, service: Service, file: AegisFile) -> None:
        file.change(lambda entries: entries[2].update(future={"deep": [1]}, groups=["no-such-group"]))
        watch(service, file.path, two_way=True)
        shown = accounts(service)["name2"]
        service.open.edit(shown["id"], {"note": "from here", "tags": ["t"]}, {"digits": 8}, placeholder=False)
        service.open.remove("name5")
        service.open.add({"name": "fresh", "otp": totp(b"fresh")}, placeholder=False)
        before = count(service)
        settle(service)
        entry = file.entry(name="name2")
        assert (entry["note"], entry["future"], entry["usage_count"]) == ("from here", {"deep": [1]}, 2)
        assert (entry["info"]["digits"], entry["info"]["future"], len(entry["groups"])) == (8, 2, 2)
        assert file.names == [*(f"name{n}" for n in range(5)), "fresh"]
        # and: our own write is no edit
        settle(service)
        assert count(service) == before
        assert json.dumps(file.entry(name="name0"), sort_keys=True) == json.dumps(entry_of(0), sort_keys=True)

    def test_an_encrypted_file_keeps_its_password(self, service: Service, tmp_path: Path) -> None:
        path = tmp_path / "aegis.json"
        path.write_bytes(ENCRYPTED.read_bytes())
        watch(service, path, two_way=True, password=PASSWORD)
        slots = json.loads(path.read_text())["header"]["slots"]
        service.open.add({"name": "fresh", "otp": totp(b"fresh")}, placeholder=False)
        settle(service)
        names = [
            e.account.name for e in registry.read(path.read_bytes(), format=None, passphrase=lambda: PASSWORD).entries
        ]
        assert "fresh" in names
        assert json.loads(path.read_text())["header"]["slots"] == slots

    def test_a_list_keeps_its_comments(self, service: Service, tmp_path: Path) -> None:
        path = tmp_path / "list.txt"
        lines = [
            "# mine",
            "",
            "otpauth://totp/A:a?secret=MFRGGZDF&issuer=A&image=x.png",
            "otpauth://totp/B:b?secret=MFRGGZDG",
        ]
        path.write_text("\r\n".join(lines) + "\r\n", newline="")
        watch(service, path, two_way=True)
        service.open.edit(accounts(service)["a"]["id"], {"note": "n"}, {}, placeholder=False)
        service.open.remove("b")
        settle(service)
        written = path.read_bytes().decode().split("\r\n")
        assert written[:2] == ["# mine", ""]
        assert "otpkeep_note=n" in written[2]
        assert written[2].endswith("&image=x.png")
        assert written[3:] == [""]

    def test_a_list_may_lose_its_last_account(self, service: Service, tmp_path: Path) -> None:
        path = tmp_path / "list.txt"
        path.write_text("# mine\notpauth://totp/A:a?secret=MFRGGZDF\n")
        watch(service, path, two_way=True)
        service.open.remove("a")
        settle(service)
        assert path.read_text() == "# mine\n"
        service.open.add({"name": "fresh", "otp": totp(b"fresh")}, placeholder=False)
        settle(service)
        assert path.read_text().startswith("# mine\notpauth://totp/fresh?")

    def test_what_another_program_wrote_at_the_last_moment_is_not_lost(
        self, service: Service, file: AegisFile, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # given: a program that writes between our read and our exchange
        watch(service, file.path, two_way=True)
        service.open.edit(accounts(service)["name0"]["id"], {"note": "from here"}, {}, placeholder=False)
        prepare = exchange.prepare

        def late(places: exchange.Places, data: bytes) -> None:
            prepare(places, data)
            monkeypatch.setattr(exchange, "prepare", prepare)
            file.change(lambda entries: entries[1].update(note="from there"))

        monkeypatch.setattr(exchange, "prepare", late)
        # then: both edits are in the vault and in the file
        settle(service)
        settle(service)
        for n, note in ((0, "from here"), (1, "from there")):
            assert accounts(service)[f"name{n}"]["note"] == note
            assert file.entry(name=f"name{n}")["note"] == note
        assert [p.name for p in file.path.parent.iterdir()] == ["aegis.json"]

    def test_without_an_exchange_of_names_it_works_as_well(
        self, service: Service, file: AegisFile, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(exchange, "_EXCHANGE", 0x4000)  # which no kernel knows
        watch(service, file.path, two_way=True)
        service.open.edit(accounts(service)["name0"]["id"], {"note": "from here"}, {}, placeholder=False)
        settle(service)
        assert file.entry(name="name0")["note"] == "from here"
        assert [p.name for p in file.path.parent.iterdir()] == ["aegis.json"]

    def test_two_applications_that_flip_a_value_are_stopped(self, service: Service, file: AegisFile) -> None:
        watch(service, file.path, two_way=True)
        shown = accounts(service)["name0"]["id"]
        service.open.edit(shown, {"note": "ours"}, {}, placeholder=False)
        settle(service)
        for n in range(3):
            assert review(service) == [], n
            file.change(lambda entries: entries[0].update(note="theirs"))
            settle(service)
            service.open.edit(shown, {"note": "ours"}, {}, placeholder=False)
            settle(service)
        assert [hold["kind"] for hold in review(service)] == ["flipping"]


class TestConflictCopies:
    def test_its_adds_and_edits_count_and_its_absences_do_not(self, service: Service, file: AegisFile) -> None:
        watch(service, file.path)
        file.change(lambda entries: entries[0].update(note="mine"))
        settle(service)
        copy = AegisFile(file.path.with_name("aegis.sync-conflict-20260101-101010-ABCDEFG.json"), entries=6)

        def act(entries: list[dict[str, Any]]) -> None:
            entries[1]["note"] = "theirs"
            del entries[2]
            entries.append(entry_of(30))

        copy.change(act)
        kept = copy.path.read_bytes()
        before = count(service)
        settle(service)
        found = accounts(service)
        assert (found["name0"]["note"], found["name1"]["note"]) == ("mine", "theirs")
        assert {"name2", "name30"} <= set(found)
        assert len(log(service, before)) == 2
        # and: once taken in it is left alone, and named
        settle(service)
        assert len(log(service, before)) == 2
        assert copy.path.read_bytes() == kept
        assert "conflict-copy" in problems(service)

    def test_the_version_that_won_deletes_nothing_either(self, service: Service, file: AegisFile) -> None:
        # given: an entry that only this side had, in the version that lost
        base = file.read()
        watch(service, file.path)
        file.change(lambda entries: entries.append(entry_of(40)))
        file.change(lambda entries: entries[0].update(note="mine"))
        settle(service)
        file.path.rename(file.path.with_name("aegis.sync-conflict-20260101-101010-ABCDEFG.json"))
        settle(service)
        base["db"]["entries"][1]["note"] = "theirs"
        file.write(base)
        settle(service)
        found = accounts(service)
        assert "name40" in found
        assert (found["name0"]["note"], found["name1"]["note"]) == ("mine", "theirs")
        # and: from then on the file speaks for itself again
        file.change(lambda entries: entries.pop())
        settle(service)
        assert "name5" not in accounts(service)
        assert "name40" in accounts(service)


class TestOwnVault:
    @pytest.fixture
    def own(self, world: World) -> Service:
        device = world.device("desk")
        publish_slots(device)
        return serve(device)

    def test_an_edit_made_in_it_becomes_an_event_and_its_uuid_is_the_account(self, own: Service) -> None:
        account, _ = own.open.add({"name": "mail", "otp": totp(b"mail")}, placeholder=False)
        settle(own)
        path, key = own.own_vault.path, own.open.replica.keys.keyring.own_master_key()
        entry = aegis.read_with_key(path.read_bytes(), key).entries[0]
        assert entry.identity == ("aegis", _uuid(account))
        added = replace(entry.account, name="added", otp=replace(entry.account.otp, secret=b"added"))
        changed = {"entry 1": (account, replace(entry.account, note="by hand"))}
        fresh = bytes.fromhex("0b5e0000000040009000000000000001")
        path.write_bytes(aegis.rewrite(path.read_bytes(), key, Rewrite(changed, added=[(fresh, added)])))
        settle(own)
        found = accounts(own)
        assert found["mail"]["note"] == "by hand"
        assert found["added"]["id"] == fresh.hex()

    def test_a_missing_one_is_written_again(self, own: Service) -> None:
        own.open.add({"name": "mail", "otp": totp(b"mail")}, placeholder=False)
        settle(own)
        own.own_vault.path.unlink()
        settle(own)
        assert own.own_vault.path.exists()
        assert set(accounts(own)) == {"mail"}


def _uuid(account: bytes) -> str:
    return str(uuid.UUID(bytes=account))


def test_a_file_that_changes_between_two_reads_is_looked_at_again(file: AegisFile) -> None:
    def meddle(_seconds: float) -> None:
        in_place(file.path, b"half")

    assert vault_files.read_stable(file.path, meddle) is None
    assert vault_files.read_stable(file.path) is not None


def test_a_command_that_looks_only_once_tells_of_a_file_that_was_emptied_a_while_ago(
    service: Service, file: AegisFile
) -> None:
    watch(service, file.path)
    file.path.write_bytes(b"")
    assert review(service) == []  # somebody may be writing it at this moment
    long_ago = file.path.stat().st_mtime - 60
    os.utime(file.path, (long_ago, long_ago))
    assert [hold["kind"] for hold in review(service)] == ["empty"]
    assert len(service.open.views()) == 6
