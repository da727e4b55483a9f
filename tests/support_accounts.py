"""Accounts for tests: invented ones by hand, and Hypothesis strategies over all that SPEC §5 allows."""

from __future__ import annotations

from hypothesis import strategies as st

from otpkeep_protocol.account import Account, Icon, Otp
from otpkeep_protocol.account_rules import ALGORITHMS

SECRET = b"12345678901234567890"


def totp(issuer: str = "Beispiel", name: str = "anna", secret: bytes = SECRET) -> Account:
    return Account(issuer, name, Otp.make("totp", secret))


def texts(least: int = 0, most: int = 40) -> st.SearchStrategy[str]:
    """Texts with everything that upsets a format: colons, spaces at the ends, signs of URIs, emoji."""
    plain = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
    return st.text(st.one_of(st.sampled_from(list(":%+#?&=/@ \n\t\u00a0é家👪")), plain), min_size=least, max_size=most)


secrets = st.binary(min_size=1, max_size=64)
yandex_secrets = st.binary(min_size=16, max_size=16)
pins = st.one_of(st.from_regex(r"\A[0-9]{4,16}\Z"), texts(1, 20))
periods = st.integers(1, 2**31 - 1)
counted = st.builds(
    lambda secret, algorithm, digits, counter: Otp.make("hotp", secret, algorithm, digits, counter=counter),
    secrets,
    st.sampled_from(sorted(ALGORITHMS)),
    st.integers(4, 10),
    st.integers(0, 2**53 - 1),
)
timed = st.builds(
    lambda secret, algorithm, digits, period: Otp.make("totp", secret, algorithm, digits, period),
    secrets,
    st.sampled_from(sorted(ALGORITHMS)),
    st.integers(4, 10),
    periods,
)
steam = st.builds(lambda secret, period: Otp.make("steam", secret, period=period), secrets, periods)
motp = st.builds(lambda secret, period, pin: Otp.make("motp", secret, period=period, pin=pin), secrets, periods, pins)
yandex = st.builds(
    lambda secret, period, pin: Otp.make("yandex", secret, period=period, pin=pin), yandex_secrets, periods, pins
)
otps = st.one_of(timed, counted, steam, motp, yandex)
icons = st.builds(
    Icon, st.sampled_from(["image/png", "image/jpeg", "image/svg+xml"]), st.binary(min_size=1, max_size=64)
)
accounts = st.builds(
    Account,
    issuer=texts(),
    name=texts(),
    otp=otps,
    note=st.one_of(st.none(), texts(1, 80)),
    tags=st.sets(texts(1, 20), max_size=4).map(lambda tags: tuple(sorted(tags))),
    favourite=st.booleans(),
    position=st.one_of(st.none(), st.integers(0, 10_000)),
    icon=st.one_of(st.none(), icons),
)
