"""The words that hold for every command, taken out of the command line before it is parsed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

_VERBOSE = re.compile(r"-v+")


@dataclass(frozen=True, slots=True)
class Globals:
    """What was asked of any command: JSON instead of text, less to say, more to say (0 … 2 or more)."""

    json: bool = False
    quiet: bool = False
    verbose: int = 0


def split_globals(argv: Sequence[str]) -> tuple[Globals, list[str]]:
    """Return (globals, the other words in their order); a bare `--` and what follows it stay as they are.

    So a value that is spelt like a global word has to be written as `--note=-v`.
    """
    found = Globals()
    rest: list[str] = []
    for position, word in enumerate(argv):
        if word == "--":
            return found, [*rest, *argv[position:]]
        if word == "--json":
            found = replace(found, json=True)
        elif word == "-q":
            found = replace(found, quiet=True)
        elif _VERBOSE.fullmatch(word):
            found = replace(found, verbose=found.verbose + len(word) - 1)
        else:
            rest.append(word)
    return found, rest
