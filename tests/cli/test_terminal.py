"""What a person sees on a real terminal: a pseudo-terminal that is the program's controlling one."""

import json
import os
import re
import select
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from support_cli import TIMEOUT_S, Device, environment, run_program

URI = "otpauth://totp/Acme:me?secret=JBSWY3DPEHPK3PXP"
OWN = "my own long passphrase"
# A session leader has a terminal to ask on only once it has made it its controlling one.
CLAIM = "import fcntl, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
ON_A_TERMINAL = (sys.executable, "-c", CLAIM + "from otpkeep_cli.main import main; main()")


class Terminal:
    """One run of the program on a terminal of its own; what it writes is read as it comes."""

    def __init__(
        self, env: dict[str, str], *words: str, program: Sequence[str] = ON_A_TERMINAL, **changes: str
    ) -> None:
        self._master, slave = os.openpty()
        self.process = subprocess.Popen(
            [*program, *words],
            env=env | {"TERM": "dumb", "COLUMNS": "120"} | changes,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
        )
        os.close(slave)
        self.seen = ""
        self._behind = 0

    def expect(self, words: str) -> "Terminal":
        """Read until `words` have been shown, after what was expected before."""
        while (found := self.seen.find(words, self._behind)) < 0:
            assert self._read(), f"ended without {words!r}: {self.seen}"
        self._behind = found + len(words)
        return self

    def type(self, words: str) -> "Terminal":
        """Type a line."""
        os.write(self._master, words.encode() + b"\n")
        return self

    def end(self) -> int:
        """Read to the end and return the exit code."""
        while self._read():
            pass
        os.close(self._master)
        return self.process.wait(TIMEOUT_S)

    def _read(self) -> bool:
        ready, _, _ = select.select([self._master], [], [], TIMEOUT_S)
        assert ready, f"nothing more came: {self.seen}"
        try:
            data = os.read(self._master, 65_536)
        except OSError:  # how Linux says that nobody has the terminal open any more
            return False
        self.seen += data.decode()
        return bool(data)


@pytest.fixture
def device(tmp_path: Path) -> Device:
    return Device(tmp_path / "laptop", tmp_path / "folder")


@pytest.fixture
def env(device: Device) -> dict[str, str]:
    return environment(OTPKEEP_HOME=str(device.home))


def begun(env: dict[str, str], device: Device) -> Terminal:
    """Return an `init` whose question how to unlock was answered by Enter."""
    init = Terminal(env, "init", "--folder", str(device.folder), DBUS_SESSION_BUS_ADDRESS="")
    return init.expect("How shall the daemon unlock").expect("Number [").type("")


def test_enter_takes_the_passphrase_that_was_made_and_it_opens_the_vault(device: Device, env: dict[str, str]) -> None:
    init = begun(env, device).expect("Press Enter").type("")
    assert init.end() == 0
    made = re.search(r"    ((?:[a-z-]+ ){5}[a-z-]+)\r\n", init.seen)
    assert made is not None
    listing = Terminal(env, "list").expect("Passphrase: ").type(made.group(1))
    assert listing.end() == 0
    assert made.group(1) not in listing.seen


def test_a_passphrase_of_ones_own_is_typed_twice_unseen_and_judged(device: Device, env: dict[str, str]) -> None:
    init = begun(env, device).expect("Press Enter").type("o")
    init.expect("Your own passphrase: ").type("short").expect("The same again: ").type("short")
    init.expect("fewer than 12 characters").expect("Press Enter").type("o")
    init.expect("Your own passphrase: ").type(OWN).expect("The same again: ").type(OWN)
    assert init.end() == 0
    assert OWN not in init.seen
    assert Terminal(env, "status").end() == 0


def test_secrets_and_answers_are_asked_for_without_showing_them(device: Device) -> None:
    device.init()
    adding = Terminal(device.env, "add", "--issuer", "Acme").expect("Secret (not shown): ").type("JBSWY3DPEHPK3PXP")
    assert adding.end() == 0
    assert "JBSW" not in adding.seen


