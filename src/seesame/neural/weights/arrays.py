"""The coding of one array of integers, layout 2: its parameters, its tables, both directions.

An array ``(A, B, C)`` is coded with tables whose scale index, an eighth of an octave a step, is a
base plus an offset for each element of each chosen axis: sigma factorises over the axes, as in
NVRC (Kwan et al. 2024, "NVRC: Neural Video Representation Compression"). The table's shape is a
Gaussian, a mixture of Gaussians of neighbouring scales, or a Laplace. A table may be modulated with
a period P, for values that favour every P-th integer: files may hold such tables, but the encoder
no longer makes them. And a table may learn on the way, from this start.

:mod:`seesame.neural.weights.choose_coding` chooses the parameters; ``docs/format.md`` describes the
bytes.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from seesame.bitstream.entropy import SymbolDecoder, SymbolEncoder, scale_for
from seesame.bitstream.tables import (
    Counts,
    counts_from_weights,
    gaussian_counts,
    is_large,
    laplace_counts,
)
from seesame.bounds import cached_by_size
from seesame.errors import DamagedError

Ints = NDArray[np.int64]
Axes = tuple[int, int, int]

LARGEST = (1 << 15) - 1
"""Largest magnitude of a symbol."""
MAX_PERIOD = 8
LIST_SCALE = 4
"""Scale indices a step of a list's scale."""
MAX_WORK = 1 << 20
"""Most tables times their bound, so that a damaged array cannot ask for hours of table making."""
MAX_LEARNED = 1023
"""Largest bound of tables that learn, for the same reason."""

LAPLACE = 3
SPREADS = (0, 2, 4)
"""Distance in scale indices between the mixed Gaussians of the shapes 0, 1 and 2."""
SHARES = (1, 4, 6, 4, 1)
"""Sixteenths of the mixed Gaussians, the narrowest first."""
NUM_SHAPES = 4
STRENGTHS = (4, 6, 8, 10, 12, 14, 16)
"""The starts of learning tables are worth two to the power of these symbols."""


@dataclass(frozen=True)
class Coding:
    """The parameters with which an array is coded.

    Args:
        bits: the symbols lie within ``±(2**bits - 1)``, 0..15.
        base: scale index, 0..255.
        offsets: for each axis its offsets, or None where all are zero.
        shape: 0 Gaussian, 1 and 2 mixtures, 3 Laplace.
        modulation: weights 1..256 of the magnitudes' distance from a multiple of the period P,
            ``(P // 2 + 1)`` of them; with ``period`` 1 empty.
        period: 1..8.
        strength: None, or the tables learn from a start worth ``2 ** strength`` symbols.
    """

    bits: int
    base: int = 0
    offsets: tuple[Ints | None, Ints | None, Ints | None] = (None, None, None)
    shape: int = 0
    modulation: tuple[int, ...] = ()
    period: int = 1
    strength: int | None = None
    estimate: float = field(default=0.0, compare=False)
    """Size in bits, where the encoder worked it out."""

    @property
    def limit(self) -> int:
        """Bound of the alphabet."""
        return (1 << self.bits) - 1

    @property
    def plain(self) -> bool:
        """True where all symbols have one scale."""
        return all(o is None for o in self.offsets)

    def scales(self, axes: Axes) -> Ints:
        """Return the scale index of each symbol, ``(A * B * C,)``."""
        index = np.full(axes, self.base, np.int64)
        for axis, offsets in enumerate(self.offsets):
            if offsets is not None:
                index += np.expand_dims(offsets, tuple(i for i in range(3) if i != axis))
        return index.clip(0, 255).ravel()

    def mixed(self, scale: int) -> list[tuple[Callable[[int, int], Counts], int]]:
        """Return the symmetric tables that :meth:`table` is made of: the kind and the scale."""
        if self.shape == LAPLACE:
            return [(laplace_counts, scale)]
        spread = SPREADS[self.shape]
        near = (scale + (place - 2) * spread for place in range(len(SHARES))) if spread else [scale]
        return [(gaussian_counts, min(255, max(0, one))) for one in near]

    def table(self, scale: int) -> Counts:
        """Return the table of the symbols with this scale index."""
        return _table(scale, self.limit, self.shape, self.modulation, self.period)

    def groups(self, axes: Axes) -> Iterator[tuple[int, Ints | slice]]:
        """Yield each scale index that occurs, ascending, with the places that have it, in order."""
        if self.plain:
            yield self.base, slice(None)
            return
        scales = self.scales(axes)
        order = np.argsort(scales, kind="stable")
        found, starts = np.unique(scales[order], return_index=True)
        for scale, places in zip(found, np.split(order, starts[1:]), strict=True):
            yield int(scale), places

    def check(self, axes: Axes) -> None:
        """Raise ValueError where tables would take too long to make."""
        tables = 1 if self.plain else len(np.unique(self.scales(axes)))
        if self.limit * tables > MAX_WORK:
            raise ValueError("too many large frequency tables")
        if self.strength is not None and self.limit > MAX_LEARNED:
            raise ValueError("too large a frequency table to learn")


