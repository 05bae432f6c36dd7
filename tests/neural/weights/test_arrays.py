import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from seesame.bitstream.entropy import SymbolDecoder, SymbolEncoder
from seesame.bitstream.tables import TOTAL, gaussian_counts, laplace_counts
from seesame.errors import DamagedError
from seesame.neural.weights.arrays import (
    LARGEST,
    STRENGTHS,
    Coding,
    decode_array,
    decode_list,
    decode_natural,
    encode_array,
    encode_list,
    encode_natural,
    scaled_axes,
)


@st.composite
def codings(draw: st.DrawFn) -> tuple[np.ndarray, Coding]:
    """An array and any coding that fits it."""
    axes = tuple(draw(st.integers(1, 5)) for _ in range(3))
    bits = draw(st.integers(1, 8))
    limit = (1 << bits) - 1
    period = draw(st.integers(1, 8))
    weights = draw(st.lists(st.integers(1, 256), min_size=5, max_size=5))
    offsets = [
        draw(hnp.arrays(np.int64, axes[i], elements=st.integers(-300, 300)))
        if i in scaled_axes(axes) and draw(st.booleans())
        else None
        for i in range(3)
    ]
    coding = Coding(
        bits,
        draw(st.integers(0, 255)),
        (offsets[0], offsets[1], offsets[2]),
        draw(st.integers(0, 3)),
        tuple(weights[: period // 2 + 1]) if period > 1 else (),
        period,
        draw(st.sampled_from([None, *STRENGTHS])),
    )
    return draw(hnp.arrays(np.int64, axes, elements=st.integers(-limit, limit))), coding


@settings(max_examples=60, deadline=None)
@given(codings())
def test_every_coding_comes_back(pair: tuple[np.ndarray, Coding]) -> None:
    array, coding = pair
    encoder = SymbolEncoder()
    encode_array(encoder, array, coding)
    decoder = SymbolDecoder(encoder.to_bytes())
    np.testing.assert_array_equal(decode_array(decoder, array.shape, "a"), array)
    decoder.finish()


@settings(max_examples=60, deadline=None)
@given(hnp.arrays(np.int64, st.integers(1, 9), elements=st.integers(-LARGEST, LARGEST)))
def test_lists_come_back(values: np.ndarray) -> None:
    encoder = SymbolEncoder()
    encode_list(encoder, values)
    decoder = SymbolDecoder(encoder.to_bytes())
    np.testing.assert_array_equal(decode_list(decoder, len(values)), values)
    decoder.finish()


@given(st.integers(0, 65535))
def test_natural_numbers_come_back(value: int) -> None:
    encoder = SymbolEncoder()
    encode_natural(encoder, value)
    assert decode_natural(SymbolDecoder(encoder.to_bytes())) == value


def test_scales_are_the_sum_over_axes() -> None:
    rows, columns = np.array([0, 10]), np.array([1, 2, 300])
    coding = Coding(3, 50, (rows, columns, None))
    wanted = [[51, 51], [52, 52], [255, 255], [61, 61], [62, 62], [255, 255]]
    assert coding.scales((2, 3, 2)).reshape(6, 2).tolist() == wanted


def test_tables_have_their_shape() -> None:
    def share(coding: Coding, symbol: int) -> float:
        return float(coding.table(60)[symbol + coding.limit]) / TOTAL

    plain, soft, softer, laplace = (Coding(7, shape=shape) for shape in range(4))
    assert np.abs(plain.table(60) - gaussian_counts(60, 127)).max() < 300
    assert np.abs(laplace.table(60) - laplace_counts(60, 127)).max() < 300
    # Heavier and heavier tails, and a higher and higher top.
    assert share(plain, 50) < share(soft, 50) < share(softer, 50) < share(laplace, 50)
    assert share(plain, 0) < share(soft, 0) < share(softer, 0) < share(laplace, 0)
    comb = Coding(7, modulation=(256, 64), period=3)
    assert share(comb, 3) / share(comb, 2) == pytest.approx(
        4 * share(plain, 3) / share(plain, 2), rel=1e-3
    )
    assert share(comb, -4) == share(comb, 4)


def test_axes_of_single_symbols_have_no_offsets() -> None:
    assert scaled_axes((1, 7, 1)) == []
    assert scaled_axes((2, 7, 1)) == [0, 1]
    assert scaled_axes((2, 7, 3)) == [0, 1, 2]
    assert scaled_axes((1, 1, 1)) == []


@pytest.mark.parametrize(
    "coding",
    [
        Coding(15, 200, (np.arange(64), None, None)),
        Coding(11, 60, strength=8),
    ],
)
def test_too_much_work_is_refused(coding: Coding, monkeypatch: pytest.MonkeyPatch) -> None:
    array = np.zeros((64, 3, 1), np.int64)
    with pytest.raises(ValueError, match="table"):
        encode_array(SymbolEncoder(), array, coding)
    # A file that asks for it all the same.
    with monkeypatch.context() as patch:
        patch.setattr(Coding, "check", lambda *_: None)
        patch.setattr(Coding, "groups", lambda *_: iter(()))
        encoder = SymbolEncoder()
        encode_array(encoder, array, coding)
    with pytest.raises(DamagedError, match="an array is damaged: too"):
        decode_array(SymbolDecoder(encoder.to_bytes()), (64, 3, 1), "a")
