"""New passphrases."""

import pytest

from otpkeep_cli.passphrases import MIN_OWN, check_own, generate
from otpkeep_protocol.errors import Refused


def test_a_generated_passphrase_has_six_words_and_is_never_the_same() -> None:
    made = {generate() for _ in range(20)}
    assert len(made) == 20
    assert all(len(passphrase.split()) == 6 for passphrase in made)


@pytest.mark.parametrize("short", ["", "x" * (MIN_OWN - 1), "e\u0301" * (MIN_OWN - 1), " " * 40])
def test_a_short_passphrase_of_ones_own_is_refused(short: str) -> None:
    with pytest.raises(Refused) as caught:
        check_own(short)
    assert short.strip() == "" or short not in caught.value.message


def test_a_long_one_is_taken_to_the_letter() -> None:
    assert check_own("  twelve chars  ") == "  twelve chars  "
