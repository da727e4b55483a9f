"""The keyring and the wrapping of what stays on a device (SPEC §9, §10)."""

from __future__ import annotations

from typing import Any

import pytest

from otpkeep_protocol import keyring as keyrings
from otpkeep_protocol import wire
from otpkeep_protocol.errors import Malformed, NotAuthentic
from otpkeep_protocol.ids import vault_id
from support_vault import keyring

KEY, LABEL, RANDOM = b"k" * 32, b"label", b"r" * 32


class TestKeyring:
    def test_it_survives_its_encoding(self) -> None:
        for ring in (keyring(), keyring().without_seed()):
            assert keyrings.decode(keyrings.encode(ring)) == ring

    def test_the_vault_is_named_by_its_first_admin_key(self) -> None:
        assert keyring().vault == vault_id(keyring().epochs[0].admin)

    def test_a_daemon_gets_it_without_the_seed(self) -> None:
        ring = keyring()
        assert ring.seed is not None

        assert ring.seed not in keyrings.encode(ring.without_seed())

    def test_an_unknown_epoch_is_none(self) -> None:
        assert keyring().epoch(keyring().newest.id) is keyring().newest
        assert keyring().epoch(bytes(16)) is None

    def test_keys_are_not_in_its_repr(self) -> None:
        ring = keyring()
        for secret in (ring.id_key, ring.newest.key, ring.seed):
            assert repr(secret) not in repr(ring) + repr(ring.newest)

    @pytest.mark.parametrize(
        "change",
        [
            {"vault": b"x"},
            {"id_key": None},
            {"epochs": []},
            {"epochs": {}},
            {"epochs": [{"id": bytes(16), "key": bytes(32)}]},
            {"epochs": [5]},
            {"seed": b""},
            {"more": 1},
        ],
    )
    def test_anything_else_is_malformed(self, change: dict[str, Any]) -> None:
        value = wire.unpack(keyrings.encode(keyring())) | change

        with pytest.raises(Malformed):
            keyrings.decode(wire.encode(value))

    @pytest.mark.parametrize("data", [b"", b"\x01", b"\x80", b"\x90"])
    def test_no_map_is_malformed(self, data: bytes) -> None:
        with pytest.raises(Malformed):
            keyrings.decode(data)


class TestWrapping:
    def test_what_is_wrapped_unwraps(self) -> None:
        wrapped = keyrings.wrap(KEY, LABEL, b"secret", RANDOM)

        assert b"secret" not in wrapped
        assert keyrings.unwrap(KEY, LABEL, wrapped) == b"secret"

    def test_another_key_or_label_does_not_open_it(self) -> None:
        wrapped = keyrings.wrap(KEY, LABEL, b"secret", RANDOM)
        for key, label in ((b"q" * 32, LABEL), (KEY, b"other")):
            with pytest.raises(NotAuthentic):
                keyrings.unwrap(key, label, wrapped)

    def test_every_flip_and_every_truncation_is_refused(self) -> None:
        wrapped = keyrings.wrap(KEY, LABEL, b"secret", RANDOM)
        spoilt = [wrapped[:at] + bytes([wrapped[at] ^ 1]) + wrapped[at + 1 :] for at in range(len(wrapped))]
        for data in [*spoilt, *(wrapped[:length] for length in range(len(wrapped)))]:
            with pytest.raises((Malformed, NotAuthentic)):
                keyrings.unwrap(KEY, LABEL, data)
