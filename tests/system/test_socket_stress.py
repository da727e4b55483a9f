"""Clients that mean no good, a hundred at once, and what the others notice of them.

What is measured: how long an honest ping and an honest edit take, from connecting to the whole answer, in the median of
many tries; with the attack at most 100 ms longer than before it. Single tries say nothing on a machine that others use.
"""

from __future__ import annotations

import contextlib
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from otpkeep_daemon.formats.otpauth_uri import parse_uri
from support_attack import attack
from support_cli import Device
from support_socket import connected, framed, reply_of
from support_system import answers, eventually, killed_at_the_end, launch, listed, need, need_root, status, uri

PATIENCE_S = 30.0
LIST_LIMIT = 2**26

PINGS, EDITS = 60, 15
MOST_S = 0.1
FULL = 128  # server.MAX_CONNECTIONS
LIST = {"v": 1, "op": "list", "args": {"tag": None, "deleted": False, "secrets": True, "at": None}, "keyring": None}


@pytest.fixture(scope="module")
def served() -> Iterator[Device]:
    """A device with a daemon, in a place where careless modes let everybody at the socket."""
    need_root("become another user")
    with tempfile.TemporaryDirectory() as made:
        Path(made).chmod(0o755)
        device = Device(Path(made) / "alpha", Path(made) / "folder")
        device.init()
        with device.daemon() as daemon:
            for number in range(1, 10):  # together more than a socket holds that nobody reads
                fields = parse_uri(uri(number)).to_fields() | {"note": "n" * 50_000}
                _asked(device, "add", {"fields": fields, "placeholder": False})
            device.home.chmod(0o711)
            (device.home / "control.sock").chmod(0o666)
            yield device
            assert daemon.poll() is None
        said = (device.home.parent / "alpha.log").read_text()
        assert "ERROR" not in said
        assert "CRITICAL" not in said


def test_a_hundred_clients_that_mean_no_good_keep_nobody_waiting(served: Device) -> None:
    path = served.home / "control.sock"
    # given: how long honest requests take while nothing else happens
    ping, edit = _median(lambda: _ping(served), PINGS), _median(lambda: _edit(served), EDITS)
    # when: a hundred others say nothing, stop in the middle, send garbage, don't read their answers, or are strangers
    with contextlib.ExitStack() as attacks:
        for kind, count in (("silent", 25), ("half", 20), ("drip", 15), ("garbage", 20), ("deaf", 10)):
            attacks.enter_context(attack(path, kind, count, framed(LIST)))
        strangers = attacks.enter_context(attack(path, "garbage", 10, as_nobody=True))
        # then: nobody else waits for them, and what is edited is in the folder as ever
        assert _median(lambda: _ping(served), PINGS) < ping + MOST_S
        assert _median(lambda: _edit(served), EDITS) < edit + MOST_S
    # and: the strangers got a refusal each time, and nothing else
    assert strangers.refused >= 10
    assert strangers.refused >= strangers.made - 10  # the last ten may not have been answered yet
    assert status(served)["daemon"]["running"]


def test_a_hundred_honest_clients_at_once_are_all_answered(served: Device) -> None:
    with contextlib.ExitStack() as peers:
        waiting = [peers.enter_context(connected(served, PATIENCE_S)) for _ in range(100)]
        for peer in waiting:
            peer.sendall(framed({"v": 1, "op": "ping", "args": {}, "keyring": None}))
        assert all(reply_of(peer, LIST_LIMIT)["result"]["locked"] is False for peer in waiting)


def test_the_client_that_was_silent_for_longest_makes_way_and_is_told(served: Device) -> None:
    with contextlib.ExitStack() as peers:
        # given: as many connections as the daemon has room for, and none of them says anything
        silent = [peers.enter_context(connected(served, PATIENCE_S)) for _ in range(FULL)]
        eventually(lambda: _ping(served), "there is room for one more")
        # then: the first of them was told that it asked nothing, and the last one can still ask
        error = reply_of(silent[0], LIST_LIMIT)["error"]
        assert error["kind"] == "busy"
        assert "nothing was changed" in error["message"]
        silent[-1].sendall(framed({"v": 1, "op": "ping", "args": {}, "keyring": None}))
        assert "result" in reply_of(silent[-1], LIST_LIMIT)


def test_a_daemon_with_few_file_descriptors_keeps_enough_of_them_for_its_work(tmp_path: Path) -> None:
    need("prlimit")
    device = Device(tmp_path / "alpha", tmp_path / "folder")
    device.init()
    with killed_at_the_end(launch(device, under=("prlimit", "--nofile=64"))), contextlib.ExitStack() as peers:
        eventually(lambda: answers(device), "the daemon listens")
        # when: more clients than that say nothing
        for _ in range(80):
            peers.enter_context(connected(device, PATIENCE_S))
        # then: what is edited is in the folder
        fields = parse_uri(uri(1)).to_fields()
        assert _asked(device, "add", {"fields": fields, "placeholder": False})["backed_up"]
        assert _asked(device, "verify", {"depth": "names"})["ok"]


def test_a_request_that_comes_in_many_pieces_is_one(served: Device) -> None:
    with connected(served, PATIENCE_S) as peer:
        for byte in framed({"v": 1, "op": "ping", "args": {}, "keyring": None}):
            peer.sendall(bytes([byte]))
        assert reply_of(peer, LIST_LIMIT)["result"]["version"]


def test_an_answer_that_is_read_slowly_arrives_whole(served: Device) -> None:
    with connected(served, PATIENCE_S) as peer:
        peer.sendall(framed(LIST))
        time.sleep(0.2)  # the daemon must not need us to read in order to do other things
        _ping(served)
        assert len(reply_of(peer, LIST_LIMIT)["result"]) == len(listed(served))


def _median(act: Callable[[], object], tries: int) -> float:
    """Return how many seconds the act takes in the median."""
    taken = []
    for _ in range(tries):
        began = time.monotonic()
        act()
        taken.append(time.monotonic() - began)
    return statistics.median(taken)


def _ping(device: Device) -> bool:
    return _asked(device, "ping", {})["locked"] is False


def _edit(device: Device) -> None:
    account = _asked(device, "list", LIST["args"])[0]  # type: ignore[arg-type]
    fields = {"name": f"konto{time.monotonic_ns()}"}
    asked = {"account": account["id"], "fields": fields, "otp": {}, "placeholder": False}
    assert _asked(device, "edit", asked)["backed_up"]


def _asked(device: Device, op: str, args: dict[str, Any]) -> Any:
    with connected(device, PATIENCE_S) as peer:
        peer.sendall(framed({"v": 1, "op": op, "args": args, "keyring": None}))
        reply = reply_of(peer, LIST_LIMIT)
    assert "result" in reply, reply
    return reply["result"]