def test_a_code_on_a_terminal_says_whose_it_is_and_how_long_it_holds(device: Device) -> None:
    device.init()
    device.add(URI)
    shown = Terminal(device.env, "code", "acme")
    assert shown.end() == 0
    assert re.search(r"^[0-9]{6}   Acme \(me\), [0-9]+ s left\r\n", shown.seen)


def test_a_clear_export_asks_and_no_is_the_default(device: Device, tmp_path: Path) -> None:
    device.init()
    device.add(URI)
    target = tmp_path / "export"
    words = ("export", str(target), "--format", "otpauth")
    assert Terminal(device.env, *words).expect("[y/N]").type("").end() == 2
    assert not target.exists()
    assert Terminal(device.env, *words).expect("[y/N]").type("y").end() == 0
    assert "JBSWY3DPEHPK3PXP" in target.read_text()


def test_undone_events_are_struck_where_the_terminal_can(device: Device) -> None:
    device.init()
    device.add(URI)
    device.run("edit", "acme", "--name", "you").ok()
    device.run("undo").ok()
    able = {"TERM": "xterm"}
    struck, dumb = Terminal(device.env, "log", "acme", **able), Terminal(device.env, "log", "acme")
    assert (struck.end(), dumb.end()) == (0, 0)
    assert re.search(r"\x1b\[9m[^\n]*\[undone\]", struck.seen)
    assert "[undone]" in dumb.seen
    assert "\x1b" not in dumb.seen


def test_restoring_everything_shows_what_changes_and_asks(device: Device) -> None:
    device.init()
    added = device.add(URI)["event"]
    device.run("edit", "acme", "--name", "you").ok()
    words = ("restore", "--to", added)
    assert Terminal(device.env, *words).expect("name: you -> me").expect("[y/N]").type("").end() == 2
    assert device.run("list").ok().json[0]["name"] == "you"
    assert Terminal(device.env, *words).expect("[y/N]").type("y").end() == 0
    assert device.run("list").ok().json[0]["name"] == "me"


def test_ctrl_c_at_a_prompt_ends_with_130(device: Device, env: dict[str, str]) -> None:
    device.init()
    asked = Terminal(env, "list").expect("Passphrase: ")
    asked.type("\x03")
    assert asked.end() == 130
    assert "Traceback" not in asked.seen


