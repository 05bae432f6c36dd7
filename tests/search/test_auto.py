"""The search against a landscape whose minimum is known; no encoder runs."""

import itertools
import math
import sys
from collections.abc import Iterator, Sequence

import pytest
from judged import judged

from seesame.errors import MissingExtraError
from seesame.jobs.runner import Result, Wanted
from seesame.jobs.trial import Trial
from seesame.metric.limits import Limits
from seesame.search.auto import auto, untried_near_best
from seesame.search.goal import Goal
from seesame.search.space import SPACES, complete
from seesame.search.surface import Surface

pytest.importorskip("optuna")


class Landscape:
    """Makes trials from formulas: bytes fall and distortion rises with crf and with 1/scale."""

    def __init__(self, refused: Sequence[str] = (), jobs: int = 1) -> None:
        self.jobs, self.refused = jobs, refused
        self.asked: list[Wanted] = []

    def trial(self, wanted: Wanted) -> Trial:
        codec, s = wanted
        bad = {"svtav1": 1.0, "x265": 1.2, "x264": 1.5, "vp9": 1.3}[codec]
        bad *= {"4": 1.0, "2": 0.97, "6": 1.1}.get(s["preset"], 1.0)
        bad *= {"lanczos": 1.0, "area": 0.98}.get(s["down"], 1.05)
        size = 4e5 * bad * s["scale"] ** 1.5 * math.exp(-s["crf"] / 12) * (1 + 4 / s["gop"])
        seg = 0.004 * math.exp(s["crf"] / 30) * (1 + 0.5 * (0.45 / s["scale"]) ** 2)
        return judged(Trial(codec, s, round(size), 100_000, seg, 0.01, 1.0, 1.0))

    def run(self, wanted: Sequence[Wanted]) -> Iterator[Result]:
        for one in wanted:
            self.asked.append(one)
            refused = one[0] in self.refused
            yield Result(one, None if refused else self.trial(one), why="no" if refused else "")


def search(
    landscape: Landscape, goal: Goal, trials: int = 40, seed: int = 0, *codecs: str
) -> list[Trial]:
    spaces = [SPACES[codec] for codec in codecs or ("svtav1", "x265")]
    return auto(spaces, goal, landscape, trials, seed, lambda result: None)  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize(
    ("limits", "near"), [(Limits(), 1.01), (Limits(seg=0.02), 1.1), (Limits(bytes=2000), 1.01)]
)
def test_forty_trials_come_near_the_best_of_the_grid(
    limits: Limits, near: float, seed: int
) -> None:
    landscape, goal = Landscape(), Goal(limits)
    found = search(landscape, goal, 40, seed)
    best = goal.best(found)
    grids = itertools.chain.from_iterable(
        ((codec, settings) for settings in SPACES[codec].grid()) for codec in ("svtav1", "x265")
    )
    ideal = goal.best(landscape.trial(wanted) for wanted in grids)
    assert best is not None
    assert ideal is not None
    assert goal.rank(best)[0] == 0
    assert goal.rank(best)[1] <= near * goal.rank(ideal)[1]


@pytest.mark.parametrize(("trials", "jobs"), [(1, 1), (2, 3), (7, 3), (25, 4)])
def test_no_more_trials_than_allowed_and_none_twice(trials: int, jobs: int) -> None:
    landscape = Landscape(jobs=jobs)
    search(landscape, Goal(Limits()), trials)
    names = [str(one) for one in landscape.asked]
    assert len(set(names)) <= trials
    assert len(set(names)) >= min(trials, 20)


def test_the_same_seed_asks_for_the_same_trials() -> None:
    first, second, other = Landscape(), Landscape(), Landscape()
    search(first, Goal(Limits()), 16, 5)
    search(second, Goal(Limits()), 16, 5)
    search(other, Goal(Limits()), 16, 6)
    assert first.asked == second.asked
    assert first.asked != other.asked


def test_without_optuna_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(MissingExtraError, match=r"seesame\[search\]"):
        search(Landscape(), Goal(Limits()), 4)


def test_a_codec_that_always_refuses_does_not_stop_the_search() -> None:
    found = search(Landscape(refused=["svtav1"]), Goal(Limits()), 12)
    assert {trial.codec for trial in found} == {"x265"}
    assert search(Landscape(refused=["svtav1", "x265"]), Goal(Limits()), 12) == []


def test_values_tried_with_bad_settings_only_are_tried_with_the_best() -> None:
    def trial(score: float, **settings: object) -> Trial:
        whole = complete("svtav1", {"scale": 0.5, "preset": "4", "up": "bicubic"} | settings)
        return Trial("svtav1", whole, round(score * 4000), 100_000, 0.0, 0.0, 1.0, 1.0)

    best = trial(3.0, crf=50, gop=240)
    near, far = trial(3.2, crf=45, preset="6"), trial(3.7, crf=42, preset="2", grain=22)
    surfaces = [Surface(SPACES["svtav1"])]
    unproven = untried_near_best(surfaces, Goal(Limits()), [far, best, near])
    assert unproven[0] == ("svtav1", {**best.settings, "preset": "2"})
    changed = [
        {name: value for name, value in settings.items() if value != best.settings[name]}
        for _, settings in unproven
    ]
    assert all(len(one) == 1 for one in changed)
    assert {"preset": "6"} not in changed
    assert {"grain": 22} in changed
    assert not {"crf", "scale"} & {name for one in changed for name in one}


def test_a_space_of_one_setting_is_searched_and_left() -> None:
    landscape = Landscape()
    space = SPACES["x264"]
    for axis in space.axes:
        one = type(axis)(axis.name, axis.values[:1], axis.values[:1])
        space = space.holding([one])
    found = auto([space], Goal(Limits()), landscape, 40, 0, lambda result: None)  # type: ignore[arg-type]
    assert len(found) == 1


def test_a_late_search_asks_for_no_more() -> None:
    landscape = Landscape()
    spaces = [SPACES["svtav1"]]
    found = auto(
        spaces,
        Goal(Limits()),
        landscape,  # type: ignore[arg-type]
        40,
        0,
        lambda result: None,
        lambda: len(landscape.asked) >= 7,
    )
    assert len(found) == 7
