"""A vault in memory directories for every test here: two devices, each with a folder of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support_vault import Device, World, new_world


@pytest.fixture
def world() -> Iterator[World]:
    with new_world() as made:
        yield made


@pytest.fixture
def laptop(world: World) -> Device:
    return world.device("laptop")


@pytest.fixture
def phone(world: World) -> Device:
    return world.device("phone")
