"""A second decoder, written from docs/format.md alone: plain Python integers, no constriction.

It keeps the format page honest and shows that symbols need no float and no library to decode.
"""

from collections.abc import Sequence

TOTAL = 1 << 24


class RangeDecoder:
    """The range decoder of docs/format.md."""

    def __init__(self, data: bytes) -> None:
        self._words = [
            int.from_bytes(data[i : i + 4].ljust(4, b"\0"), "big") for i in range(0, len(data), 4)
        ]
        self._next = 2
        self._offset = self._word(0) << 32 | self._word(1)  # point - lower
        self._range = (1 << 64) - 1

    def _word(self, index: int) -> int:
        return self._words[index] if index < len(self._words) else 0

    def symbol(self, counts: Sequence[int]) -> int:
        scale = self._range >> 24
        quantile = self._offset // scale
        assert quantile < TOTAL, "damaged"
        symbol = start = 0
        while quantile >= start + counts[symbol]:
            start += counts[symbol]
            symbol += 1
        self._offset -= scale * start
        self._range = scale * counts[symbol]
        if self._range < 1 << 32:
            self._range <<= 32
            self._offset = self._offset << 32 | self._word(self._next)
            self._next += 1
        return symbol

    def uniform(self, count: int, size: int) -> list[int]:
        shift = max(0, (size - 1).bit_length() - 12)
        high = self._evenly(count, ((size - 1) >> shift) + 1)
        low = self._evenly(count, 1 << shift)
        return [(top << shift) + rest for top, rest in zip(high, low, strict=True)]

    def _evenly(self, count: int, size: int) -> list[int]:
        if size == 1:
            return [0] * count
        counts = [TOTAL // size] * size
        counts[-1] += TOTAL % size
        return [self.symbol(counts) for _ in range(count)]

    def adaptive(self, count: int, size: int) -> list[int]:
        weights = [max(1, min(16, 64 // size))] * size
        out: list[int] = []
        while len(out) < count:
            block = min(1 + min(len(out) // 16, 4095), count - len(out))
            table = share(weights, weights.index(max(weights)))
            for _ in range(block):
                out.append(self.symbol(table))
            for symbol in out[-block:]:
                weights[symbol] += 32
            while sum(weights) >= 1 << 20:
                weights = [(w + 1) >> 1 for w in weights]
        return out

    def learned(self, count: int, table: Sequence[int], strength: int) -> list[int]:
        weights = list(table)
        out: list[int] = []
        while len(out) < count:
            block = min(1 + min(len(out) // 32, 4095), count - len(out))
            now = share(weights, weights.index(max(weights)))
            for _ in range(block):
                out.append(self.symbol(now))
            for symbol in out[-block:]:
                weights[symbol] += TOTAL >> strength
            while sum(weights) >= 1 << 38:
                weights = [(w + 1) >> 1 for w in weights]
        return out


def share(weights: Sequence[int], remainder: int) -> list[int]:
    free, total = TOTAL - len(weights), sum(weights)
    counts = [1 + w * free // total for w in weights]
    counts[remainder] += TOTAL - sum(counts)
    return counts


def root(value: int) -> int:
    """Square root of a number in units of 2**-96, rounded down, by bisection."""
    low, high = 0, 1 << 100
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if middle * middle <= value << 96 else (low, middle)
    return low


def exponential(eighths: int) -> int:
    roots = {4: root(2 << 96)}
    roots[2] = root(roots[4])
    roots[1] = root(roots[2])
    x = 1 << 96
    for bit in (4, 2, 1):
        if eighths % 8 & bit:
            x = x * roots[bit] >> 96
    halvings = max(0, eighths // 8 + 2)
    x >>= halvings - eighths // 8
    value = term = 1 << 96
    for n in range(1, 40):
        term = (term * x >> 96) // n
        value += (-1) ** n * term
    for _ in range(halvings):
        value = value * value >> 96
    return value >> 32


def symmetric(scale: int, limit: int, laplace: bool) -> list[int]:
    ratio = exponential(32 - scale if laplace else 56 - 2 * scale)
    change = 1 << 64 if laplace else ratio * ratio >> 64
    values = [1 << 64]
    for _ in range(limit):
        values.append(values[-1] * ratio >> 64)
        ratio = ratio * change >> 64
    half = [value >> 32 for value in values]
    return share(half[:0:-1] + half, limit)
