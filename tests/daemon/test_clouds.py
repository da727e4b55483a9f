"""Cloud folders on this machine: what each client's own files say, and what speaks against a folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from otpkeep_daemon import cloud_configs
from otpkeep_daemon.cloud_configs import Configured
from otpkeep_daemon.clouds import MOST_BYTES, Cloud, find_clouds
from otpkeep_protocol.errors import Malformed
from support_cli import Device, environment
from support_system import need, need_root

INFO = {
    "personal": {
        "path": "/home/me/Dropbox",
        "host": 4791827,
        "is_team": False,
        "subscription_type": "Basic",
    },
    "business": {"path": "/home/me/Dropbox (Firma)", "host": 4791828, "is_team": True, "subscription_type": "Business"},
}
NEXTCLOUD = rb"""[General]
clientVersion=3.13.0daily (Debian built)
launchOnSystemStartup=true

[Accounts]
0\Folders\1\ignoreHiddenFiles=false
0\Folders\1\journalPath=.sync_0123456789ab.db
0\Folders\1\localPath=%HOME%/Nextcloud/
0\Folders\1\paused=false
0\Folders\1\targetPath=/
0\Folders\1\version=2
0\Folders\1\virtualFilesMode=off
0\Folders\2\localPath="%HOME%/Bilder; alt/"
0\Folders\2\paused=true
0\Folders\2\targetPath=/Bilder
0\authType=webflow
0\url=https://cloud.example.org
0\webflow_user=me
1\FoldersWithPlaceholders\1\localPath=%HOME%/Verein/
1\FoldersWithPlaceholders\1\virtualFilesMode=suffix
1\url=https://verein.example/nc
version=2

[Settings]
geometry=@ByteArray(\x1\xd9\xd0\xcb)
0\Folders\9\localPath=/not/an/account
"""
ONEDRIVE = b"""# Configuration for OneDrive Linux Client
# sync_dir = "~/Commented"
skip_file = "~*|.~*|*.tmp"
sync_dir = "~/Wolke"
download_only = "false"
"""
SYNCTHING = """<configuration version="37">
    <folder id="default" label="Sync" path="~/Sync" type="sendreceive" rescanIntervalS="3600" fsWatcherEnabled="true">
        <filesystemType>basic</filesystemType>
        <device id="AAAAAAA" introducedBy=""><encryptionPassword></encryptionPassword></device>
        <device id="BBBBBBB" introducedBy=""></device>
        <minDiskFree unit="%">1</minDiskFree>
        <paused>false</paused>
    </folder>
    <folder id="in" label="" path="~/Inbox" type="receiveonly"><device id="A"/><device id="B"/></folder>
    <folder id="out" label="Aus &amp; weg" path="~/Out" type="sendonly"><device id="A"/><device id="B"/></folder>
    <folder id="rest" label="Pause" path="~/Paused" type="sendreceive">
        <device id="A"/><device id="B"/><paused>true</paused>
    </folder>
    <folder id="one" label="Alone" path="~/Alone" type="sendreceive"><device id="A"/></folder>
    <device id="AAAAAAA" name="here"><paused>true</paused></device>
    <defaults><folder id="" label="" path="~" type="sendreceive"><paused>false</paused></folder></defaults>
