"""BD-rates: against a package of the field, by hand, and what is refused."""

import math
import warnings

import numpy as np
import pytest

from seesame.errors import UserError
from seesame.metric.rates.bd_rate import bd_rate, mean_over_clips

ANCHOR = [(686.76, 40.28), (309.58, 37.18), (157.11, 34.24), (85.95, 31.42)]
CURVE = [(893.34, 40.39), (407.8, 37.21), (204.93, 34.17), (112.75, 31.24)]


def random_curve(seed: int, count: int) -> list[tuple[float, float]]:
    random = np.random.default_rng(seed)
    rates = np.cumsum(random.uniform(0.2, 1.2, count))
    qualities = 30 + np.cumsum(random.uniform(0.3, 3.0, count))
    return list(zip(np.exp(rates + 4).tolist(), qualities.tolist(), strict=True))


@pytest.mark.parametrize("method", ["pchip", "akima"])
@pytest.mark.parametrize("seed", range(12))
def test_equals_the_package_of_the_field(method: str, seed: int) -> None:
    theirs = pytest.importorskip("bjontegaard", reason="needs the package bjontegaard")
    anchor, curve = random_curve(seed, 4 + seed % 4), random_curve(seed + 100, 4 + seed % 3)
    columns = [list(column) for points in (anchor, curve) for column in zip(*points, strict=True)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of small overlaps, which we report as a figure
        wanted = theirs.bd_rate(*columns, method=method, require_matching_points=False)
    assert bd_rate(anchor, curve, method).percent == pytest.approx(wanted, rel=1e-9, abs=1e-9)


def test_a_scaled_curve_differs_by_its_scale() -> None:
    half = [(rate / 2, quality) for rate, quality in ANCHOR]
    for method in ("pchip", "akima"):
        found = bd_rate(ANCHOR, half, method)
        assert found.percent == pytest.approx(-50)
        assert (found.low, found.high, found.share) == (31.42, 40.28, 1.0)
    assert bd_rate(half, ANCHOR).percent == pytest.approx(100)


def test_there_and_back_cancel() -> None:
    there, back = bd_rate(ANCHOR, CURVE).percent, bd_rate(CURVE, ANCHOR).percent
    assert (1 + there / 100) * (1 + back / 100) == pytest.approx(1)
    assert 25 < there < 40


def test_points_that_others_beat_are_left_out() -> None:
    worse = [*CURVE, (500.0, 33.0), (900.0, 40.39)]
    found = bd_rate(ANCHOR, worse)
    assert found.dropped == (0, 2)
    assert found.percent == bd_rate(ANCHOR, CURVE).percent


def test_the_overlap_is_told() -> None:
    higher = [(rate, quality + 5) for rate, quality in ANCHOR]
    found = bd_rate(ANCHOR, higher)
    assert (found.low, found.high) == pytest.approx((36.42, 40.28))
    assert found.share == pytest.approx((40.28 - 36.42) / (40.28 - 31.42))


@pytest.mark.parametrize(
    ("curve", "words"),
    [
        ([(rate, quality + 50) for rate, quality in CURVE], "share no range"),
        (CURVE[:3], "has 3 points"),
        ([(0.0, 30.0), *CURVE], "rate above 0"),
        ([(100.0, math.nan), *CURVE], "rate above 0"),
        ([(rate, 41 - quality) for rate, quality in CURVE], "beaten"),
    ],
)
def test_what_is_refused(curve: list[tuple[float, float]], words: str) -> None:
    with pytest.raises(UserError, match=words) as caught:
        bd_rate(ANCHOR, curve)
    assert "\n" not in str(caught.value)


def test_the_mean_counts_clips_alike() -> None:
    found = mean_over_clips({"a": -10.0, "b": -20.0, "c": -60.0}.values())
    assert (found.mean, found.clips) == (-30.0, 3)
    assert -60 <= found.low < -30 < found.high <= -10
    assert found == mean_over_clips([-10.0, -20.0, -60.0])
    one = mean_over_clips([-5.0])
    assert (one.mean, one.low, one.high) == (-5.0, -5.0, -5.0)
    with pytest.raises(UserError):
        mean_over_clips([])
