"""Writes the test vectors of SPEC.md beside this file, or with --check compares them with what is there.

A second implementation, made from SPEC.md alone. Each file is {"about", "good", "bad"}; each bad case says `why`
(the rule it breaks) and `effect`: malformed, not-authentic, unknown-version, invalid-event or wrong-key.
"""

import json
import sys
from pathlib import Path
from typing import Any

import vector_canonical
import vector_chains
import vector_events
import vector_files
import vector_identifiers
import vector_keyring
import vector_padding
import vector_state

HERE = Path(__file__).parent
DOCUMENTS = {
    "canonical.json": vector_canonical.document,
    "identifiers.json": vector_identifiers.document,
    "padding.json": vector_padding.document,
    "events.json": vector_events.document,
    "chains.json": vector_chains.document,
    "state.json": vector_state.document,
    "files.json": vector_files.document,
    "keyring.json": vector_keyring.document,
}
EFFECTS = {"malformed", "not-authentic", "unknown-version", "invalid-event", "wrong-key"}


def text_of(document: dict[str, Any]) -> str:
    """One case on each line, so that a changed case is a changed line; ValueError for cases that are not well named."""
    for part in ("good", "bad"):
        names = [case["name"] for case in document[part]]
        if len(names) != len(set(names)):
            raise ValueError(f"cases of one name: {sorted(name for name in names if names.count(name) > 1)}")
    for case in document["bad"]:
        if case["effect"] not in EFFECTS or not case["why"]:
            raise ValueError(case["name"])
    parts = [f"{json.dumps(key)}: {_lines(value)}" for key, value in document.items()]
    return "{\n" + ",\n".join(parts) + "\n}\n"


def _lines(value: object) -> str:
    if not isinstance(value, list):
        return json.dumps(value, ensure_ascii=True)
    return "[\n" + ",\n".join(json.dumps(case, ensure_ascii=True) for case in value) + "\n]"


def main(arguments: list[str]) -> int:
    """Exit code: 0, or with --check 1 when a file differs or is missing."""
    made = {name: text_of(document()) for name, document in DOCUMENTS.items()}
    if arguments == ["--check"]:
        stale = [name for name, text in made.items() if not _is(HERE / name, text)]
        print("\n".join(f"{name} differs from what this script makes" for name in stale) or "all equal")
        return 1 if stale else 0
    for name, text in made.items():
        (HERE / name).write_bytes(text.encode())
    return 0


def _is(path: Path, text: str) -> bool:
    return path.exists() and path.read_bytes() == text.encode()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
