"""A desktop session with a real gnome-keyring: its own message bus, its own home, its own login password."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

from support_cli import environment
from support_system import eventually

LOGIN = b"the login password"
ASKING = ("interface=org.freedesktop.Secret.Prompt", "member=Unlock", "member=CreateCollection")
"""What of a call on the bus shows that somebody wants to have the person asked."""

BUS = """
<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>session</type><listen>unix:tmpdir=/tmp</listen><auth>EXTERNAL</auth>
<policy context="default"><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/>
</policy>
</busconfig>
"""
"""A bus that starts nothing by itself: it would be a keyring that the test knows nothing of."""


class Session:
    """One login: what programs in it see of the desktop (`env`), and all that was said on its bus."""

    def __init__(self, home: Path, bus: str, until_logout: ExitStack) -> None:
        self.env: Mapping[str, str] = {
            "HOME": str(home),
            "XDG_DATA_HOME": str(home / "share"),
            "XDG_RUNTIME_DIR": str(home / "run"),
            "DBUS_SESSION_BUS_ADDRESS": bus,
        }
        self._said = home / "bus.log"
        self._until_logout = until_logout

    def start(self, *, unlocked: bool) -> None:
        """Start gnome-keyring, in the place of one that runs; unlocked as at a login, by the password on its input."""
        how = "--unlock" if unlocked else "--start"
        words = ["gnome-keyring-daemon", "--replace", how, "--foreground", "--components=secrets"]
        running = _kept(words, environment(**self.env), subprocess.DEVNULL, LOGIN if unlocked else b"")
        self._until_logout.enter_context(running)
        eventually(lambda: self._is_locked() == (not unlocked), "the keyring is as it should be")

    @property
    def questions(self) -> list[str]:
        """The messages that would have led to a question on the screen."""
        said = self._said.read_text(errors="replace")
        calls = [line for line in said.splitlines() if line.startswith("method call")]
        assert any("/org/freedesktop/secrets/aliases/default" in line for line in calls), "nobody used the keychain"
        return [line for line in calls if any(word in line for word in ASKING)]

    def _is_locked(self) -> bool | None:
        """Ask whether the login keyring is locked; None before there is one."""
        words = ["dbus-send", "--session", "--print-reply", "--dest=org.freedesktop.secrets"]
        words += ["/org/freedesktop/secrets/collection/login", "org.freedesktop.DBus.Properties.Get"]
        words += ["string:org.freedesktop.Secret.Collection", "string:Locked"]
        done = subprocess.run(words, env=environment(**self.env), capture_output=True, check=False)
        return b"boolean true" in done.stdout if done.returncode == 0 else None


@contextmanager
def session(home: Path, *, unlocked: bool = True) -> Iterator[Session]:
    """Log in until the end of the block: a bus, a gnome-keyring on it, and somebody who listens to all of it."""
    (home / "run").mkdir(mode=0o700, parents=True, exist_ok=True)
    with ExitStack() as until_logout:
        (home / "bus.conf").write_text(BUS)
        env = environment(**Session(home, "", until_logout).env)
        bus = ["dbus-run-session", f"--config-file={home}/bus.conf", "--"]
        bus += ["sh", "-c", 'echo "$DBUS_SESSION_BUS_ADDRESS"; exec cat']
        running = until_logout.enter_context(_kept(bus, env, subprocess.PIPE, None))
        assert running.stdout is not None
        inside = Session(home, running.stdout.readline().decode().strip(), until_logout)
        said = until_logout.enter_context((home / "bus.log").open("wb"))
        until_logout.enter_context(_kept(["dbus-monitor", "--session"], environment(**inside.env), said, b""))
        inside.start(unlocked=unlocked)
        yield inside


@contextmanager
def _kept(
    words: list[str], env: Mapping[str, str], stdout: int | IO[bytes], given: bytes | None
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program until the end of the block, with `given` as its input.

    One with None gets its input closed at the end, by which dbus-run-session knows that the session is over.
    """
    process = subprocess.Popen(
        words, env=env, stdin=subprocess.PIPE, stdout=stdout, stderr=subprocess.DEVNULL, start_new_session=True
    )
    assert process.stdin is not None
    if given is not None:
        process.stdin.write(given)
        process.stdin.close()
    try:
        yield process
    finally:
        process.stdin.close()
        if given is not None:
            process.terminate()
        process.wait(30)
        if process.stdout is not None:
            process.stdout.close()
