import numpy as np
import pytest
from numpy.typing import NDArray

from seesame.bitstream.entropy import SymbolDecoder, SymbolEncoder
from seesame.neural.weights.arrays import Coding, decode_array, encode_array
from seesame.neural.weights.choose_coding import array_bits, fit

Ints = NDArray[np.int64]


def coded(array: Ints, coding: Coding | None = None) -> int:
    """Bytes of an array, which must come back from them."""
    encoder = SymbolEncoder()
    encode_array(encoder, array, fit(array) if coding is None else coding)
    data = encoder.to_bytes()
    decoder = SymbolDecoder(data)
    np.testing.assert_array_equal(decode_array(decoder, array.shape, "a"), array)
    decoder.finish()
    return len(data)


def whole(values: NDArray[np.float64]) -> Ints:
    return np.round(values).astype(np.int64)


RNG = np.random.default_rng(8)
ARRAYS = {
    "gaussian": whole(RNG.normal(0, 5, (30, 20, 9))),
    "laplace": whole(RNG.laplace(0, 5, (30, 20, 9))),
    "comb": 3 * whole(RNG.normal(0, 5, (30, 20, 9))) + (RNG.random((30, 20, 9)) < 0.05),
    "rows": whole(RNG.normal(0, 2.0 ** np.linspace(0, 5, 30)[:, None, None], (30, 20, 9))),
    "sparse": (RNG.random((30, 20, 9)) < 0.01).astype(np.int64),
    "bias": whole(RNG.normal(0, 5, (1, 30, 1))),
    "wide": whole(RNG.normal(0, 5000, (4, 5, 6))),
    "zero": np.zeros((3, 4, 5), np.int64),
}


@pytest.mark.parametrize("name", ARRAYS)
def test_the_estimate_is_the_size(name: str) -> None:
    array = ARRAYS[name]
    assert coded(array) == pytest.approx(array_bits(array) / 8, rel=0.002, abs=1.5)


def test_each_kind_gets_its_coding() -> None:
    found = {name: fit(array) for name, array in ARRAYS.items()}
    assert found["gaussian"].shape == 0
    assert found["gaussian"].offsets == (None, None, None)
    assert found["laplace"].shape == 3
    assert all(coding.period == 1 for coding in found.values())
    assert found["rows"].offsets[0] is not None
    assert np.all(np.diff(found["rows"].offsets[0][::6]) > 0)
    assert found["zero"].bits == 0


def test_a_gaussian_costs_its_entropy() -> None:
    bits = ARRAYS["gaussian"].size * (0.5 * np.log2(2 * np.pi * np.e * (25 + 1 / 12)))
    assert coded(ARRAYS["gaussian"]) < bits / 8 * 1.005 + 8


def test_scales_that_factorise_are_found() -> None:
    """Two axes with scales of their own: about the entropy of symbols of known scale."""
    rng = np.random.default_rng(9)
    first, second = rng.normal(3, 1, (40, 1, 1)), rng.normal(0, 1, (1, 30, 1))
    widths = np.broadcast_to(2.0 ** (first + second), (40, 30, 9))
    array = whole(rng.normal(0, widths))
    found = fit(array)
    assert found.offsets[0] is not None
    assert found.offsets[1] is not None
    assert found.offsets[2] is None
    bits = (0.5 * np.log2(2 * np.pi * np.e * (widths**2 + 1 / 12))).sum()
    assert coded(array, found) < 1.02 * bits / 8 + 70


def test_what_no_shape_has_is_learnt() -> None:
    rng = np.random.default_rng(10)
    values = rng.choice([-7, -6, 1, 8], 20_000).reshape(20, 100, 10)
    assert fit(values).strength is not None
    assert coded(values) < 20_000 * 2 / 8 * 1.03


def test_symbols_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="32767"):
        fit(np.full((1, 1, 1), 1 << 15))
