"""Varints and the cursor over untrusted bytes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seesame.bitstream.varint import MAX_VARINT, Reader, pack_varint
from seesame.errors import DamagedError


@given(st.integers(0, MAX_VARINT))
def test_round_trip(value: int) -> None:
    packed = pack_varint(value)
    assert len(packed) == max(1, -(-value.bit_length() // 7))
    reader = Reader(packed)
    assert reader.varint() == value
    reader.finish()


def test_known_bytes() -> None:
    assert pack_varint(0) == b"\x00"
    assert pack_varint(127) == b"\x7f"
    assert pack_varint(128) == b"\x80\x01"
    assert pack_varint(300) == b"\xac\x02"


@pytest.mark.parametrize("value", [-1, MAX_VARINT + 1])
def test_refuses_to_pack(value: int) -> None:
    with pytest.raises(ValueError, match="varint"):
        pack_varint(value)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "truncated"),
        (b"\x80", "truncated"),
        (b"\x80\x00", "shortest form"),
        (b"\xff\x80\x00", "shortest form"),
        (b"\xff" * 9 + b"\x01", "longer than nine"),
        (b"\xff" * 100, "longer than nine"),
        (b"\x65", "more than 100"),
    ],
)
def test_refuses_to_read(data: bytes, words: str) -> None:
    with pytest.raises(DamagedError, match=f"^drive.ssm: .*{words}"):
        Reader(data, "drive.ssm").varint("the width", maximum=100)


@given(st.binary(max_size=12))
def test_one_number_has_one_form(data: bytes) -> None:
    reader = Reader(data)
    try:
        value = reader.varint()
    except DamagedError:
        return
    assert data[: reader.position] == pack_varint(value)


def test_take_never_goes_past_the_end() -> None:
    reader = Reader(b"abc", "x")
    assert reader.take(2) == b"ab"
    with pytest.raises(DamagedError, match="should have 1000000000000 bytes, 1 are left"):
        reader.take(10**12)
    with pytest.raises(DamagedError, match="1 bytes follow its end"):
        reader.finish()
