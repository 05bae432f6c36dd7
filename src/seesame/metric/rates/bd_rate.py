"""BD-rate: how many bytes one codec needs beside another at equal quality, on average.

After Bjøntegaard ("Calculation of average PSNR differences between RD-curves", VCEG-M33, 2001),
with piecewise cubics in place of one cubic, as the common test conditions of JVET use (PCHIP;
Fritsch and Butland 1984) or Herglotz et al. recommend (Akima 1970).
"""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from seesame.errors import UserError
from seesame.metric.rates.front import pareto_front

Point = tuple[float, float]
"""Bytes, or any rate, and quality: higher is better."""
Method = Literal["pchip", "akima"]
Values = NDArray[np.float64]


@dataclass(frozen=True)
class BdTuning:
    """The choices in BD-rates.

    Attributes:
        points: fewest points of a curve, as given.
        left: fewest points of a curve that are left on its Pareto front.
        resamples: of the bootstrap.
        level: of the confidence interval.
    """

    points: int = 4
    left: int = 3
    resamples: int = 10_000
    level: float = 0.95


TUNING = BdTuning()


@dataclass(frozen=True)
class BdRate:
    """The rate of one curve beside another's at equal quality.

    Args:
        percent: -30 is 30 % fewer bytes than the anchor.
        low: the lowest quality that both curves reach.
        high: the highest quality that both curves reach.
        share: of the anchor's own range of qualities that both reach, 0..1.
        dropped: points of the anchor and of the curve that others of the same curve beat in both
            rate and quality, and that were left out.
    """

    percent: float
    low: float
    high: float
    share: float
    dropped: tuple[int, int]


@dataclass(frozen=True)
class Mean:
    """The mean of a figure over clips.

    Args:
        mean: the arithmetic mean, in which each clip counts alike.
        low: the lower end of the confidence interval.
        high: the upper end of the confidence interval.
        clips: the number of clips.
    """

    mean: float
    low: float
    high: float
    clips: int


def bd_rate(
    anchor: Sequence[Point],
    curve: Sequence[Point],
    method: Method = "pchip",
    names: tuple[str, str] = ("the anchor", "the curve"),
) -> BdRate:
    """Return the BD-rate of a curve against an anchor.

    Of each curve only the Pareto front is used: points that another one beats in rate and quality
    at once are left out, so that quality rises with rate. The logarithm of the rate is then
    interpolated over quality, and the mean difference is taken over the qualities that both reach.

    Args:
        anchor: rates and qualities, in any order.
        curve: the same of the codec that is compared.
        method: of interpolation.
        names: what errors call the two.

    Raises:
        UserError: fewer points than ``TUNING`` wants, a rate that is not above 0, a value that is
            not finite, or no quality that both curves reach.
    """
    fronts = [_front(points, name) for points, name in zip((anchor, curve), names, strict=True)]
    low, high = max(f[0][0] for f in fronts), min(f[0][-1] for f in fronts)
    if low >= high:
        reached = [f"{f[0][0]:.4g} to {f[0][-1]:.4g}" for f in fronts]
        raise UserError(
            f"{names[0]} reaches {reached[0]} and {names[1]} {reached[1]}: they share no range, so "
            "that no BD-rate can be told"
        )
    areas = [_area(quality, rate, low, high, method) for quality, rate in fronts]
    change = (areas[1] - areas[0]) / (high - low)
    own = fronts[0][0]
    dropped = tuple(
        len(points) - len(front[0]) for points, front in zip((anchor, curve), fronts, strict=True)
    )
    return BdRate(
        100 * math.expm1(change),
        float(low),
        float(high),
        float((high - low) / (own[-1] - own[0])),
        (dropped[0], dropped[1]),
    )


def mean_over_clips(values: Collection[float], seed: int = 0) -> Mean:
    """Return the mean of a figure over clips, with a percentile bootstrap's interval.

    Clips are drawn again with replacement (Efron 1979). With few clips the interval is too narrow:
    it cannot know of clips unlike these.

    Args:
        values: of each clip; never of several clips pooled.
        seed: of the bootstrap.

    Raises:
        UserError: there is no clip.
    """
    found = np.array(list(values), float)
    if not len(found):
        raise UserError("there is no clip to average over")
    drawn = np.random.default_rng(seed).integers(len(found), size=(TUNING.resamples, len(found)))
    tail = (1 - TUNING.level) / 2
    low, high = np.quantile(found[drawn].mean(axis=1), [tail, 1 - tail])
    return Mean(float(found.mean()), float(low), float(high), len(found))


