"""`service`: the daemon as a service of this machine, installed once and forgotten."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from otpkeep_cli import params
from otpkeep_cli.render import services as render
from otpkeep_cli.screen import Screen, write
from otpkeep_cli.session import places
from otpkeep_cli.session import service as connected
from otpkeep_protocol.errors import Refused

if TYPE_CHECKING:
    from otpkeep_daemon.services.state import Entry, Installed, Platform

MOST_LINES = 100_000


@click.group("service")
def service() -> None:
    """The daemon as a service, which starts by itself."""


@service.command()
@click.pass_obj
def install(screen: Screen) -> None:
    """Install the service, or bring it up to date, and start it."""
    from otpkeep_daemon.access import is_set_up  # --help needs none of it

    platform = _platform()
    if not is_set_up(places()):
        raise Refused("otpkeep is not set up here", "Run `otpkeep init` or `otpkeep recover FOLDER` first.")
    done = _install(platform)
    was_old = _is_old(_ping())
    if was_old:
        platform.restart()
    state, daemon = platform.state(), _ping() or {}
    result = {
        "service": state.kind,
        "changed": done.changed,
        "restarted": done.restarted or was_old,
        "sandboxed": done.sandboxed,
        "lingering": state.lingering,
        "files": [str(path) for path in state.files],
        "locked": daemon.get("locked"),
    }
    screen.done(result, lambda: render.installed_text(result))


def _install(platform: Platform) -> Installed:
    """Install the service with what this device needs now."""
    import sysconfig  # only this command needs it

    from otpkeep_daemon.services.needs import needs_of  # --help needs none of it
    from otpkeep_daemon.services.platform import kept_environment  # as above
    from otpkeep_daemon.services.program import code_places, find_program  # as above

    environment, paths = kept_environment(os.environ), places()
    with connected(keys=False) as call:
        found = call("status", {})
    _check_alone(platform, environment, found["daemon"]["pid"])
    paths.prepare()
    program = find_program(sys.argv[0], sysconfig.get_path("scripts"), shutil.which)
    needs = needs_of({paths.config_dir, paths.data}, found).beside(visible=code_places(program))
    return platform.install(program, environment, needs)


def _check_alone(platform: Platform, environment: Mapping[str, str], serving: int | None) -> None:
    """Refuse where the service is another device's, or a daemon runs that somebody started by hand."""
    from otpkeep_daemon.services import advice  # --help needs none of it

    before = platform.environment()
    if before is not None and before != environment:
        raise Refused(f"{advice.ELSEWHERE} Nothing was changed.", advice.ELSEWHERE_HINT)
    if serving is not None and platform.state().pid != serving:
        raise Refused(
            f"A daemon runs here that the service did not start: process {serving}. Nothing was changed.",
            "Stop it first, then run this again.",
        )


@service.command()
@click.pass_obj
def uninstall(screen: Screen) -> None:
    """Stop the service and take it away; all data stays."""
    paths, platform = places(), _platform()
    elsewhere = _is_elsewhere(platform)
    gone = platform.uninstall()
    result = {"removed": [str(path) for path in gone], "data": str(paths.data), "config": str(paths.config_dir)}
    screen.done(result, lambda: render.uninstalled_text(result, elsewhere=elsewhere))


@service.command()
@click.pass_obj
def start(screen: Screen) -> None:
    """Start the service and wait until it serves."""
    _platform().start()
    _tell(screen, "Started.")


@service.command()
@click.pass_obj
def stop(screen: Screen) -> None:
    """Stop the service until the next login or start."""
    _platform().stop()
    _tell(screen, "Stopped. Commands work without it; it starts again at the next login.")


@service.command()
@click.pass_obj
def restart(screen: Screen) -> None:
    """Stop the service and start it."""
    _platform().restart()
    _tell(screen, "Started again.")


@service.command()
@click.pass_obj
def status(screen: Screen) -> None:
    """Show how the service is, as the system and the daemon see it."""
    from otpkeep_daemon.services.advice import problems  # --help needs none of it

    platform = _platform()
    state, daemon = platform.state(), _ping()
    pid = daemon["pid"] if daemon is not None else None
    result = render.state_row(state) | {
        "daemon": {"running": daemon is not None, "pid": pid, "locked": daemon["locked"] if daemon else None},
        "problems": problems(state, pid, platform.program_there(), elsewhere=_is_elsewhere(platform)),
    }
    screen.answer(result, lambda: render.status_text(result))


@service.command()
@click.option("-f", "--follow", is_flag=True, help="Go on with what comes, until Ctrl-C.")
@click.option("--lines", type=click.IntRange(1, MOST_LINES), default=100, help="So many lines at most (100).")
@click.option("--since", type=params.text, help="Only what is newer than TIME.")
@click.pass_obj
def logs(screen: Screen, *, follow: bool, lines: int, since: str | None) -> None:
    """Show the log of the daemon, the newest line last."""
    entries = _log(lines, _seconds(since), follow=follow)
    if screen.asked.json and not follow:
        screen.answer([render.entry_row(entry) for entry in entries], str)
        return
    shown = False
    try:
        for entry in entries:
            shown = True
            if screen.asked.json:
                screen.answer(render.entry_row(entry), str)
            else:
                write(sys.stdout, render.entry_text(entry))
    except KeyboardInterrupt:
        if not follow:
            raise
    if not shown and not follow:
        screen.note("The log has no such line, or there is none yet.")


def _log(lines: int, since: float | None, *, follow: bool) -> Iterator[Entry]:
    """Return the entries of the service's log, or of the daemon's own file where no service is installed."""
    from otpkeep_daemon.services import logfile  # --help needs none of it

    try:
        platform = _platform()
        if platform.state().installed:
            return platform.log(lines, since, follow=follow)
    except Refused:
        pass  # there can be no service here; the daemon's own file is all there is
    return logfile.read(places().log, lines, since, follow=follow)


def _seconds(words: str | None) -> float | None:
    import datetime  # only --since needs it

    from otpkeep_cli.times import parse_time  # as above

    return parse_time(words, datetime.datetime.now(datetime.UTC)).ms / 1000 if words is not None else None


def _platform() -> Platform:
    from otpkeep_daemon.services.platform import choose  # --help needs none of it

    return choose(sys.platform, os.environ, Path.home(), places().log, shutil.which)


def _is_elsewhere(platform: Platform) -> bool:
    """Tell whether a service is installed for other places than those of this command."""
    from otpkeep_daemon.services.platform import kept_environment  # --help needs none of it

    installed = platform.environment()
    return installed is not None and installed != kept_environment(os.environ)


def _is_old(daemon: Mapping[str, Any] | None) -> bool:
    """Tell whether the daemon that answers is of another otpkeep than this command: an update came in between."""
    from otpkeep_daemon.version import skew  # --help needs none of it

    return daemon is not None and skew({"running": True, **daemon}) is not None


def _ping() -> dict[str, Any] | None:
    """Return what the daemon says of itself, None if none answers."""
    from otpkeep_daemon.access import ping  # --help needs none of it

    return ping(places())


def _tell(screen: Screen, text: str) -> None:
    state = _platform().state()
    screen.done(render.state_row(state), lambda: text)
