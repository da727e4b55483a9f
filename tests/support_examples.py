"""Command lines in texts, read the way the program would read them, without being run."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

import click

from otpkeep_cli.argv import split_globals
from otpkeep_cli.group import otpkeep

_ENDS = re.compile(r"[|<>&;)]+")


def command_lines(shell_line: str) -> Iterator[list[str]]:
    """Yield the words after `otpkeep` of each call in a line of shell."""
    lexer = shlex.shlex(shell_line.replace("$(", " "), posix=True, punctuation_chars="|<>&;()")
    lexer.whitespace_split = True
    words: list[str] | None = None
    for token in lexer:
        if words is not None and _ENDS.fullmatch(token):
            yield words
            words = None
        elif words is not None:
            words.append(token)
        elif token == "otpkeep":
            words = []
    if words is not None:
        yield words


def parse(words: list[str]) -> click.Context:
    """Return the context of the command that the words name, with its parameters; a click.UsageError if it refuses."""
    context = otpkeep.make_context("otpkeep", split_globals(words)[1])
    while isinstance(context.command, click.Group) and (rest := [*context._protected_args, *context.args]):
        name, command, rest = context.command.resolve_command(context, rest)
        assert command is not None
        context = command.make_context(name, rest, parent=context)
    return context


def every_command(context: click.Context | None = None) -> Iterator[click.Context]:
    """Yield a context for each command, those in groups included, and first for the program itself."""
    context = context or click.Context(otpkeep, info_name="otpkeep")
    yield context
    if isinstance(context.command, click.Group):
        for name in context.command.list_commands(context):
            command = context.command.get_command(context, name)
            assert command is not None
            yield from every_command(click.Context(command, info_name=name, parent=context))


def path_of(context: click.Context) -> str:
    """Return the words that name a command, without the program's."""
    return context.command_path.partition(" ")[2]