</configuration>
"""


class TestParsers:
    def test_dropbox_names_a_personal_and_a_business_folder(self) -> None:
        assert cloud_configs.dropbox(json.dumps(INFO).encode()) == [
            Configured("/home/me/Dropbox", "personal"),
            Configured("/home/me/Dropbox (Firma)", "business"),
        ]

    def test_onedrive_takes_the_last_line_that_is_no_comment_and_has_a_default(self) -> None:
        assert [found.path for found in cloud_configs.onedrive(ONEDRIVE)] == ["~/Wolke"]
        assert [found.path for found in cloud_configs.onedrive(b"")] == ["~/OneDrive"]

    @pytest.mark.parametrize("key", ["download_only", "upload_only"])
    def test_onedrive_in_one_direction_carries_no_backup(self, key: str) -> None:
        assert key in cloud_configs.onedrive(f'{key} = "true"\n'.encode())[0].unfit

    def test_nextcloud_has_several_accounts_with_several_folders(self) -> None:
        first, second, third = cloud_configs.nextcloud(NEXTCLOUD.replace(b"%HOME%", b"/home/me"))
        assert first == Configured("/home/me/Nextcloud/", "cloud.example.org")
        assert (second.path, "paused" in second.remark) == ("/home/me/Bilder; alt/", True)
        assert (third.path, third.label) == ("/home/me/Verein/", "verein.example/nc")
        assert "virtual files" in third.remark

    @pytest.mark.parametrize(
        ("written", "meant"),
        [
            (rb"/home/m\xfcller/Wolke/", "/home/müller/Wolke/"),
            ("/home/müller/Wolke/".encode(), "/home/müller/Wolke/"),
            ("/home/müller/Wolke/".encode("latin-1"), "/home/müller/Wolke/"),
            (rb"/home/me/\xd83d\xde00\x65/", "/home/me/😀e/"),
            (rb'"/home/me/a,b = \"c\"\\d/"', '/home/me/a,b = "c"\\d/'),
        ],
    )
    def test_nextcloud_paths_are_read_as_qt_wrote_them(self, written: bytes, meant: str) -> None:
        data = b"[Accounts]\r\n0\\Folders\\1\\localPath=" + written + b"\r\n"
        assert [found.path for found in cloud_configs.nextcloud(data)] == [meant]

    def test_syncthing_names_every_folder_and_what_is_the_matter_with_it(self) -> None:
        found = {folder.path: folder for folder in cloud_configs.syncthing(SYNCTHING.encode())}
        assert list(found) == ["~/Sync", "~/Inbox", "~/Out", "~/Paused", "~/Alone"]
        assert found["~/Sync"] == Configured("~/Sync", 'folder "Sync"')
        assert "receiveonly" in found["~/Inbox"].unfit
        assert found["~/Inbox"].label == 'folder "in"'
        assert "sendonly" in found["~/Out"].unfit
        assert found["~/Out"].label == 'folder "Aus & weg"'
        assert ("paused" in found["~/Paused"].remark, found["~/Paused"].unfit) == (True, "")
        assert "no other device" in found["~/Alone"].remark

    @pytest.mark.parametrize(
        ("parse", "data"),
        [
            (cloud_configs.dropbox, b""),
            (cloud_configs.dropbox, b"{"),
            (cloud_configs.dropbox, b"\xff\xfe\x00"),
            (cloud_configs.dropbox, b"[" * 200_000),
            (cloud_configs.dropbox, b"[]"),
            (cloud_configs.dropbox, b'{"personal": "/home"}'),
            (cloud_configs.dropbox, b'{"personal": {"path": 7}, "business": null}'),
            (cloud_configs.onedrive, b'sync_dir = "\xff"'),
            (cloud_configs.nextcloud, b"[Accounts]\n\0\0"),
            (cloud_configs.syncthing, b""),
            (cloud_configs.syncthing, b"<configuration><folder></configuration>"),
            (cloud_configs.syncthing, b"<other/>"),
            (cloud_configs.syncthing, b'<?xml version="1.0" encoding="no-such"?><configuration/>'),
            (cloud_configs.syncthing, b"<!DOCTYPE configuration><configuration/>"),
            (cloud_configs.syncthing, '<!DOCTYPE c [<!ENTITY a "b">]><configuration/>'.encode("utf-16")),
        ],
    )
    def test_what_is_broken_is_malformed_and_nothing_else(
        self, parse: Callable[[bytes], list[Configured]], data: bytes
    ) -> None:
        with pytest.raises(Malformed):
            parse(data)

    def test_entities_are_refused_before_they_grow(self) -> None:
        lines = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 12))
        bomb = f'<!DOCTYPE c [<!ENTITY e0 "x">{lines}]><configuration><folder path="&e11;"/></configuration>'
        with pytest.raises(Malformed, match="document type"):
            cloud_configs.syncthing(bomb.encode())


@pytest.fixture
def home(tmp_path: Path) -> Path:
    made = tmp_path / "home"
    made.mkdir()
    return made


def write(path: Path, text: str | bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode() if isinstance(text, str) else text)


def linux(home: Path, **env: str) -> list[Cloud]:
    return find_clouds(home, "linux", env)


def fit(clouds: list[Cloud]) -> list[tuple[str, Path | None]]:
    return [(cloud.provider, cloud.path) for cloud in clouds if not cloud.trouble]


def troubles(clouds: list[Cloud]) -> dict[str, str]:
    return {cloud.provider: cloud.trouble for cloud in clouds if cloud.trouble}


class TestLinux:
    def test_a_machine_without_clouds_has_none(self, home: Path) -> None:
        assert linux(home) == []

    def test_every_client_is_found_in_its_usual_place(self, home: Path) -> None:
        for name in ("Dropbox", "Wolke", "Nextcloud", "Bilder; alt", "Verein", "Sync", "Alone", "Paused"):
            (home / name).mkdir()
        write(home / ".dropbox/info.json", json.dumps({"personal": {"path": str(home / "Dropbox")}}))
        write(home / ".config/onedrive/config", ONEDRIVE)
        write(home / ".config/Nextcloud/nextcloud.cfg", NEXTCLOUD.replace(b"%HOME%", os.fsencode(home)))
        write(home / ".local/state/syncthing/config.xml", SYNCTHING)
        found = linux(home)
        assert fit(found) == [
            ("Dropbox", home / "Dropbox"),
            ("OneDrive", home / "Wolke"),
            ("Nextcloud", home / "Nextcloud"),
            ("Nextcloud", home / "Bilder; alt"),
            ("Nextcloud", home / "Verein"),
            ("Syncthing", home / "Sync"),
            ("Syncthing", home / "Paused"),
            ("Syncthing", home / "Alone"),
        ]
        assert str(home / ".dropbox/info.json") in found[0].why
        assert found[0].target == home / "Dropbox" / "otpkeep"

    def test_xdg_directories_are_respected_and_relative_ones_are_not(self, home: Path, tmp_path: Path) -> None:
        (home / "Sync").mkdir()
        write(tmp_path / "state/syncthing/config.xml", SYNCTHING)
        assert fit(linux(home)) == []
        assert ("Syncthing", home / "Sync") in fit(linux(home, XDG_STATE_HOME=str(tmp_path / "state")))
        assert fit(linux(home, XDG_STATE_HOME="state")) == []
        assert ("Syncthing", home / "Sync") in fit(linux(home, XDG_CONFIG_HOME=str(tmp_path / "state")))

    def test_onedrive_without_a_configuration_has_its_default_if_somebody_is_signed_in(self, home: Path) -> None:
        (home / "OneDrive").mkdir()
        assert linux(home) == []
        write(home / ".config/onedrive/refresh_token", "secret")
        assert fit(linux(home)) == [("OneDrive", home / "OneDrive")]

    def test_a_broken_configuration_is_said_and_the_others_are_found(self, home: Path) -> None:
        (home / "Wolke").mkdir()
        write(home / ".dropbox/info.json", "{")
        write(home / ".config/onedrive/config", ONEDRIVE)
        write(home / ".config/syncthing/config.xml", b"x" * (MOST_BYTES + 1))
        (home / ".config/Nextcloud/nextcloud.cfg").mkdir(parents=True)
        found = linux(home)
        assert fit(found) == [("OneDrive", home / "Wolke")]
        assert "not JSON" in troubles(found)["Dropbox"]
        assert "too large" in troubles(found)["Syncthing"]
        assert "not a file" in troubles(found)["Nextcloud"]

    def test_a_pipe_in_the_place_of_a_configuration_blocks_nobody(self, home: Path) -> None:
        (home / ".dropbox").mkdir()
        os.mkfifo(home / ".dropbox/info.json")
        assert "not a file" in troubles(linux(home))["Dropbox"]

    @pytest.mark.parametrize(
        ("path", "trouble"),
        [
            ("/nowhere/at/all", "does not exist"),
            ("/etc/hostname", "not a directory"),
            ("Dropbox", "not a whole path"),
            ("/a\0b", "no path"),
            ("/\ud800", "can't be used"),
            ("/" + "x" * 5000, "can't be used"),
        ],
    )
    def test_a_path_that_leads_nowhere_is_named_and_not_offered(self, home: Path, path: str, trouble: str) -> None:
        write(home / ".dropbox/info.json", json.dumps({"personal": {"path": path}}))
        (found,) = linux(home)
        assert trouble in found.trouble

    def test_a_directory_that_two_clients_name_is_offered_once(self, home: Path) -> None:
        (home / "Wolke").mkdir()
        (home / "link").symlink_to("Wolke")
        write(home / ".dropbox/info.json", json.dumps({"personal": {"path": str(home / "link")}}))
        write(home / ".config/onedrive/config", ONEDRIVE)
        assert fit(linux(home)) == [("Dropbox", home / "link")]

    def test_gnome_s_mount_of_google_drive_is_left_out_with_the_reason(self, home: Path, tmp_path: Path) -> None:
        (tmp_path / "run/gvfs/google-drive:host=example.org,user=me").mkdir(parents=True)
        found = linux(home, XDG_RUNTIME_DIR=str(tmp_path / "run"))
        assert "no copy on this machine" in troubles(found)["Google Drive"]

    def test_a_vault_in_the_subfolder_is_noticed(self, home: Path, tmp_path: Path) -> None:
        (home / "Wolke").mkdir()
        write(home / ".config/onedrive/config", ONEDRIVE)
        assert [cloud.has_vault for cloud in linux(home)] == [False]
        Device(tmp_path / "alpha", home / "Wolke" / "otpkeep").init()
        assert [cloud.has_vault for cloud in linux(home)] == [True]

    def test_a_real_syncthing_s_configuration_is_read(self, home: Path) -> None:
        need("syncthing")
        target = home / ".local/state/syncthing"
        subprocess.run(
            ["syncthing", "generate", f"--home={target}"],
            env={**os.environ, "HOME": str(home), "STNOUPGRADE": "1"},
            capture_output=True,
            check=True,
            timeout=60,
        )
        (home / "Sync").mkdir(exist_ok=True)
        (found,) = linux(home)
        assert (found.provider, found.path, found.trouble) == ("Syncthing", home / "Sync", "")
        assert "Default Folder" in found.why
        assert "no other device" in found.remark

    def test_a_folder_that_this_user_may_not_write_is_not_offered(self) -> None:
        need_root("become another user")
        with tempfile.TemporaryDirectory() as place:
            home = Path(place)
            home.chmod(0o755)
            (home / "Dropbox").mkdir(mode=0o755)
            write(home / ".dropbox/info.json", json.dumps({"personal": {"path": str(home / "Dropbox")}}))
            script = (
                "import os, sys, pathlib; from otpkeep_daemon.clouds import find_clouds; os.setuid(65534);"
                " print(find_clouds(pathlib.Path(sys.argv[1]), 'linux', {})[0].trouble)"
            )
            done = subprocess.run(
                [sys.executable, "-c", script, place], env=environment(), capture_output=True, text=True, check=True
            )
        assert done.stdout.strip() == "you may not write there"


class TestMac:
    def test_every_client_is_found_in_its_usual_place(self, home: Path) -> None:
        storage, library = home / "Library/CloudStorage", home / "Library"
        places = [
            *(storage / name for name in ("Dropbox", "OneDrive-Personal", "OneDrive-SharedLibraries-Firma")),
            storage / "GoogleDrive-me@example.org" / "My Drive",
            library / "Mobile Documents/com~apple~CloudDocs",
            *(home / name for name in ("Nextcloud", "Sync")),
        ]
        for place in places:
            place.mkdir(parents=True)
        (home / "OneDrive").symlink_to(storage / "OneDrive-Personal")
        write(home / ".dropbox/info.json", json.dumps({"personal": {"path": str(storage / "Dropbox")}}))
        config = NEXTCLOUD.replace(b"%HOME%", os.fsencode(home))
        write(library / "Preferences/Nextcloud/nextcloud.cfg", config)
        write(library / "Application Support/Syncthing/config.xml", SYNCTHING)
        found = find_clouds(home, "darwin", {})
        assert fit(found) == [
            ("Dropbox", storage / "Dropbox"),
            ("OneDrive", storage / "OneDrive-Personal"),
            ("Google Drive", storage / "GoogleDrive-me@example.org" / "My Drive"),
            ("iCloud Drive", library / "Mobile Documents/com~apple~CloudDocs"),
            ("Nextcloud", home / "Nextcloud"),
            ("Syncthing", home / "Sync"),
        ]
        assert troubles(found)["OneDrive"] == "the libraries of a team, not a folder of yours"

    def test_a_google_drive_in_another_language_is_named(self, home: Path) -> None:
        (home / "Library/CloudStorage/GoogleDrive-me@example.org/Meine Ablage").mkdir(parents=True)
        (found,) = find_clouds(home, "darwin", {})
        assert "--folder" in found.trouble