@cached_by_size(512, 16, lambda scale, limit, *_: is_large(scale, limit))
def _table(scale: int, limit: int, shape: int, modulation: tuple[int, ...], period: int) -> Counts:
    if shape == LAPLACE:
        weights = laplace_counts(scale, limit)
    elif shape == 0:
        weights = gaussian_counts(scale, limit)
    else:
        weights = np.zeros(2 * limit + 1, np.int64)
        for place, share in enumerate(SHARES):
            near = min(255, max(0, scale + (place - 2) * SPREADS[shape]))
            weights += share * gaussian_counts(near, limit)
    if period > 1:
        weights = weights * np.array(modulation)[distances(limit, period)]
    counts = counts_from_weights(weights, remainder=limit)
    counts.flags.writeable = False
    return counts


def distances(limit: int, period: int) -> Ints:
    """Return the distance of each of -limit..limit from the nearest multiple of the period."""
    places = np.arange(-limit, limit + 1)
    return np.minimum(places % period, -places % period)


def scaled_axes(axes: Axes) -> list[int]:
    """Return the axes that may have offsets: those whose elements are not single symbols."""
    size = axes[0] * axes[1] * axes[2]
    return [axis for axis in range(3) if 1 < axes[axis] < size]


def encode_natural(coder: SymbolEncoder, value: int) -> None:
    """Code a number from 0 to 65535: its length in bits, then the bits below the highest."""
    bits = value.bit_length()
    coder.uniform([bits], 17)
    if bits > 1:
        coder.uniform([value - (1 << bits - 1)], 1 << bits - 1)


def decode_natural(coder: SymbolDecoder) -> int:
    """Read :func:`encode_natural`."""
    bits = int(coder.uniform(1, 17)[0])
    if bits < 2:
        return bits
    return (1 << bits - 1) + int(coder.uniform(1, 1 << bits - 1)[0])


def middle_of(values: Ints) -> int:
    """Return the median, or the middle of the extremes where one is more than 32767 away."""
    middle = int(np.median(values))
    if np.abs(values - middle).max() > LARGEST:
        middle = int(values.min() + values.max()) // 2
    return middle


def encode_list(coder: SymbolEncoder, values: Ints) -> None:
    """Code a list of like numbers in ±32767: a middle one, then the differences from it."""
    middle = middle_of(values)
    encode_natural(coder, 2 * middle if middle >= 0 else -2 * middle - 1)
    if len(values) == 1:
        return
    rest = values - middle
    bits = int(np.abs(rest).max()).bit_length()
    coder.uniform([bits], 16)
    if bits:
        limit = (1 << bits) - 1
        scale = min(63, round(scale_for(rest, limit) / LIST_SCALE))
        coder.uniform([scale], 64)
        coder.gaussian(rest, LIST_SCALE * scale, limit)


