"""The time that a run still takes, as it learns it."""

import random

import pytest

from seesame.fleet.driver import span
from seesame.fleet.eta import Left, Pace


def test_nothing_is_said_too_early() -> None:
    pace = Pace(1)
    pace.add(10, 1.0)
    pace.add(10, 1.0)
    assert pace.left(Left([10])) is None


def test_equal_clips_leave_no_doubt() -> None:
    """The last clip is not shared by two workers."""
    pace = Pace(2)
    for _ in range(4):
        pace.add(10, 1.0)
    assert pace.left(Left([10] * 8)) == pytest.approx((4.0, 4.5))
    assert pace.left(Left([])) == pytest.approx((0.0, 0.0))


def test_nine_of_ten_runs_end_within_the_interval() -> None:
    source, within = random.Random(5), 0
    for _ in range(400):
        sizes = [source.randint(50, 150) for _ in range(60)]
        seconds = [size / 10 * source.lognormvariate(0, 0.5) for size in sizes]
        pace = Pace(1)
        for size, took in zip(sizes[:20], seconds[:20], strict=True):
            pace.add(size, took)
        least, most = pace.left(Left(sizes[20:])) or (0, 0)
        within += least <= sum(seconds[20:]) <= most
    assert 0.84 <= within / 400 <= 0.97


def test_spans() -> None:
    assert [span(seconds) for seconds in (40, 720, 12600)] == ["40 s", "12 min", "3.5 h"]
