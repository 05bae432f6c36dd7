"""Shared by the tests of both layouts: tensors to pack, and those in the golden files."""

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from seesame.codecs.hnerv.architecture import Architecture
from seesame.neural.weights.arrays import LARGEST
from seesame.neural.weights.rows import MAX_EXPONENT, Rows

SMALL = Architecture((40, 50), 3, (5, 4, 4, 4, 4))


def whole(least: int, most: int, shape: tuple[int, ...]) -> st.SearchStrategy[np.ndarray]:
    return hnp.arrays(np.int64, shape, elements=st.integers(least, most))


@st.composite
def rows(draw: st.DrawFn) -> Rows:
    shape = (draw(st.integers(1, 6)), draw(st.integers(1, 12)))
    largest = draw(st.sampled_from([0, 1, 3, 100, LARGEST // 2]))
    return Rows(
        draw(whole(-largest, largest, shape)),
        draw(whole(-MAX_EXPONENT, MAX_EXPONENT, shape[:1])),
    )


def same(left: Rows, right: Rows) -> None:
    np.testing.assert_array_equal(left.symbols, right.symbols)
    np.testing.assert_array_equal(left.exponents, right.exponents)


def golden_parts() -> tuple[dict[str, Rows], Rows]:
    """The symbols in the golden file, from a formula rather than a generator of noise."""
    weights = {}
    for i, (name, spec) in enumerate(SMALL.tensors().items()):
        count, size = spec.row_shape
        ramp = np.arange(count * size, dtype=np.int64).reshape(count, size) + i
        symbols = (ramp * 7919 + ramp * ramp) % 23 - 11
        weights[name] = Rows(symbols, -20 - np.arange(count, dtype=np.int64) % 5)
    time = np.arange(4, dtype=np.int64)
    walk = np.stack([30 + 2 * time, (time * 37) % 19 - 9, -time * time])
    return weights, Rows(walk, np.array([-24, -16, -30]))
