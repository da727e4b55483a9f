"""How the daemon unlocks itself, as text."""

from __future__ import annotations

from collections.abc import Sequence

from otpkeep_cli.render.plain import plain

WORDS = {
    "keychain": "by the keychain of this system",
    "credential": "by a systemd credential that only this machine decrypts",
    "file": "by a key file beside the store",
    "none": "by hand",
}


def offers_text(offers: Sequence[tuple[str, str]]) -> str:
    """Return the question, and each way (words, why it can't be used here or ""), those that work with a number."""
    lines, number = ["How shall the daemon unlock after a restart?"], 0
    for words, why_not in offers:
        if why_not:
            lines.append(f"  -  {plain(words)}: not here, since {plain(why_not)}")
        else:
            number += 1
            lines.append(f"  {number}  {plain(words)}")
    return "\n".join(lines)


def unlocks_text(method: str) -> str:
    """Return how the daemon unlocks after a restart."""
    if method == "none":
        return (
            "After a restart the daemon starts locked: it publishes what is saved here and waits for `otpkeep unlock`."
        )
    return f"After a restart the daemon unlocks {WORDS.get(method, plain(method))}."


def left_text(method: str, left: str) -> str:
    """Return the same, and what could not be cleared of an earlier choice."""
    return "\n".join([unlocks_text(method), *([plain(left)] if left else [])])


def locked_text(method: str) -> str:
    """Return what `lock` did, and what ends it."""
    again = "" if method == "none" else f" A restart unlocks it again, {WORDS.get(method, plain(method))}."
    return f"Locked until `otpkeep unlock`.{again}"
