"""The tests that the documents name as showing a promise are there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
NAMED = re.compile(r"`(tests/[\w/.]+\.py)(?:::(\w+))?`")
DOCUMENTS = ("SECURITY.md", "tests/PROMISES.md")


def named_in(document: str) -> list[tuple[str, str]]:
    """Return (path, test) as the document names them; the test is "" where a whole file is named."""
    return NAMED.findall((ROOT / document).read_text(encoding="utf-8"))


def defined_in(path: str) -> set[str]:
    """Return the names of all tests in a file, those of classes and state machines too."""
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    found = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    found |= {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    return {name for name in found if name.startswith(("test_", "Test"))}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_test_that_is_named_exists(document: str) -> None:
    named = named_in(document)
    assert len(named) > 20
    missing = [f"{path}::{test}" for path, test in named if test and test not in defined_in(path)]
    assert missing == []


def test_each_of_the_fourteen_groups_of_promises_has_tests() -> None:
    groups = re.split(r"^## ", (ROOT / "tests/PROMISES.md").read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    assert [int(group.split(".")[0]) for group in groups] == list(range(1, 15))
    assert [group.splitlines()[0] for group in groups if not NAMED.search(group)] == []
