import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seesame.codecs.semantic.carrier.codes import MAX_SYMBOL, decode_codes, encode_codes
from seesame.errors import DamagedError


@given(st.integers(1, 40), st.integers(1, 12), st.integers(0, 14), st.integers(0, 1 << 30))
@settings(max_examples=40, deadline=None)
def test_codes_come_back(pairs: int, values: int, bits: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    middle = random.integers(-1000, 1000, values)
    codes = (random.normal(size=(pairs, values)) * 2**bits / 4).round().astype(int) + middle
    codes = codes.clip(-MAX_SYMBOL, MAX_SYMBOL)
    found = decode_codes(encode_codes(codes), codes.shape)
    assert found.dtype == np.int32
    assert np.array_equal(found, codes)


@pytest.mark.parametrize("value", [-MAX_SYMBOL, MAX_SYMBOL])
def test_the_largest_symbols_come_back(value: int) -> None:
    codes = np.array([[value, -value], [-value, value], [0, value]])
    assert np.array_equal(decode_codes(encode_codes(codes), codes.shape), codes)


@pytest.mark.parametrize("shape", [(0, 4), (3, 0)])
def test_nothing_takes_no_bytes(shape: tuple[int, int]) -> None:
    assert encode_codes(np.zeros(shape, int)) == b""
    assert decode_codes(b"", shape).shape == shape
    with pytest.raises(DamagedError):
        decode_codes(b"x", shape)


def test_smooth_and_still_codes_are_cheap() -> None:
    smooth = np.cumsum(np.random.default_rng(0).integers(-3, 4, (200, 6)), 0) + 900
    rough = np.random.default_rng(0).permutation(smooth)
    assert len(encode_codes(smooth)) < 0.75 * len(encode_codes(rough))
    assert len(encode_codes(np.full((200, 6), 900))) < 40


def test_wrong_symbols_are_refused() -> None:
    for wrong in (np.full((2, 2), MAX_SYMBOL + 1), np.zeros((2, 2)), np.zeros(4, int)):
        with pytest.raises(ValueError, match="codes"):
            encode_codes(wrong)


def test_damaged_codes_are_refused_or_other_codes() -> None:
    random = np.random.default_rng(3)
    codes = (random.normal(size=(60, 6)) * 30).round().astype(int)
    data = encode_codes(codes)
    refused = []
    for _ in range(150):
        broken = bytearray(data)
        for place in random.integers(0, len(data), 2):
            broken[place] = random.integers(256)
        broken = broken[: random.integers(1, len(broken) + 1)]
        try:
            found = decode_codes(bytes(broken), codes.shape, "clip.ssm")
            assert found.shape == codes.shape
            assert np.abs(found).max() <= MAX_SYMBOL
        except DamagedError as error:
            refused.append(str(error))
    assert len(refused) > 100
    assert all("clip.ssm" in message for message in refused)
    with pytest.raises(DamagedError):
        decode_codes(data + b"\0", codes.shape)
