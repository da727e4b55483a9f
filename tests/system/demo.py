"""`make demo`: the main job for real, in temporary directories, by the ordinary commands.

Two homes stand for two devices; one folder stands for what a cloud client carries between them.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PROGRAM = Path(sys.executable).with_name("otpkeep")
FIXTURE = Path(__file__).parents[1] / "fixtures" / "aegis-encrypted.json"
WAIT_S = 20.0


def main() -> None:
    """Show the whole story, and stop at the first command that fails."""
    os.umask(0o077)
    with tempfile.TemporaryDirectory(prefix="otpkeep-demo-") as directory:
        show(Path(directory))


def show(place: Path) -> None:
    """Tell the story in `place`."""
    folder = place / "Dropbox" / "otpkeep"
    passphrase, password = place / "passphrase", place / "password"
    passphrase.write_text("orbit-velvet-canyon-lantern-motif-plume\n")
    password.write_text("test-only\n")
    laptop, desktop = device(place / "laptop", passphrase), device(place / "desktop", passphrase)

    say("A new vault, in a folder that a cloud client would carry")
    run(laptop, "init", "--folder", folder, "--device", "laptop")
    say("A daemon on the laptop")
    daemon = start_daemon(laptop)
    try:
        say("The accounts of an Aegis export, encrypted under a password of its own")
        run(laptop, "import", FIXTURE, "--passphrase-file", password)
        run(laptop, "list")
        first = str(accounts(laptop)[0]["id"])
        say("An edit. It is sealed and in the folder when the command returns")
        run(laptop, "edit", first, "--note", "the blue phone")
        run(laptop, "status")
        say("What somebody sees who gets hold of the folder")
        for file in sorted(folder.iterdir())[:4]:
            print(f"    {file.name}  {file.stat().st_size} bytes")
        say("The laptop is stolen. A new machine, the folder, one passphrase")
    finally:
        daemon.send_signal(signal.SIGTERM)
        daemon.wait(timeout=WAIT_S)
    run(desktop, "recover", folder, "--device", "desktop")
    say("Every code is there")
    for account in accounts(desktop)[:4]:
        run(desktop, "code", str(account["id"]))
    say("And the whole history")
    run(desktop, "log", "--limit", "3")
    say("Proof that the backup can be read: everything rebuilt from the folder alone, and compared")
    run(desktop, "verify", "--depth", "rebuild")


def device(home: Path, passphrase: Path) -> dict[str, str]:
    """Return the environment of one device."""
    return os.environ | {"OTPKEEP_HOME": str(home), "OTPKEEP_PASSPHRASE_FILE": str(passphrase)}


def say(text: str) -> None:
    """Announce a step."""
    print(f"\n── {text}", flush=True)


def run(env: dict[str, str], *words: str | Path) -> None:
    """Show a command and run it."""
    print("$ otpkeep " + " ".join(Path(w).name if isinstance(w, Path) else w for w in words), flush=True)
    subprocess.run([PROGRAM, *words], env=env, check=True)


def accounts(env: dict[str, str]) -> list[dict[str, object]]:
    """Return the accounts of a device."""

    listed = subprocess.run([PROGRAM, "list", "--json"], env=env, check=True, capture_output=True)
    found: list[dict[str, object]] = json.loads(listed.stdout)
    return found


def start_daemon(env: dict[str, str]) -> subprocess.Popen[bytes]:
    """Start a daemon and wait until it answers."""
    daemon = subprocess.Popen([PROGRAM, "daemon", "run"], env=env, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + WAIT_S
    socket = Path(env["OTPKEEP_HOME"]) / "control.sock"
    while not socket.is_socket():
        if daemon.poll() is not None or time.monotonic() > deadline:
            raise SystemExit("the daemon did not start")
        time.sleep(0.05)
    print(f"$ otpkeep daemon run &          (process {daemon.pid})", flush=True)
    return daemon


if __name__ == "__main__":
    main()
