"""The encoder's choice of an array's coding, by the length of the code.

Floats are harmless here: only the encoder runs this. Lengths are those of tables worked out in
floats by the formulas that the integer tables follow, right to a small part of a bit.
"""

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from seesame.bitstream.adaptive import learned_bits
from seesame.bitstream.entropy import cost_bits, gaussian_counts, scale_for
from seesame.bitstream.tables import TOTAL, Counts
from seesame.neural.weights.arrays import (
    LAPLACE,
    LIST_SCALE,
    MAX_LEARNED,
    MAX_WORK,
    NUM_SHAPES,
    SHARES,
    SPREADS,
    STRENGTHS,
    Axes,
    Coding,
    Ints,
    middle_of,
    scaled_axes,
)

Floats = NDArray[np.float64]
Offsets = tuple[Ints | None, Ints | None, Ints | None]


@dataclass(frozen=True)
class CodingTuning:
    """The effort with which the encoder looks for the shortest code.

    Args:
        steps: changes of an offset that one pass tries, to either side, in scale indices.
        passes: over the offsets of all axes, where several axes have offsets.
        base_steps: common changes of all scales that are tried with each shape, to either side.
        header_bits: bits of the parameters that every array has.
        learnable: fewest symbols that are worth the time to try tables that learn.
        max_learning: most tables that learn: many small ones learn little, slowly.
        wide: symbols of more bits are no usual ones, and have one Gaussian table.
    """

    steps: int = 8
    passes: int = 3
    base_steps: int = 6
    header_bits: int = 14
    learnable: int = 512
    max_learning: int = 32
    wide: int = 12


TUNING = CodingTuning()
STEPS = np.arange(-TUNING.steps, TUNING.steps + 1)


def fit(array: Ints) -> Coding:
    """Return the coding of an array ``(A, B, C)`` of symbols in ±32767 in the fewest bits.

    First the scales, with Gaussians: axes are added one by one while an axis saves more than its
    offsets cost, which are fitted by alternating minimisation of the code length. Then the shape
    and the learning. ``estimate`` of the result is its length in bits.

    Raises:
        ValueError: a symbol is out of range.
    """
    sizes = np.abs(array)
    coding = Coding(int(sizes.max(initial=0)).bit_length(), estimate=4.0)
    if not coding.bits:
        return coding
    if coding.bits > 15:
        raise ValueError(f"symbols reach {sizes.max()}, more than 32767")
    if coding.bits > TUNING.wide:
        base = scale_for(array, coding.limit)
        bits = cost_bits(array, gaussian_counts(base, coding.limit), coding.limit)
        return replace(coding, base=base, estimate=bits + _side_bits(coding))
    coding = _fit_axes(sizes, coding)
    coding = _fit_shape(sizes, coding)
    return _fit_strength(array, coding)


def array_bits(array: Ints) -> float:
    """Return the length in bits of an array ``(A, B, C)`` coded as :func:`fit` chooses."""
    return fit(array).estimate


@lru_cache(maxsize=8)
def _lengths(limit: int, shape: int) -> Floats:
    """Return code lengths in bits ``(256, limit + 1)`` of magnitudes, for every scale index."""
    widths = 2.0 ** (np.arange(256) / 8 - 4)[:, None]
    ratio = np.arange(limit + 1) / widths
    density = np.exp(-ratio if shape == LAPLACE else -0.5 * ratio**2)
    density /= 2 * density.sum(1, keepdims=True) - density[:, :1]
    if shape not in (0, LAPLACE):
        places = np.arange(256)
        near = [(places + (i - 2) * SPREADS[shape]).clip(0, 255) for i in range(len(SHARES))]
        density = sum(share / 16 * density[i] for share, i in zip(SHARES, near, strict=True))
    counts = 1 + np.floor(density * (TOTAL - 2 * limit - 1))
    lengths: Floats = np.log2(TOTAL / counts)
    return lengths


def list_bits(values: Ints) -> float:
    """Return the length in bits of :func:`~seesame.neural.weights.arrays.encode_list`."""
    middle = middle_of(values)
    bits = 4.1 + max(0, (2 * abs(middle)).bit_length() - 1)
    if len(values) == 1:
        return bits
    rest = values - middle
    limit = (1 << int(np.abs(rest).max()).bit_length()) - 1
    if not limit:
        return bits + 4
    scale = LIST_SCALE * min(63, round(scale_for(rest, limit) / LIST_SCALE))
    return bits + 10 + cost_bits(rest, gaussian_counts(scale, limit), limit)


def _side_bits(coding: Coding) -> float:
    return 4 + TUNING.header_bits + sum(list_bits(o) for o in coding.offsets if o is not None)


def _histogram(sizes: Ints, coding: Coding) -> Ints:
    """Return how often each magnitude stands at each scale index: ``(256, limit + 1)``."""
    width = coding.limit + 1
    places = coding.scales(_axes(sizes)) * width + sizes.ravel()
    return np.bincount(places, minlength=256 * width).reshape(256, width)


