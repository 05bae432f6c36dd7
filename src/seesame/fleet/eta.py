"""An estimate of the time that the rest of a run takes, from the clips that have ended."""

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

LEAST = 3
"""Clips that must have ended before anything is said."""
SPREAD = 1.64
"""Standard deviations on either side: nine of ten normal values lie within."""


class Left:
    """The clips that have not ended, as far as the estimate needs them; a step takes no time.

    Args:
        sizes: bytes of each.
    """

    def __init__(self, sizes: Iterable[int]) -> None:
        self._sizes = Counter(sizes)
        self._falling = sorted(self._sizes)
        self.count = self._sizes.total()
        self.bytes = sum(size * count for size, count in self._sizes.items())
        self._all = self.bytes or 1

    def take(self, size: int) -> None:
        """Take out a clip of this size, which has ended."""
        self._sizes[size] -= 1
        self.count -= 1
        self.bytes -= size

    @property
    def done(self) -> float:
        """The share of all bytes that has ended."""
        return 1 - self.bytes / self._all

    @property
    def longest(self) -> int:
        """Bytes of the largest clip that is left; 0 where none is."""
        while self._falling and not self._sizes[self._falling[-1]]:
            self._falling.pop()
        return self._falling[-1] if self._falling else 0


@dataclass
class Pace:
    """The seconds of work on clips of so many bytes.

    The rest is estimated by the ratio of seconds to bytes. The interval holds the scatter of single
    clips about that ratio twice: as the error of the ratio, and as the luck of the clips to come.

    Args:
        workers: that work at once.
    """

    workers: int
    known: int = 0
    """Clips that have ended; the sums below are over these."""
    bytes: int = 0
    seconds: float = 0.0
    _squares: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Of seconds, of seconds times bytes, of bytes."""

    def add(self, size: int, seconds: float) -> None:
        """Add a clip that has ended."""
        self.known, self.bytes, self.seconds = (
            self.known + 1,
            self.bytes + size,
            self.seconds + seconds,
        )
        ss, sb, bb = self._squares
        self._squares = ss + seconds**2, sb + seconds * size, bb + float(size) ** 2

    def left(self, rest: Left) -> tuple[float, float] | None:
        """Return the shortest and the longest time in seconds that the rest may take.

        Args:
            rest: the clips that have not ended.

        Returns:
            Wall time with all workers at work; None while too few clips have ended.
        """
        if self.known < LEAST or not self.bytes:
            return None
        ratio = self.seconds / self.bytes
        ss, sb, bb = self._squares
        variance = max(0.0, ss - 2 * ratio * sb + ratio**2 * bb) / (self.known - 1)
        of_ratio = (rest.bytes / self.bytes) ** 2 * self.known * variance
        work, error = ratio * rest.bytes, math.sqrt(of_ratio + rest.count * variance)
        # The last clips cannot be shared: the longest one takes its time whatever the workers.
        longest = ratio * rest.longest
        least = max(work - SPREAD * error, 0.5 * work) / self.workers
        most = (work + SPREAD * error) / self.workers + longest * (1 - 1 / self.workers)
        return least, most
