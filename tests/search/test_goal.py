"""Which trial is the best, and which are on the front."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from judged import flat, judged

from seesame.jobs.trial import Trial
from seesame.metric.limits import Bound, Limits
from seesame.search.goal import Goal, pareto_front

BASE = judged(Trial("svtav1", {}, 1000, 50_000, 0.01, 0.02, 1.0, 1.0))
SMALL = judged(replace(BASE, bytes=500, seg=0.05))
GOOD = judged(replace(BASE, bytes=20_000, seg=0.001, pose=0.001))
TRIALS = [BASE, SMALL, GOOD]

figures = st.builds(
    lambda size, seg, pose: judged(replace(BASE, bytes=size, seg=seg, pose=pose)),
    st.integers(1, 10**6),
    st.floats(0, 1),
    st.floats(0, 100),
)


def test_goals() -> None:
    assert Goal(Limits()).best(TRIALS) == BASE
    assert Goal(Limits(seg=0.06)).best(TRIALS) == SMALL
    assert Goal(Limits(seg=0.02)).best(TRIALS) == BASE
    assert Goal(Limits(pose=0.01)).best(TRIALS) == GOOD
    assert Goal(Limits(bytes=10_000)).best(TRIALS) == BASE
    assert Goal(Limits(bytes=600)).best(TRIALS) == SMALL
    assert Goal(Limits(seg=0.02, bytes=10_000)).best(TRIALS) == BASE
    assert Goal(Limits()).best([]) is None


def test_where_no_trial_keeps_the_limit_the_nearest_is_best() -> None:
    assert Goal(Limits(bytes=400)).best(TRIALS) == SMALL
    assert Goal(Limits(seg=0.0001)).best(TRIALS) == GOOD


def test_what_is_no_smaller_than_the_source_is_not_best() -> None:
    large = judged(replace(GOOD, bytes=50_000, seg=0.0001))
    for limits in (Limits(), Limits(seg=0.0005), Limits(pose=0.0)):
        goal = Goal(limits)
        assert not goal.kept(large)
        assert goal.penalised(large) > math.log(10**9)
    assert Goal(Limits()).best([large, GOOD]) == GOOD
    assert Goal(Limits(seg=0.0005)).kept(judged(replace(large, bytes=49_999)))


def test_worst_moments_and_classes_decide() -> None:
    goal = Goal(Limits(more=(Bound("seg", "worst", 0.02), Bound("seg", "lane markings", 0.1))))
    lost = ("lane markings", 0.2)
    bad = replace(SMALL, figures=flat(0.01, 0.001, 500, worst=0.03))
    worse = replace(SMALL, figures=flat(0.01, 0.001, 500, lost=(lost,)))
    assert goal.best([bad, BASE, worse]) == BASE
    assert goal.excess(bad) == pytest.approx(0.5)
    assert goal.excess(worse) == pytest.approx(1.0)
    assert str(goal) == (
        "fewest bytes with seg worst <= 0.02 on every frame, "
        "seg lane markings <= 0.1 on every frame"
    )


def test_goals_say_what_they_are() -> None:
    assert str(Goal(Limits())) == "lowest score"
    assert str(Goal(Limits(seg=0.01))) == "fewest bytes with seg <= 0.01 on every frame"
    assert str(Goal(Limits(bytes=5000))) == "lowest distortion with bytes <= 5,000"
    assert str(Goal(Limits(pose=1, bytes=9))) == "fewest bytes with pose <= 1, bytes <= 9"


@given(st.lists(figures, min_size=2, max_size=8), st.floats(0, 1), st.integers(1, 10**6))
def test_the_one_number_orders_as_the_rank_does(trials: list[Trial], seg: float, size: int) -> None:
    for limits in (Limits(), Limits(seg=seg), Limits(bytes=size)):
        goal = Goal(limits)
        for left in trials:
            for right in trials:
                if goal.penalised(left) < goal.penalised(right):
                    assert goal.rank(left) <= goal.rank(right)


@given(st.lists(figures, max_size=30))
def test_the_front_is_what_nothing_beats(trials: list[Trial]) -> None:
    front = pareto_front(trials)
    for trial in trials:
        beaten = [o for o in front if o.bytes <= trial.bytes and o.distortion <= trial.distortion]
        assert beaten
    sizes, distortions = [t.bytes for t in front], [t.distortion for t in front]
    assert sizes == sorted(set(sizes))
    assert distortions == sorted(set(distortions), reverse=True)


def test_the_score_of_a_trial() -> None:
    expected = 100 * 0.01 + 25 * 1000 / 50_000 + math.sqrt(10 * 0.02)
    assert math.isclose(BASE.score.total, expected)
    assert math.isclose(BASE.distortion, expected - 0.5)
