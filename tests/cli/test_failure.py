"""Errors: one exit code for each kind, one message, one next step."""

import json

import pytest

from otpkeep_cli.failure import error_json, error_text, exit_code
from otpkeep_protocol.errors import Ambiguous, Locked, OtpkeepError, by_kind


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("usage", 2),
        ("ambiguous", 2),
        ("locked", 3),
        ("wrong-passphrase", 3),
        ("not-authentic", 4),
        ("integrity", 4),
        ("folder-unreachable", 5),
        ("not-found", 1),
        ("malformed", 1),
        ("refused", 1),
        ("busy", 1),
        ("unknown-version", 1),
        ("failed", 1),
        ("a kind of a later daemon", 1),
    ],
)
def test_each_kind_has_its_exit_code(kind: str, code: int) -> None:
    assert exit_code(kind) == code


def test_every_kind_of_the_table_is_a_kind_of_error() -> None:
    for kind in (
        "usage",
        "ambiguous",
        "locked",
        "wrong-passphrase",
        "not-authentic",
        "integrity",
        "folder-unreachable",
    ):
        assert by_kind(kind, "", "", {}).kind == kind


def test_json_has_kind_message_hint_and_the_data() -> None:
    error = Ambiguous("Two fit.", "Name one.", {"candidates": [{"id": "ab", "issuer": "x", "name": "y"}]})
    assert json.loads(error_json(error)) == {
        "error": {
            "kind": "ambiguous",
            "message": "Two fit.",
            "hint": "Name one.",
            "candidates": [{"id": "ab", "issuer": "x", "name": "y"}],
        }
    }


def test_data_never_hides_what_happened() -> None:
    error = OtpkeepError("What happened.", "", {"message": "another", "kind": "another"})
    said = json.loads(error_json(error))["error"]
    assert (said["kind"], said["message"]) == ("failed", "What happened.")


def test_text_lists_the_candidates_between_message_and_hint() -> None:
    error = Ambiguous("Two fit.", "Name one.", {"candidates": [{"id": "abcdef0123", "issuer": "\x1b[2J", "name": "y"}]})
    assert error_text(error) == "otpkeep: Two fit.\n  abcdef01  \\x1b[2J (y)\nhint: Name one."


def test_without_a_hint_there_is_no_hint_line() -> None:
    assert error_text(Locked("A key is needed.")) == "otpkeep: A key is needed."
