"""Completion of what is typed in a shell, by click's own machinery: a script in the shell asks us at each Tab.

The script runs `otpkeep` with VARIABLE set. Nothing here may ask a person, wait, or say anything beside suggestions.
"""

from __future__ import annotations

import re
from typing import Any

import click
from click import shell_completion
from click.shell_completion import BashComplete, CompletionItem, FishComplete, ShellComplete, ZshComplete

from otpkeep_cli.argv import split_globals
from otpkeep_protocol.errors import OtpkeepError

PROGRAM = "otpkeep"
VARIABLE = "_OTPKEEP_COMPLETE"
_GLOBAL = ("json", "quiet", "verbose")
_SPECIAL = re.compile(r"([^\w@%+=:,./~-])")


class _AnyPlace(ShellComplete):
    """Knows that the global words may stand anywhere."""

    def get_completions(self, args: list[str], incomplete: str) -> list[CompletionItem[str]]:
        """Return what fits, as if the global words so far were not there, and these words too."""
        _, words = split_globals(args)
        found = super().get_completions(words, incomplete)
        if incomplete.startswith("-") and any(i.value == "--help" for i in super().get_completions(words, "--help")):
            known = {item.value for item in found}
            more = (item for item in _global_words(self.cli) if item.value.startswith(incomplete))
            found += [item for item in more if item.value not in known]
        return found


class _Bash(_AnyPlace, BashComplete):
    def format_completion(self, item: CompletionItem[Any]) -> str:
        """Return the line for the script, whose `read` takes a level of backslashes; bash quotes nothing itself."""
        value = item.value if item.type != "plain" else _SPECIAL.sub(r"\\\\\1", str(item.value))
        return f"{item.type},{value}"


class _Zsh(_AnyPlace, ZshComplete):
    source_template = ZshComplete.source_template.replace(
        "$zsh_eval_context[-1] == loadautofunc", "$funcstack[1] == _%(prog_name)s"
    )
    """From a file on zsh's path, click's script completes the first time, and then not until the third."""


class _Fish(_AnyPlace, FishComplete):
    source_template = FishComplete.source_template.replace('string split ","', 'string split -m 1 ","')
    """Click's script cuts descriptions at their first comma."""


SHELLS = {"bash": _Bash, "zsh": _Zsh, "fish": _Fish}


def complete(root: click.Command, instruction: str) -> int:
    """Answer the script: print suggestions for the words in the environment. Return the exit code."""
    for shell, way in SHELLS.items():
        shell_completion.add_completion_class(way, shell)
    try:
        return shell_completion.shell_complete(root, {}, PROGRAM, VARIABLE, instruction)
    except (OtpkeepError, click.ClickException):
        return 1  # there is nothing to suggest after words that make no command


def script(root: click.Command, shell: str) -> str:
    """Return the script of one of SHELLS."""
    return ShellComplete.source(SHELLS[shell](root, {}, PROGRAM, VARIABLE))


def warn_of_old_shell(root: click.Command, shell: str) -> None:
    """Say on standard error if the shell that is installed here is too old for its script."""
    SHELLS[shell](root, {}, PROGRAM, VARIABLE).source()


def _global_words(root: click.Command) -> list[CompletionItem[str]]:
    return [
        CompletionItem(word, help=param.help)
        for param in root.params
        if isinstance(param, click.Option) and param.name in _GLOBAL
        for word in param.opts
    ]
