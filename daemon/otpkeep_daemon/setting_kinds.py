"""What a setting can be: its kind says which values it takes, in words and as a test."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass, field
from typing import Any, Protocol

from otpkeep_protocol.errors import Usage

Value = int | bool | str
"""What TOML gives for a setting."""
_WORDS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
_LARGEST_DIGITS = 18


class Kind(Protocol):
    """Which values a setting takes."""

    @property
    def allowed(self) -> str:
        """The values in words, as in "must be …"."""

    def fits(self, value: object) -> bool:
        """Tell whether a value out of a file is one of them."""

    def typed(self, text: str) -> Value | None:
        """Return the value that somebody typed, None if it can't be one of this kind; it may still not fit."""


@dataclass(frozen=True, slots=True)
class Whole:
    """A whole number from `least` to `most`."""

    least: int
    most: int

    @property
    def allowed(self) -> str:
        """See Kind."""
        return f"a whole number from {self.least} to {self.most}"

    def fits(self, value: object) -> bool:
        """See Kind; true and false are no numbers."""
        return type(value) is int and self.least <= value <= self.most

    def typed(self, text: str) -> Value | None:
        """See Kind."""
        return int(text) if re.fullmatch(r"[0-9]+", text, re.ASCII) and len(text) <= _LARGEST_DIGITS else None


@dataclass(frozen=True, slots=True)
class YesNo:
    """True or false."""

    @property
    def allowed(self) -> str:
        """See Kind."""
        return "true or false"

    def fits(self, value: object) -> bool:
        """See Kind."""
        return isinstance(value, bool)

    def typed(self, text: str) -> Value | None:
        """See Kind; yes, no, on and off are understood as well."""
        return _WORDS.get(text.lower())


@dataclass(frozen=True, slots=True)
class Text:
    """One line of text, at most `most` characters; it may be empty."""

    most: int = 4096

    @property
    def allowed(self) -> str:
        """See Kind."""
        return f"one line of text in quotes, at most {self.most} characters"

    def fits(self, value: object) -> bool:
        """See Kind."""
        return isinstance(value, str) and len(value) <= self.most and value.isprintable()

    def typed(self, text: str) -> Value | None:
        """See Kind."""
        return text


@dataclass(frozen=True, slots=True)
class Command(Text):
    """A command on one line, without a shell; empty for none."""

    @property
    def allowed(self) -> str:
        """See Kind."""
        return f"a command as one line of text, at most {self.most} characters, with each quotation mark closed"

    def fits(self, value: object) -> bool:
        """See Kind."""
        if not isinstance(value, str) or not Text(self.most).fits(value):
            return False
        try:
            return value == "" or shlex.split(value) != []
        except ValueError:
            return False


@dataclass(frozen=True, slots=True)
class OneOf:
    """One of some words."""

    choices: tuple[str, ...]

    @property
    def allowed(self) -> str:
        """See Kind."""
        return f"one of {', '.join(json.dumps(choice) for choice in self.choices)}"

    def fits(self, value: object) -> bool:
        """See Kind."""
        return value in self.choices

    def typed(self, text: str) -> Value | None:
        """See Kind."""
        return text


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting: its default, the values it takes, and what it is in one sentence.

    `restart`: a running daemon goes by a new value only once it is restarted.
    """

    key: str
    default: Value
    kind: Kind
    about: str
    restart: bool = False

    def typed(self, text: str) -> Value:
        """Return the value that somebody typed. Usage names what is allowed, and never repeats what was typed."""
        value = self.kind.typed(text)
        if value is None or not self.kind.fits(value):
            raise Usage(f"{self.key} must be {self.kind.allowed}; nothing was changed.", f"{self.about} {self.example}")
        return value

    @property
    def example(self) -> str:
        """How the person would set the default."""
        return f"For example: otpkeep config {self.key} {shown(self.default)}"


def shown(value: Value) -> str:
    """Return a value as TOML writes it."""
    return json.dumps(value, ensure_ascii=False)


def whole(default: int, least: int, most: int, about: str, *, restart: bool = False) -> int:
    """Declare a setting that is a whole number; a field of `Config`."""
    return field(default=default, metadata=_declared(Whole(least, most), about, restart))


def yes_no(default: bool, about: str, *, restart: bool = False) -> bool:
    """Declare a setting that is true or false."""
    return field(default=default, metadata=_declared(YesNo(), about, restart))


def text(default: str, about: str, *, restart: bool = False) -> str:
    """Declare a setting that is a line of text."""
    return field(default=default, metadata=_declared(Text(), about, restart))


def command(default: str, about: str, *, restart: bool = False) -> str:
    """Declare a setting that is a command."""
    return field(default=default, metadata=_declared(Command(), about, restart))


def one_of(default: str, choices: tuple[str, ...], about: str, *, restart: bool = False) -> str:
    """Declare a setting that is one of some words."""
    return field(default=default, metadata=_declared(OneOf(choices), about, restart))


def _declared(kind: Kind, about: str, restart: bool) -> dict[str, Any]:
    return {"kind": kind, "about": about, "restart": restart}
