"""The encoder's choice of how to code an array, by the length of the code.

Floats are harmless here: only the encoder runs this. Lengths are those of tables worked out in
floats by the formulas that the integer tables follow, right to a small part of a bit.
"""

from dataclasses import replace
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
    MAX_PERIOD,
    MAX_WORK,
    NUM_SHAPES,
    SHARES,
    SPREADS,
    STRENGTHS,
    Axes,
    Coding,
    Ints,
    distances,
    middle_of,
    scaled_axes,
)

Floats = NDArray[np.float64]
Offsets = tuple[Ints | None, Ints | None, Ints | None]

STEPS = np.arange(-8, 9)
"""Changes of an offset that one pass tries."""
PASSES = 3
HEADER_BITS = 14
LEARNABLE = 512
"""Fewest symbols that are worth the encoder's time to try learning."""
MAX_LEARNING = 32
"""Most tables that learn: many small ones learn little, slowly."""
WIDE = 12
"""Symbols of more bits are no usual ones, and have one Gaussian table."""


def fit(array: Ints) -> Coding:
    """The coding of an array ``(A, B, C)`` of symbols in ±32767 in the fewest bits.

    First the scales, with Gaussians: axes are added one by one while an axis saves more than its
    offsets cost, which are fitted by alternating minimisation of the code length. Then the shape,
    the period and the learning. ``estimate`` of the result is its length in bits.

    Raises:
        ValueError: a symbol is out of range.
    """
    sizes = np.abs(array)
    coding = Coding(int(sizes.max(initial=0)).bit_length(), estimate=4.0)
    if not coding.bits:
        return coding
    if coding.bits > 15:
        raise ValueError(f"symbols reach {sizes.max()}, more than 32767")
    if coding.bits > WIDE:
        base = scale_for(array, coding.limit)
        bits = cost_bits(array, gaussian_counts(base, coding.limit), coding.limit)
        return replace(coding, base=base, estimate=bits + _side_bits(coding))
    coding = _fit_axes(sizes, coding)
    coding = _fit_shape(sizes, coding)
    coding = _fit_period(sizes, coding)
    return _fit_strength(array, coding)


def array_bits(array: Ints) -> float:
    """Length in bits of an array ``(A, B, C)`` coded as :func:`fit` chooses."""
    return fit(array).estimate


@lru_cache(maxsize=8)
def _lengths(limit: int, shape: int) -> Floats:
    """Code lengths in bits ``(256, limit + 1)`` of magnitudes, for every scale index."""
    widths = 2.0 ** (np.arange(256) / 8 - 4)[:, None]
    ratio = np.arange(limit + 1) / widths
    density = np.exp(-ratio if shape == LAPLACE else -0.5 * ratio**2)
    density /= 2 * density.sum(1, keepdims=True) - density[:, :1]
    if shape not in (0, LAPLACE):
        places = np.arange(256)
        density = sum(
            share / 16 * density[(places + (i - 2) * SPREADS[shape]).clip(0, 255)]
            for i, share in enumerate(SHARES)
        )
    counts = 1 + np.floor(density * (TOTAL - 2 * limit - 1))
    lengths: Floats = np.log2(TOTAL / counts)
    return lengths


def list_bits(values: Ints) -> float:
    """Length in bits of :func:`~seesame.neural.weights.arrays.encode_list`."""
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
    return 4 + HEADER_BITS + sum(list_bits(o) for o in coding.offsets if o is not None)


def _histogram(sizes: Ints, coding: Coding) -> Ints:
    """How often each magnitude stands at each scale index: ``(256, limit + 1)``."""
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
        tries = [
            _with_axis(sizes, best, axis, lengths)
            for axis in scaled_axes(_axes(sizes))
            if best.offsets[axis] is None
        ]
        found = min(tries, key=lambda c: c.estimate, default=best)
        if found.estimate >= best.estimate:
            return best
        best = found


def _with_axis(sizes: Ints, coding: Coding, axis: int, lengths: Floats) -> Coding:
    """The coding with offsets along one axis more, all offsets fitted in turn."""
    chosen = [i for i in range(3) if i == axis or coding.offsets[i] is not None]
    offsets = [
        np.zeros(n, np.int64) if o is None else o
        for n, o in zip(sizes.shape, coding.offsets, strict=True)
    ]
    others = tuple(i for i in range(3) if i != axis)
    power = np.square(sizes).mean(axis=others) + 1e-3
    offsets[axis] = np.round(4 * np.log2(power / power.mean())).astype(np.int64)
    for _ in range(PASSES if len(chosen) > 1 else 1):
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
    """Offsets of one axis that minimise the symbols' code length plus their own."""
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
    """The shape, and a common change of all scales with it."""
    histogram = _histogram(sizes, coding)
    used = np.flatnonzero(histogram.any(axis=1))
    best = coding
    side = _side_bits(coding)
    for shape in range(NUM_SHAPES):
        lengths = _lengths(coding.limit, shape)
        for step in range(-6, 7):
            base = coding.base + step
            if 0 <= base <= 255:
                moved = lengths[(used + step).clip(0, 255)]
                bits = float((histogram[used] * moved).sum()) + side
                if bits < best.estimate:
                    best = replace(coding, shape=shape, base=base, estimate=bits)
    return best


def _fit_period(sizes: Ints, coding: Coding) -> Coding:
    """A modulation of the table, if magnitudes favour the multiples of a number."""
    histogram = _histogram(sizes, coding)
    used = np.flatnonzero(histogram.any(axis=1))
    seen = histogram[used]
    # Shares of the magnitudes under the plain tables; all but zero stand for two symbols.
    density = 2.0 ** -_lengths(coding.limit, coding.shape)[used]
    density[:, 1:] *= 2
    best = coding
    for period in range(2, min(MAX_PERIOD, coding.limit) + 1):
        classes = distances(coding.limit, period)[coding.limit :]
        member = np.eye(period // 2 + 1)[classes]
        found, share = seen.sum(0) @ member, density @ member
        wanted = found / np.maximum(seen.sum(1) @ share, 1e-9)
        weights = np.round(256 * wanted / wanted.max()).clip(1, 256)
        saved = found @ np.log2(weights) - seen.sum(1) @ np.log2(share @ weights)
        bits = coding.estimate - float(saved) + 2.8 + 8 * len(weights)
        if bits < best.estimate:
            modulation = tuple(int(w) for w in weights)
            best = replace(coding, period=period, modulation=modulation, estimate=bits)
    return best


def _fit_strength(array: Ints, coding: Coding) -> Coding:
    """Whether the tables should learn, and how fast."""
    best = coding
    if coding.limit > MAX_LEARNED or array.size < LEARNABLE:
        return coding
    symbols = (array.ravel() + coding.limit).astype(np.int32)
    groups = [(symbols[p], coding.table(s)) for s, p in coding.groups(_axes(array))]
    if len(groups) > MAX_LEARNING:
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