class TestInitOffers:
    """`init` without --folder, on a terminal, on a machine with two cloud folders and a broken one."""

    @pytest.fixture
    def home(self, tmp_path: Path, env: dict[str, str]) -> Path:
        home = tmp_path / "home"
        for place in ("Dropbox", "Wolke", ".dropbox", ".config/onedrive", ".config/Nextcloud"):
            (home / place).mkdir(parents=True)
        info = {"personal": {"path": str(home / "Dropbox")}, "business": {"path": str(home / "gone")}}
        (home / ".dropbox/info.json").write_text(json.dumps(info))
        (home / ".config/onedrive/config").write_text('sync_dir = "~/Wolke"\n')
        (home / ".config/Nextcloud/nextcloud.cfg").write_bytes(b"[Accounts]\n\0")
        for variable in ("XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_RUNTIME_DIR"):
            env.pop(variable, None)
        env["HOME"] = str(home)
        return home

    def folder(self, env: dict[str, str]) -> str:
        path: str = run_program(["folder", "--json"], env).ok().json["folder"]
        return path

    def test_the_chosen_cloud_folder_gets_a_subfolder(self, home: Path, env: dict[str, str]) -> None:
        init = (
            Terminal(env, "init")
            .expect("Number: ")
            .type("2")
            .expect("Number [")
            .type("")
            .expect("Press Enter")
            .type("")
        )
        assert init.end() == 0
        assert f"1  Dropbox: {home}/Dropbox/otpkeep" in init.seen
        assert f"found by personal in {home}/.dropbox/info.json" in init.seen
        assert f"2  OneDrive: {home}/Wolke/otpkeep" in init.seen
        assert f"Dropbox {home}/gone: it does not exist" in init.seen
        assert "Nextcloud" in init.seen
        assert "its configuration can't be used: it is not text" in init.seen
        assert "otpkeep folder DIR" not in init.seen
        assert self.folder(env) == f"{home}/Wolke/otpkeep"
        assert list((home / "Wolke/otpkeep").glob("*.otpk"))
        assert list((home / "Dropbox").iterdir()) == []

    def test_a_plain_local_folder_is_called_no_backup(self, home: Path, device: Device, env: dict[str, str]) -> None:
        init = Terminal(env, "init").expect("3  A plain local folder").expect("not a backup").expect("Number: ")
        init.type("3").expect("Number [").type("").expect("Press Enter").type("").expect("not a backup")
        assert init.end() == 0
        assert self.folder(env) == f"{device.home}/folder"

    def test_another_path_is_typed_and_slips_are_asked_again(self, home: Path, env: dict[str, str]) -> None:
        init = Terminal(env, "init").expect("4  Another path").expect("Number: ").type("5").expect("from 1 to 4")
        init.expect("Number: ").type("Dropbox").expect("from 1 to 4").expect("Number: ").type("4")
        init.expect("Path of the folder: ").type("~/somewhere/else").expect("Number [").type("")
        init.expect("Press Enter").type("")
        assert init.end() == 0
        assert self.folder(env) == f"{home}/somewhere/else"

    def test_nothing_chosen_changes_nothing(self, home: Path, device: Device, env: dict[str, str]) -> None:
        assert Terminal(env, "init").expect("Number: ").type("").expect("Nothing was changed").end() == 2
        assert Terminal(env, "init").expect("Number: ").type("\x04").end() == 2
        assert Terminal(env, "init").expect("Number: ").type("\x03").end() == 130
        assert not (device.home / "store.sqlite3").exists()
        assert list((home / "Dropbox").iterdir()) == []

    def test_a_vault_in_the_offered_subfolder_is_said_and_init_refuses(
        self, home: Path, env: dict[str, str], tmp_path: Path
    ) -> None:
        Device(tmp_path / "other", home / "Dropbox/otpkeep").init()
        init = Terminal(env, "init").expect(f"otpkeep recover {home}/Dropbox/otpkeep").expect("Number: ").type("1")
        init.expect("already holds a vault").expect(f"otpkeep recover {home}/Dropbox/otpkeep")
        assert init.end() == 1

    def test_a_device_that_is_set_up_is_asked_nothing(self, home: Path, device: Device, env: dict[str, str]) -> None:
        device.init()
        init = Terminal(env, "init").expect("already set up")
        assert init.end() == 1
        assert "Number" not in init.seen

    def test_a_machine_without_clouds_says_so(self, tmp_path: Path, env: dict[str, str]) -> None:
        (tmp_path / "empty").mkdir()
        init = Terminal(env | {"HOME": str(tmp_path / "empty")}, "init").expect("No cloud folder was found")
        assert init.expect("1  A plain local folder").expect("Number: ").type("").end() == 2

    def test_under_json_nobody_is_asked(self, home: Path, device: Device, env: dict[str, str]) -> None:
        env["OTPKEEP_NEW_PASSPHRASE_FILE"] = str(device.passphrase_file)
        init = Terminal(env, "init", "--json")
        assert init.end() == 0
        assert "Number" not in init.seen
        assert f"otpkeep folder {home}/Dropbox/otpkeep" in init.seen


def test_a_bar_counts_the_files_that_are_read_while_recovering_and_goes_away(device: Device, tmp_path: Path) -> None:
    device.init()
    phone = Device(tmp_path / "phone", device.folder)
    # given: a program for which everything takes too long
    impatient = CLAIM + "from otpkeep_cli import main, progress; progress._PATIENCE_S = -1.0; main.main()"
    words = [sys.executable, "-c", impatient]
    recover = Terminal(phone.env, "recover", str(device.folder), program=words, TERM="xterm")
    recover.expect("Reading files").expect("This folder holds vault").expect("Number [").type("")
    recover.expect("0 accounts give codes now")
    assert recover.end() == 0
