"""`unlock` and `lock`: the daemon's key, and what it unlocks itself with."""

from __future__ import annotations

import click

from otpkeep_cli.render.unlocking import left_text, locked_text
from otpkeep_cli.screen import Screen
from otpkeep_cli.session import Call, places, service
from otpkeep_cli.unlocking import confirm, remember_option, yes_option
from otpkeep_protocol.errors import Refused, Usage


@click.command()
@remember_option
@click.option("--forget", is_flag=True, help="Remember nothing any more: the daemon starts locked.")
@yes_option
@click.pass_obj
def unlock(screen: Screen, method: str | None, forget: bool, yes: bool) -> None:
    """Give the running daemon its key, once or for every start."""
    from otpkeep_daemon.access import is_served, is_set_up  # --help needs none of it

    if forget and method not in (None, "none"):
        raise Usage("--forget and --remember contradict each other.", "Give one of them.")
    if forget or method == "none":
        with service(keys=False) as call:
            _remember(screen, call, "none")
        return
    paths = places()
    served = is_served(paths)
    if is_set_up(paths) and not served and method is None:
        raise Refused("No daemon is running here, so there is nothing to unlock.", "Start one: otpkeep daemon run")
    confirm(method, yes=yes)
    with service() as call:
        result = call("unlock", {}) if served else {}
        if method is not None:
            _remember(screen, call, method)
        else:
            screen.done(result, lambda: "Unlocked.")


def _remember(screen: Screen, call: Call, method: str) -> None:
    done = call("remember", {"method": method})
    screen.done({"unlocks_by": done["unlocks_by"]}, lambda: left_text(done["unlocks_by"], ""))
    screen.note(done["left"])


@click.command()
@click.pass_obj
def lock(screen: Screen) -> None:
    """Make the running daemon forget its key."""
    with service(keys=False) as call:
        result, method = call("lock", {}), call("ping", {})["unlocks_by"]
    screen.done(result, lambda: locked_text(method))
