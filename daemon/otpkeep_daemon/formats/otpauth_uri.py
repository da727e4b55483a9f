"""Reading one otpauth, motp or steam URI.

This is a parser of its own, since real URIs break RFC 3986: `#` is data here, not a fragment, and what stands
before the first `?` is the label whatever it holds.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import unquote

from otpkeep_daemon.formats import base32, parameters
from otpkeep_protocol.account import Account, Otp, check_field
from otpkeep_protocol.errors import Malformed

MAX_URI = 1_048_576
"""Bytes or characters of one URI; the longest valid one, all escaped, is well below."""

_HOSTS = {"totp": "totp", "hotp": "hotp", "steam": "steam", "yaotp": "yandex"}
_PRINTED_DEFAULT = 6
"""Digits that exporters print for Steam without meaning it."""

_Query = Mapping[str, list[str]]


def parse_uri(uri: str) -> Account:
    """Return the account of a URI; raises Malformed, naming what is wrong but quoting no secret."""
    scheme, mark, rest = uri.strip().partition("://")
    if not mark or len(uri) > MAX_URI:
        raise Malformed("not an otpauth, motp or steam URI")
    match scheme.lower():
        case "otpauth":
            return _parse_otpauth(rest)
        case "motp":
            return _parse_motp(rest)
        case "steam":
            secret = base32.decode(_unescape(rest.partition("?")[0].strip("/")))
            return Account("Steam", "", parameters.make("steam", secret, None, None, None))
        case "otpauth-migration":
            raise Malformed("a migration batch of Google Authenticator is not read here")
    raise Malformed(f"unknown scheme {parameters.shown(scheme)}")


def _parse_otpauth(rest: str) -> Account:
    path, _, raw_query = rest.partition("?")
    host, _, label = path.partition("/")
    kind = _HOSTS.get(host.lower())
    if kind is None:
        raise Malformed(f"unknown type {parameters.shown(host)}")
    query = _query(raw_query)
    if kind == "totp" and ("steam" in query or _first(query, "encoder").lower() == "steam"):
        kind = "steam"
    elif _first(query, "encoder").lower() not in {"", kind}:
        raise Malformed(f"unknown encoder {parameters.shown(_first(query, 'encoder'))}")
    return _account(label, query, _otp(kind, query))


def _parse_motp(rest: str) -> Account:
    label, _, raw_query = rest.partition("?")
    query = _query(raw_query)
    try:
        secret = bytes.fromhex(_secret(query))
    except ValueError:
        raise Malformed("the secret is not hexadecimal") from None
    period = _number(query, "period")
    pin = _exactly(query, "otpkeep_pin") or _exactly(query, "pin")
    return _account(label.lstrip("/"), query, _pinned("motp", secret, period, pin))


def _pinned(kind: str, secret: bytes, period: int | None, pin: str | None) -> Otp:
    if not pin:
        raise Malformed("the PIN is missing, without which there are no codes")
    return parameters.make(kind, secret, None, None, period, pin=pin)


def _otp(kind: str, query: _Query) -> Otp:
    secret = base32.decode(_secret(query))
    period = _number(query, "period")
    word = _first(query, "algorithm")
    algorithm = parameters.algorithm(word) if word else None
    digits = _number(query, "digits")
    if kind == "yandex":
        return _pinned(kind, secret, period, _yandex_pin(query))
    if kind == "steam" and digits == _PRINTED_DEFAULT:
        digits = None
    if kind == "hotp":
        return parameters.make(kind, secret, algorithm, digits, None, counter=_number(query, "counter"))
    return parameters.make(kind, secret, algorithm, digits, period)


def _yandex_pin(query: _Query) -> str | None:
    """Return the PIN: digits as they are, else base32 of the PIN, which for digits always begins with G."""
    exact = _exactly(query, "otpkeep_pin")
    pin = _first(query, "pin")
    if exact or not pin or (pin.isascii() and pin.isdigit()):
        return exact or pin
    try:
        return base32.decode(pin).decode()
    except (Malformed, UnicodeDecodeError):
        raise Malformed("the PIN is neither digits nor base32") from None


def _account(label: str, query: _Query, otp: Otp) -> Account:
    issuer, name = _issuer_and_name(label, query)
    account = Account(
        issuer=_exactly(query, "otpkeep_issuer") or issuer,
        name=_exactly(query, "otpkeep_name") or name,
        otp=otp,
        note=_exactly(query, "otpkeep_note"),
        tags=tuple(sorted({_unescape(tag) for tag in query.get("otpkeep_tag", ())})),
        favourite=_first(query, "otpkeep_favourite") == "1",
        position=_number(query, "otpkeep_position"),
    )
    for field, value in account.to_fields().items():
        check_field(field, value)
    return account


def _issuer_and_name(label: str, query: _Query) -> tuple[str, str]:
    """Return (issuer, name), the parameter winning over the label.

    A bare colon separates; where there is none, an escaped one does. A label that begins with the parameter
    and a colon is cut there, since both may hold colons of their own.
    """
    whole = _unescape(label).strip()
    before, colon, after = label.partition(":")
    if colon:
        prefix, name = _unescape(before).strip(), _unescape(after).strip()
    else:
        prefix, colon, name = (part.strip() for part in whole.partition(":"))
        prefix, name = (prefix, name) if colon else ("", prefix)
    issuer = _issuer_parameter(query, whole)
    if not issuer:
        return prefix, name
    if ":" not in issuer or not whole.startswith(f"{issuer}:"):
        return issuer, name
    return issuer, whole.removeprefix(f"{issuer}:").strip()


def _issuer_parameter(query: _Query, label: str) -> str:
    """Return the issuer parameter, a `+` being a space unless the label shows that it is a plus."""
    raw = next(iter(query.get("issuer", ())), "")
    literal = _unescape(raw).strip()
    if "+" in raw and not label.startswith(f"{literal}:"):
        return _first(query, "issuer")
    return literal


def _query(raw: str) -> _Query:
    """Return parameter (lower case) -> raw values in order; a parameter without `=` has the value ""."""
    found: dict[str, list[str]] = {}
    for piece in raw.split("&"):
        key, _, value = piece.partition("=")
        found.setdefault(key.strip().lower(), []).append(value)
    return found


def _first(query: _Query, key: str) -> str:
    """Return the first value of a parameter as a form would send it (`+` is a space), or ""."""
    return _unescape(next(iter(query.get(key, ())), "").replace("+", " ")).strip()


def _exactly(query: _Query, key: str) -> str | None:
    """Return the first value of a parameter to the letter, or None."""
    values = query.get(key)
    return _unescape(values[0]) if values else None


def _secret(query: _Query) -> str:
    if len({value for value in query.get("secret", ()) if value}) > 1:
        raise Malformed("there are two secrets")
    return _first(query, "secret")


def _number(query: _Query, key: str) -> int | None:
    text = _first(query, key)
    return parameters.number(key, text) if text else None


def _unescape(text: str) -> str:
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise Malformed("an escape is not UTF-8") from None
