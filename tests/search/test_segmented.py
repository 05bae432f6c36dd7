"""Parts with settings of their own: the choice by formulas, and one search with real encoders."""

import itertools
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from judged import flat, judged

from seesame.bitstream.container import Container
from seesame.codecs.segments import SegmentsCodec
from seesame.context import EncodeContext
from seesame.errors import UserError
from seesame.jobs.runner import Runner
from seesame.jobs.spec import Job, Source
from seesame.jobs.store import Store
from seesame.jobs.trial import Trial
from seesame.metric.evaluator import evaluate
from seesame.metric.limits import Limits
from seesame.search.goal import Goal
from seesame.search.segmented import near, segmented, together
from seesame.search.space import SPACES, complete


def front(hard: float, count: int = 9) -> list[Trial]:
    """Trials along a curve: what a part costs at rising quality, ``hard`` times the bytes."""
    return [
        judged(
            Trial(
                "x264",
                complete("x264", {"crf": 20 + 2 * i}),
                round(hard * 4000 * math.exp(-i / 3)),
                10**5,
                0.004 * math.exp(i / 4),
                0.002 * math.exp(i / 2),
                0.0,
                0.0,
            )
        )
        for i in range(count)
    ]


@pytest.mark.parametrize(
    "limits", [Limits(), Limits(seg=0.01), Limits(pose=0.01), Limits(bytes=4000)]
)
def test_the_choice_is_the_best_of_all_combinations(limits: Limits) -> None:
    parts = [(40, front(1.0)), (20, front(6.0)), (41, front(0.3))]
    goal, size = Goal(limits), 10**5
    found = together(parts, goal, size)

    def whole(chosen: tuple[Trial, ...]) -> Trial:
        pairs = np.array([20, 10, 20])
        seg, pose = (
            float(pairs @ [getattr(t, name) for t in chosen]) / 50 for name in ("seg", "pose")
        )
        trial = Trial("", {}, sum(t.bytes for t in chosen), size, seg, pose, 0.0, 0.0)
        on_frames = float(np.average([t.seg for t in chosen], weights=[40, 20, 41]))
        return replace(trial, figures=flat(on_frames, pose, trial.bytes, size))

    every = [whole(chosen) for chosen in itertools.product(*(trials for _, trials in parts))]
    best = goal.best(every)
    assert best is not None
    assert goal.value(found) <= 1.005 * goal.value(best)
    assert goal.kept(found)
    crfs = [part["settings"]["crf"] for part in found.settings["parts"]]
    assert crfs[1] >= crfs[0] >= crfs[2] < crfs[1]  # where bytes buy little, few are spent
    assert [part["frames"] for part in found.settings["parts"]] == [40, 20, 41]


def test_a_part_without_trials() -> None:
    with pytest.raises(UserError, match="part 2 of the clip has no trial"):
        together([(10, front(1.0)), (10, [])], Goal(Limits()), 1000)


def test_a_part_that_no_encoder_takes_is_told(drive: Path, tmp_path: Path) -> None:
    pytest.importorskip("optuna")
    refused = complete("svtav1", {"crf": 40, "denoise": True})  # denoise goes with grain
    best = Trial("svtav1", refused, 1, 1, 0.0, 0.0, 0.0, 0.0)
    job = Job(Source(drive), "svtav1", stack="lite")
    with Runner.open(job, Store(tmp_path / "s")) as runner:
        result = segmented(runner, Goal(Limits()), best, [6], 4, 0, lambda result: None)
    assert result.trial is None
    assert result.why == "no encoder takes frames 0 to 5"


def test_settings_near_the_best() -> None:
    settings = {"crf": 33, "scale": 0.4, "up": "lanczos", "gop": 16, "preset": "ultrafast"}
    best = Trial("x265", complete("x265", settings), 1, 1, 0.0, 0.0, 0.0, 0.0)
    space = near(best)
    assert space.axis("crf").values == tuple(range(21, 46))
    assert space.axis("scale").values == (0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6)
    for name in ("up", "gop", "preset"):
        assert space.axis(name).values == (settings[name],)
    assert space.starts == ({"crf": 33, "scale": 0.4},)
    odd = Trial("x265", complete("x265", {**settings, "scale": 0.43}), 1, 1, 0.0, 0.0, 0.0, 0.0)
    assert 0.43 in near(odd).axis("scale").values
    assert SPACES["x265"].axis("crf").values[0] < 21


def test_the_file_is_made_and_judged(drive: Path, tmp_path: Path) -> None:
    pytest.importorskip("optuna")
    job = Job(Source(drive), "x264", stack="lite")
    best = Trial(
        "x264", complete("x264", {"preset": "ultrafast", "crf": 30}), 1, 1, 0.0, 0.0, 0.0, 0.0
    )
    goal, told = Goal(Limits()), []
    with Runner.open(job, Store(tmp_path / "s")) as runner:
        clip, stack, reference = runner.clip, runner.stack, runner.bench.reference()
        result = segmented(runner, goal, best, [6], 6, 0, told.append)
        again = segmented(runner, goal, best, [6], 6, 0, told.append)
    trial = result.trial
    assert trial is not None
    assert (again.trial, again.known) == (trial, True)
    assert sum(one.known for one in told) == 12  # the parts' trials are kept as well
    parts = trial.settings["parts"]
    assert [part["frames"] for part in parts] == [6, 6]
    made = SegmentsCodec().encode(clip, trial.settings, EncodeContext())
    size = made.write(tmp_path / "x.ssm")
    decoded = SegmentsCodec().decode(Container.read(tmp_path / "x.ssm"))
    found = evaluate(reference, decoded, stack, size)
    assert (trial.bytes, trial.seg, trial.pose) == (size, found.score.seg, found.score.pose)
