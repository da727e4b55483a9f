"""What a service says of itself, and what every kind of service can do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from otpkeep_daemon.services.needs import Needs


@dataclass(frozen=True, slots=True)
class Exit:
    """How the daemon ended last: `cause` is exited, killed, dumped or unknown, `status` a code or a signal's name."""

    cause: str
    status: str
    time: float | None = None
    """Seconds since 1970."""


@dataclass(frozen=True, slots=True)
class State:
    """What the platform knows: `state` is its own word, `since` seconds since 1970, `says` the daemon's last words."""

    kind: str
    files: tuple[Path, ...]
    installed: bool
    enabled: bool = False
    state: str = "not installed"
    running: bool = False
    pid: int | None = None
    since: float | None = None
    restarts: int | None = None
    last_exit: Exit | None = None
    says: str = ""
    sandboxed: bool = False
    lingering: bool | None = None
    """Whether it runs while its user is not logged in; None where that is not a question."""


@dataclass(frozen=True, slots=True)
class Installed:
    """What an installation did."""

    changed: bool
    restarted: bool
    sandboxed: bool


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of the log: `time` is seconds since 1970, `level` a word such as info."""

    time: float
    level: str
    message: str


class Platform(Protocol):
    """The service of one platform. All raise Refused or OtpkeepError with what the platform's program said."""

    def install(self, program: Path, environment: Mapping[str, str], needs: Needs) -> Installed:
        """Write what is different, start at every login from now on, and now."""

    def uninstall(self) -> list[Path]:
        """Stop it and take away its files, which are returned."""

    def start(self) -> None:
        """Start it, and wait until it serves."""

    def stop(self) -> None:
        """Stop it until the next login."""

    def restart(self) -> None:
        """Stop and start it."""

    def state(self) -> State:
        """Return how it is."""

    def log(self, lines: int, since: float | None, *, follow: bool) -> Iterator[Entry]:
        """Yield the newest lines, oldest first, and with `follow` those that come."""

    def reaches(self, needs: Needs) -> bool:
        """Tell whether the daemon's sandbox, if it has one, lets it do what it needs."""

    def give(self, needs: Needs) -> None:
        """Widen the sandbox of an installed service; a daemon that runs is started anew."""

    def program_there(self) -> bool:
        """Tell whether the program that it starts exists."""

    def environment(self) -> Mapping[str, Any] | None:
        """Return the variables that it was installed with, None if it is not installed."""
