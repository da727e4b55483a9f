"""Sealed files (SPEC §8): padding that hides sizes, and chunks that can't be touched."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otpkeep_protocol import sealing
from otpkeep_protocol.errors import Malformed, NotAuthentic, OtpkeepError, UnknownVersion
from otpkeep_protocol.sealing import CHUNK, HEADER_SIZE, TAG, pad, padded_size, read_header, unpad

KEY, VAULT, EPOCH = b"k" * 32, b"v" * 16, b"e" * 16


def seal(content: bytes, **changes: Any) -> bytes:
    arguments: dict[str, Any] = {
        "vault": VAULT,
        "epoch": EPOCH,
        "key": KEY,
        "salt_secret": b"s" * 32,
        "random": b"r" * 32,
    }
    return sealing.seal(content, **(arguments | changes))


def unseal(data: bytes, key: bytes = KEY) -> bytes:
    return sealing.open_sealed(data, read_header(data), key)


def chunks(data: bytes) -> list[bytes]:
    body, size = data[HEADER_SIZE:], CHUNK + TAG
    return [body[start : start + size] for start in range(0, len(body), size)]


class TestPadding:
    @pytest.mark.parametrize(
        ("size", "total"),
        [
            (0, 1024),
            (1020, 1024),
            (1021, 2048),
            (16_380, 16_384),
            (16_381, 17_408),
            (17_404, 17_408),
            (17_405, 18_432),
            (65_532, 65_536),
            (65_533, 67_584),
            (1_000_000, 1_015_808),
        ],
    )
    def test_boundaries(self, size: int, total: int) -> None:
        assert len(pad(bytes(size))) == total

    @given(st.integers(0, 200_000))
    def test_it_is_a_multiple_of_one_kib_and_wastes_little(self, size: int) -> None:
        total = padded_size(size + 4)

        assert total % 1024 == 0
        assert size + 4 <= total <= max(size + 4 + 1024, (size + 4) * 1.12 + 1024)

    @given(st.integers(5, 2**26))
    def test_padding_a_padded_size_changes_nothing(self, size: int) -> None:
        assert padded_size(padded_size(size)) == padded_size(size)

    @given(st.binary(max_size=3000))
    def test_it_can_be_taken_off(self, content: bytes) -> None:
        assert unpad(pad(content)) == content

    @pytest.mark.parametrize(
        "padded",
        [
            b"",
            b"\0\0\0",
            b"\0\0\0\0",
            pad(b"x") + bytes(1024),
            pad(b"x")[:-1],
            pad(b"x")[:-1] + b"\1",
            b"\0\0\x10\0" + bytes(1020),
            b"\xff\xff\xff\xff" + bytes(1020),
        ],
    )
    def test_any_other_padding_is_refused(self, padded: bytes) -> None:
        with pytest.raises(Malformed):
            unpad(padded)

    def test_content_has_a_limit(self) -> None:
        with pytest.raises(Malformed):
            pad(bytes(sealing.CONTENT_LIMIT + 1))


class TestSealing:
    @pytest.mark.parametrize("size", [0, 1, 1020, CHUNK - 4, CHUNK - 3, 2 * CHUNK - 4, 3 * CHUNK])
    def test_what_is_sealed_opens(self, size: int) -> None:
        content = bytes(index % 251 for index in range(size))

        assert unseal(seal(content)) == content

    def test_a_full_last_chunk_is_the_last(self) -> None:
        data = seal(bytes(CHUNK - 4))

        assert len(data) == HEADER_SIZE + CHUNK + TAG
        assert unseal(data) == bytes(CHUNK - 4)

    def test_equal_randomness_repeats_a_salt_only_for_equal_content(self) -> None:
        salts = {read_header(seal(content)).salt for content in (b"a", b"b", b"a")}

        assert len(salts) == 2
        assert seal(b"a") == seal(b"a")

    @pytest.mark.parametrize("change", [{"random": b"q" * 32}, {"salt_secret": b"q" * 32}, {"epoch": b"q" * 16}])
    def test_the_salt_depends_on_randomness_device_and_header(self, change: dict[str, bytes]) -> None:
        assert read_header(seal(b"a", **change)).salt != read_header(seal(b"a")).salt

    def test_another_key_does_not_open_it(self) -> None:
        with pytest.raises(NotAuthentic):
            unseal(seal(b"x"), b"q" * 32)

    def test_neither_content_nor_key_shows(self) -> None:
        data = seal(b"very visible" * 10)

        assert b"visible" not in data
        assert KEY not in data


class TestTampering:
    def test_every_flipped_byte_is_refused(self) -> None:
        data = seal(b"x")
        for at in range(len(data)):
            with pytest.raises(OtpkeepError):
                unseal(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])

    def test_every_truncation_is_refused(self) -> None:
        data = seal(b"x")
        for length in range(len(data)):
            with pytest.raises((Malformed, NotAuthentic)):
                unseal(data[:length])

    def test_appended_bytes_are_refused(self) -> None:
        for more in (b"x", bytes(TAG), bytes(CHUNK + TAG)):
            with pytest.raises(NotAuthentic):
                unseal(seal(b"x") + more)

    @pytest.mark.parametrize("order", [[1, 0, 2], [0, 2], [0, 1], [0, 0, 1, 2], [0, 1, 2, 2], [2], [0, 1, 1]])
    def test_chunks_can_t_be_moved_dropped_or_repeated(self, order: list[int]) -> None:
        data = seal(bytes(2 * CHUNK + 100))
        parts = chunks(data)
        assert len(parts) == 3

        with pytest.raises(NotAuthentic):
            unseal(data[:HEADER_SIZE] + b"".join(parts[index] for index in order))

    def test_chunks_of_two_files_can_t_be_mixed(self) -> None:
        one, other = seal(bytes(CHUNK + 100)), seal(bytes(CHUNK + 100), random=b"q" * 32)

        with pytest.raises(NotAuthentic):
            unseal(one[:HEADER_SIZE] + chunks(one)[0] + chunks(other)[1])

    def test_a_header_of_another_vault_does_not_fit(self) -> None:
        data = seal(b"x")

        with pytest.raises(NotAuthentic):
            unseal(data[:13] + b"q" * 16 + data[29:])


class TestVersions:
    def rewritten(self, at: int, value: bytes) -> bytes:
        """The file with other header bytes and chunks that fit them, as a newer program might make it."""
        data = seal(b"x")
        header = data[:at] + value + data[at + len(value) : HEADER_SIZE]
        keys = sealing.derive(KEY, read_header(data).salt, b"otpkeep/v1/file" + VAULT, 64)
        return header + sealing.encrypt(keys[:32], header, pad(b"x"))

    def test_a_minor_version_is_ignored(self) -> None:
        assert unseal(self.rewritten(9, b"\x07")) == b"x"

    @pytest.mark.parametrize(("at", "value"), [(8, b"\2"), (10, b"\x80\0"), (11, b"\1")])
    def test_a_newer_major_or_an_unknown_feature_says_update(self, at: int, value: bytes) -> None:
        with pytest.raises(UnknownVersion):
            unseal(self.rewritten(at, value))

    def test_a_newer_major_under_another_key_is_no_reason_to_update(self) -> None:
        with pytest.raises(NotAuthentic):
            unseal(self.rewritten(8, b"\2"), b"q" * 32)

    def test_an_unknown_type_is_refused(self) -> None:
        with pytest.raises(Malformed):
            unseal(self.rewritten(12, b"\3"))


@pytest.mark.parametrize("data", [b"", b"otpkeep", b"otpkeep\0", b"x" * 500, b"otpkeep\0" + bytes(101 + TAG)])
def test_what_is_no_file_has_no_header(data: bytes) -> None:
    with pytest.raises(Malformed):
        read_header(data)


class TestTheStart:
    """What a file is shows in its first chunk, so that nobody need read a large one to learn it."""

    @pytest.mark.parametrize("size", [0, 100, CHUNK - 4, CHUNK, 3 * CHUNK])
    def test_the_first_chunk_is_enough(self, size: int) -> None:
        content = bytes(at % 251 for at in range(size))
        data = seal(content)
        start = data[: HEADER_SIZE + CHUNK + TAG + 1]
        assert sealing.open_start(start, read_header(data), KEY) == content[: CHUNK - 4]

    def test_it_is_as_authentic_as_the_whole(self) -> None:
        data = bytearray(seal(bytes(2 * CHUNK)))
        data[HEADER_SIZE + 5] ^= 1
        with pytest.raises(NotAuthentic):
            sealing.open_start(bytes(data), read_header(bytes(data)), KEY)

    def test_a_file_cut_after_its_first_chunk_does_not_pass_for_a_short_one(self) -> None:
        data = seal(bytes(2 * CHUNK))[: HEADER_SIZE + CHUNK + TAG]
        with pytest.raises(NotAuthentic):
            sealing.open_start(data, read_header(data), KEY)

    def test_under_another_key_it_does_not_open(self) -> None:
        data = seal(b"x")
        with pytest.raises(NotAuthentic):
            sealing.open_start(data, read_header(data), b"K" * 32)
