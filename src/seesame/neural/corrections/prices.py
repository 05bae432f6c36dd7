"""What single changes of symbols cost, near enough to search by; the coder has the last word."""

import math

import numpy as np
from numpy.typing import NDArray

from seesame.neural.corrections.sidecar import LIMIT, Values
from seesame.neural.weights.predict import ONE, candidates, missed

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

PRIOR = (3.0, 5.0)
"""Zeros and numbers that every column has beside those counted."""
PRIOR_SIZE = (3.0, 4.0)
"""Numbers that are not zero, and their mean size, beside those counted."""


class Prices:
    """Costs in bits under the present statistics.

    Args:
        values: corrections ``(N, 2, 7)``.
        symbols: latents ``(N, d)``.
        known: whether the corrections tell how often numbers occur; not so before any search.
    """

    def __init__(self, values: Values, symbols: Ints, known: bool) -> None:
        columns = values.reshape(len(values), -1).T.astype(np.int64)
        self.fields: Floats = np.stack([_column(c if known else c[:0]) for c in columns])
        """Bits of value v of number k: ``(14, 2·LIMIT + 1)``, v + LIMIT last."""
        tries = [(_power(missed(symbols.T, weights)), weights) for weights in candidates(symbols.T)]
        power, self._weights = min(tries, key=lambda t: float(np.log2(t[0]).sum()))
        self._scale = 1 / (2 * math.log(2) * power)

    def steps(self, pairs: Ints, symbols: Ints, moves: Ints) -> Floats:
        """Bits of moving single latent symbols, ``(B, d)``; ``symbols (N, d)`` are all present."""
        rest = missed(symbols.T, self._weights).T
        bits = np.zeros(moves.shape)
        # A step is missed by its own prediction, and changes those of the two pairs that follow.
        for later, weight in enumerate((-ONE, *self._weights.T)):
            at = pairs + later
            there = at < len(symbols)
            old = rest[at[there]]
            new = old - moves[there] * weight / ONE
            bits[there] += new**2 - old**2
        return bits * self._scale

    def change(self, pairs: Ints, now: tuple[Values, Ints], new: tuple[Values, Ints]) -> Floats:
        """Bits of replacing pairs' numbers, ``(B,)``.

        Args:
            pairs: which, ``(B,)``.
            now: values ``(N, 2, 7)`` and symbols ``(N, d)`` of all pairs.
            new: values ``(B, 2, 7)`` and symbols ``(B, d)`` of those pairs.
        """
        every = np.arange(len(self.fields))
        old = now[0][pairs].reshape(len(pairs), -1).astype(np.int64)
        values = new[0].reshape(len(pairs), -1).astype(np.int64)
        bits = self.fields[every, values + LIMIT] - self.fields[every, old + LIMIT]
        moved = self.steps(pairs, now[1], new[1] - now[1][pairs])
        total: Floats = bits.sum(1) + moved.sum(1)
        return total


def _column(column: Ints) -> Floats:
    """Bits of each value in a mixture of zero and a two-sided geometric distribution."""
    sizes = np.abs(column[column != 0])
    zeros = (len(column) - len(sizes) + PRIOR[0]) / (len(column) + PRIOR[1])
    mean = (sizes.sum() + PRIOR_SIZE[0] * PRIOR_SIZE[1]) / (len(sizes) + PRIOR_SIZE[0])
    keep = 1 - 1 / mean
    size = np.arange(1, LIMIT + 1)
    bits = 1 - math.log2(1 - zeros) - (size - 1) * math.log2(keep) + math.log2(mean)
    return np.concatenate([bits[::-1], [-math.log2(zeros)], bits])


def _power(rows: Ints) -> Floats:
    power: Floats = np.maximum(np.square(rows).mean(1), 0.1)
    return power
