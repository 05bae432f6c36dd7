"""A search on a sample, confirmed on the whole; the encodes are formulas."""

import math
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from judged import judged

from seesame.jobs.runner import Result, Runner, Wanted
from seesame.jobs.spec import Job, Source
from seesame.jobs.store import Store
from seesame.jobs.trial import Trial
from seesame.metric.limits import Limits
from seesame.search.goal import Goal
from seesame.search.sampled import sampled, usual_windows
from seesame.search.space import complete
from seesame.search.tuning import SampleTuning
from seesame.video.clip import ArrayClip


class Landscape:
    """The score is lowest at a CRF; the sample's lies some way off the whole's."""

    def __init__(self, best: int, part: "Landscape | None" = None) -> None:
        self.best, self.part, self.asked = best, part, list[int]()
        self.clip = ArrayClip(np.zeros((400, 16, 16, 3), np.uint8), 20)

    def on(self, source: Source) -> Any:
        assert source.open().num_frames == 80
        return nullcontext(self.part)

    def run(self, wanted: Sequence[Wanted]) -> Iterator[Result]:
        for codec, settings in wanted:
            crf = settings["crf"]
            self.asked.append(crf)
            seg = 0.01 * (1 + ((crf - self.best) / 20) ** 2)
            size = round(1000 * math.exp(-crf / 20))
            trial = judged(Trial(codec, settings, size, 10**5, seg, 0.0, 1.0, 1.0))
            yield Result((codec, settings), trial)


@pytest.fixture
def part() -> Landscape:
    """Stands for the sample's runner."""
    return Landscape(30)


def look(part: Any, aim: Goal) -> list[Trial]:
    """Tries every second quality."""
    wanted = [("svtav1", complete("svtav1", {"crf": crf})) for crf in range(20, 50, 2)]
    return [result.trial for result in part.run(wanted) if result.trial is not None]


def search(whole: Landscape, goal: Goal, **more: Any) -> list[Trial]:
    spans = [(100, 140), (300, 340)]
    return sampled(whole, goal, spans, look, lambda result: None, **more)  # type: ignore[arg-type]


def test_the_whole_s_own_best_is_found_nearby(part: Landscape) -> None:
    whole, goal = Landscape(37, part), Goal(Limits())
    best = goal.best(search(whole, goal))
    assert best is not None
    assert len(part.asked) == 15
    assert {28, 30, 32} <= set(whole.asked)
    assert best.settings["crf"] in (37, 38)
    assert len(whole.asked) == len(set(whole.asked)) <= SampleTuning().most


def test_a_limit_on_bytes_is_the_sample_s_share(part: Landscape) -> None:
    whole, goal = Landscape(30, part), Goal(Limits(bytes=190))  # the whole keeps it from CRF 34 on

    def some(runner: Any, aim: Goal) -> list[Trial]:
        assert aim.limits.bytes == 38  # 80 frames of 400
        return look(runner, aim)

    spans = [(100, 140), (300, 340)]
    found = sampled(whole, goal, spans, some, lambda result: None)  # type: ignore[arg-type]
    best = goal.best(found)
    assert best is not None
    assert goal.kept(best)


def test_with_no_time_left_one_trial_is_made(part: Landscape) -> None:
    whole, goal = Landscape(37, part), Goal(Limits())
    (only,) = search(whole, goal, late=lambda: True)
    assert only.settings["crf"] == 30
    assert whole.asked == [30]


def test_only_long_clips_are_sampled() -> None:
    frames = np.zeros((1801, 1, 1, 3), np.uint8)
    assert usual_windows(ArrayClip(frames[:1800], 20)) is None
    spans = usual_windows(ArrayClip(frames, 20))
    assert spans is not None
    assert sum(end - start for start, end in spans) == 480
    assert len(spans) == 6


def test_a_sample_of_a_drive(drive: Path, tmp_path: Path) -> None:
    goal = Goal(Limits())
    job = Job(Source(drive), "x264", stack="lite")

    def some(runner: Runner, aim: Goal) -> list[Trial]:
        assert runner.clip.num_frames == 4
        assert runner.clip.fps == Fraction(20)
        wanted = [("x264", complete("x264", {"preset": "ultrafast", "crf": c})) for c in (20, 40)]
        return [result.trial for result in runner.run(wanted) if result.trial is not None]

    with Runner.open(job, Store(tmp_path / "s")) as runner:
        found = sampled(runner, goal, [(2, 4), (8, 10)], some, lambda result: None)
    assert len(found) > 2
    assert {trial.source_bytes for trial in found} == {drive.stat().st_size}
