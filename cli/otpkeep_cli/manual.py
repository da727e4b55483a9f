"""Manual pages out of the texts of --help: one for the program, one for each command (man(7) roff).

The build writes them. click-man was looked at: it leaves out epilogs, and so our examples, escapes little, and does not
see commands that are loaded when they are named.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Iterator, Mapping

import click

from otpkeep_cli.examples import EXAMPLES
from otpkeep_cli.failure import MEANINGS

ENVIRONMENT: Mapping[str, str] = {
    "OTPKEEP_HOME": "one directory for everything of this device: configuration, store, own vault file, socket",
    "OTPKEEP_PASSPHRASE_FILE": "where the passphrase comes from without a terminal, for the daemon too",
    "OTPKEEP_PASSPHRASE_COMMAND": "the same, as a command that prints it",
    "OTPKEEP_NEW_PASSPHRASE_FILE": "the same for a new passphrase",
}
_SPECIAL = {"\\": r"\e", "-": r"\-", "'": r"\(aq", "`": r"\(ga", "^": r"\(ha", "~": r"\(ti", '"': r"\(dq"}


def pages(root: click.Command, name: str, version: str, date: str) -> Mapping[str, str]:
    """Return file name -> roff text of every page; `date` is like 2026-01-31."""
    contexts = list(_contexts(click.Context(root, info_name=name, **root.context_settings)))
    names = [_page_name(context) for context in contexts]
    texts = (_page(context, version, date, names) for context in contexts)
    return {f"{page}.1": text for page, text in zip(names, texts, strict=True)}


def _contexts(context: click.Context) -> Iterator[click.Context]:
    """Yield a command's context and those of the commands in it, in the order of the help."""
    yield context
    group = context.command
    if isinstance(group, click.Group):
        for name in group.list_commands(context):
            command = group.get_command(context, name)
            assert command is not None
            yield from _contexts(click.Context(command, info_name=name, parent=context))


def _page(context: click.Context, version: str, date: str, names: list[str]) -> str:
    """Return the page of one command; `names` are those of all pages."""
    command, page = context.command, _page_name(context)
    parts = [
        f'.TH {_text(page.upper())} 1 {date} "otpkeep {version}" "otpkeep manual"',
        ".SH NAME",
        rf"{_text(page)} \- {_text(command.get_short_help_str(1000).removesuffix('.'))}",
        ".SH SYNOPSIS",
        rf"\fB{_text(context.command_path)}\fR {_text(' '.join(command.collect_usage_pieces(context)))}",
        ".SH DESCRIPTION",
        *_paragraphs(command.help or ""),
        *_commands(context),
        *_section("OPTIONS", _options(context)),
        *_examples(context),
        *(_program(names) if context.parent is None else _see_also(context, names)),
    ]
    return "\n".join(parts) + "\n"


def _commands(context: click.Context) -> Iterator[str]:
    inner = [other for other in _contexts(context) if other.parent is context]
    rows = [(other.command_path, other.command.get_short_help_str(1000)) for other in inner]
    return _section("COMMANDS", rows)


def _options(context: click.Context) -> Iterator[tuple[str, str]]:
    for param in context.command.get_params(context):
        record = param.get_help_record(context)
        if record is not None and record[1]:  # arguments are told of in the description
            yield record
    if context.parent is not None:
        yield "--json, -q, -v", "As for every command; see otpkeep(1)."


def _examples(context: click.Context) -> Iterator[str]:
    lines = EXAMPLES.get(" ".join(context.command_path.split()[1:]), ())
    if lines:
        yield from (".SH EXAMPLES", ".nf", *(_text(line) for line in lines), ".fi")


def _program(names: list[str]) -> Iterator[str]:
    """Yield what holds for all commands."""
    yield from _section("EXIT STATUS", ((str(code), meaning) for code, meaning in MEANINGS.items()))
    yield from _section("ENVIRONMENT", ENVIRONMENT.items())
    yield from _references(names[1:])


def _see_also(context: click.Context, names: list[str]) -> Iterator[str]:
    """Yield references to the program's page and to those of the command above and below."""
    own = _page_name(context)
    near = [name for name in names[1:] if name != own and (name.startswith(f"{own}-") or own.startswith(f"{name}-"))]
    return _references([names[0], *near])


def _references(names: Iterable[str]) -> Iterator[str]:
    yield ".SH SEE ALSO"
    yield ",\n".join(rf"\fB{_text(name)}\fR(1)" for name in names)


def _section(title: str, rows: Iterable[tuple[str, str]]) -> Iterator[str]:
    """Yield a section of terms and what they mean; nothing if there are none."""
    for number, (term, meaning) in enumerate(rows):
        yield from ([f".SH {title}"] if number == 0 else [])
        yield from (".TP", rf"\fB{_text(term)}\fR", _text(meaning))


def _paragraphs(text: str) -> Iterator[str]:
    for number, paragraph in enumerate(inspect.cleandoc(text).split("\n\n")):
        yield from ([".PP"] if number else [])
        yield _text(" ".join(paragraph.split()))


def _page_name(context: click.Context) -> str:
    return context.command_path.replace(" ", "-")


def _text(text: str) -> str:
    """Return text that roff shows as it is."""
    shown = "".join(_SPECIAL.get(letter, letter) for letter in text)
    shown = re.sub(r"[^\x00-\x7f]", lambda found: rf"\[u{ord(found[0]):04X}]", shown)
    return rf"\&{shown}" if shown.startswith(".") else shown
