"""A real `systemd --user` and journald of an ordinary user, on a machine where systemd runs nothing.

In namespaces of their own (mounts, processes, cgroups), so that nothing of it is left when the keeper ends:

    keeper (root) ── systemd-journald
                  └─ systemd --user (uid 1234) ── otpkeep.service, in the unit's own sandbox

What PID 1 makes at boot is made by hand: /run/systemd/unit-root, where sandboxes are built, and the cgroup
user@1234.service, by whose name journald tells a user's units.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from support_cli import PACKAGES, ROOT, Result
from support_system import eventually, need, need_root

UID = 1234
HOME = Path("/srv/otpkeep-test")
RUNTIME = Path(f"/run/user/{UID}")
ENV = {
    "HOME": str(HOME),
    "USER": "otpkeep-test",
    "XDG_RUNTIME_DIR": str(RUNTIME),
    "PATH": f"{HOME}/bin:/usr/bin:/bin",
    "LANG": "C.UTF-8",
}
AS_USER = ["setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups"]
TIMEOUT_S = 120
PROGRAM = f"#!{sys.executable}\nimport sys\nsys.path[:0] = {PACKAGES!r}\nfrom otpkeep_cli.main import main\nmain()\n"
KEEPER = """
set -e
mount --make-rshared /
@SHOWN@
mount -t tmpfs tmpfs /run
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mkdir -p /run/systemd/system /run/systemd/unit-root /run/systemd/journal /run/systemd/journald.conf.d /run/user
mkdir -m 700 /run/user/$U; chown $U:$U /run/user/$U
mount -t tmpfs tmpfs $(dirname $HOME); mkdir -m 700 $HOME; chown $U:$U $HOME
mkdir -m 755 $HOME/bin; cat > $HOME/bin/otpkeep; chmod 755 $HOME/bin/otpkeep
for place in /var/log/journal /var/lib/systemd/linger; do mkdir -p $place; mount -t tmpfs tmpfs $place; done
tr -d - < /proc/sys/kernel/random/uuid > /run/machine-id; mount --bind /run/machine-id /etc/machine-id
echo "$USER:x:$U:$U::$HOME:/bin/sh" | cat /etc/passwd - > /run/passwd; mount --bind /run/passwd /etc/passwd
printf '[Journal]\\nStorage=persistent\\nReadKMsg=no\\nAudit=no\\n' > /run/systemd/journald.conf.d/test.conf
touch /run/systemd/journal/flushed
/usr/lib/systemd/systemd-journald >&2 &
manager=/sys/fs/cgroup/user.slice/user-$U.slice/user@$U.service
mkdir -p /sys/fs/cgroup/keeper $manager
echo $$ > /sys/fs/cgroup/keeper/cgroup.procs
chown -R $U:$U $manager
exec </dev/null
(echo $BASHPID > $manager/cgroup.procs; exec @AS_USER@ /usr/lib/systemd/systemd --user --log-target=journal) >&2 &
echo kept
exec sleep infinity
"""


class Machine:
    """The user of a running manager: runs programs as that user, where the manager is."""

    def __init__(self, keeper: int) -> None:
        self._keeper = keeper
        self.installed: dict[str, Any] = {}
        """What `service install` answered."""

    def run(
        self, *words: str | Path, root: bool = False, env: Mapping[str, str] | None = None, stdin: str = ""
    ) -> Result:
        """Run a program there and return how it ended; as root if asked."""
        inside = ["nsenter", f"--target={self._keeper}", "--mount", "--pid", "--cgroup"]
        changed = [f"{name}={value}" for name, value in {**ENV, **(env or {})}.items()]
        done = subprocess.run(
            [*inside, *([] if root else AS_USER), "env", "-i", *changed, *map(str, words)],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
        return Result(done.returncode, done.stdout, done.stderr)

    def shell(self, script: str, *, root: bool = False) -> Result:
        """Run lines of a shell there."""
        return self.run("sh", "-c", script, root=root)

    def systemctl(self, *words: str) -> Result:
        return self.run("systemctl", "--user", *words)

    def show(self, name: str) -> str:
        """Return a property of the unit as systemd has it."""
        return self.systemctl("show", "otpkeep.service", f"--property={name}", "--value").ok().out.strip()

    def write(self, path: Path, text: str) -> None:
        """Write a file as the user, with the directories that lead to it."""
        quoted = shlex.quote(str(path))
        self.run("sh", "-c", f"umask 077; mkdir -p $(dirname {quoted}) && cat > {quoted}", stdin=text).ok()

    def read(self, path: Path) -> str:
        return self.run("cat", path).ok().out

    def otpkeep(self, *words: str | Path, stdin: str = "", env: Mapping[str, str] | None = None) -> Result:
        """Run a command as the user would, with --json."""
        return self.run("otpkeep", *words, "--json", stdin=stdin, env=env)

    def json(self, *words: str | Path, stdin: str = "", env: Mapping[str, str] | None = None) -> Any:
        return json.loads(self.otpkeep(*words, stdin=stdin, env=env).ok().out)


@contextmanager
def user_machine() -> Iterator[Machine]:
    """Run a manager of an ordinary user until the end of the block."""
    need("unshare", "nsenter", "setpriv", "systemctl", "journalctl")
    need_root("make the namespaces of a systemd")
    keeper = _start_keeper()
    try:
        assert keeper.stdout is not None
        if keeper.stdout.readline() != b"kept\n":
            (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)("namespaces can't be made here")
        machine = Machine(_first_child(keeper.pid))
        eventually(lambda: machine.systemctl("is-system-running").out.strip() == "running", "the manager runs")
        yield machine
    finally:
        keeper.kill()
        keeper.wait()
        if keeper.stdout is not None:
            keeper.stdout.close()
        _remove_groups()


def _remove_groups() -> None:
    """Remove the cgroups, as soon as their processes are gone."""

    def empty() -> bool:
        try:
            for place, _, _ in os.walk(_own_group(), topdown=False):
                Path(place).rmdir()
        except OSError:
            return False
        return True

    eventually(empty, "all processes are gone")


def _start_keeper() -> subprocess.Popen[bytes]:
    """Start the keeper in a cgroup of its own, which is then the root of what it sees."""
    place = 'd=$1; shift; mkdir -p "$d" && echo $$ > "$d/cgroup.procs" && exec "$@"'
    unshare = ["unshare", "--mount", "--cgroup", "--pid", "--fork", "--mount-proc", "--kill-child"]
    script = KEEPER.replace("@SHOWN@", _shown([Path(sys.base_prefix), Path(sys.prefix), ROOT]))
    script = script.replace("@AS_USER@", " ".join(AS_USER))
    keeper = subprocess.Popen(
        ["sh", "-c", place, "sh", str(_own_group()), *unshare, "bash", "-c", script],
        env=ENV | {"U": str(UID), "PATH": os.environ["PATH"]},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert keeper.stdin is not None
    keeper.stdin.write(PROGRAM.encode())
    keeper.stdin.close()
    return keeper


def _own_group() -> Path:
    """Return the cgroup of the keeper, where this machine has its cgroups, version 2."""
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, place, kind, *_ = line.split()
        if kind == "cgroup2":
            return Path(place) / f"otpkeep-test-{os.getpid()}"
    raise AssertionError("no cgroup2 is mounted here")


def _first_child(pid: int) -> int:
    """Return the process that `unshare --fork` has started: the first in the new namespaces."""
    return int(eventually(lambda: Path(f"/proc/{pid}/task/{pid}/children").read_text().split(), "the keeper forks")[0])


def _shown(places: list[Path]) -> str:
    """Return lines that let the user reach Python and this checkout where a closed directory leads to them."""
    closed = {ancestor for place in places for ancestor in place.parents if not ancestor.stat().st_mode & 1}
    outermost = sorted(ancestor for ancestor in closed if not closed & set(ancestor.parents))
    hidden = [place for place in places if closed & set(place.parents)]
    lines = ["mount -t tmpfs tmpfs /mnt"]
    lines += [f"mkdir /mnt/{n}; mount --bind {place} /mnt/{n}" for n, place in enumerate(hidden)]
    lines += [f"mount -t tmpfs -o mode=755 tmpfs {place}" for place in outermost]
    lines += [f"mkdir -p {place}; mount --bind /mnt/{n} {place}" for n, place in enumerate(hidden)]
    return "\n".join(lines)
