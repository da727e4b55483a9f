"""What Windows has instead of Unix sockets, open directories and signals, run for real in a Python that lacks those."""

from __future__ import annotations

import socket
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import msgpack
import pytest

import support_windows as windows
from otpkeep_daemon import loopback, proof, sockets
from support_cli import Device
from support_system import carry, eventually, listed, uri


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Device]:
    """A device with a vault and a daemon, all without what POSIX has."""
    root = tmp_path_factory.mktemp("profile")
    device = Device(root / "alpha", root / "folder")
    windows.run(device, "init", "--folder", device.folder, "--device", "alpha")
    assert windows.run(device, "add", "-", stdin=uri(1).encode())["backed_up"] is True
    with windows.daemon(device):
        yield device
    assert not (device.home / "control.sock").exists()
    assert listed(device)  # the store is as it would be anywhere


def test_commands_reach_the_daemon_and_edits_the_folder(served: Device, tmp_path: Path) -> None:
    # when: an account is added, and another program's file is watched both ways
    assert windows.run(served, "add", "-", stdin=uri(2).encode())["backed_up"] is True
    watched = served.home.parent / "uris.txt"
    watched.write_text(uri(3) + "\n")
    windows.run(served, "watch", watched, "--two-way")
    # then: the daemon has both, writes both, and every device reads the folder
    eventually(lambda: watched.read_text().count("otpauth://") == 3, "the file has every account")
    assert len(windows.run(served, "list")) == 3
    assert windows.run(served, "verify")["ok"]
    beta = Device(tmp_path / "beta", tmp_path / "folder")
    carry(served.folder, beta.folder)
    beta.recover()
    assert len(listed(beta)) == 3
    assert windows.run(served, "export", served.home.parent / "x.json", "--passphrase-file", served.passphrase_file)


def test_only_who_can_read_the_token_is_served(served: Device) -> None:
    place = served.home / "control.sock"
    assert stat.S_IMODE(place.stat().st_mode) == 0o600
    port = int(place.read_text().split()[0])
    # when: somebody connects who does not know the token, and claims to
    with socket.create_connection(("127.0.0.1", port), 10) as peer:
        greeting = peer.recv(proof.NONCE_SIZE)
        peer.sendall(proof.prove(b"guessed", greeting, bytes(32)))
        # then: it is refused, and a proof that was overheard does not help
        assert msgpack.unpackb(sockets.receive(peer, 2**16))["error"]["kind"] == "refused"
    with socket.create_connection(("127.0.0.1", port), 10) as peer:
        assert peer.recv(proof.NONCE_SIZE) != greeting
        peer.shutdown(socket.SHUT_WR)
        assert msgpack.unpackb(sockets.receive(peer, 2**16))["error"]["kind"] == "malformed"
    assert windows.run(served, "status")["daemon"]["running"]


def test_a_stranger_at_the_daemons_port_gets_no_request(tmp_path: Path) -> None:
    # given: a daemon that was killed, and somebody else who listens at its port now
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as stranger:

        def listen() -> None:
            peer, _ = stranger.accept()
            with peer:
                peer.sendall(bytes(proof.NONCE_SIZE))
                heard.append(peer.recv(proof.PROOF_SIZE))
                peer.sendall(bytes(32))
                heard.append(peer.recv(1000))

        thread = threading.Thread(target=listen)
        thread.start()
        place = tmp_path / "control.sock"
        place.write_text(f"{stranger.getsockname()[1]} {bytes(proof.TOKEN_SIZE).hex()}\n")
        # then: for a command nobody is there, and it has said nothing but its proof
        assert loopback.connect(place, 10.0) is None
        thread.join(10)
    assert len(heard[0]) == proof.PROOF_SIZE
    assert heard[1] == b""


@pytest.mark.parametrize("text", ["", "nonsense", "80", "99999 00", "1 zz"])
def test_a_file_that_names_no_daemon_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "control.sock").write_text(text)
    assert loopback.connect(tmp_path / "control.sock", 5.0) is None
    assert loopback.connect(tmp_path / "absent", 5.0) is None


def test_a_home_outside_of_the_profile_is_refused(tmp_path: Path) -> None:
    device = Device(tmp_path / "profile" / "alpha", tmp_path / "folder")
    with pytest.raises(AssertionError, match="not in your profile"):
        windows.run(
            Device(tmp_path / "alpha", device.folder), "init", "--folder", device.folder, home=tmp_path / "profile"
        )