def _front(points: Sequence[Point], name: str) -> tuple[Values, Values]:
    """Return qualities and logarithms of rates of the Pareto front, by rising quality."""
    if len(points) < TUNING.points:
        raise UserError(f"{name} has {len(points)} points; a BD-rate needs {TUNING.points} or more")
    for rate, quality in points:
        if not (math.isfinite(rate) and math.isfinite(quality) and rate > 0):
            raise UserError(f"{name} has a point without a rate above 0 or without a quality")
    kept = pareto_front(points, lambda point: (point[0], -point[1]))
    if len(kept) < TUNING.left:
        raise UserError(
            f"{name}: {len(points) - len(kept)} of {len(points)} points are beaten by others of "
            f"it in rate and quality; {TUNING.left} or more must be left"
        )
    return np.array([p[1] for p in kept], float), np.log([float(p[0]) for p in kept])


def _area(x: Values, y: Values, low: float, high: float, method: Method) -> float:
    """Return the integral from ``low`` to ``high`` of the piecewise cubic through points."""
    slopes = _pchip_slopes(x, y) if method == "pchip" else _akima_slopes(x, y)
    steps = np.diff(x)
    rise = np.diff(y) / steps
    # On each piece the cubic is c0 + c1 t + c2 t^2 + c3 t^3, with t from its left end.
    c2 = (3 * rise - 2 * slopes[:-1] - slopes[1:]) / steps
    c3 = (slopes[:-1] + slopes[1:] - 2 * rise) / steps**2
    cubics = np.stack([y[:-1], slopes[:-1] / 2, c2 / 3, c3 / 4])
    ends = np.clip([low - x[:-1], high - x[:-1]], 0, steps)
    powers = np.stack([ends, ends**2, ends**3, ends**4])
    areas = (cubics[:, None] * powers).sum(axis=0)
    return float((areas[1] - areas[0]).sum())


def _pchip_slopes(x: Values, y: Values) -> Values:
    """Return slopes that keep the curve monotone where the points are (Fritsch, Butland 1984)."""
    steps, rise = np.diff(x), np.diff(y) / np.diff(x)
    slopes = np.zeros_like(y)
    left, right = rise[:-1], rise[1:]
    heavy, light = 2 * steps[1:] + steps[:-1], steps[1:] + 2 * steps[:-1]
    same = left * right > 0
    one, two = heavy[same], light[same]
    slopes[1:-1][same] = (one + two) / (one / left[same] + two / right[same])
    slopes[0] = _end_slope(steps[0], steps[1], rise[0], rise[1])
    slopes[-1] = _end_slope(steps[-1], steps[-2], rise[-1], rise[-2])
    return slopes


def _end_slope(near: float, far: float, rise: float, next_rise: float) -> float:
    """Return the slope at an end by three points, kept from turning the curve back."""
    slope = ((2 * near + far) * rise - near * next_rise) / (near + far)
    if slope * rise <= 0:
        return 0.0
    if rise * next_rise <= 0 and abs(slope) > 3 * abs(rise):
        return 3 * rise
    return slope


def _akima_slopes(x: Values, y: Values) -> Values:
    """Return slopes that weigh both sides by how much the rises beyond them differ (Akima 1970)."""
    rise = np.diff(y) / np.diff(x)
    before = 2 * rise[0] - rise[1]
    after = 2 * rise[-1] - rise[-2]
    m = np.concatenate([[2 * before - rise[0], before], rise, [after, 2 * after - rise[-1]]])
    change = np.abs(np.diff(m))
    left, right = change[2:], change[:-2]
    total = left + right
    even = (m[1:-2] + m[2:-1]) / 2
    weighed = total > 1e-9 * total.max(initial=0.0)
    slopes: Values = even.copy()
    slopes[weighed] = (left * m[1:-2] + right * m[2:-1])[weighed] / total[weighed]
    return slopes
