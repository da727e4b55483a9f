"""Accounts and their one-time password parameters as values (SPEC §5).

`Otp` and `Account` are typed; a *wire value* is what an event carries for the same facts. Everything here is
pure, and nothing here puts a secret, a name or an issuer into an error or a repr.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace

from otpkeep_protocol.account_rules import DEFAULTS, check_field, checked_otp
from otpkeep_protocol.errors import Malformed

__all__ = ["Account", "Icon", "Otp", "check_field", "counter_key"]

_WIRE_ORDER = ("type", "secret", "algorithm", "digits", "period", "counter", "counter_key", "pin")


def counter_key(secret: bytes) -> bytes:
    """Return the 16-byte name under which the counter of a hotp `secret` is kept."""
    return hashlib.sha256(b"otpkeep/v1/counter" + secret).digest()[:16]


@dataclass(frozen=True, slots=True, repr=False)
class Otp:
    """The parameters of one code generator, or a placeholder for them.

    `period` is in seconds. Of `period`, `counter`, `counter_key` and `pin`, those that `type` does not
    allow are None. In a "secret" placeholder `secret` is empty; in a "push" one only `placeholder` counts.
    """

    type: str
    secret: bytes
    algorithm: str
    digits: int
    period: int | None = None
    counter: int | None = None
    counter_key: bytes | None = None
    pin: str | None = None
    placeholder: str | None = None

    def __repr__(self) -> str:
        return f"Otp({self.placeholder or self.type})"

    @staticmethod
    def make(
        kind: str,
        secret: bytes,
        algorithm: str | None = None,
        digits: int | None = None,
        period: int | None = None,
        *,
        counter: int | None = None,
        counter_key: bytes | None = None,
        pin: str | None = None,
    ) -> Otp:
        """Return a valid otp of type `kind`, missing parameters filled in; raises Malformed."""
        usual = DEFAULTS.get(kind)
        if usual is None:
            raise Malformed("otp.type is not a known one")
        hotp = kind == "hotp"
        made = Otp(
            kind,
            secret,
            usual[0] if algorithm is None else algorithm,
            usual[1] if digits is None else digits,
            usual[2] if period is None else period,
            (counter or 0) if hotp else counter,
            (counter_key or _counter_key(secret)) if hotp else counter_key,
            pin,
        )
        return Otp.from_wire(made.to_wire())

    @staticmethod
    def push() -> Otp:
        """Return the placeholder of an account that is approved by push."""
        return Otp("", b"", "", 0, placeholder="push")

    @staticmethod
    def from_wire(value: object) -> Otp:
        """Return the otp that a wire value holds; raises Malformed for anything SPEC §5 forbids."""
        fields = checked_otp(value)
        if fields.get("placeholder") == "push":
            return Otp.push()
        return Otp(**{"secret": b"", **fields})  # type: ignore[arg-type]  # checked_otp has checked each one

    def to_wire(self) -> dict[str, object]:
        """Return the wire map: the keys that the type allows, and no other."""
        if self.placeholder == "push":
            return {"placeholder": "push"}
        wire = {key: value for key in _WIRE_ORDER if (value := getattr(self, key)) is not None}
        if self.placeholder is not None:
            del wire["secret"]
            wire["placeholder"] = self.placeholder
        return wire

    def comparable(self) -> dict[str, object]:
        """Return the wire map without counter and counter_key: what decides change and conflict."""
        wire = self.to_wire()
        wire.pop("counter", None)
        wire.pop("counter_key", None)
        return wire

    def as_placeholder(self) -> Otp:
        """Return the marker that may leave this device in place of the secret."""
        if self.placeholder is not None:
            return self
        return replace(self, secret=b"", counter=None, counter_key=None, pin=None, placeholder="secret")


_counter_key = counter_key  # `make` has a parameter of the same name


@dataclass(frozen=True, slots=True, repr=False)
class Icon:
    """A picture as its application stored it: MIME type and bytes."""

    mime: str
    data: bytes

    def __repr__(self) -> str:
        return f"Icon({len(self.data)} bytes)"


@dataclass(frozen=True, slots=True, repr=False)
class Account:
    """One account. `tags` ascend and are distinct; an absent text is empty, an absent note None."""

    issuer: str
    name: str
    otp: Otp
    note: str | None = None
    tags: tuple[str, ...] = ()
    favourite: bool = False
    position: int | None = None
    icon: Icon | None = None

    def __repr__(self) -> str:
        return f"Account({self.otp!r})"

    def to_fields(self) -> dict[str, object]:
        """Return the wire values of the fields that are not empty, ready for an event's `set`."""
        icon = {"mime": self.icon.mime, "data": self.icon.data} if self.icon else None
        fields: dict[str, object] = {
            "otp": self.otp.to_wire(),
            "issuer": self.issuer or None,
            "name": self.name or None,
            "note": self.note or None,
            "tags": list(self.tags) or None,
            "favourite": self.favourite or None,
            "position": self.position,
            "icon": icon,
        }
        return {name: value for name, value in fields.items() if value is not None}

    @staticmethod
    def from_fields(fields: Mapping[str, object]) -> Account:
        """Return the account of a map from field name to wire value (nil or absent: unset).

        Unknown fields are ignored. Raises Malformed for a forbidden value, or if there is no `otp`.
        """
        for name, value in fields.items():
            check_field(name, value)
        icon = fields.get("icon")
        return Account(
            issuer=fields.get("issuer") or "",  # type: ignore[arg-type]  # check_field has checked
            name=fields.get("name") or "",  # type: ignore[arg-type]  # as above
            otp=Otp.from_wire(fields.get("otp")),
            note=fields.get("note"),  # type: ignore[arg-type]  # as above
            tags=tuple(fields.get("tags") or ()),  # type: ignore[arg-type]  # as above
            favourite=bool(fields.get("favourite")),
            position=fields.get("position"),  # type: ignore[arg-type]  # as above
            icon=Icon(icon["mime"], icon["data"]) if isinstance(icon, Mapping) else None,
        )
