"""Where things live, and that nobody else can exchange them."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from otpkeep_daemon.paths import Paths
from otpkeep_protocol.errors import Refused


def at(home: Path) -> Paths:
    return Paths.from_environment({"OTPKEEP_HOME": str(home)})


def test_one_variable_moves_everything_of_a_device(tmp_path: Path) -> None:
    paths = at(tmp_path)
    places = (paths.config, paths.data, paths.store, paths.lock, paths.own_vault, paths.socket)
    assert all(place.is_relative_to(tmp_path) for place in places)
    assert len(set(places)) == len(places)


def test_a_relative_home_and_a_tilde_become_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "ann"))
    assert at(Path("here")).data == tmp_path / "here"
    assert at(Path("~/keep")).data == tmp_path / "ann" / "keep"


@pytest.mark.skipif(os.name != "posix" or os.uname().sysname != "Linux", reason="XDG names are Linux's")
def test_without_the_variable_the_platform_decides(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for kind in ("CONFIG_HOME", "DATA_HOME", "RUNTIME_DIR"):
        (tmp_path / kind).mkdir(mode=0o700)
        monkeypatch.setenv(f"XDG_{kind}", str(tmp_path / kind))
    paths = Paths.from_environment({})
    assert paths.config == tmp_path / "CONFIG_HOME" / "otpkeep" / "config.toml"
    assert paths.store == tmp_path / "DATA_HOME" / "otpkeep" / "store.sqlite3"
    assert paths.socket.name == "control.sock"


def test_no_runtime_directory_is_no_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    assert Paths.from_environment({}).socket.is_absolute()


def test_the_service_takes_the_runtime_directory_that_systemd_made_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    # given: XDG_RUNTIME_DIR cannot be trusted, as in a user namespace, where root is nobody
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/nonexistent")
    named = {"RUNTIME_DIRECTORY": "/run/user/1234/otpkeep"}
    assert Paths.from_environment({**named, "OTPKEEP_SERVICE": "systemd"}).runtime == Path("/run/user/1234/otpkeep")
    # then: that of another unit, which happens to start a command, is not ours
    assert Paths.from_environment(named).runtime != Path("/run/user/1234/otpkeep")


def test_preparing_makes_everything_for_this_user_alone(tmp_path: Path) -> None:
    at(tmp_path / "a" / "b").prepare()
    assert [stat.S_IMODE((tmp_path / p).stat().st_mode) for p in ("a", "a/b")] == [0o700, 0o700]


def test_preparing_twice_changes_nothing(tmp_path: Path) -> None:
    at(tmp_path / "home").prepare()
    (tmp_path / "home").chmod(0o750)
    at(tmp_path / "home").prepare()
    assert stat.S_IMODE((tmp_path / "home").stat().st_mode) == 0o750


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o777, 0o1777])
def test_a_directory_that_others_can_write_is_refused_with_the_cure(tmp_path: Path, mode: int) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home").chmod(mode)
    with pytest.raises(Refused) as caught:
        at(tmp_path / "home").prepare()
    assert caught.value.hint == f"chmod go-w {tmp_path / 'home'}"


@pytest.mark.skipif(os.geteuid() != 0, reason="giving a directory away needs root")
def test_a_directory_of_another_user_is_refused(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir(mode=0o700)
    os.chown(tmp_path / "home", 65534, 65534)
    with pytest.raises(Refused, match="another user"):
        at(tmp_path / "home").prepare()


@pytest.mark.parametrize("name", ["file", "file/below", "dangling"])
def test_what_can_not_be_a_directory_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    with pytest.raises(Refused):
        at(tmp_path / name).prepare()
