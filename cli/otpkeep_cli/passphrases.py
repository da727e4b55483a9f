"""New passphrases: one made of words is offered, the person's own is judged."""

from __future__ import annotations

import secrets
import sys
import unicodedata

from otpkeep_cli import ask
from otpkeep_cli.screen import write
from otpkeep_protocol.errors import OtpkeepError, Refused, Usage

WORDS = 6
"""Of 7,776 each: 77 bits, beyond what Argon2id lets anyone try."""
MIN_OWN = 12
"""Characters of a passphrase that a person made up."""
_MIN_LIST = 7_000


def generate() -> str:
    """Return six random words of the EFF's large list."""
    from xkcdpass import xkcd_password  # only new passphrases need the word list

    listed = sorted(xkcd_password.generate_wordlist(wordfile="eff-long", min_length=1, max_length=32))
    if len(listed) < _MIN_LIST:
        raise OtpkeepError("The word list is incomplete, so no passphrase was made.", "Install xkcdpass again.")
    return " ".join(secrets.choice(listed) for _ in range(WORDS))


def check_own(passphrase: str) -> str:
    """Return a person's own new passphrase; raises Refused if it is too short to withstand guessing."""
    if len(unicodedata.normalize("NFC", passphrase).strip()) < MIN_OWN:
        raise Refused(
            f"The passphrase has fewer than {MIN_OWN} characters: whoever gets the folder could guess it.",
            "Take several unrelated words.",
        )
    return passphrase


def offer(_purpose: str = "") -> str:
    """Show a generated passphrase once and return it if the person presses Enter, else their own."""
    made = generate()
    _show(f"A passphrase was made for you. Write it down: it is shown only now.\n\n    {made}\n")
    while ask.line("Press Enter to take it, or type o and Enter for one of your own: ").strip():
        try:
            return check_own(typed_twice("Your own passphrase: "))
        except (Refused, Usage) as problem:
            _show(f"{problem.message} {problem.hint}")
    return made


def typed_twice(words: str) -> str:
    """Return a passphrase that was typed the same way twice; raises Usage if the two differ."""
    first = ask.hidden(words)
    if ask.hidden("The same again: ") != first:
        raise Usage("The two were not the same.", "Type it again.")
    return first


def _show(text: str) -> None:
    write(sys.stderr, text)
