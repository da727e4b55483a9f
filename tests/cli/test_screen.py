"""The rules for output: one answer on standard output, no value of a defect anywhere."""

import json

import pytest

from otpkeep_cli.argv import Globals
from otpkeep_cli.screen import Screen

SECRET = "JBSWY3DPEHPK3PXP"


def _defect() -> Exception:
    """Return an exception that carries a secret in its message and in a local variable of its frame."""
    secret = f"bad {SECRET}"
    with pytest.raises(ValueError, match=SECRET) as caught:
        int(secret)
    return caught.value


@pytest.mark.parametrize("asked", [Globals(), Globals(verbose=2), Globals(json=True), Globals(json=True, verbose=2)])
def test_a_defect_is_told_by_its_type_and_place_but_never_its_values(
    capsys: pytest.CaptureFixture[str], asked: Globals
) -> None:
    error = _defect()
    Screen(asked).unexpected(type(error), error, error.__traceback__)
    out, err = capsys.readouterr()
    assert "ValueError" in out + err
    assert SECRET not in out + err
    assert ("in _defect" in err) is (asked.verbose == 2)
    if asked.json:
        assert json.loads(out)["error"]["kind"] == "unexpected"


def test_quiet_leaves_out_confirmations_and_notes_but_no_answer(capsys: pytest.CaptureFixture[str]) -> None:
    screen = Screen(Globals(quiet=True))
    screen.done({}, lambda: "done")
    screen.note("note")
    screen.answer({}, lambda: "answer")
    assert capsys.readouterr() == ("answer\n", "")


def test_json_wins_over_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    Screen(Globals(json=True, quiet=True)).done({"id": "a"}, lambda: "done")
    assert capsys.readouterr().out == '{"id": "a"}\n'
