"""The help of every command with its examples, and the manual pages that are made of it."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import click
import pytest

from otpkeep_cli import manual
from otpkeep_cli.examples import EXAMPLES
from otpkeep_cli.group import otpkeep
from support_cli import ROOT, environment, run_program
from support_examples import command_lines, every_command, parse, path_of
from support_system import need

PATHS = [path_of(context) for context in every_command()]
COLUMNS = 80


def test_examples_are_for_commands_that_exist() -> None:
    assert set(EXAMPLES) <= set(PATHS)


@pytest.mark.parametrize("path", PATHS)
def test_the_help_of_every_command_ends_with_an_example_that_the_program_takes(path: str) -> None:
    # given: what a person sees
    context = next(found for found in every_command() if path_of(found) == path)
    shown = context.get_help()
    # then: it ends with examples, none of them cut or folded
    text = shown.partition("  Example")[2].splitlines()[1:]
    assert [line.removeprefix("    $ ") for line in text] == list(EXAMPLES[path])
    assert all(len(line) <= COLUMNS for line in text)
    # and: each names this command, and click takes its words
    called = [words for line in EXAMPLES[path] for words in command_lines(line)]
    parsed = [path_of(parse(words)) for words in called]
    assert any(found == path or found.startswith(f"{path} ") or not path for found in parsed)


def test_an_example_with_an_option_that_does_not_exist_would_be_noticed() -> None:
    with pytest.raises(click.UsageError):
        parse(["list", "--frobnicate"])
    with pytest.raises(click.UsageError):
        parse(["export", "x", "--format", "nonsense"])
    assert list(command_lines("a | otpkeep add - --tag 'x y' < f && eval \"$(otpkeep list)\"  # said")) == [
        ["add", "-", "--tag", "x y"]
    ]


def test_the_program_shows_the_examples() -> None:
    assert run_program(["undo", "--help"], environment()).ok().out.rstrip().endswith("# though it was changed since")


def test_every_command_has_a_page_without_a_complaint_of_man_or_mandoc(tmp_path: Path) -> None:
    need("man", "mandoc")
    pages = manual.pages(otpkeep, "otpkeep", "1.2.3", "2026-01-31")
    assert len(pages) == len(PATHS)
    for name, text in pages.items():
        (tmp_path / name).write_text(text)
    places = sorted(tmp_path.iterdir())
    linted = subprocess.run(
        ["mandoc", "-T", "lint", "-W", "warning", *places], check=False, capture_output=True, text=True
    )
    assert (linted.returncode, linted.stdout, linted.stderr) == (0, "", "")
    env = {**os.environ, "LC_ALL": "C.UTF-8", "MANWIDTH": "78", "MANPAGER": "cat"}
    shown = subprocess.run(["man", "--warnings", "-l", *places], check=False, capture_output=True, text=True, env=env)
    assert (shown.returncode, shown.stderr) == (0, "")
    for context in every_command():
        assert f"{context.command_path.replace(' ', '-').upper()}(1)" in shown.stdout


def test_a_page_says_what_the_help_says() -> None:
    pages = manual.pages(otpkeep, "otpkeep", "1.2.3", "2026-01-31")
    for context in every_command():
        page = pages[f"{context.command_path.replace(' ', '-')}.1"].replace(r"\-", "-").replace(r"\(aq", "'")
        for param in context.command.params:
            assert not isinstance(param, click.Option) or all(word in page for word in param.opts)
        assert all(line.replace("…", r"\[u2026]").replace("~", r"\(ti") in page for line in _plain(path_of(context)))
    assert "OTPKEEP_HOME" in pages["otpkeep.1"]


def test_a_text_cannot_break_out_of_a_page() -> None:
    @click.command(help=".so /etc/passwd\n\n'quoted \\fB text - here")
    def odd() -> None:
        """Do nothing."""

    page = manual.pages(odd, "odd", "1", "2026-01-31")["odd.1"]
    assert "\n.so" not in page
    assert r"\(aqquoted \efB text \- here" in page


def test_the_build_puts_the_pages_and_completions_into_the_wheel(tmp_path: Path) -> None:
    env = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, env=env, check=True, capture_output=True, timeout=120)
    (wheel,) = tmp_path.glob("*.whl")
    names = {name.partition("/data/")[2] for name in zipfile.ZipFile(wheel).namelist()}
    for context in every_command():
        assert f"share/man/man1/{context.command_path.replace(' ', '-')}.1" in names
    assert "share/bash-completion/completions/otpkeep" in names
    assert "share/zsh/site-functions/_otpkeep" in names
    assert "share/fish/vendor_completions.d/otpkeep.fish" in names


def _plain(path: str) -> list[str]:
    """Return the examples that have nothing which roff writes differently."""
    return [line for line in EXAMPLES[path] if '"' not in line and "`" not in line]
