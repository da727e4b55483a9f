"""The doctor on real damage: what it finds, and whether its repair repairs."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from otpkeep_daemon.doctor.machine import this_machine
from otpkeep_daemon.doctor.registry import report
from otpkeep_daemon.paths import Paths
from support_cli import PROGRAM, Device
from support_system import need, need_root

_BOUND = ("setpriv", "--bounding-set=-dac_override,-dac_read_search")


def rows(
    device: Device, *, now_s: float | None = None, platform: str | None = None, **env: str
) -> list[dict[str, Any]]:
    """Return the report on a device's machine, here and now unless told otherwise."""
    changed = device.env | env
    machine = this_machine(Paths.from_environment(changed), changed)
    machine = replace(machine, now_s=now_s or machine.now_s, platform=platform or machine.platform)
    found: list[dict[str, Any]] = report(machine)["checks"]
    return found


def findings(device: Device, check: str, **about: Any) -> list[dict[str, Any]]:
    """Return what one check found wrong, each with a repair."""
    wrong = [row for row in rows(device, **about) if row["check"] == check and row["ok"] is False]
    assert all(row["message"] and row["hint"] for row in wrong)
    return wrong


def only_finding(device: Device, check: str, **about: Any) -> dict[str, Any]:
    """Return the one thing that a check found wrong."""
    (row,) = findings(device, check, **about)
    return row


def bound_row(device: Device, check: str) -> dict[str, Any]:
    """Return the first line of a check, for a user whom file modes bind."""
    need("setpriv")
    words = [*(_BOUND if os.geteuid() == 0 else ()), *PROGRAM, "doctor", "--json"]
    done = subprocess.run(words, env=device.env, capture_output=True, check=False, timeout=60)
    assert done.returncode in (0, 1), done
    found: dict[str, Any] = next(row for row in json.loads(done.stdout)["checks"] if row["check"] == check)
    return found


def repair(device: Device, hint: str) -> None:
    """Do what a hint says: up to a remark in brackets it is one command."""
    command = hint.partition(" (")[0].removeprefix("For example: ").removeprefix("sudo ")
    if command.startswith("otpkeep "):
        device.run(*shlex.split(command)[1:]).ok()
    else:
        subprocess.run(["sh", "-c", command], check=True, timeout=60)


@contextlib.contextmanager
def mounted(kind: str, source: str, target: Path, options: str) -> Iterator[None]:
    """Have something mounted for the block."""
    need_root("mount")
    subprocess.run(["mount", "-t", kind, "-o", options, source, target], check=True, timeout=60)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", target], check=True, timeout=60)
