"""`compact`: merge what this device wrote into fewer files."""

from __future__ import annotations

import click

from otpkeep_cli.render.health import compact_text
from otpkeep_cli.screen import Screen
from otpkeep_cli.session import service


@click.command()
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@click.pass_obj
def compact(screen: Screen, dry_run: bool) -> None:
    """Merge this device's files, and remove those not needed now."""
    with service() as call:
        done = call("compact", {"all": True, "dry_run": dry_run})
    screen.answer(done, lambda: compact_text(done, dry_run=dry_run))
