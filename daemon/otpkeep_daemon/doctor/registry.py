"""All checks, in the order of the report."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from otpkeep_daemon.doctor import (
    clock,
    places,
    private_files,
    service_unit,
    serving,
    set_up,
    software,
    synced,
    unlocking,
    watched_files,
    watching,
)
from otpkeep_daemon.doctor.machine import Machine, this_machine
from otpkeep_daemon.doctor.outcome import UNKNOWN, Finding, NotHereError, Outcome, outcomes
from otpkeep_daemon.paths import Paths
from otpkeep_protocol.errors import OtpkeepError

Facts = TypeVar("Facts")


@dataclass(frozen=True, slots=True)
class Check(Generic[Facts]):
    """A check: its name, what it says if all is well, how its facts are gathered, and the pure judgement of them."""

    name: str
    fine: str
    gather: Callable[[Machine], Facts]
    judge: Callable[[Facts], list[Finding]]

    def run(self, machine: Machine) -> list[Outcome]:
        """Return the lines of this check; none where it makes no sense."""
        try:
            found = self.judge(self.gather(machine))
        except NotHereError:
            return []
        except OtpkeepError as error:
            found = [Finding(f"{UNKNOWN}: {error.message}", error.hint, unknown=True)]
        except (OSError, subprocess.SubprocessError) as error:
            said = getattr(error, "strerror", None) or type(error).__name__
            found = [Finding(f"{UNKNOWN}: {said}", "", unknown=True)]
        return outcomes(self.name, found, self.fine)


CHECKS: tuple[Check[Any], ...] = (
    Check("set-up", "this device is set up", set_up.set_up, set_up.judge_set_up),
    Check("config", "the settings are fine", set_up.config_file, set_up.judge_config),
    Check("permissions", "only you can open otpkeep's files", private_files.own_places, private_files.judge_places),
    Check("secret-files", "no passphrase lies open", private_files.secret_sources, private_files.judge_sources),
    Check("store", "the store is whole", set_up.store_file, set_up.judge_store),
    Check("store-place", "the store is on a disk that suits it", places.store_place, places.judge_store_place),
    Check("folder", "the folder is there", places.folder_facts, places.judge_folder),
    Check("downloads", "every file in the folder is on this machine", places.folder_facts, places.judge_placeholders),
    Check("space", "there is room", places.space, places.judge_space),
    Check("sync", "one client at most carries the folder, none the store", synced.carried, synced.judge_carried),
    Check("temporaries", "no crash has left anything", places.temporaries, places.judge_temporaries),
    Check("watched-files", "watched files can be used", watched_files.accesses, watched_files.judge_accesses),
    Check("file-system", "changes are noticed soon", places.watchable, places.judge_watchable),
    Check("inotify", "the system has watches left", watching.inotify, watching.judge_inotify),
    Check("daemon", "the daemon runs, unlocked, in this version", serving.serving, serving.judge_serving),
    Check("problems", "the daemon knows of no problem", serving.problems, serving.judge_problems),
    Check("socket", "commands can reach a daemon", serving.socket_place, serving.judge_socket_place),
    Check("service", "the service is installed and runs", service_unit.unit, service_unit.judge_unit),
    Check("agent", "the service is installed and runs", service_unit.agent, service_unit.judge_agent),
    Check("lingering", "the daemon goes on after logging out", service_unit.lingering, service_unit.judge_lingering),
    Check("unlocking", "the daemon can unlock itself", unlocking.unlocking, unlocking.judge_unlocking),
    Check("clock", "the clock is plausible", clock.clock, clock.judge_clock),
    Check("software", "Python and the libraries are new enough", software.software, software.judge_software),
)


def examine(paths: Paths, env: Mapping[str, str]) -> dict[str, Any]:
    """Run all checks. Return {ok, checks: [{check, ok: true, false or null, message, hint}]}; `ok` is no finding."""
    return report(this_machine(paths, env))


def report(machine: Machine) -> dict[str, Any]:
    """Return the report on a machine; see `examine`."""
    found = list(_all(machine))
    return {"ok": all(outcome.ok is not False for outcome in found), "checks": [outcome.row for outcome in found]}


def _all(machine: Machine) -> Iterator[Outcome]:
    for check in CHECKS:
        yield from check.run(machine)
