"""The folders on this machine that a cloud client carries: what was found, and why it is thought to be one."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from otpkeep_daemon import cloud_configs, durable
from otpkeep_daemon.cloud_configs import Configured
from otpkeep_daemon.folder import RealFolder
from otpkeep_daemon.found import holds_vault
from otpkeep_protocol.errors import Malformed, OtpkeepError

SUBFOLDER = "otpkeep"
"""What a folder in a cloud folder is called, so that files of others are not among ours."""
MOST_BYTES = 4_194_304
"""Of a configuration: more than any client writes."""
_OWN_TAG = "look"


@dataclass(frozen=True, slots=True)
class Cloud:
    """A cloud folder: whose, where (None if even that is unknown), and why it is thought to be one.

    `remark` is what a person should know before choosing it. With `trouble` it is not offered, and that is why.
    `has_vault`: its subfolder holds a vault already, so `recover` and not `init` is what it needs.
    """

    provider: str
    path: Path | None
    why: str
    remark: str = ""
    trouble: str = ""
    has_vault: bool = False

    @property
    def target(self) -> Path:
        """The subfolder that would be otpkeep's; only for one that has a path."""
        assert self.path is not None
        return self.path / SUBFOLDER


def find_clouds(home: Path, platform: str, env: Mapping[str, str]) -> list[Cloud]:
    """Return what is found in a home directory on a `sys.platform`, each real directory once; nothing is changed."""
    machine = _Machine(home, platform, env)
    found = [cloud for look in _LOOKS for cloud in look(machine)]
    return _each_once(_judged(cloud) for cloud in found)


@dataclass(frozen=True, slots=True)
class _Machine:
    home: Path
    platform: str
    env: Mapping[str, str]

    @property
    def is_mac(self) -> bool:
        return self.platform == "darwin"

    def base(self, variable: str, default: str) -> Path:
        """Return an XDG base directory; a relative value is to be ignored (XDG Base Directory Specification)."""
        value = self.env.get(variable, "")
        return Path(value) if value.startswith("/") else self.home / default

    def place(self, written: str) -> Path:
        """Return a path as a configuration means it, `~` being the home."""
        return self.home / written[2:] if written.startswith("~/") else Path(written)


def _dropbox(machine: _Machine) -> list[Cloud]:
    return _configured(machine, "Dropbox", machine.home / ".dropbox" / "info.json", cloud_configs.dropbox)


def _onedrive(machine: _Machine) -> list[Cloud]:
    if not machine.is_mac:
        place = machine.base("XDG_CONFIG_HOME", ".config") / "onedrive"
        found = _configured(machine, "OneDrive", place / "config", cloud_configs.onedrive)
        if found or not os.path.lexists(place / "refresh_token"):
            return found
        default = cloud_configs.onedrive(b"")[0]
        why = f"the default of the client that is signed in by {place / 'refresh_token'}"
        return [Cloud("OneDrive", machine.place(default.path), why)]
    found = [*_mac_storage(machine, "OneDrive"), *_named(machine.home, "OneDrive", "OneDrive")]
    shared = "the libraries of a team, not a folder of yours"
    return [replace(c, trouble=shared) if c.path and "SharedLibraries" in c.path.name else c for c in found]


def _google_drive(machine: _Machine) -> list[Cloud]:
    if machine.is_mac:
        return [_my_drive(cloud) for cloud in _mac_storage(machine, "GoogleDrive", "Google Drive")]
    mounts = machine.base("XDG_RUNTIME_DIR", ".gvfs") / "gvfs"
    unfit = "GNOME's mount shows ids for names and keeps no copy on this machine; use a client that syncs a folder"
    return [replace(c, trouble=unfit) for c in _named(mounts, "google-drive", "Google Drive")]


def _my_drive(cloud: Cloud) -> Cloud:
    if cloud.path is None or os.path.isdir(cloud.path / "My Drive"):  # noqa: PTH112 - unlike is_dir, it never raises
        return replace(cloud, path=cloud.path and cloud.path / "My Drive")
    missing = "it has no folder My Drive (it has another name in other languages); name it with --folder"
    return replace(cloud, trouble=missing)


def _icloud(machine: _Machine) -> list[Cloud]:
    place = machine.home / "Library" / "Mobile Documents" / "com~apple~CloudDocs"
    return [Cloud("iCloud Drive", place, "where macOS keeps it")] if machine.is_mac and os.path.lexists(place) else []


