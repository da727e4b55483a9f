"""What others wrote can't steer a terminal."""

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otpkeep_cli.render.masks import MASK, masked
from otpkeep_cli.render.plain import account_text, as_json, plain, plain_lines

TITLE = "\x1b]0;evil\x07"
BIDI = "\u202egnp.exe\u2066"


@pytest.mark.parametrize("hostile", [TITLE, BIDI, "\x9b31m", "a\rb", "a\nb", "\x7f", "\ud800", "\u2028", "\u061c"])
def test_control_and_bidi_characters_are_escaped(hostile: str) -> None:
    shown = plain(hostile)
    assert shown != hostile
    assert all(unicodedata.category(letter) not in {"Cc", "Cs", "Zl", "Zp"} for letter in shown)
    assert not set(shown) & set("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


@given(st.text(alphabet=st.characters(categories=["L", "N", "P", "S", "Zs"])))
def test_ordinary_text_stays_as_it_is(text: str) -> None:
    assert plain(text) == text


@given(st.text())
def test_json_is_ascii_whatever_a_name_holds(text: str) -> None:
    shown = as_json({"name": text})
    assert shown.isascii()
    assert shown.isprintable()
    assert json.loads(shown) == {"name": text}


def test_a_note_keeps_its_lines_and_nothing_else() -> None:
    assert plain_lines("one\r\ntwo\x1b[2J") == ["one", "two\\x1b[2J"]


def test_an_account_is_called_by_what_it_has() -> None:
    assert account_text({"issuer": "GitHub", "name": "me"}) == "GitHub (me)"
    assert account_text({"issuer": "GitHub", "name": None}) == "GitHub"
    assert account_text({"name": "me"}) == "me"
    assert account_text({}) == "(no name)"


def test_secrets_are_masked_at_any_depth_and_absence_stays_visible() -> None:
    row = {"changes": {"otp": [None, {"type": "totp", "secret": "JBSW", "pin": None}], "secret": ["OLD", "NEW"]}}
    assert masked(row) == {
        "changes": {"otp": [None, {"type": "totp", "secret": MASK, "pin": None}], "secret": [MASK, MASK]}
    }
