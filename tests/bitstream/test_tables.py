"""Frequency tables: exact, the same for ever, and close to what they stand for."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import second_decoder

from seesame.bitstream.tables import (
    MAX_LIMIT,
    TOTAL,
    counts_from_weights,
    exp_of_power,
    gaussian_counts,
    laplace_counts,
    sigma,
)

GOLDEN = Path(__file__).parents[1] / "golden" / "bitstream"


def test_sigma() -> None:
    assert sigma(0) == 1 / 16
    assert sigma(32) == 1
    assert sigma(40) == 2
    assert sigma(33) == pytest.approx(2**0.125)


@pytest.mark.parametrize("scale", [0, 20, 32, 47, 64, 100, 151, 200, 255])
@pytest.mark.parametrize("limit", [0, 1, 15, 127, MAX_LIMIT])
@pytest.mark.parametrize("laplace", [False, True])
def test_tables_are_what_they_stand_for(scale: int, limit: int, laplace: bool) -> None:
    counts = (laplace_counts if laplace else gaussian_counts)(scale, limit)
    assert counts.dtype == np.int64
    assert len(counts) == 2 * limit + 1
    assert counts.sum() == TOTAL
    assert counts.min() >= 1
    assert (counts == counts[::-1]).all()
    k = np.arange(-limit, limit + 1)
    p = np.exp(-np.abs(k) / sigma(scale) if laplace else -0.5 * (k / sigma(scale)) ** 2)
    wanted = 1 + p / p.sum() * (TOTAL - len(k))
    difference = np.abs(counts - wanted)
    difference[limit] = 0  # takes what rounding leaves over
    assert difference.max() <= 1.001


@pytest.mark.parametrize("scale", [0, 17, 38, 61, 90, 255])
@pytest.mark.parametrize("laplace", [False, True])
def test_tables_are_those_of_the_format_page(scale: int, laplace: bool) -> None:
    table = laplace_counts if laplace else gaussian_counts
    for limit in (1, 40, 300):
        assert table(scale, limit).tolist() == second_decoder.symmetric(scale, limit, laplace)


def test_exponential_is_accurate() -> None:
    for eighths in (-500, -100, -9, -1, 0, 1, 7, 8, 30):
        exact = np.exp(-(np.longdouble(2.0) ** (np.longdouble(eighths) / 8)))
        assert float(exp_of_power(eighths) / 2**64) == pytest.approx(float(exact), rel=1e-12)
    assert exp_of_power(56) == 0


def test_tables_never_change() -> None:
    """One digest over many tables; a change would make old files undecodable."""
    golden = json.loads((GOLDEN / "tables.json").read_text())
    for name, table in (("gaussian", gaussian_counts), ("laplace", laplace_counts)):
        for limit in (1, 31, 127, 2047):
            digest = hashlib.sha256()
            for scale in range(256):
                digest.update(table(scale, limit).astype("<i8").tobytes())
            assert golden[f"{name} {limit}"] == digest.hexdigest()


def test_tables_cannot_be_spoilt() -> None:
    with pytest.raises(ValueError, match="read-only"):
        gaussian_counts(30, 5)[0] = 7


def test_numpy_integers_are_fine() -> None:
    wanted = gaussian_counts(77, 50)
    gaussian_counts.cache_clear()
    assert (gaussian_counts(np.uint8(77), np.int64(50)) == wanted).all()


@pytest.mark.parametrize(("scale", "limit"), [(-1, 5), (256, 5), (5, -1), (5, MAX_LIMIT + 1)])
def test_refuses_what_is_out_of_range(scale: int, limit: int) -> None:
    for table in (gaussian_counts, laplace_counts):
        with pytest.raises(ValueError, match="is not in"):
            table(scale, limit)


def test_counts_from_weights() -> None:
    counts = counts_from_weights(np.array([0, 1, 3, 0]), remainder=2)
    assert counts.tolist() == [1, (TOTAL - 4) // 4 + 1, 3 * (TOTAL - 4) // 4 + 1, 1]
    assert counts_from_weights(np.array([1, 1, 1]), remainder=0).sum() == TOTAL
