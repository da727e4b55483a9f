"""Global words stand anywhere."""

import pytest

from otpkeep_cli.argv import Globals, split_globals


@pytest.mark.parametrize(
    "argv", [["--json", "list", "--tag", "a"], ["list", "--json", "--tag", "a"], ["list", "--tag", "a", "--json"]]
)
def test_json_holds_wherever_it_stands(argv: list[str]) -> None:
    assert split_globals(argv) == (Globals(json=True), ["list", "--tag", "a"])


def test_verbosity_adds_up_and_quiet_is_seen() -> None:
    assert split_globals(["-v", "-q", "log", "-vv"]) == (Globals(quiet=True, verbose=3), ["log"])


def test_nothing_after_a_bare_double_dash_is_taken() -> None:
    assert split_globals(["show", "--", "--json", "-v"]) == (Globals(), ["show", "--", "--json", "-v"])


@pytest.mark.parametrize("word", ["-", "--version", "-V", "-vx", "--note=-v", "--json=1", ""])
def test_other_words_stay(word: str) -> None:
    assert split_globals([word]) == (Globals(), [word])
