"""Setting up: what `init` and `recover` refuse, what does not stop them, and passphrases that were replaced."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from otpkeep_daemon import device as device_secrets
from otpkeep_daemon import setup
from otpkeep_daemon.paths import Paths
from otpkeep_protocol import sealing, slots
from otpkeep_protocol.errors import Locked, Refused, WrongPassphrase
from otpkeep_protocol.naming import file_name
from support_cli import PASSPHRASE, Device, secret_file
from support_system import eventually, heir, listed, need, ours, under_strace, uri
from support_vault import Random, keyring

NEW = "another passphrase of six words"
CHEAP = slots.Cost(19_456, 2, 1)
CEILING = slots.Cost(1_048_576, 16, 4)
QUICKLY_S = 8.0
"""The ceiling's cost takes longer than this on any machine of our time."""


@pytest.fixture
def alpha(tmp_path: Path) -> Device:
    """A device with one account."""
    made = Device(tmp_path / "alpha", tmp_path / "folder")
    made.init()
    made.add(uri(1))
    return made


def init(home: Path, folder: Path) -> None:
    paths = Paths.from_environment({"OTPKEEP_HOME": str(home)})
    setup.init(paths, folder=folder, device="here", passphrase=lambda: PASSPHRASE)


def vaults(folder: Path) -> set[bytes]:
    return {sealing.read_header(path.read_bytes()).vault for path in ours(folder)}


class TestRefused:
    @pytest.mark.parametrize("name", [f".{'a' * 32}.otpk.icloud", f"{'0123456789abcdef' * 2}.otpk"])
    def test_a_folder_with_files_of_a_vault_that_are_elsewhere_or_empty(self, tmp_path: Path, name: str) -> None:
        folder = tmp_path / "folder"
        folder.mkdir()
        (folder / name).touch()
        with pytest.raises(Refused, match="already holds a vault"):
            init(tmp_path / "home", folder)
        assert [path.name for path in folder.iterdir()] == [name]
        # and: once it is gone, the same command works
        (folder / name).unlink()
        init(tmp_path / "home", folder)

    @pytest.mark.parametrize("inside", [".", "data", "a/b/c"])
    def test_a_folder_that_would_carry_the_store_away(self, tmp_path: Path, inside: str) -> None:
        folder = tmp_path / "folder"
        folder.mkdir()
        with pytest.raises(Refused, match="own data"):
            init(folder / inside, folder)
        assert list(folder.rglob("*.otpk")) == []

    def test_also_by_way_of_a_link_and_by_recover(self, tmp_path: Path, alpha: Device) -> None:
        (tmp_path / "link").symlink_to(alpha.folder)
        with pytest.raises(Refused, match="own data"):
            init(alpha.folder / "home", tmp_path / "link")
        beta = Device(alpha.folder / "beta", alpha.folder)
        done = beta.run("recover", tmp_path / "link", "--device", "beta")
        assert (done.code, done.error["kind"]) == (1, "refused")


class TestInterrupted:
    def test_one_that_was_killed_and_is_run_for_another_folder_leaves_the_first_without_a_vault(
        self, tmp_path: Path
    ) -> None:
        need("strace")
        made = Device(tmp_path / "alpha", tmp_path / "folder")
        assert _init_under_strace(made, "linkat", "signal=SIGKILL:when=5") == -9
        assert vaults(made.folder)
        init(made.home, tmp_path / "other")
        assert (len(vaults(made.folder)), len(vaults(tmp_path / "other"))) == (0, 1)

    def test_an_init_that_was_killed_twice_leaves_one_vault_in_the_end(self, tmp_path: Path) -> None:
        need("strace")
        # given: an init that was killed after it had published, and another before it had cleared that away
        made = Device(tmp_path / "alpha", tmp_path / "folder")
        assert _init_under_strace(made, "linkat", "signal=SIGKILL:when=5") == -9
        assert _init_under_strace(made, "unlink,unlinkat", "signal=SIGKILL:when=1") == -9
        # then: the third is whole
        made.init()
        assert len(vaults(made.folder)) == 1


def _init_under_strace(device: Device, calls: str, fault: str) -> int:
    return under_strace(device, calls, "init", "--folder", device.folder, "--device", "alpha", fault=fault)