def _nextcloud(machine: _Machine) -> list[Cloud]:
    if machine.is_mac:
        bases = [machine.home / "Library/Preferences"]
    else:
        flatpak = machine.home / ".var/app/com.nextcloud.desktopclient.nextcloud/config"
        bases = [machine.base("XDG_CONFIG_HOME", ".config"), flatpak]
    configs = [base / "Nextcloud" / "nextcloud.cfg" for base in bases]
    return [c for config in configs for c in _configured(machine, "Nextcloud", config, cloud_configs.nextcloud)]


def _syncthing(machine: _Machine) -> list[Cloud]:
    if machine.is_mac:
        places = [machine.home / "Library" / "Application Support" / "Syncthing"]
    else:
        bases = (("XDG_STATE_HOME", ".local/state"), ("XDG_CONFIG_HOME", ".config"))
        places = [machine.base(*base) / "syncthing" for base in bases]
    configs = [place / "config.xml" for place in places]
    return [c for config in configs for c in _configured(machine, "Syncthing", config, cloud_configs.syncthing)]


_LOOKS = (_dropbox, _onedrive, _google_drive, _icloud, _nextcloud, _syncthing)


def _configured(
    machine: _Machine, provider: str, config: Path, parse: Callable[[bytes], list[Configured]]
) -> list[Cloud]:
    """Return what a client's configuration names; one that can't be read is said to be that."""
    try:
        data = _read(config)
        found = parse(data) if data is not None else []
    except Malformed as problem:
        return [Cloud(provider, None, str(config), trouble=f"its configuration can't be used: {problem.message}")]
    return [Cloud(provider, machine.place(f.path), f"{f.label} in {config}", f.remark, f.unfit) for f in found]


def _read(config: Path) -> bytes | None:
    """Return a configuration's bytes, None if there is none. Malformed if it can't be one."""
    try:
        with durable.opened(config, durable.NO_WAIT) as descriptor:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise Malformed("it is not a file")
            data = durable.read_all(descriptor, MOST_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise Malformed(error.strerror or "it can't be read") from error
    if len(data) > MOST_BYTES:
        raise Malformed("it is too large to be one")
    return data


def _mac_storage(machine: _Machine, prefix: str, provider: str | None = None) -> list[Cloud]:
    return _named(machine.home / "Library" / "CloudStorage", prefix, provider or prefix)


def _named(directory: Path, prefix: str, provider: str) -> list[Cloud]:
    """Return the entries of a directory whose names begin so."""
    try:
        names = sorted(name for name in os.listdir(directory) if name.startswith(prefix))  # noqa: PTH208
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        return [Cloud(provider, None, str(directory), trouble=error.strerror or "it can't be read")]
    return [Cloud(provider, directory / name, f"{name} in {directory}") for name in names]


def _judged(cloud: Cloud) -> Cloud:
    """Return the folder with what speaks against it on this machine, and whether it has a vault."""
    if cloud.trouble or cloud.path is None:
        return cloud
    try:
        trouble = _trouble(cloud.path)
        return replace(cloud, trouble=trouble, has_vault=not trouble and _has_vault(cloud.target))
    except OtpkeepError as problem:
        return replace(cloud, trouble=problem.message)
    except (OSError, ValueError) as error:
        return replace(cloud, trouble=f"it can't be used: {getattr(error, 'strerror', None) or 'it is no path'}")


def _trouble(path: Path) -> str:
    if not path.is_absolute():
        return "it is not a whole path"
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return "it does not exist"
    if not stat.S_ISDIR(status.st_mode):
        return "it is not a directory"
    return "" if os.access(path, os.R_OK | os.W_OK | os.X_OK) else "you may not write there"


def _has_vault(target: Path) -> bool:
    return target.is_dir() and holds_vault(RealFolder(target, _OWN_TAG))


def _each_once(clouds: Iterable[Cloud]) -> list[Cloud]:
    """Return the clouds without those that lead to the directory of an earlier one."""
    seen: set[str] = set()
    kept = []
    for cloud in clouds:
        place = os.path.realpath(cloud.path) if cloud.path is not None and not cloud.trouble else None
        if place is None or place not in seen:
            kept.append(cloud)
        if place is not None:
            seen.add(place)
    return kept
