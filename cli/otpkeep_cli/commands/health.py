"""`status` and `verify`: whether the backup works, and whether it is whole."""

from __future__ import annotations

import click

from otpkeep_cli import params
from otpkeep_cli.failure import INTEGRITY
from otpkeep_cli.render.health import status_text, verify_text
from otpkeep_cli.screen import Screen, width
from otpkeep_cli.session import service
from otpkeep_daemon.version import skew

_DEPTHS = ("names", "content", "rebuild")


@click.command()
@click.option("--digest", metavar="DIGEST", type=params.digest, help="Compare with another device's; 4 on doubt.")
@click.pass_context
def status(ctx: click.Context, digest: str | None) -> None:
    """Show problems first, then vault, folder, devices and daemon."""
    screen: Screen = ctx.obj
    with service(keys=digest is not None) as call:
        compared = {} if digest is None else {"comparison": call("digest", {"digest": digest})}
        found = call("status", {}) | compared
    problem = skew(found["daemon"])  # the command can tell, an old daemon can't
    found["problems"] += [problem] if problem is not None else []
    screen.answer(found, lambda: status_text(found, width()))
    if compared and compared["comparison"]["doubt"]:
        ctx.exit(INTEGRITY)


@click.command()
@click.option(
    "--depth",
    type=click.Choice(_DEPTHS),
    default="content",
    help="Compare names with bytes (needs no key), open everything (usual), or rebuild all of it as a restore drill.",
)
@click.option("--repair", is_flag=True, help="Put back what the folder lost or broke, and check it again.")
@click.pass_context
def verify(ctx: click.Context, depth: str, repair: bool) -> None:
    """Check every file in the folder; ends with 4 on a doubt."""
    screen: Screen = ctx.obj
    with service(keys=depth != "names") as call:
        found = call("verify", {"depth": depth, "repair": repair})
    screen.answer(found, lambda: verify_text(found))
    if not found["ok"]:
        ctx.exit(INTEGRITY)