class TestPlantedSlots:
    """A stranger can put a slot into the folder; it costs what it says, but only once all cheaper ones have failed."""

    def planted(self, ring_label: str = "vault", vault: bytes | None = None) -> bytes:
        made = bytearray(slots.passphrase_slot(keyring(ring_label), "of a stranger", Random("salt")(32), CHEAP))
        at = sealing.HEADER_SIZE + 1
        made[at : at + 9] = CEILING.to_bytes()
        if vault is not None:
            start = made.index(keyring(ring_label).vault)
            made[start : start + len(vault)] = vault
        return bytes(made)

    def test_the_right_one_opens_first_wherever_it_stands(self) -> None:
        right = slots.passphrase_slot(keyring(), PASSPHRASE, Random("other")(32), CHEAP)
        for candidates in ([self.planted(), right], [right, self.planted()], [self.planted()] * 30 + [right]):
            began = time.monotonic()
            ring, used = device_secrets.open_with_passphrase(candidates, PASSPHRASE)
            assert (ring.vault, used) == (keyring().vault, right)
            assert time.monotonic() - began < QUICKLY_S

    def test_a_recovery_code_derives_nothing(self) -> None:
        code = Random("code")(slots.CODE_SIZE)
        right = slots.recovery_slot(keyring(), code, Random("other")(32))
        began = time.monotonic()
        assert device_secrets.open_with_code([self.planted()] * 20 + [right], code)[1] == right
        with pytest.raises(WrongPassphrase):
            device_secrets.open_with_code([self.planted()] * 20, code)
        assert time.monotonic() - began < QUICKLY_S

    def test_they_delay_neither_commands_nor_recover(self, alpha: Device) -> None:
        data = self.planted(vault=next(iter(vaults(alpha.folder))))
        for name in (file_name(data), f"{0:032x}.otpk", "a copy.otpk"):
            (alpha.folder / name).write_bytes(data)
        began = time.monotonic()
        assert len(listed(alpha)) == 1
        assert len(heir(alpha).recover()["added"]) == 1
        assert time.monotonic() - began < 2 * QUICKLY_S

    def test_many_cheap_ones_hide_the_right_one_from_nobody(self, alpha: Device) -> None:
        vault = next(iter(vaults(alpha.folder)))
        planted = self.planted(vault=vault)
        at = sealing.HEADER_SIZE + 1
        cheap = planted[:at] + CHEAP.to_bytes() + planted[at + 9 :]
        for number in range(70):
            (alpha.folder / f"{number:032x}.otpk").write_bytes(cheap[:-1] + bytes([number]))
        assert len(listed(alpha)) == 1
        assert len(heir(alpha).recover()["added"]) == 1


@contextmanager
def _replaced(alpha: Device, tmp_path: Path) -> Iterator[dict[str, str]]:
    """Have device beta set a new passphrase by the recovery code; yield what gives the new one to alpha."""
    code = secret_file(tmp_path / "code", (tmp_path / "code.txt").read_text())
    new = secret_file(tmp_path / "new", NEW)
    env: dict[str, str | None] = {"OTPKEEP_PASSPHRASE_FILE": None, "OTPKEEP_NEW_PASSPHRASE_FILE": str(new)}
    heir(alpha).run("recover", alpha.folder, "--device", "beta", "--code-file", code, env=env).ok()
    yield {"OTPKEEP_PASSPHRASE_FILE": str(new)}


@pytest.fixture
def sheet(tmp_path: Path) -> Device:
    """A device whose recovery code is written down."""
    made = Device(tmp_path / "alpha", tmp_path / "folder")
    (tmp_path / "code.txt").write_text(made.init()["recovery_code"])
    made.add(uri(1))
    return made


def test_a_daemon_that_was_unlocked_meanwhile_takes_the_new_passphrase_and_not_the_old(
    sheet: Device, tmp_path: Path
) -> None:
    with sheet.daemon():
        with _replaced(sheet, tmp_path) as new:
            eventually(lambda: len(sheet.run("devices").ok().json) == 2, "the other device is known")
            sheet.run("lock").ok()
            _only_the_new_one_opens(sheet, new, "unlock")
    _only_the_new_one_opens(sheet, new, "list")


def test_a_device_without_a_daemon_takes_the_new_passphrase_and_then_not_the_old(sheet: Device, tmp_path: Path) -> None:
    with _replaced(sheet, tmp_path) as new:
        assert len(sheet.run("list", env=new).ok().json) == 1
        _only_the_new_one_opens(sheet, new, "list")


def _only_the_new_one_opens(device: Device, new: dict[str, str], *words: str) -> None:
    done = device.run(*words)
    assert (done.code, done.error["kind"]) == (3, "wrong-passphrase"), done
    device.run(*words, env=new).ok()


def test_an_init_with_nobody_to_ask_can_be_run_again(tmp_path: Path) -> None:
    paths = Paths.from_environment({"OTPKEEP_HOME": str(tmp_path / "home")})

    def nobody_to_ask() -> str:
        raise Locked("nobody to ask")

    with pytest.raises(Locked):
        setup.init(paths, folder=tmp_path / "folder", device="here", passphrase=nobody_to_ask)
    assert list((tmp_path / "folder").iterdir()) == []
    init(tmp_path / "home", tmp_path / "folder")
    assert len(vaults(tmp_path / "folder")) == 1


def test_what_another_device_has_just_published_is_no_problem_to_verify(alpha: Device) -> None:
    heir(alpha).recover()
    assert alpha.run("verify", "--depth", "rebuild").json["problems"] == []
