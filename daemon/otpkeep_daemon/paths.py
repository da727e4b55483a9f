"""Where the files of one device live. The only user of platformdirs."""

from __future__ import annotations

import os
import stat
import sys
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from otpkeep_daemon.outside import VARIABLE
from otpkeep_protocol.errors import Refused

_NAME = "otpkeep"
_WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH


@dataclass(frozen=True, slots=True)
class Paths:
    """The absolute places of one device: three directories, and fixed names in them."""

    config_dir: Path
    data: Path
    runtime: Path
    """Holds the socket; gone after a restart of the machine where the platform does that."""

    @classmethod
    def from_environment(cls, env: Mapping[str, str]) -> Paths:
        """Return the places for `OTPKEEP_HOME` (`~` is expanded) if it is set, else the platform's own.

        The platform's own are read from the real environment, since platformdirs knows no other. It warns
        where it has to take another runtime directory than XDG names; cron and su make that ordinary.
        """
        if home := env.get("OTPKEEP_HOME"):
            root = Path(home).expanduser().absolute()
            return cls(root, root, root)
        import platformdirs

        return cls(
            platformdirs.user_config_path(_NAME, appauthor=False),
            platformdirs.user_data_path(_NAME, appauthor=False),
            _runtime(env),
        )

    @property
    def config(self) -> Path:
        """The settings (TOML); absent until somebody writes one."""
        return self.config_dir / "config.toml"

    @property
    def store(self) -> Path:
        """The local truth (SQLite)."""
        return self.data / "store.sqlite3"

    @property
    def lock(self) -> Path:
        """The file whose lock says who may write the store."""
        return self.data / "store.lock"

    @property
    def own_vault(self) -> Path:
        """The encrypted export that is always current (SPEC §9)."""
        return self.data / "vault.aegis.json"

    @property
    def log(self) -> Path:
        """The daemon's log where there is no journal; older ones lie beside it."""
        return self.data / "log" / "otpkeep.log"

    @property
    def socket(self) -> Path:
        """The daemon's Unix socket."""
        return self.runtime / "control.sock"

    def prepare_config(self) -> None:
        """Make the directory of the settings alone; Refused as for `prepare`."""
        _make_private(self.config_dir)
        _check_private(self.config_dir)

    def prepare(self) -> None:
        """Make the directories, for this user alone; Refused if others could change what is in them."""
        for directory in dict.fromkeys((self.config_dir, self.data, self.runtime)):
            _make_private(directory)
            _check_private(directory)


def _runtime(env: Mapping[str, str]) -> Path:
    """Return the platform's runtime directory of otpkeep; Refused if others could change what is in it.

    The service gets it named by systemd: in the sandbox's user namespace root's directories seem to be nobody's, and
    platformdirs would take one that no command outside looks at.
    """
    if env.get(VARIABLE) == "systemd" and (named := env.get("RUNTIME_DIRECTORY")):
        return Path(named)
    import platformdirs

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return platformdirs.user_runtime_path(_NAME, appauthor=False)
        except PermissionError as error:
            raise Refused(
                f"the runtime directory can't be trusted: {error}; nothing was changed",
                "Set XDG_RUNTIME_DIR to a directory that only you can write, or OTPKEEP_HOME.",
            ) from error


def _make_private(directory: Path) -> None:
    """Make a directory and what leads to it, 0700 all; one that exists keeps its mode."""
    try:
        for missing in reversed([p for p in (directory, *directory.parents) if not p.exists()]):
            missing.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise Refused(
            f"The directory {directory} can't be made: {error.strerror}.",
            "Make it yourself, or set OTPKEEP_HOME to a directory of yours.",
        ) from error


def _check_private(directory: Path) -> None:
    """Refuse a directory in which another user could exchange the store or the socket."""
    if sys.platform == "win32" or not hasattr(os, "geteuid"):
        _check_in_profile(directory)
        return
    status = directory.stat()
    if not stat.S_ISDIR(status.st_mode):
        raise Refused(f"{directory} is not a directory.", "Move it away, or set OTPKEEP_HOME.")
    if status.st_uid != os.geteuid():
        raise Refused(
            f"The directory {directory} belongs to another user, who could change what is in it.",
            "Set OTPKEEP_HOME to a directory of yours.",
        )
    if status.st_mode & _WRITABLE_BY_OTHERS:
        raise Refused(
            f"Other users may write in the directory {directory}, and so exchange what is in it.",
            f"chmod go-w {directory}",
        )


def _check_in_profile(directory: Path) -> None:
    """Refuse a directory outside of the user's profile, where others may write on Windows, which has no modes."""
    if not directory.resolve().is_relative_to(Path.home().resolve()):
        raise Refused(
            f"The directory {directory} is not in your profile, so other users may be able to change what is in it.",
            f"Set OTPKEEP_HOME to a directory in {Path.home()}.",
        )
