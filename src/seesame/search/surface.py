"""A response surface of one codec: predicted bytes and distortions of all of its settings.

The logarithms of bytes and of both distortions are fitted by ridge regression to a quadratic in the
long axes (quality, scale) and steps for all others (Box and Wilson 1951, "On the experimental
attainment of optimum conditions"). Trials near the best count most, because it is there that the
surface has to be right.
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
from seesame.search.tuning import SurfaceTuning

Floats = NDArray[np.float64]
Places = NDArray[np.int64]


class Surface:
    """Predictions for every setting of a space.

    Args:
        space: of one codec.
        seed: of the thinning, where the space has more than ``tuning.most_points``.
        tuning: of the fit.
    """

    def __init__(
        self, space: Space, seed: int = 0, tuning: SurfaceTuning = SurfaceTuning()
    ) -> None:
        self.space, self.tuning = space, tuning
        most = self.tuning.most_points
        sizes = [len(axis.values) for axis in space.axes]
        if math.prod(sizes) <= most:
            places = np.indices(sizes).reshape(len(sizes), -1).T
        else:
            random = np.random.default_rng(seed)
            drawn = [random.integers(size, size=most) for size in sizes]
            places = np.unique(np.stack(drawn, 1), axis=0)
        self.places: Places = places
        self._features = self._encoded(self.places)

    def settings(self, point: int) -> Settings:
        """Return all settings of a point."""
        pairs = zip(self.space.axes, self.places[point], strict=True)
        return complete(self.space.codec, {axis.name: axis.values[i] for axis, i in pairs})

    def predict(self, trials: Sequence[Trial], goal: Goal) -> Floats | None:
        """Return ``goal.penalised`` of every point; None where under 3 trials lie on the axes.

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
        weights = self._weights([goal.rank(trial) for trial in known])
        tiny = self.tuning.tiny
        logs = np.array([np.log([t.bytes, *_distortions(goal, t) + tiny]) for t in known])
        fit, level = _ridge(self._encoded(at), logs, weights, self.tuning.ridge)
        size, *distortions = np.exp((self._features @ fit + level).clip(-40, 40).T)
        value = _penalised(goal, size, np.stack(distortions) - tiny, known[0])
        for number, axis in enumerate(self.space.axes):
            if not self.is_long(axis):
                fresh = ~np.isin(np.arange(len(axis.values)), at[:, number])
                value = value - self.tuning.curiosity * fresh[self.places[:, number]]
        return value

    def is_long(self, axis: Axis) -> bool:
        """Return whether an axis gets a curve."""
        return axis.ordered and len(axis.values) >= self.tuning.curve_from

    def _encoded(self, places: Places) -> Floats:
        """``(N, F)``: curves of the long axes with their products, steps of the others."""
        curves, steps = [], []
        for number, axis in enumerate(self.space.axes):
            place = places[:, number]
            if self.is_long(axis):
                curves.append(_spread(axis)[place])
            else:
                steps += [(place == i).astype(float) for i in range(1, len(axis.values))]
        products = [a * b for a, b in itertools.combinations_with_replacement(curves, 2)]
        return np.stack([np.zeros(len(places)), *curves, *products, *steps], 1)

    def _weights(self, ranks: Sequence[tuple[float, float]]) -> Floats:
        """The weight of each trial, by its excess over the limits and its measure."""
        excess, value = np.array(ranks).T
        merit = np.log(value.clip(LEAST)) + self.tuning.bound * excess
        weights: Floats = np.exp(-(merit - merit.min()) / self.tuning.reach)
        return weights.clip(self.tuning.least_weight)


def _place(axes: Sequence[Axis], settings: Mapping[str, Any]) -> tuple[int, ...] | None:
    """The numbers of settings' values on the axes; None where a value is not on its axis."""
    if any(settings[axis.name] not in axis.values for axis in axes):
        return None
    return tuple(axis.values.index(settings[axis.name]) for axis in axes)


def _spread(axis: Axis) -> Floats:
    """The values of a long axis from -1 to 1, in logarithms where they span a factor of 5."""
    values = np.array(axis.values, dtype=float)
    if values[0] > 0 and values[-1] / values[0] >= 5:
        values = np.log(values)
    span: Floats = 2 * (values - values[0]) / (values[-1] - values[0]) - 1
    return span


def _ridge(
    features: Floats, targets: Floats, weights: Floats, ridge: float
) -> tuple[Floats, Floats]:
    """Weighted ridge regression: coefficients ``(F, V)`` and constants ``(V,)`` of V values."""
    share = weights / weights.sum()
    middle, level = share @ features, share @ targets
    x, y = features - middle, targets - level
    square = (x * weights[:, None]).T @ x + ridge * np.eye(x.shape[1])
    fit: Floats = np.linalg.solve(square, (x * weights[:, None]).T @ y)
    return fit, level - middle @ fit


def _distortions(goal: Goal, trial: Trial) -> Floats:
    """Return what is predicted beside bytes: the score's seg and pose, and what is bounded."""
    bounded = goal.limits.held(trial.judged) if goal.limits.given else []
    return np.array([trial.seg, trial.pose, *(held.value for held in bounded)])


def _penalised(goal: Goal, size: Floats, distortions: Floats, known: Trial) -> Floats:
    """Return ``goal.penalised`` of many points at once.

    Args:
        goal: what is minimised.
        size: bytes of each point.
        distortions: of each point, as :func:`_distortions` lists them, ``(V, N)``.
        known: any trial; the names of what is bounded come from it.
    """
    seg, pose, *values = distortions
    distortion = 100 * seg + np.sqrt(10 * pose.clip(0))
    total = distortion + 25 * size / known.source_bytes
    excess = (size - known.source_bytes).clip(0) / known.source_bytes
    for held, value in zip(goal.limits.held(known.judged) if values else [], values, strict=True):
        value = {"bytes": size, "score": total}.get(held.name, value)
        excess += (value - held.bound).clip(0) / max(held.bound, LEAST)
    value = {"bytes": size, "distortion": distortion, "score": total}[goal.measure]
    return np.where(excess > 0, BEYOND + excess, np.log(value.clip(LEAST)))
