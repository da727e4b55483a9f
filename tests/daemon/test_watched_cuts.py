"""A watched file that is cut anywhere, or is suddenly of another format: a person is asked, and nothing is deleted."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from otpkeep_daemon import capture
from otpkeep_daemon.calls import call
from otpkeep_daemon.captures import Capture, Captured, Misread, open_content
from otpkeep_daemon.formats import aegis, registry
from otpkeep_daemon.own_vault import exportable
from otpkeep_daemon.service import Service
from otpkeep_daemon.watching import PATIENCE_S
from support_service import serve
from support_system import uri
from support_vault import World
from support_watch import AegisFile

LIST = "".join(f"{uri(number)}\n" for number in range(3)).encode()
CUT = LIST[: LIST.rindex(b"&issuer") - 4]
"""In the middle of a secret: what is left of it is one, too."""


@pytest.fixture
def service(world: World) -> Service:
    return serve(world.device("laptop"))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "accounts"


def watched(service: Service, path: Path, data: bytes, *, two_way: bool = False) -> None:
    path.write_bytes(data)
    call(service, "watch", {"path": str(path), "format": None, "two_way": two_way, "password": None})


def written(path: Path, data: bytes) -> None:
    """Write a content of which nothing has come for longer than anybody writes."""
    path.write_bytes(data)
    long_ago = path.stat().st_mtime - 10 * PATIENCE_S
    os.utime(path, (long_ago, long_ago))


def look(service: Service) -> None:
    service.watching.look()
    service.watching.write_back()


def review(service: Service, accept: bool | None = None) -> list[dict[str, Any]]:
    holds: list[dict[str, Any]] = call(service, "review", {"id": None, "accept": None, "password": None})
    if accept is not None:
        call(service, "review", {"id": holds[0]["id"], "accept": accept, "password": None})
    return holds


def names(service: Service) -> list[str]:
    rows = call(service, "list", {"tag": None, "deleted": False, "secrets": False})
    return sorted(row["name"] for row in rows)


def taken(service: Service, path: Path, data: bytes) -> Captured | Misread:
    """What a look would make of a content."""
    watch = service.watched.watches.get(path)
    assert watch is not None
    opened = open_content(data, watch.format, None, [])
    if isinstance(opened, Misread):
        return opened
    return Capture(service.open, 0).take(service.watched.held(service.open, watch), opened, own=False)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "with CRLF"])
def test_a_list_that_is_cut_anywhere_in_a_line_changes_nothing_by_itself(
    service: Service, path: Path, encoding: str
) -> None:
    data = LIST.replace(b"\n", b"\r\n") if encoding == "with CRLF" else LIST.decode().encode(encoding)
    end = "\n".encode("utf-16-le" if encoding == "utf-16" else "utf-8")
    watched(service, path, data)
    changing = 0
    for size in range(len(data)):
        found = taken(service, path, data[:size])
        if isinstance(found, Captured) and not (data[:size].endswith(end) and size % len(end) == 0):
            changing += bool(found.drafts)
            assert found.reason is not None or not found.drafts, size
    # then: many of these would have deleted accounts, or cut a secret or a name
    assert changing > len(data) // 3


def test_an_aegis_file_that_is_cut_anywhere_is_none(service: Service, path: Path) -> None:
    AegisFile(path, entries=3)
    data = path.read_bytes()
    watched(service, path, data)
    assert len(names(service)) == 3
    for size in range(len(data)):
        assert isinstance(taken(service, path, data[:size]), Misread), size


def test_a_list_that_was_cut_waits_for_a_person_or_for_the_rest(service: Service, path: Path) -> None:
    watched(service, path, LIST)
    before, events = names(service), service.store.event_count()
    # when: it was cut a while ago
    written(path, CUT)
    look(service)
    # then
    assert [hold["kind"] for hold in review(service)] == [capture.CUT]
    assert (names(service), service.store.event_count()) == (before, events)
    # when: the rest comes, then: nothing was there
    written(path, LIST)
    look(service)
    assert review(service) == []
    assert service.store.event_count() == events


def test_a_list_that_is_being_written_is_not_told_of(service: Service, path: Path) -> None:
    watched(service, path, LIST)
    events = service.store.event_count()
    path.write_bytes(CUT)
    assert service.watching.look() is True
    assert review(service) == []
    path.write_bytes(LIST)
    look(service)
    assert service.store.event_count() == events


def test_one_that_was_meant_is_done_when_a_person_says_so_and_its_missing_end_is_known_then(
    service: Service, path: Path
) -> None:
    watched(service, path, LIST)
    # given: an editor that writes no end of the last line
    written(path, LIST[: LIST.rindex(b"otpauth")].rstrip(b"\n"))
    look(service)
    review(service, accept=True)
    assert names(service) == ["konto0", "konto1"]
    # then: its next edits need no word
    written(path, uri(0).encode())
    look(service)
    assert (names(service), review(service)) == (["konto0"], [])


def test_adding_a_line_without_an_end_needs_no_word(service: Service, path: Path) -> None:
    watched(service, path, LIST)
    written(path, LIST + uri(3).encode())
    look(service)
    assert (len(names(service)), review(service)) == (4, [])


@pytest.mark.parametrize("accept", [True, False])
def test_a_file_that_is_suddenly_of_another_format_is_asked_about_and_then_is_what_was_said(
    service: Service, path: Path, accept: bool
) -> None:
    # given: a list in the place of an Aegis file, with one of its accounts less
    AegisFile(path, entries=3)
    watched(service, path, path.read_bytes(), two_way=True)
    accounts = exportable(service.open).accounts
    lines = registry.write("otpauth", accounts, passphrase=None, random=os.urandom).data.splitlines(keepends=True)
    written(path, b"".join(lines[:2]))
    look(service)
    # then
    assert [hold["kind"] for hold in review(service)] == [capture.FORMAT]
    assert len(names(service)) == 3
    assert path.read_bytes() == b"".join(lines[:2])
    # when
    review(service, accept=accept)
    look(service)
    # then: it is that format, with what is left; or the old one again, with all
    assert len(names(service)) == (2 if accept else 3)
    assert path.read_bytes().startswith(b"otpauth://" if accept else b"{")
    watch = service.watched.watches.get(path)
    assert watch is not None
    assert watch.format == ("otpauth" if accept else aegis.PLAIN)
    assert review(service) == []
