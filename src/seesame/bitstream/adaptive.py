"""Frequency tables learnt on the way: both sides keep one and show it the same symbols."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from seesame.bitstream.tables import TOTAL, Counts, counts_from_weights

MAX_STRENGTH = 20
"""A prior worth 2**20 symbols; it hardly moves."""

_INCREMENT = 32
_PRIOR = 64
_HALVE_AT = 1 << 20
_HALVE_LEARNED_AT = 1 << 38
"""Times 2**24 it still fits 63 bits, as sharing out needs."""


class Adaptive:
    """The table of adaptive coding, from equal weights.

    Weights start at a prior worth two symbols in all, and grow by 32 a symbol. The table is made
    anew after blocks of ``1 + seen // 16`` symbols (at most 4096), so that it lags by a sixteenth
    at most and coding stays fast. Weights are halved once they sum to 2**20 or more.
    """

    _lag = 16

    def __init__(self, size: int) -> None:
        start = max(1, min(_INCREMENT // 2, _PRIOR // size))
        self._begin(np.full(size, start, np.int64), _INCREMENT, _HALVE_AT)

    def _begin(self, weights: NDArray[np.int64], increment: int, halve_at: int) -> None:
        self._weights = weights
        self._increment = increment
        self._halve_at = halve_at
        self._seen = 0

    def blocks(self, count: int) -> Iterator[int]:
        """Yield sizes of the blocks of ``count`` symbols; :meth:`update` after each."""
        done = 0
        while done < count:
            block = min(1 + min(self._seen // self._lag, 4095), count - done)
            yield block
            done += block

    def counts(self) -> Counts:
        """Return the table for the next block."""
        return counts_from_weights(self._weights, remainder=int(np.argmax(self._weights)))

    def update(self, symbols: NDArray[np.int32]) -> None:
        """Learn from the symbols of a block."""
        self._weights += self._increment * np.bincount(symbols, minlength=len(self._weights))
        self._seen += len(symbols)
        while self._weights.sum() >= self._halve_at:
            self._weights = (self._weights + 1) >> 1


class Learned(Adaptive):
    """The table of learned coding: it starts as ``counts``, worth ``2 ** strength`` symbols.

    A Dirichlet prior with a parametric mean: what the parameters say well need not be learnt,
    what they miss is. Blocks are half as long as those of :class:`Adaptive`.
    """

    _lag = 32

    def __init__(self, counts: Counts, strength: int) -> None:
        check_strength(strength)
        self._begin(counts.astype(np.int64), TOTAL >> strength, _HALVE_LEARNED_AT)


def check_strength(strength: int) -> None:
    """Raise ValueError for a strength that no table has."""
    if not 0 <= strength <= MAX_STRENGTH:
        raise ValueError(f"a strength of {strength} is not in 0..{MAX_STRENGTH}")


def learned_bits(symbols: NDArray[np.int32], counts: Counts, strength: int) -> float:
    """Return ideal size in bits of symbols 0..len(counts)-1 in learned coding."""
    table, start, bits = Learned(counts, strength), 0, 0.0
    for block in table.blocks(len(symbols)):
        part = symbols[start : start + block]
        bits += float(np.log2(TOTAL / table.counts()[part]).sum())
        table.update(part)
        start += block
    return bits