def decode_list(coder: SymbolDecoder, count: int) -> Ints:
    """Read :func:`encode_list`: ``(count,)`` numbers within ±2^16."""
    folded = decode_natural(coder)
    values = np.full(count, folded >> 1 if folded % 2 == 0 else -(folded + 1 >> 1), np.int64)
    if count > 1:
        bits = int(coder.uniform(1, 16)[0])
        if bits:
            scale = LIST_SCALE * int(coder.uniform(1, 64)[0])
            values += coder.gaussian(count, scale, (1 << bits) - 1)
    return values


def encode_array(coder: SymbolEncoder, array: Ints, coding: Coding) -> None:
    """Code an array ``(A, B, C)`` of symbols in ±32767 as its coding says.

    Raises:
        ValueError: the coding does not fit the array.
    """
    coder.uniform([coding.bits], 16)
    if not coding.bits:
        return
    coding.check(array.shape)
    coder.uniform([coding.base], 256)
    for axis in scaled_axes(array.shape):
        coder.uniform([int(coding.offsets[axis] is not None)], 2)
    coder.uniform([coding.shape], NUM_SHAPES)
    coder.uniform([int(coding.period > 1)], 2)
    if coding.period > 1:
        coder.uniform([coding.period - 2], MAX_PERIOD - 1)
        coder.uniform(np.array(coding.modulation) - 1, 256)
    coder.uniform([0 if coding.strength is None else STRENGTHS.index(coding.strength) + 1], 8)
    for offsets in coding.offsets:
        if offsets is not None:
            encode_list(coder, offsets)
    symbols = array.ravel() + coding.limit
    for scale, places in coding.groups(array.shape):
        if coding.strength is None:
            coder.counts(symbols[places], coding.table(scale))
        else:
            coder.learned(symbols[places], coding.table(scale), coding.strength)


def decode_array(coder: SymbolDecoder, axes: Axes, name: str) -> Ints:
    """Read :func:`encode_array`: int64 ``axes``.

    Raises:
        DamagedError: the data cannot have come from the encoder.
    """
    coding = _decode_coding(coder, axes)
    if not coding.bits:
        return np.zeros(axes, np.int64)
    try:
        coding.check(axes)
    except ValueError as error:
        raise DamagedError(f"{name}: an array is damaged: {error}") from error
    symbols = np.zeros(axes[0] * axes[1] * axes[2], np.int64)
    for scale, places in coding.groups(axes):
        count = symbols[places].size
        for kind, part in coding.mixed(scale):
            coder.makes(kind, part, coding.limit)
        if coding.strength is None:
            symbols[places] = coder.counts(count, coding.table(scale))
        else:
            symbols[places] = coder.learned(count, coding.table(scale), coding.strength)
    return symbols.reshape(axes) - coding.limit


def _decode_coding(coder: SymbolDecoder, axes: Axes) -> Coding:
    bits = int(coder.uniform(1, 16)[0])
    if not bits:
        return Coding(0)
    base = int(coder.uniform(1, 256)[0])
    chosen = [axis for axis in scaled_axes(axes) if coder.uniform(1, 2)[0]]
    coding = Coding(bits, base, shape=int(coder.uniform(1, NUM_SHAPES)[0]))
    if coder.uniform(1, 2)[0]:
        period = 2 + int(coder.uniform(1, MAX_PERIOD - 1)[0])
        weights = coder.uniform(period // 2 + 1, 256) + 1
        coding = replace(coding, period=period, modulation=tuple(int(w) for w in weights))
    strength = int(coder.uniform(1, 8)[0])
    if strength:
        coding = replace(coding, strength=STRENGTHS[strength - 1])
    first, second, third = (
        decode_list(coder, axes[axis]) if axis in chosen else None for axis in range(3)
    )
    return replace(coding, offsets=(first, second, third))
