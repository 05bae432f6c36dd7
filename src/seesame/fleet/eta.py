"""An estimate of the time that the rest of a run takes, from the clips that have ended."""

import math
from dataclasses import dataclass, field

LEAST = 3
"""Clips that must have ended before anything is said."""
SPREAD = 1.64
"""Standard deviations on either side: nine of ten normal values lie within."""


@dataclass
class Pace:
    """The seconds of work on clips of so many bytes.

    The rest is estimated by the ratio of seconds to bytes. The interval holds the scatter of single
    clips about that ratio twice: as the error of the ratio, and as the luck of the clips to come.

    Args:
        workers: that work at once.
        ended: bytes and seconds of every clip that has ended.
    """

    workers: int
    ended: list[tuple[int, float]] = field(default_factory=list)

    def add(self, size: int, seconds: float) -> None:
        """Add a clip that has ended."""
        self.ended.append((size, seconds))

    def left(self, sizes: list[int]) -> tuple[float, float] | None:
        """Return the shortest and the longest time in seconds that clips of these sizes may take.

        Args:
            sizes: bytes of each clip that is not yet ended.

        Returns:
            Wall time with all workers at work; None while too few clips have ended.
        """
        known, whole = len(self.ended), sum(size for size, _ in self.ended)
        if known < LEAST or not whole:
            return None
        ratio = sum(seconds for _, seconds in self.ended) / whole
        errors = [seconds - ratio * size for size, seconds in self.ended]
        variance = sum(error**2 for error in errors) / (known - 1)
        rest = sum(sizes)
        of_ratio = (rest / whole) ** 2 * known * variance
        work, error = ratio * rest, math.sqrt(of_ratio + len(sizes) * variance)
        # The last clips cannot be shared: the longest one takes its time whatever the workers.
        longest = ratio * max(sizes, default=0)
        least = max(work - SPREAD * error, 0.5 * work) / self.workers
        most = (work + SPREAD * error) / self.workers + longest * (1 - 1 / self.workers)
        return least, most