def _axes(sizes: Ints) -> Axes:
    first, second, third = sizes.shape
    return first, second, third


def _fit_axes(sizes: Ints, coding: Coding) -> Coding:
    lengths = _lengths(coding.limit, 0)
    times = np.bincount(sizes.ravel(), minlength=coding.limit + 1)
    totals = lengths @ times
    base = int(np.argmin(totals))
    best = replace(coding, base=base)
    best = replace(best, estimate=float(totals[base]) + _side_bits(best))
    while True:
        free = [axis for axis in scaled_axes(_axes(sizes)) if best.offsets[axis] is None]
        tries = [_with_axis(sizes, best, axis, lengths) for axis in free]
        found = min(tries, key=lambda c: c.estimate, default=best)
        if found.estimate >= best.estimate:
            return best
        best = found


def _with_axis(sizes: Ints, coding: Coding, axis: int, lengths: Floats) -> Coding:
    """Return the coding with offsets along one axis more, all offsets fitted in turn."""
    chosen = [i for i in range(3) if i == axis or coding.offsets[i] is not None]
    pairs = zip(sizes.shape, coding.offsets, strict=True)
    offsets = [np.zeros(n, np.int64) if o is None else o for n, o in pairs]
    others = tuple(i for i in range(3) if i != axis)
    power = np.square(sizes).mean(axis=others) + 1e-3
    offsets[axis] = np.round(4 * np.log2(power / power.mean())).astype(np.int64)
    for _ in range(TUNING.passes if len(chosen) > 1 else 1):
        for i in chosen:
            offsets[i] = _refined(sizes, coding.base, offsets, i, lengths)
    base = coding.base
    for i in chosen:
        middle = int(np.median(offsets[i]))
        offsets[i] = offsets[i] - middle
        base += middle
    first, second, third = (o if i in chosen else None for i, o in enumerate(offsets))
    made = replace(coding, base=min(255, max(0, base)), offsets=(first, second, third))
    if len(np.unique(made.scales(_axes(sizes)))) * made.limit > MAX_WORK:
        return replace(made, estimate=np.inf)
    symbols = float((_histogram(sizes, made) * lengths).sum())
    return replace(made, estimate=symbols + _side_bits(made))


def _refined(sizes: Ints, base: int, offsets: list[Ints], axis: int, lengths: Floats) -> Ints:
    """Return offsets of one axis that minimise the symbols' code length plus their own."""
    index: Ints = np.full(sizes.shape, base, np.int64)
    for i, o in enumerate(offsets):
        index += np.expand_dims(o, tuple(j for j in range(3) if j != i))
    index = np.moveaxis(index, axis, 0).reshape(sizes.shape[axis], -1)
    moved = np.moveaxis(sizes, axis, 0).reshape(sizes.shape[axis], -1)
    cost = np.stack([lengths[(index + s).clip(0, 255), moved].sum(1) for s in STEPS])
    # A Gaussian code of the offsets: what lies far from the others costs more.
    old = offsets[axis]
    spread = max(0.7, float(old.std()))
    away = (old + STEPS[:, None] - np.median(old)) / spread
    cost += away**2 / (2 * np.log(2))
    new: Ints = old + STEPS[np.argmin(cost, axis=0)]
    return new


def _fit_shape(sizes: Ints, coding: Coding) -> Coding:
    """Return the best shape, and a common change of all scales with it."""
    histogram = _histogram(sizes, coding)
    used = np.flatnonzero(histogram.any(axis=1))
    best = coding
    side = _side_bits(coding)
    for shape in range(NUM_SHAPES):
        lengths = _lengths(coding.limit, shape)
        for step in range(-TUNING.base_steps, TUNING.base_steps + 1):
            base = coding.base + step
            if 0 <= base <= 255:
                moved = lengths[(used + step).clip(0, 255)]
                bits = float((histogram[used] * moved).sum()) + side
                if bits < best.estimate:
                    best = replace(coding, shape=shape, base=base, estimate=bits)
    return best


def _fit_strength(array: Ints, coding: Coding) -> Coding:
    """Return the coding with tables that learn, if that saves bits."""
    best = coding
    if coding.limit > MAX_LEARNED or array.size < TUNING.learnable:
        return coding
    symbols = (array.ravel() + coding.limit).astype(np.int32)
    groups = [(symbols[p], coding.table(s)) for s, p in coding.groups(_axes(array))]
    if len(groups) > TUNING.max_learning:
        return coding
    side = coding.estimate - _static_bits(groups)
    for strength in reversed(STRENGTHS):  # from nearly fixed tables to quick ones
        bits = side + sum(learned_bits(part, counts, strength) for part, counts in groups)
        if bits >= best.estimate:
            break
        best = replace(coding, strength=strength, estimate=bits)
    return best


def _static_bits(groups: list[tuple[NDArray[np.int32], Counts]]) -> float:
    return sum(float(np.log2(TOTAL / counts[part]).sum()) for part, counts in groups)
