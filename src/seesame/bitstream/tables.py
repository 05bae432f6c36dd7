"""Frequency tables made by integer arithmetic only, so that every machine makes the same ones.

A table gives each symbol of an alphabet a positive count; the counts sum to :data:`TOTAL`. No
float and no mathematical library takes part: roots are ``math.isqrt``, exponentials an integer
Taylor series. ``docs/format.md`` gives the same steps in words.
"""

import math
import operator
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from seesame.bounds import cached_by_size

Counts = NDArray[np.int64]
"""Positive counts, one a symbol, that sum to :data:`TOTAL`."""

PRECISION = 24
"""Bits of a probability in constriction's default range coder."""
TOTAL = 1 << PRECISION
NUM_SCALES = 256
MAX_LIMIT = 1 << 15
"""Largest bound of a symmetric alphabet: 65,537 symbols in a total of 2**24."""

_SMALL_LIMIT = 1023
_BITS = 64
"""Fraction bits of the recurrences."""
_GUARDED = 96
"""Fraction bits while the base of the exponential is worked out."""


def sigma(scale: int) -> float:
    """Return the width that a one-byte scale index stands for: ``2 ** (scale / 8 - 4)``.

    It is a Gaussian's sigma or a Laplace's b, in symbol steps. For people only: tables are made
    from the index itself.
    """
    return float(2.0 ** (_checked("scale", scale, NUM_SCALES - 1) / 8 - 4))


def is_large(scale: int, limit: int) -> bool:
    """Return whether a table takes much memory; of such ones few are kept."""
    return limit > _SMALL_LIMIT


@cached_by_size(4096, 32, is_large)
def gaussian_counts(scale: int, limit: int) -> Counts:
    """Return counts of the Gaussian ``p(k) ~ exp(-k**2 / (2 sigma**2))`` on -limit..limit.

    Args:
        scale: index of sigma, 0..255, see :func:`sigma`.
        limit: 0..32768.

    Returns:
        int64 ``(2 * limit + 1,)``, read-only, each at least 1, summing to :data:`TOTAL`; the
        count of symbol k is at ``k + limit``.

    Raises:
        ValueError: scale or limit out of range.
    """
    # 1 / (2 sigma**2) = 2 ** (7 - scale / 4); the ratio of neighbours falls geometrically.
    ratio = exp_of_power(56 - 2 * _checked("scale", scale, NUM_SCALES - 1))
    return _symmetric(ratio, ratio * ratio >> _BITS, _checked("limit", limit, MAX_LIMIT))


@cached_by_size(4096, 32, is_large)
def laplace_counts(scale: int, limit: int) -> Counts:
    """Return counts of the Laplace ``p(k) ~ exp(-|k| / b)`` on -limit..limit, b = sigma(scale).

    Arguments, result and errors are those of :func:`gaussian_counts`.
    """
    ratio = exp_of_power(32 - _checked("scale", scale, NUM_SCALES - 1))
    return _symmetric(ratio, 1 << _BITS, _checked("limit", limit, MAX_LIMIT))


def exp_of_power(eighths: int) -> int:
    """Return ``exp(-(2 ** (eighths / 8)))`` in units of 2**-64, rounded down, by integers only."""
    octave, step = divmod(eighths, 8)
    x = _eighths()[step]
    # Halve the argument below 1/2 for the series; the result is squared as often afterwards.
    halvings = max(0, octave + 2)
    x = x >> (halvings - octave)
    value = term = 1 << _GUARDED
    for n in range(1, 40):
        term = (term * x >> _GUARDED) // n
        value += -term if n % 2 else term
    for _ in range(halvings):
        value = value * value >> _GUARDED
    return value >> (_GUARDED - _BITS)


@lru_cache(maxsize=1)
def _eighths() -> list[int]:
    """Return ``2 ** (j / 8)`` for j in 0..7 in units of 2**-96."""
    one = 1 << _GUARDED
    half = math.isqrt(2 * one * one)
    quarter = math.isqrt(half * one)
    eighth = math.isqrt(quarter * one)
    values = []
    for j in range(8):
        value = one
        for bit, root in ((4, half), (2, quarter), (1, eighth)):
            if j & bit:
                value = value * root >> _GUARDED
        values.append(value)
    return values


def _symmetric(ratio: int, change: int, limit: int) -> Counts:
    """Return counts from ``f[k+1] = f[k] r[k]``, ``r[k+1] = r[k] change``, in units of 2**-64."""
    value = 1 << _BITS
    weights = [value >> 32]
    for _ in range(limit):
        value = value * ratio >> _BITS
        ratio = ratio * change >> _BITS
        if value < 1 << 32:  # its weight, and every later one, is zero
            break
        weights.append(value >> 32)
    half = np.zeros(limit + 1, np.int64)
    half[: len(weights)] = weights
    counts = counts_from_weights(np.concatenate([half[:0:-1], half]), remainder=limit)
    counts.flags.writeable = False
    return counts


def counts_from_weights(weights: NDArray[np.int64], remainder: int) -> Counts:
    """Share :data:`TOTAL` out in proportion to ``weights``, at least 1 to each symbol.

    Every symbol gets ``1 + weight * (TOTAL - n) // sum(weights)``; what rounding leaves over goes
    to the symbol at index ``remainder``.

    Args:
        weights: int64 ``(n,)``, 0..2**32 each, not all zero.
        remainder: index of the symbol that takes what is left.
    """
    free = TOTAL - len(weights)
    counts = 1 + weights * free // int(weights.sum())
    counts[remainder] += TOTAL - int(counts.sum())
    return counts


def _checked(name: str, value: int, most: int) -> int:
    if not 0 <= value <= most:
        raise ValueError(f"{name} {value} is not in 0..{most}")
    return operator.index(value)  # a numpy integer would overflow in the integer arithmetic
