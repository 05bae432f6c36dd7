"""The goal of a search: which of its trials is the best; the Pareto front."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from seesame.jobs.trial import Trial
from seesame.metric.limits import Limits
from seesame.metric.rates import front

BEYOND = 100.0
"""Added for a file beyond the limits: more than the logarithm of any score or size."""
LEAST = 1e-9
"""Smallest value of a measure, before its logarithm is taken."""


@dataclass(frozen=True)
class Goal:
    """The lowest score; or, with limits on distortion, the smallest file; or, with a limit on bytes
    alone, the lowest distortion.

    Args:
        limits: bounds that a file has to keep.
    """

    limits: Limits

    @property
    def measure(self) -> str:
        """The figure to minimise among files that keep the limits: bytes, distortion or score."""
        if self.limits.on_distortion:
            return "bytes"
        return "score" if self.limits.bytes is None else "distortion"

    def value(self, trial: Trial) -> float:
        """Return the measure of a trial."""
        values = {"bytes": trial.bytes, "distortion": trial.distortion}
        return values.get(self.measure, trial.score.total)

    def excess(self, trial: Trial) -> float:
        """Return how far a trial is beyond the limits; 0 if it keeps all.

        A file that is no smaller than its source keeps nothing that the source does not.
        """
        beyond = self.limits.excess(trial.judged) if self.limits.given else 0.0
        return beyond + larger(trial.bytes, trial.source_bytes)

    def kept(self, trial: Trial) -> bool:
        """Return whether a trial keeps all limits."""
        return self.excess(trial) == 0

    def rank(self, trial: Trial) -> tuple[float, float]:
        """Return how far a trial is beyond the limits, then its measure; lower is better."""
        return self.excess(trial), self.value(trial)

    def penalised(self, trial: Trial) -> float:
        """Return the measure's logarithm, far above all others for a file beyond the limits."""
        excess, value = self.rank(trial)
        return BEYOND + excess if excess else math.log(max(value, LEAST))

    def best(self, trials: Iterable[Trial]) -> Trial | None:
        """Return the best of some trials; None where there are none."""
        return min(trials, key=self.rank, default=None)

    def __str__(self) -> str:
        if not self.limits.given:
            return "lowest score"
        what = "fewest bytes" if self.limits.on_distortion else "lowest distortion"
        return f"{what} with {self.limits}"


def larger(size: float, source_bytes: int) -> float:
    """Return by which share of the source a file reaches beyond it; 0 for a smaller file."""
    return 0.0 if size < source_bytes else (size - source_bytes + 1) / source_bytes


def pareto_front(trials: Iterable[Trial]) -> list[Trial]:
    """Return the trials that no other beats in bytes and distortion at once, by bytes."""
    return front.pareto_front(trials, lambda trial: (trial.bytes, trial.distortion))
