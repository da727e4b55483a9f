"""Accounts as the entries of an Aegis file, and what Aegis can't hold.

Aegis rejects a whole file for one entry that it does not understand, so each is checked against what its own
reader takes.
"""

from __future__ import annotations

import base64
import hashlib
import uuid
from collections.abc import Sequence

from otpkeep_daemon.formats import base32
from otpkeep_daemon.formats.entry import Skipped
from otpkeep_protocol.account import Account, Otp
from otpkeep_protocol.otp import YANDEX_SECRET

CONTENT_VERSION = 3
ALGORITHMS = frozenset({"MD5", "SHA1", "SHA256", "SHA512"})
MIMES = frozenset({"image/jpeg", "image/png", "image/svg+xml"})
MAX_PERIOD = (2**31 - 1) // 1000
"""Seconds; Aegis counts a period in milliseconds in 32 bits."""


def write_db(accounts: Sequence[tuple[bytes, Account]]) -> tuple[dict[str, object], tuple[Skipped, ...]]:
    """Return (content, left out) for (16-byte id, account) pairs, in the order in which they are shown."""
    entries: list[dict[str, object]] = []
    left_out: list[Skipped] = []
    tags: set[str] = set()
    for account_id, account in sorted(accounts, key=_shown_order):
        reason = unfit(account.otp)
        if reason is not None:
            left_out.append(Skipped(account_id.hex(), reason))
            continue
        entries.append(new_entry(account_id, account))
        tags.update(account.tags)
        if account.icon is not None and account.icon.mime not in MIMES:
            left_out.append(Skipped(account_id.hex(), "its icon: Aegis knows no such kind of picture"))
    positions = sum(account.position is not None for _, account in accounts)
    if positions:
        left_out.append(Skipped(f"position of {positions}", "Aegis keeps only the order of the entries"))
    groups = [{"uuid": group_uuid(tag), "name": tag} for tag in sorted(tags)]
    db = {"version": CONTENT_VERSION, "entries": entries, "groups": groups, "icons_optimized": True}
    return db, tuple(left_out)


def _shown_order(pair: tuple[bytes, Account]) -> tuple[bool, int, str, str, bytes]:
    """Return the key of SPEC §5: by position, then issuer, name and id; without a position last."""
    account_id, account = pair
    missing = account.position is None
    return missing, account.position or 0, account.issuer, account.name, account_id


def unfit(otp: Otp) -> str | None:
    """Return why Aegis could not hold `otp`, or None."""
    if otp.placeholder is not None:
        return "a placeholder has no secret to write"
    if otp.algorithm not in ALGORITHMS:
        return f"Aegis has no {otp.algorithm}"
    if otp.period is not None and otp.period > MAX_PERIOD:
        return f"Aegis has no period of {otp.period} seconds"
    if otp.type == "yandex" and len(otp.secret) < YANDEX_SECRET:
        return "Aegis takes no Yandex secret of fewer than 16 bytes"
    return None


def new_entry(account_id: bytes, account: Account) -> dict[str, object]:
    """Return the JSON object of an account that Aegis can hold; its groups are named by `group_uuid`."""
    entry: dict[str, object] = {
        "type": account.otp.type,
        "uuid": str(uuid.UUID(bytes=account_id)),
        "name": account.name,
        "issuer": account.issuer,
        "note": account.note or "",
        "favorite": account.favourite,
        "icon": None,
        "info": _info(account.otp),
        "groups": [group_uuid(tag) for tag in account.tags],
    }
    icon = account.icon
    if icon is not None and icon.mime in MIMES:
        entry["icon"] = base64.b64encode(icon.data).decode()
        entry["icon_mime"] = icon.mime
        entry["icon_hash"] = hashlib.sha256(icon.mime.encode() + icon.data).hexdigest()
    return entry


def _info(otp: Otp) -> dict[str, object]:
    secret = otp.secret[:YANDEX_SECRET] if otp.type == "yandex" else otp.secret
    info: dict[str, object] = {
        "secret": base32.encode(secret),
        "algo": otp.algorithm,
        "digits": otp.digits,
        "period": otp.period,
        "counter": otp.counter,
        "pin": otp.pin,
    }
    return {key: value for key, value in info.items() if value is not None}


def group_uuid(tag: str) -> str:
    """Return a uuid that depends on the tag alone, so that an unchanged vault writes equal content."""
    digest = hashlib.sha256(b"otpkeep/v1/aegis-group" + tag.encode()).digest()
    return str(uuid.UUID(bytes=digest[:16], version=4))
