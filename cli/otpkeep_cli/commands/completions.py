"""`completion`: the script that lets a shell complete our commands, options and accounts."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path

import click

from otpkeep_cli.render.plain import plain
from otpkeep_cli.screen import Screen
from otpkeep_protocol.errors import Refused, Usage

_SHELLS = ("bash", "zsh", "fish")
_AGAIN = "It works in the next {shell} that you start."
_BASH = "It works in the next bash if bash-completion is installed; else add to ~/.bashrc\n\n    . {path}\n"
_ZSH = "Have zsh look there: in ~/.zshrc, before `compinit`, add\n\n    fpath+=({directory})\n"


@click.command()
@click.argument("shell", required=False, type=click.Choice(_SHELLS))
@click.option("--install", is_flag=True, help="Write it to where the shell looks for your own, rather than print it.")
@click.pass_context
def completion(ctx: click.Context, shell: str | None, install: bool) -> None:
    """Print the completion script of a shell (usual: yours)."""
    from otpkeep_cli import completing  # brings every shell's template

    screen: Screen = ctx.obj
    root, shell = ctx.find_root().command, shell or _present_shell()
    script = completing.script(root, shell)
    completing.warn_of_old_shell(root, shell)
    if not install:
        screen.answer({"shell": shell, "script": script}, lambda: script)
        return
    path = _place(shell, os.environ)
    _write(path, script)
    screen.done({"shell": shell, "path": str(path)}, lambda: _installed(shell, path))


def _present_shell() -> str:
    """Return the person's shell as their environment names it. Usage if it is none that we know."""
    name = Path(os.environ.get("SHELL", "")).name
    if name not in _SHELLS:
        raise Usage("Which shell is meant?", f"Say one of {', '.join(_SHELLS)}.")
    return name


def _place(shell: str, env: Mapping[str, str]) -> Path:
    """Return where the shell, or bash-completion for bash, looks for scripts of this user."""
    home = Path("~").expanduser()
    data = Path(env.get("XDG_DATA_HOME") or home / ".local" / "share")
    config = Path(env.get("XDG_CONFIG_HOME") or home / ".config")
    places: Mapping[str, Callable[[], Path]] = {
        "bash": lambda: data / "bash-completion" / "completions" / "otpkeep",
        "zsh": lambda: data / "zsh" / "site-functions" / "_otpkeep",
        "fish": lambda: config / "fish" / "completions" / "otpkeep.fish",
    }
    return places[shell]()


def _write(path: Path, script: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(script, encoding="utf-8")
    except OSError as error:
        raise Refused(f"{path} can't be written: {error.strerror}.", "Print the script, and put it there.") from error


def _installed(shell: str, path: Path) -> str:
    hint = {"bash": _BASH, "zsh": _ZSH}.get(shell, _AGAIN)
    shown = {"shell": shell, "path": plain(shlex.quote(str(path))), "directory": plain(shlex.quote(str(path.parent)))}
    return f"Installed {plain(str(path))}.\n{hint.format(**shown)}"
