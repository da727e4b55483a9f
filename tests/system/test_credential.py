"""A daemon that unlocks itself by a systemd credential: a real user manager, and the machine's own secret."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from support_cli import PROGRAM, Device, Result, environment
from support_system import answers, eventually, need, need_root, ours, status, uri

KEEPER = """
set -e
mount --make-rshared /
mount -t tmpfs tmpfs /run
mount --bind "$MACHINE" /var/lib/systemd
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mkdir -p /run/systemd/system "$XDG_RUNTIME_DIR" "$GROUP"
echo $$ > "$GROUP/cgroup.procs"
exec </dev/null
/usr/lib/systemd/systemd --user >&2 &
echo kept
exec sleep infinity
"""
KEYLESS = {"OTPKEEP_PASSPHRASE_FILE": None}


class Manager:
    """A running `systemd --user` of root; `run` is what its user would do."""

    def __init__(self, pid: int, env: dict[str, str]) -> None:
        self._pid = pid
        self._env = env

    def run(self, *words: str | Path, env: dict[str, str]) -> Result:
        """Run a program where the manager is and return how it ended."""
        inside = ["nsenter", f"--target={self._pid}", "--mount", "--pid", "--cgroup"]
        done = subprocess.run(
            [*inside, *map(str, words)], env=env | self._env, capture_output=True, text=True, timeout=60, check=False
        )
        return Result(done.returncode, done.stdout, done.stderr)

    def otpkeep(self, device: Device, *words: str | Path) -> Result:
        """Run a command of a device there."""
        return self.run(*PROGRAM, *words, "--json", env=device.env)

    @contextmanager
    def daemon(self, device: Device) -> Iterator[None]:
        """Run the daemon as a unit that is given no passphrase, until the end of the block."""
        given = {k: v for k, v in device.env.items() if k in ("PYTHONPATH", "OTPKEEP_HOME", "PATH")}
        words = [f"--setenv={name}={value}" for name, value in (given | self._env).items()]
        unit = ["systemd-run", "--user", "--quiet", "--collect", "--unit=otpkeep-test", *words]
        assert self.run(*unit, *PROGRAM, "daemon", "run", env=device.env).code == 0
        eventually(lambda: answers(device), "the daemon answers")
        try:
            yield
        finally:
            self.run("systemctl", "--user", "stop", "otpkeep-test.service", env=device.env)


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    need("unshare", "nsenter", "systemd-creds", "systemd-run", "systemctl")
    need_root("make the namespaces of a systemd")
    group = f"/sys/fs/cgroup/otpkeep-credential-{os.getpid()}"
    env = {
        "XDG_RUNTIME_DIR": "/run/user/0",
        "HOME": str(tmp_path / "home"),
        "GROUP": group,
        "MACHINE": str(tmp_path / "machine"),
    }
    (tmp_path / "home").mkdir()
    (tmp_path / "machine").mkdir()
    unshare = ["unshare", "--mount", "--cgroup", "--pid", "--fork", "--mount-proc", "--kill-child"]
    with (tmp_path / "systemd.log").open("wb") as log:
        keeper = subprocess.Popen(
            [*unshare, "bash", "-c", KEEPER],
            env=environment(**env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
        )
    assert keeper.stdout is not None
    try:
        assert keeper.stdout.readline() == b"kept\n", (tmp_path / "systemd.log").read_text()
        children = Path(f"/proc/{keeper.pid}/task/{keeper.pid}/children").read_text().split()
        made = Manager(int(children[0]), env)
        ready = ["systemctl", "--user", "is-system-running"]
        eventually(lambda: made.run(*ready, env=dict(os.environ)).out.strip() in ("running", "degraded"), "it runs")
        yield made
    finally:
        keeper.kill()
        keeper.wait()
        keeper.stdout.close()
        eventually(lambda: _removed(Path(group)), "all of its processes are gone")


def _removed(group: Path) -> bool:
    """Remove a cgroup and those in it; False while there are processes."""
    try:
        for place, _, _ in os.walk(group, topdown=False):
            Path(place).rmdir()
    except OSError:
        return False
    return True


def test_a_credential_unlocks_the_daemon_on_this_machine_and_leaves_it_locked_on_another(
    manager: Manager, tmp_path: Path
) -> None:
    # given: a device in a place with characters that systemd gives a meaning of its own
    device = Device(tmp_path / "a %n b", tmp_path / "folder")
    device.init()
    device.add(uri(1))
    # when: the credential is chosen
    done = manager.otpkeep(device, "unlock", "--remember", "credential")
    assert done.ok().json == {"unlocks_by": "credential"}
    # then: what lies on the disk is encrypted, for this user alone
    (file,) = device.home.glob("unlock-*")
    assert file.stat().st_mode & 0o777 == 0o600
    assert len(file.read_bytes()) > 64
    # and: the daemon comes up unlocked
    with manager.daemon(device):
        assert status(device)["daemon"]["locked"] is False
        assert len(device.run("list", env=KEYLESS).ok().json) == 1
    # when: the machine's secret is another one, and a file of ours is missing from the folder
    manager.run("rm", "/var/lib/systemd/credential.secret", env=dict(os.environ))
    missing = ours(device.folder)[0]
    missing.unlink()
    (device.home / "config.toml").write_text("look_every_s = 1\n")
    with manager.daemon(device):
        # then: the daemon runs all the same, locked, says why, and mirrors
        (problem,) = [p for p in status(device)["problems"] if p["kind"] == "locked"]
        assert "this machine can't decrypt the credential" in problem["message"]
        eventually(missing.exists, "what is missing is put back")
    # and: forgetting removes the file
    device.run("unlock", "--forget", env=KEYLESS).ok()
    assert not file.exists()


def test_where_a_credential_does_not_work_it_is_refused_with_the_reason(tmp_path: Path) -> None:
    device = Device(tmp_path / "alpha", tmp_path / "folder")
    device.init()
    env = {"XDG_RUNTIME_DIR": str(tmp_path)}
    done = device.run("unlock", "--remember", "credential", env=env)
    assert (done.code, done.error["kind"]) == (1, "refused")
    assert "systemd" in done.error["message"]
    assert "the choice stays as it was" in done.error["message"]
    assert list(device.home.glob("unlock-*")) == []
    assert device.run("status", env=env).ok().json["unlocks_by"] == "none"


def test_an_old_systemd_has_no_credentials_for_users_and_the_offer_says_so() -> None:
    need("systemd-creds")
    need_root("become another user")
    version = int(subprocess.check_output(["systemd-creds", "--version"], text=True).split()[1])
    if version >= 256:
        pytest.skip("this systemd has them")
    script = (
        "import os; from pathlib import Path; from otpkeep_daemon.credentials import Credential; os.setuid(65534);"
        "print(Credential(Path('/nowhere')).why_not())"
    )
    done = subprocess.run([sys.executable, "-c", script], env=environment(), capture_output=True, text=True, check=True)
    assert "for root only" in done.stdout
