"""A few trials at one frame size, and what they foretell of other qualities at that size."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from seesame.jobs.trial import Trial
from seesame.metric.limits import Limits
from seesame.search.goal import Goal
from seesame.search.within.cheapest import level


class Look:
    """Trials at one frame size, by CRF; logarithms of their figures are taken to be linear in it.

    Args:
        scale: the frame size.
        found: the trials.
        limits: what they have to keep.
    """

    def __init__(self, scale: float, found: Mapping[int, Trial], limits: Limits) -> None:
        self.scale, self.found, self.goal = scale, found, Goal(limits)

    def crf(self, crfs: Sequence[int]) -> int:
        """Return the CRF that does best by the goal."""
        if not self.goal.limits.given or len(self.found) == 1:
            return min(self.found, key=lambda crf: self.goal.rank(self.found[crf]))
        slope, start = self._line(lambda trial: level(self.goal.limits, trial))
        if not slope:
            return min(self.found)
        return int(min(max(math.floor(-start / slope), crfs[0]), crfs[-1]))

    def value(self, crfs: Sequence[int]) -> tuple[float, float]:
        """Return by how much the best CRF misses the limits, then what the goal minimises there."""
        crf = self.crf(crfs)
        if len(self.found) == 1 or not self.goal.limits.given:
            trial = self.found[crf]
            return self.goal.rank(trial)
        slope, start = self._line(lambda trial: level(self.goal.limits, trial))
        most, least = self._line(lambda trial: math.log(max(self.goal.value(trial), 1e-9)))
        return max(0.0, slope * crf + start - 1e-6), most * crf + least

    def log_bytes(self, crf: int) -> float:
        """Return the logarithm of the size with a CRF."""
        if len(self.found) == 1:
            return math.log(next(iter(self.found.values())).bytes)
        slope, start = self._line(lambda trial: math.log(trial.bytes))
        return slope * crf + start

    def _line(self, value: Callable[[Trial], float]) -> tuple[float, float]:
        crfs = sorted(self.found)
        slope, start = np.polyfit(crfs, [value(self.found[crf]) for crf in crfs], 1)
        return float(slope), float(start)


def relaxed(limits: Limits, factor: float) -> Limits:
    """Return limits whose bounds on distortions are larger by a factor."""
    means = {
        name: factor * bound
        for name in ("seg", "pose")
        if (bound := getattr(limits, name)) is not None
    }
    more = tuple(bound._replace(most=factor * bound.most) for bound in limits.more)
    return replace(limits, **means, more=more)
