"""The choice among a search's best and the codecs trained over it; no encoder runs."""

from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from judged import flat, judged

from seesame.errors import DamagedError, MissingRendererError, UserError
from seesame.jobs.trial import Trial
from seesame.metric.limits import Limits
from seesame.metric.score import Score
from seesame.search import choose as module
from seesame.search.choose import choose
from seesame.search.goal import Goal
from seesame.search.space import complete
from seesame.video.clip import ArrayClip

FOUND = complete("svtav1", {"crf": 37, "scale": 0.35, "preset": "4", "sharpen": 0.5})
SEG = {"svtav1": 0.02, "semantic": 0.015, "hybrid": 0.01, "hnerv": 0.005}


class Runner:
    """Stands for a runner; its bench halves the seg distortion with hybrid, more so with hnerv.

    Args:
        differentiable: whether its stack is.
        num_frames: of its clip.
        drawing: what an encode with semantic raises, if anything.
    """

    job = SimpleNamespace(source=SimpleNamespace(path=Path("clip.mp4")))

    def __init__(
        self,
        differentiable: bool = True,
        num_frames: int = 12,
        drawing: Exception | None = MissingRendererError("there is no renderer"),
    ) -> None:
        self.drawing = drawing
        self.stack = SimpleNamespace(differentiable=differentiable)
        self.clip = ArrayClip(np.zeros((num_frames, 1, 1, 3), np.uint8))
        self.bench = self
        self.made: list[tuple[str, dict[str, Any]]] = []
        self.limits: list[Limits | None] = []

    def encode(self, codec: str, settings: Mapping[str, Any], **more: Any) -> SimpleNamespace:
        if codec == "semantic" and self.drawing is not None:
            raise self.drawing
        self.made.append((codec, dict(settings)))
        score = Score(SEG[codec], 0.0, 0.01)
        self.limits.append(more.get("limits"))
        numbers = {"bytes": 1000, "source_bytes": 100_000, "encode_s": 1.0, "judge_s": 1.0}
        figures = flat(SEG[codec], 0.0, 1000, 100_000)
        return SimpleNamespace(
            codec=codec, settings=settings, score=score, figures=figures, **numbers
        )


def trial(codec: str, settings: Mapping[str, Any], seg: float, size: int = 1000) -> Trial:
    return judged(Trial(codec, settings, size, 100_000, seg, 0.0, 1.0, 1.0))


@pytest.fixture(autouse=True)
def searched(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Set what the search finds; a quality within limits is the usual one."""

    def finds(*trials: Trial) -> None:
        monkeypatch.setattr(module, "auto", lambda *arguments: list(trials))

    def usual(bench: Runner, codec: str, settings: Any, limits: Limits, **more: Any) -> Any:
        return bench.encode(codec, settings, limits=limits)

    monkeypatch.setattr(module, "encode_within", usual)
    finds(trial("svtav1", FOUND, 0.02), trial("x265", complete("x265", {}), 0.03))
    return finds


def run(runner: Runner, goal: Goal, seconds: float) -> tuple[str, list[str]]:
    trained: list[str] = []
    found = choose(runner, goal, seconds, lambda _: None, trained.append)  # type: ignore[arg-type]
    assert Trial.of(found.outcome) in found.trials
    return found.outcome.codec, trained


def test_with_time_everything_is_tried_and_the_best_kept() -> None:
    runner = Runner()
    assert run(runner, Goal(Limits()), 600) == ("hnerv", ["semantic", "hybrid", "hnerv"])
    budgets = [settings["budget_s"] for _, settings in runner.made]
    assert sum(budgets) == pytest.approx(600, rel=0.01)
    hybrid = runner.made[0][1]
    assert hybrid["base"] == "svtav1"
    assert (hybrid["base.scale"], hybrid["base.preset"]) == (0.35, "4")
    assert not hybrid.keys() & {"base.crf", "base.sharpen"}


@pytest.mark.parametrize(
    ("seconds", "differentiable", "codecs"),
    [(30, True, ["svtav1"]), (100, True, ["hybrid"]), (600, False, ["svtav1"])],
)
def test_training_needs_time_and_gradients(
    seconds: float, differentiable: bool, codecs: list[str]
) -> None:
    runner = Runner(differentiable)
    codec, _ = run(runner, Goal(Limits()), seconds)
    assert [name for name, _ in runner.made] == codecs
    assert codec == codecs[-1]


def test_limits_reach_the_training() -> None:
    runner, limits = Runner(), Limits(seg=0.03, bytes=2000)
    codec, _ = run(runner, Goal(limits), 600)
    assert runner.limits[:2] == [limits, limits]
    # All three keep the limits at the same size: the first, which is the simplest, is kept.
    assert codec == "svtav1"


@pytest.mark.parametrize("limits", [Limits(), Limits(seg=0.03)])
def test_a_stack_with_a_renderer_is_drawn(limits: Limits) -> None:
    runner = Runner(differentiable=False, drawing=None)
    assert run(runner, Goal(limits), 600)[0] == "semantic"
    assert runner.made == [("semantic", {})]
    assert runner.limits == [limits if limits.given else None]
    hurried = Runner(differentiable=False, drawing=None)
    assert run(hurried, Goal(limits), 50)[0] == "svtav1"
    trained = Runner(drawing=None)
    assert run(trained, Goal(Limits()), 600)[0] == "hnerv"
    assert [codec for codec, _ in trained.made] == ["semantic", "hybrid", "hnerv"]


@pytest.mark.parametrize("error", [UserError("the clip"), DamagedError("lite.renderer: damaged")])
def test_no_mistake_but_a_missing_renderer_is_passed_over(error: UserError) -> None:
    with pytest.raises(type(error), match=str(error)):
        run(Runner(drawing=error), Goal(Limits()), 600)


def test_a_search_without_success_is_an_error(searched: Callable[..., None]) -> None:
    searched()
    with pytest.raises(UserError, match=r"clip\.mp4: no encoder takes"):
        run(Runner(), Goal(Limits()), 600)


def test_a_long_clip_is_searched_on_a_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []

    def on_sample(runner: Any, goal: Goal, spans: Any, *more: Any) -> list[Trial]:
        seen.append(spans)
        return [trial("svtav1", FOUND, 0.02)]

    monkeypatch.setattr(module, "sampled", on_sample)
    codec, _ = run(Runner(differentiable=False, num_frames=2000), Goal(Limits()), 600)
    assert codec == "svtav1"
    assert len(seen[0]) == 6
