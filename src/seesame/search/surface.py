"""A response surface of one codec: what bytes and distortions all of its settings would have.

The logarithms of bytes and of both distortions are fitted by ridge regression to a quadratic in the
long axes (quality, scale) and steps for all others (Box and Wilson 1951, "On the experimental
attainment of optimum conditions"). Trials near the best count most: there it is to be true.
"""

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seesame.jobs.trial import Trial
from seesame.search.goal import BEYOND, LEAST, Goal
from seesame.search.space import Axis, Settings, Space, complete

Floats = NDArray[np.float64]
Places = NDArray[np.int64]
LONG = 8
"""An axis with so many numbers gets a curve, a shorter one a step for every value."""
MOST_POINTS = 120_000
"""Of the space: more are thinned out at random."""
RIDGE = 0.03
"""Pulls steps towards nothing, in units of one trial's weight."""
REACH = 0.15
"""A trial whose logarithmic score is so far from the best counts 1/e of it."""
LEAST_WEIGHT = 0.03
CURIOSITY = 0.01
"""By how much (logarithmic) a value that was never tried is thought better than predicted."""
BOUND = 3.0
"""What a whole limit's worth beyond it counts in that."""
TINY = 1e-7
"""Added to distortions before their logarithm is taken."""


class Surface:
    """What is predicted for every setting of a space.

    Args:
        space: of one codec.
        seed: of the thinning, where the space has more than ``MOST_POINTS``.
    """

    def __init__(self, space: Space, seed: int = 0) -> None:
        self.space = space
        sizes = [len(axis.values) for axis in space.axes]
        if math.prod(sizes) <= MOST_POINTS:
            places = np.indices(sizes).reshape(len(sizes), -1).T
        else:
            random = np.random.default_rng(seed)
            drawn = [random.integers(size, size=MOST_POINTS) for size in sizes]
            places = np.unique(np.stack(drawn, 1), axis=0)
        self.places: Places = places
        self._features = _features(space.axes, self.places)

    def settings(self, point: int) -> Settings:
        """All settings of a point."""
        pairs = zip(self.space.axes, self.places[point], strict=True)
        return complete(self.space.codec, {axis.name: axis.values[i] for axis, i in pairs})

    def predict(self, trials: Sequence[Trial], goal: Goal) -> Floats | None:
        """``goal.penalised`` of every point; None where too few of the trials are on the axes.

        Args:
            trials: of this codec.
            goal: what is minimised; says which trials are near the best.
        """
        places, known = [], []
        for trial in trials:
            place = _place(self.space.axes, trial.settings)
            if place is not None:
                places.append(place)
                known.append(trial)
        if len(known) < 3:
            return None
        at: Places = np.array(places)
        weights = _weights([goal.rank(trial) for trial in known])
        logs = np.array(
            [(math.log(t.bytes), math.log(t.seg + TINY), math.log(t.pose + TINY)) for t in known]
        )
        fit, level = _ridge(_features(self.space.axes, at), logs, weights)
        size, seg, pose = np.exp((self._features @ fit + level).clip(-40, 40).T)
        value = _penalised(goal, size, seg - TINY, (pose - TINY).clip(0), known[0].source_bytes)
        for number, axis in enumerate(self.space.axes):
            if not is_long(axis):
                fresh = ~np.isin(np.arange(len(axis.values)), at[:, number])
                value = value - CURIOSITY * fresh[self.places[:, number]]
        return value


def is_long(axis: Axis) -> bool:
    """Whether an axis gets a curve."""
    return axis.ordered and len(axis.values) >= LONG


def _place(axes: Sequence[Axis], settings: Mapping[str, Any]) -> tuple[int, ...] | None:
    """Where settings are on the axes; None where they are beside one."""
    if any(settings[axis.name] not in axis.values for axis in axes):
        return None
    return tuple(axis.values.index(settings[axis.name]) for axis in axes)


def _weights(ranks: Sequence[tuple[float, float]]) -> Floats:
    """How much each trial counts, by its excess over the limits and its measure."""
    excess, value = np.array(ranks).T
    merit = np.log(value.clip(LEAST)) + BOUND * excess
    weights: Floats = np.exp(-(merit - merit.min()) / REACH).clip(LEAST_WEIGHT)
    return weights


def _features(axes: Sequence[Axis], places: Places) -> Floats:
    """``(N, F)``: curves of the long axes with their products, steps of the others."""
    curves, steps = [], []
    for number, axis in enumerate(axes):
        place = places[:, number]
        if is_long(axis):
            curves.append(_spread(axis)[place])
        else:
            steps += [(place == i).astype(float) for i in range(1, len(axis.values))]
    products = [a * b for a, b in itertools.combinations_with_replacement(curves, 2)]
    return np.stack([np.zeros(len(places)), *curves, *products, *steps], 1)


def _spread(axis: Axis) -> Floats:
    """The values of a long axis from -1 to 1, in logarithms where they span a factor of 5."""
    values = np.array(axis.values, dtype=float)
    if values[0] > 0 and values[-1] / values[0] >= 5:
        values = np.log(values)
    span: Floats = 2 * (values - values[0]) / (values[-1] - values[0]) - 1
    return span


def _ridge(features: Floats, targets: Floats, weights: Floats) -> tuple[Floats, Floats]:
    """Weighted ridge regression: coefficients ``(F, 3)`` and constants ``(3,)``."""
    share = weights / weights.sum()
    middle, level = share @ features, share @ targets
    x, y = features - middle, targets - level
    square = (x * weights[:, None]).T @ x + RIDGE * np.eye(x.shape[1])
    fit: Floats = np.linalg.solve(square, (x * weights[:, None]).T @ y)
    return fit, level - middle @ fit


def _penalised(goal: Goal, size: Floats, seg: Floats, pose: Floats, source: int) -> Floats:
    """``goal.penalised`` of many points at once."""
    distortion = 100 * seg + np.sqrt(10 * pose)
    total = distortion + 25 * size / source
    figures = {"score": total, "seg": seg, "pose": pose, "bytes": size}
    excess = np.zeros_like(size)
    for name, bound in vars(goal.limits).items():
        if bound is not None:
            excess += (figures[name] - bound).clip(0) / max(bound, LEAST)
    value = (figures | {"distortion": distortion})[goal.measure]
    return np.where(excess > 0, BEYOND + excess, np.log(value.clip(LEAST)))
