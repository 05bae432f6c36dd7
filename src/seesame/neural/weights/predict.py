"""Linear prediction of latents in time, in integers.

Latents change slowly from pair to pair. A symbol of a row is predicted from the one before it and
the one before that, (a·x[t-1] + b·x[t-2] + 8) >> 4, with x = 0 before the start and a row's own
weights a and b in sixteenths. a = b = 0 is no prediction, a = 16 the difference in time.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from seesame.bitstream.varint import Reader
from seesame.neural.weights.arrays import LARGEST, Ints

SHIFT = 4
ONE = 1 << SHIFT
MAX_COEFFICIENT = 4 * ONE
_PART = 1 << 16
"""Symbols that are restored at a time."""

FIRSTS, SECONDS = np.arange(0, 25), np.arange(-12, 13)
"""The weights a and b that the encoder tries for each row, in sixteenths."""
COMMON = (14, 15, 16)
"""The weights a that the encoder tries for all rows at once."""


def missed(symbols: Ints, weights: Ints) -> Ints:
    """Return rows ``(d, N)`` less their prediction with ``weights (d, 2)``."""
    last, before = _before(symbols)
    total = weights[:, :1] * last + weights[:, 1:] * before
    rest: Ints = symbols - (total + ONE // 2 >> SHIFT)
    return rest


def _before(symbols: Ints) -> tuple[Ints, Ints]:
    """Return the symbols one and two places before each."""
    last, before = np.zeros_like(symbols), np.zeros_like(symbols)
    last[:, 1:], before[:, 2:] = symbols[:, :-1], symbols[:, :-2]
    return last, before


def restored(rest: Ints, weights: Ints, name: str) -> Ints:
    """Return rows ``(d, N)`` from what :func:`missed` left of them.

    Raises:
        DamagedError: a symbol beyond ±32767.
    """
    found = np.empty_like(rest)
    for row, out, (first, second) in zip(rest, found, weights.tolist(), strict=True):
        last = before = 0
        for start in range(0, row.size, _PART):  # as Python's numbers, rows of a file are large
            values = []
            for part in row[start : start + _PART].tolist():
                value = part + (first * last + second * before + ONE // 2 >> SHIFT)
                if not -LARGEST <= value <= LARGEST:  # also stops a row that grows without end
                    raise Reader(b"", name).fail("a latent is out of range")
                values.append(value)
                last, before = value, last
            out[start : start + _PART] = values
    return found


def candidates(symbols: Ints) -> Iterator[Ints]:
    """Yield choices of weights ``(d, 2)`` for rows ``(d, N)`` that are worth a try.

    None at all; a common one; the best first one of each row; the best two of each row. What is
    left of the rows keeps within ±32767.
    """
    plain = np.zeros((len(symbols), 2), np.int64)
    tries = [plain]
    if symbols.shape[1] > 2:
        tries += [plain + np.array([weight, 0]) for weight in COMMON]
        tries += [_best(symbols, np.zeros(1, np.int64)), _best(symbols, SECONDS)]
    for weights in tries:
        if np.abs(missed(symbols, weights)).max() <= LARGEST:
            yield weights


def _best(symbols: Ints, seconds: Ints) -> Ints:
    """Return the weights of each row with the least code length, that of the weights included."""
    pairs = np.array([(a, b) for a in FIRSTS for b in seconds])
    last, before = _before(symbols)
    rests = (symbols - (a * last + b * before + ONE // 2 >> SHIFT) for a, b in pairs)
    bits = np.stack([_row_bits(rest[:, 1:]) for rest in rests])
    weights = pairs[np.argmin(bits, axis=0)]
    # Weights are coded with a Gaussian: those far from the others must save more.
    spread = np.maximum(weights.std(axis=0), 0.7)
    away = ((pairs - np.median(weights, axis=0)) / spread) ** 2
    best: Ints = pairs[np.argmin(bits + away.sum(1)[:, None] / (2 * np.log(2)), axis=0)]
    return best


def _row_bits(rows: Ints) -> NDArray[np.float64]:
    """Return code lengths of rows, but for a constant: a Laplace's and a Gaussian's mean."""
    laplace = np.log2(np.abs(rows).mean(axis=1) + 0.1)
    gaussian = 0.5 * np.log2(np.square(rows).mean(axis=1) + 0.1)
    bits: NDArray[np.float64] = rows.shape[1] * (laplace + gaussian) / 2
    return bits
