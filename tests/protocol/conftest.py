"""Two writers for the tests here; a module with other needs makes its own."""

from __future__ import annotations

import pytest

from support_vault import Hand, add


@pytest.fixture
def anna() -> Hand:
    """A writer that has added the account `aaa…`, named x."""
    made = Hand("anna")
    made.write(add(b"a" * 16, name="x"))
    return made


@pytest.fixture
def ben() -> Hand:
    """A writer that has written nothing."""
    return Hand("ben")
