"""Estimated costs of single changes of symbols, for the search; the coder decides in the end."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from seesame.neural.corrections.sidecar import LIMIT, Values
from seesame.neural.weights.predict import ONE, candidates, missed

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class PriceTuning:
    """Counts that every column of the sidecar has beside those found, so that no price is infinite.

    Args:
        zeros: numbers that are zero.
        numbers: numbers in all.
        sized: numbers that are not zero.
        mean_size: their mean size.
    """

    zeros: float = 3.0
    numbers: float = 5.0
    sized: float = 3.0
    mean_size: float = 4.0


TUNING = PriceTuning()


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
        """Return the bits ``(B, d)`` of moving single ones of all latent symbols ``(N, d)``."""
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
        """Return the bits of replacing pairs' numbers, ``(B,)``.

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
    """Return the bits of each value in a mixture of zero and a two-sided geometric distribution."""
    sizes = np.abs(column[column != 0])
    zeros = (len(column) - len(sizes) + TUNING.zeros) / (len(column) + TUNING.numbers)
    mean = (sizes.sum() + TUNING.sized * TUNING.mean_size) / (len(sizes) + TUNING.sized)
    keep = 1 - 1 / mean
    size = np.arange(1, LIMIT + 1)
    bits = 1 - math.log2(1 - zeros) - (size - 1) * math.log2(keep) + math.log2(mean)
    return np.concatenate([bits[::-1], [-math.log2(zeros)], bits])


def _power(rows: Ints) -> Floats:
    power: Floats = np.maximum(np.square(rows).mean(1), 0.1)
    return power
