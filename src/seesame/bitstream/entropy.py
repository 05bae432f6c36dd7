"""Entropy coding of integers with constriction's range coder.

The coder is constriction's ``queue.RangeEncoder`` (word 32 bits, state 64 bits, precision 24
bits; R. Bamler, "Understanding Entropy Coding With Asymmetric Numeral Systems", 2022, and the
crate's documentation). Tables come from :mod:`seesame.bitstream.tables` as integer counts and
reach constriction in a form in which its own conversion is exact, see :func:`_model`.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import constriction
import numpy as np
from numpy.typing import ArrayLike, NDArray

from seesame.bitstream.adaptive import Adaptive, Learned, check_strength
from seesame.bitstream.tables import (
    MAX_LIMIT,
    NUM_SCALES,
    TOTAL,
    Counts,
    gaussian_counts,
    is_large,
    laplace_counts,
    sigma,
)
from seesame.bounds import BOUNDS, cached_by_size
from seesame.errors import DamagedError

__all__ = [
    "MAX_LIMIT",
    "TOTAL",
    "Counts",
    "SymbolDecoder",
    "SymbolEncoder",
    "cost_bits",
    "gaussian_counts",
    "laplace_counts",
    "scale_for",
    "sigma",
]

Symbols = NDArray[np.int32]
Table = Callable[[int, int], Counts]
"""Makes the counts of a symmetric alphabet from a scale index and a limit."""

MAX_UNIFORM = TOTAL
MAX_ADAPTIVE = 1 << 16
MAX_SYMBOLS = 1 << 27
"""Most symbols one call decodes, so that a damaged count cannot exhaust the memory."""

_MAX_COUNTS = 2 * MAX_LIMIT + 1
_CHUNK = 1 << 16
_UNIFORM_BITS = 12


def cost_bits(symbols: ArrayLike, counts: Counts, limit: int) -> float:
    """Return the ideal size in bits of symbols in -limit..limit, without the coder's overhead.

    Raises:
        ValueError: a symbol is out of range.
    """
    values = _checked(symbols, -limit, limit)
    bits: float = np.log2(TOTAL / counts)[values + limit].sum()
    return float(bits)


def scale_for(symbols: ArrayLike, limit: int | None = None, laplace: bool = False) -> int:
    """Return the scale index whose table codes these symbols in the fewest bits.

    Every one of the 256 scales is tried in float arithmetic; the best four are then compared by
    the cost of their real tables. Floats are harmless here: only the encoder runs this.

    Args:
        symbols: integers.
        limit: bound of the alphabet, by default the largest magnitude among the symbols.
        laplace: for the Laplace tables instead of the Gaussian ones.

    Raises:
        ValueError: a symbol exceeds the limit, or the limit exceeds 32768.
    """
    values = np.abs(np.asarray(symbols, dtype=np.int64)).ravel()
    largest = int(values.max(initial=0))
    limit = largest if limit is None else limit
    if largest > limit or limit > MAX_LIMIT:
        raise ValueError(f"symbols reach {largest}, the limit is {limit} (at most {MAX_LIMIT})")
    if limit == 0 or not len(values):
        return 0
    sizes, times = np.unique(values, return_counts=True)
    density = _densities(sizes, laplace) / _normalisers(limit, laplace)[:, None]
    counts = 1 + np.floor(density * (TOTAL - (2 * limit + 1)))
    rough = -(np.log2(counts) @ times)
    table = laplace_counts if laplace else gaussian_counts
    best = sorted(int(scale) for scale in np.argsort(rough, kind="stable")[:4])
    exact = [
        float((np.log2(TOTAL / table(scale, limit))[sizes + limit] * times).sum()) for scale in best
    ]
    return best[int(np.argmin(exact))]


def _densities(sizes: NDArray[np.int64], laplace: bool) -> NDArray[np.float64]:
    """Return unnormalised probabilities ``(256, len(sizes))`` of magnitudes, for every scale."""
    widths = 2.0 ** (np.arange(NUM_SCALES) / 8 - 4)[:, None]
    exponent = sizes / widths if laplace else 0.5 * (sizes / widths) ** 2
    densities: NDArray[np.float64] = np.exp(-exponent)
    return densities


@lru_cache(maxsize=64)
def _normalisers(limit: int, laplace: bool) -> NDArray[np.float64]:
    """Return sum of the unnormalised probabilities over -limit..limit, for every scale."""
    total = np.ones(NUM_SCALES)
    for start in range(1, limit + 1, 4096):
        sizes = np.arange(start, min(start + 4096, limit + 1))
        total += 2 * _densities(sizes, laplace).sum(axis=1)
    return total


def _model(counts: Counts) -> Any:
    """Return a constriction model with exactly these counts (at least two of them).

    ``Categorical(p, perfect=False)`` starts symbol i at ``floor(sum(p[:i]) * s) + i`` with
    ``s = (2**24 - n) / sum(p)``. With ``p = counts - 1`` the sum is ``2**24 - n``, so s is exactly
    1, every partial sum is an exact float64 integer, and symbol i starts at ``sum(counts[:i])``.
    """
    return constriction.stream.model.Categorical((counts - 1).astype(np.float64), perfect=False)


@cached_by_size(2048, 32, lambda table, scale, limit: is_large(scale, limit))
def _symmetric_model(table: Table, scale: int, limit: int) -> Any:
    return _model(table(scale, limit))


@lru_cache(maxsize=1024)
def _uniform_model(size: int) -> Any:
    return constriction.stream.model.Uniform(size)


def _uniform_shift(size: int) -> int:
    """Return the low bits that are coded apart: a large alphabet in one step wastes rate."""
    return max(0, (size - 1).bit_length() - _UNIFORM_BITS)


class SymbolEncoder:
    """The encoder of arrays of integers, one call after another, into one string of bytes.

    Nothing about the calls is stored: the decoder must make the same ones. Arrays may have any
    shape and integer type and are coded in C order. Arguments out of range are a ValueError.
    """

    def __init__(self) -> None:
        self._encoder = constriction.stream.queue.RangeEncoder()

    def gaussian(self, symbols: ArrayLike, scale: int, limit: int) -> None:
        """Code symbols in -limit..limit with :func:`gaussian_counts`."""
        self._symmetric(symbols, limit, gaussian_counts, scale)

    def laplace(self, symbols: ArrayLike, scale: int, limit: int) -> None:
        """Code symbols in -limit..limit with :func:`laplace_counts`."""
        self._symmetric(symbols, limit, laplace_counts, scale)

    def _symmetric(self, symbols: ArrayLike, limit: int, table: Table, scale: int) -> None:
        values = _checked(symbols, -limit, limit)
        _check_scale_limit(scale, limit)
        if limit:
            self._encode(values + np.int32(limit), _symmetric_model(table, scale, limit))

    def uniform(self, symbols: ArrayLike, size: int) -> None:
        """Code symbols in 0..size-1, all equally likely; size 1..2**24."""
        _check_size(size, MAX_UNIFORM)
        values = _checked(symbols, 0, size - 1)
        shift = _uniform_shift(size)
        top = (size - 1 >> shift) + 1
        if top > 1:
            self._encode(values >> shift, _uniform_model(top))
        if shift:
            self._encode(values & ((1 << shift) - 1), _uniform_model(1 << shift))

    def adaptive(self, symbols: ArrayLike, size: int) -> None:
        """Code symbols in 0..size-1 (size 1..65536) with frequencies learnt on the way.

        Each call starts learning anew.
        """
        _check_size(size, MAX_ADAPTIVE)
        values = _checked(symbols, 0, size - 1)
        if size > 1:
            self._learn(values, Adaptive(size))

    def learned(self, symbols: ArrayLike, counts: Counts, strength: int) -> None:
        """Code symbols in 0..len(counts)-1 with a table that starts as ``counts`` and learns.

        The start is worth ``2 ** strength`` symbols, strength 0..20. Each call starts anew.
        """
        values = _checked(symbols, 0, len(counts) - 1)
        _check_counts(counts)
        table = Learned(counts, strength)
        if len(counts) > 1:
            self._learn(values, table)

    def _learn(self, values: Symbols, table: Adaptive) -> None:
        start = 0
        for block in table.blocks(len(values)):
            part = values[start : start + block]
            self._encode(part, _model(table.counts()))
            table.update(part)
            start += block

    def counts(self, symbols: ArrayLike, counts: Counts) -> None:
        """Code symbols in 0..len(counts)-1 with any table of integer counts."""
        values = _checked(symbols, 0, len(counts) - 1)
        _check_counts(counts)
        if len(counts) > 1:
            self._encode(values, _model(counts))

    def _encode(self, symbols: Symbols, model: Any) -> None:
        if len(symbols):
            self._encoder.encode(np.ascontiguousarray(symbols, np.int32), model)

    def to_bytes(self) -> bytes:
        """Return the coded bytes: the shortest that can follow those already settled.

        constriction ends with whole 32-bit words that hold whatever comes after them. A section
        knows its length and reads as followed by zeros, so that one byte is often enough.
        """
        settled, (lower, size) = self._encoder.pos()
        words: bytes = self._encoder.get_compressed().astype(">u4").tobytes()
        length = 4 * settled + 8
        point = int.from_bytes(words.ljust(length, b"\0")[:length], "big")
        # The coder's interval is [low, low + size) in units of its last bit; ``lower`` holds the
        # last 64 bits of low, without the carries that the words already have.
        low = point - ((point - lower) & 0xFFFF_FFFF_FFFF_FFFF)
        for kept in range(5):
            unit = 8 * (8 - kept)
            shortest = -(-low >> unit)
            if shortest << unit < low + size:
                return int(shortest).to_bytes(4 * settled + kept, "big")
        raise AssertionError("a range coder's interval always holds a multiple of 2**32")


class SymbolDecoder:
    """The mirror image of :class:`SymbolEncoder`: the same calls, counts instead of symbols.

    Args:
        data: what :meth:`SymbolEncoder.to_bytes` returned.
        name: what errors call the data, for instance the file's path.

    All methods return int32 ``(count,)`` and raise :class:`DamagedError` when the data cannot
    have come from the encoder or an argument (which may come from the file too) is out of range.
    """

    def __init__(self, data: bytes, name: str = "file") -> None:
        self._data = data
        self._name = name
        words = np.frombuffer(data.ljust(-(-len(data) // 4) * 4, b"\0"), ">u4")
        self._decoder = constriction.stream.queue.RangeDecoder(words.astype(np.uint32))
        self._made: set[tuple[Table, int, int]] = set()
        self._entries = 0
        # Coding again what was decoded shows how much of the data is used, and is cheap.
        self._mirror = SymbolEncoder()

    def gaussian(self, count: int, scale: int, limit: int) -> Symbols:
        """Decode ``count`` symbols of :meth:`SymbolEncoder.gaussian`."""
        return self._symmetric(count, limit, gaussian_counts, scale)

    def laplace(self, count: int, scale: int, limit: int) -> Symbols:
        """Decode ``count`` symbols of :meth:`SymbolEncoder.laplace`."""
        return self._symmetric(count, limit, laplace_counts, scale)

    def _symmetric(self, count: int, limit: int, table: Table, scale: int) -> Symbols:
        self._check(count, lambda: _check_scale_limit(scale, limit))
        if not limit:
            return np.zeros(count, np.int32)
        self.makes(table, scale, limit)
        return self._decode(count, _symmetric_model(table, scale, limit)) - np.int32(limit)

    def uniform(self, count: int, size: int) -> Symbols:
        """Decode ``count`` symbols of :meth:`SymbolEncoder.uniform`."""
        self._check(count, lambda: _check_size(size, MAX_UNIFORM))
        shift = _uniform_shift(size)
        top = (size - 1 >> shift) + 1
        values = np.zeros(count, np.int32)
        if top > 1:
            values = self._decode(count, _uniform_model(top)) << shift
        if shift:
            values |= self._decode(count, _uniform_model(1 << shift))
        if values.max(initial=0) >= size:
            raise self._damaged("a symbol is out of range")
        return values

    def adaptive(self, count: int, size: int) -> Symbols:
        """Decode ``count`` symbols of :meth:`SymbolEncoder.adaptive`."""
        self._check(count, lambda: _check_size(size, MAX_ADAPTIVE))
        if size == 1:
            return np.zeros(count, np.int32)
        return self._learn(count, Adaptive(size))

    def learned(self, count: int, counts: Counts, strength: int) -> Symbols:
        """Decode ``count`` symbols of :meth:`SymbolEncoder.learned`."""
        self._check(count, lambda: _check_counts(counts))
        self._check(count, lambda: check_strength(strength))
        if len(counts) == 1:
            return np.zeros(count, np.int32)
        return self._learn(count, Learned(counts, strength))

    def _learn(self, count: int, table: Adaptive) -> Symbols:
        parts = [np.zeros(0, np.int32)]
        for block in table.blocks(count):
            counts = table.counts()
            self._spend(len(counts))
            parts.append(self._decode(block, _model(counts)))
            table.update(parts[-1])
        return np.concatenate(parts)

    def counts(self, count: int, counts: Counts) -> Symbols:
        """Decode ``count`` symbols of :meth:`SymbolEncoder.counts`."""
        self._check(count, lambda: _check_counts(counts))
        if len(counts) == 1:
            return np.zeros(count, np.int32)
        self._spend(len(counts))
        return self._decode(count, _model(counts))

    def makes(self, table: Table, scale: int, limit: int) -> None:
        """Say that a symmetric table is about to be made; one that was made before costs nothing.

        Raises:
            DamagedError: the data ask for more tables than :data:`~seesame.bounds.BOUNDS` allows.
        """
        if (table, scale, limit) not in self._made:
            self._made.add((table, scale, limit))
            self._spend(BOUNDS.symmetric_cost * (limit + 1))

    def _spend(self, entries: int) -> None:
        """Count entries of tables. Raises DamagedError where there are too many."""
        self._entries += entries
        if self._entries > BOUNDS.table_entries:
            raise self._damaged("they ask for too many large frequency tables")

    def used(self) -> int:
        """Return bytes that the symbols decoded so far would take by themselves."""
        return len(self._mirror.to_bytes())

    def finish(self) -> None:
        """Check that the data end where the encoder would have ended them.

        Raises:
            DamagedError: bytes are missing, left over or not what the encoder would have written.
        """
        if self._mirror.to_bytes() != self._data:
            raise self._damaged("they do not end where their symbols end")

    def _decode(self, count: int, model: Any) -> Symbols:
        parts = [np.zeros(0, np.int32)]
        for start in range(0, count, _CHUNK):
            try:
                part = self._decoder.decode(model, min(_CHUNK, count - start))
            except (AssertionError, ValueError) as error:
                raise self._damaged("they are no range coder's output") from error
            self._mirror._encode(part, model)
            settled, _ = self._mirror._encoder.pos()
            if 4 * settled > len(self._data):
                raise self._damaged("they end too early")
            parts.append(part)
        return np.concatenate(parts) if count != len(parts[-1]) else parts[-1]

    def _check(self, count: int, check: Callable[[], None]) -> None:
        if not 0 <= count <= MAX_SYMBOLS:
            raise self._damaged(f"they claim {count} symbols")
        try:
            check()
        except ValueError as error:
            raise self._damaged(str(error)) from error

    def _damaged(self, what: str) -> DamagedError:
        return DamagedError(f"{self._name}: the entropy coded data are damaged: {what}")


def _checked(symbols: ArrayLike, least: int, most: int) -> Symbols:
    """Return the symbols as a flat int32 array, all within least..most."""
    values = np.asarray(symbols).ravel()
    if not len(values):
        return np.zeros(0, np.int32)
    if values.dtype.kind not in "iu":
        raise ValueError(f"symbols must be integers, not {values.dtype}")
    if int(values.min()) < least or int(values.max()) > most:
        raise ValueError(f"symbols {values.min()}..{values.max()} are not in {least}..{most}")
    return values.astype(np.int32)


def _check_scale_limit(scale: int, limit: int) -> None:
    if not 0 <= scale < NUM_SCALES or not 0 <= limit <= MAX_LIMIT:
        raise ValueError(f"scale {scale} or limit {limit} is out of range")


def _check_size(size: int, most: int) -> None:
    if not 1 <= size <= most:
        raise ValueError(f"an alphabet of {size} symbols is not in 1..{most}")


def _check_counts(counts: Counts) -> None:
    if not 1 <= len(counts) <= _MAX_COUNTS or counts.min() < 1 or int(counts.sum()) != TOTAL:
        raise ValueError(f"the counts are not 1 to {_MAX_COUNTS} positive ones that sum to 2**24")
