import pytest
from hypothesis import given
from hypothesis import strategies as st

from seesame.neural.fitting.schedule import Schedule


def test_the_schedule_blends_between_its_phases() -> None:
    schedule = Schedule()
    for phase in schedule.phases:
        found = schedule.at(phase.start)
        assert {name: w for name, w in found.items() if w} == pytest.approx(phase.weights)
    for left, right in zip(schedule.phases, schedule.phases[1:], strict=False):
        middle = schedule.at((left.start + right.start) / 2)
        for name in ("pixel", "entropy", "margin", "smooth", "rate"):
            mean = (left.weights.get(name, 0.0) + right.weights.get(name, 0.0)) / 2
            assert middle[name] == pytest.approx(mean)
    assert schedule.at(7.0) == schedule.at(1.0)


def test_the_schedule_ends_with_the_score() -> None:
    """At the end nothing but the score's own terms is left, at their true weights."""
    last = {name: weight for name, weight in Schedule().at(1.0).items() if weight}
    assert last == {"smooth": 100, "rate": 1}


def test_bits_are_paid_for_as_soon_as_weights_are_quantised() -> None:
    schedule = Schedule()
    assert 0 < schedule.at(schedule.quantise_from)["rate"] < 1
    assert schedule.quantise_from < schedule.evaluate_from < 1


def test_the_schedule_prints_itself() -> None:
    lines = str(Schedule()).splitlines()
    assert "smooth" in lines[0]
    assert len(lines) == len(Schedule().phases) + 2
    assert "quantised from" in lines[-1]


@given(st.floats(10, 1e6), st.floats(0.001, 1e5))
def test_judging_takes_its_share_of_the_time_only(seconds: float, one: float) -> None:
    schedule = Schedule()
    times = schedule.affordable(seconds, one)
    assert 1 <= times <= schedule.evaluations
    assert times == 1 or times * one <= schedule.evaluation_share * seconds
