"""The kinds of settings: what fits, what can be typed, and what is said of it."""

from __future__ import annotations

from dataclasses import dataclass, fields

import pytest

from otpkeep_daemon.setting_kinds import Kind, OneOf, Setting, Text, Whole, YesNo, one_of, shown, text, whole, yes_no
from otpkeep_protocol.errors import Usage


@dataclass(frozen=True, slots=True)
class Sample:
    """One setting of each kind, declared as in `Config`."""

    number: int = whole(0, 0, 9, "A number.")
    switch: bool = yes_no(False, "A switch.", restart=True)
    command: str = text("", "A command.")
    colour: str = one_of("red", ("red", "green"), "A colour.")


SETTINGS = {f.name: Setting(f.name, getattr(Sample(), f.name), **f.metadata) for f in fields(Sample)}


def test_a_declared_setting_is_its_default_and_knows_its_kind() -> None:
    assert Sample() == Sample(number=0, switch=False, command="", colour="red")
    assert [setting.kind for setting in SETTINGS.values()] == [Whole(0, 9), YesNo(), Text(), OneOf(("red", "green"))]
    assert [key for key, setting in SETTINGS.items() if setting.restart] == ["switch"]


@pytest.mark.parametrize(
    ("key", "typed", "value"),
    [
        ("number", "0", 0),
        ("number", "9", 9),
        ("switch", "true", True),
        ("switch", "OFF", False),
        ("command", "notify-send 'a b' --x=ü", "notify-send 'a b' --x=ü"),
        ("command", "", ""),
        ("colour", "green", "green"),
    ],
)
def test_what_is_allowed_can_be_typed(key: str, typed: str, value: object) -> None:
    assert SETTINGS[key].typed(typed) == value


@pytest.mark.parametrize(
    ("key", "typed"),
    [
        ("number", "10"),
        ("number", "-1"),
        ("number", "1.0"),
        ("number", "٣"),
        ("number", "1" * 5000),
        ("number", ""),
        ("switch", "maybe"),
        ("command", "two\nlines"),
        ("command", "bell\a"),
        ("command", "x" * 5000),
        ("colour", "blue"),
    ],
)
def test_anything_else_is_refused_with_what_is_allowed_and_not_repeated(key: str, typed: str) -> None:
    with pytest.raises(Usage) as caught:
        SETTINGS[key].typed(typed)
    assert SETTINGS[key].kind.allowed in caught.value.message
    assert len(typed) < 3 or typed not in caught.value.message + caught.value.hint


@pytest.mark.parametrize(
    ("kind", "value"),
    [(Whole(0, 1), True), (YesNo(), 1), (Text(), 1), (OneOf(("a",)), 1), (Whole(0, 1), 1.0), (Text(), ["a"])],
)
def test_a_value_of_another_type_never_fits(kind: Kind, value: object) -> None:
    assert not kind.fits(value)


def test_values_are_shown_as_toml_writes_them() -> None:
    assert [shown(value) for value in (5, True, 'say "a"')] == ["5", "true", '"say \\"a\\""']
