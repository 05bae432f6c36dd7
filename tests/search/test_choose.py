"""The choice among a search's best and what is trained over it; no encoder runs."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from seesame.bitstream.container import Container
from seesame.context import EncodeContext
from seesame.errors import UserError
from seesame.jobs.trial import Trial
from seesame.metric.limits import Limits
from seesame.search import choose as module
from seesame.search.choose import choose
from seesame.search.goal import Goal
from seesame.search.space import complete
from seesame.video.clip import ArrayClip

FOUND = complete("svtav1", {"crf": 37, "scale": 0.35, "preset": "4", "sharpen": 0.5})


class Stack:
    differentiable = True


class Runner:
    clip = ArrayClip(np.zeros((12, 1, 1, 3), np.uint8))
    outputs = None

    def __init__(self, differentiable: bool = True) -> None:
        self.stack = Stack()
        self.stack.differentiable = differentiable


def trial(codec: str, settings: Mapping[str, Any], seg: float, size: int = 1000) -> Trial:
    return Trial(codec, settings, size, 100_000, seg, 0.0, 1.0, 1.0)


@pytest.fixture
def encodes(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, Any]]]:
    """What was encoded; hybrid halves the seg distortion of the search's best, hnerv more so."""
    made: list[tuple[str, dict[str, Any]]] = []
    seg = {"svtav1": 0.02, "hybrid": 0.01, "hnerv": 0.005}

    def encode(
        clip: Any, outputs: Any, stack: Any, codec: str, settings: Mapping[str, Any], context: Any
    ) -> tuple[Trial, str]:
        made.append((codec, dict(settings)))
        return trial(codec, settings, seg[codec]), f"the file of {codec}"

    def search(*arguments: Any) -> list[Trial]:
        return [trial("svtav1", FOUND, 0.02), trial("x265", complete("x265", {}), 0.03)]

    monkeypatch.setattr(module, "encoded_and_judged", encode)
    monkeypatch.setattr(module, "auto", search)
    return made


def run(runner: Runner, goal: Goal, seconds: float) -> tuple[str, Container, list[str]]:
    notes: list[str] = []
    found = choose(runner, goal, seconds, EncodeContext(), lambda _: None, notes.append)  # type: ignore[arg-type]
    assert found.trial in found.others
    return found.trial.codec, found.container, notes


def test_with_time_everything_is_tried_and_the_best_kept(encodes: list[Any]) -> None:
    codec, container, notes = run(Runner(), Goal(Limits()), 600)
    assert (codec, container) == ("hnerv", "the file of hnerv")
    assert notes == ["hybrid", "hnerv"]
    budgets = [settings["budget_s"] for _, settings in encodes]
    assert sum(budgets) == pytest.approx(600, rel=0.01)
    hybrid = encodes[0][1]
    assert hybrid["base"] == "svtav1"
    assert (hybrid["base.scale"], hybrid["base.preset"]) == (0.35, "4")
    assert not hybrid.keys() & {"base.crf", "base.sharpen"}


@pytest.mark.parametrize(
    ("seconds", "differentiable", "codecs"),
    [(30, True, ["svtav1"]), (100, True, ["hybrid"]), (600, False, ["svtav1"])],
)
def test_training_needs_time_and_gradients(
    encodes: list[Any], seconds: float, differentiable: bool, codecs: list[str]
) -> None:
    codec, _, _ = run(Runner(differentiable), Goal(Limits()), seconds)
    assert [name for name, _ in encodes] == codecs
    assert codec == codecs[-1]


def test_limits_reach_the_training(encodes: list[Any]) -> None:
    limits = Limits(seg=0.03, bytes=2000)
    codec, container, _ = run(Runner(), Goal(limits), 600)
    for _, settings in encodes[:2]:
        assert (settings["max_seg"], settings["max_bytes"]) == (0.03, 2000)
        assert "max_pose" not in settings
    # All three keep the limits at the same size: the first, which is the simplest, is kept.
    assert (codec, container) == ("svtav1", "the file of svtav1")


def test_a_search_without_success_is_an_error(
    encodes: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "auto", lambda *arguments: [])
    with pytest.raises(UserError, match="no encoder takes"):
        run(Runner(), Goal(Limits()), 600)


def test_a_long_clip_is_searched_on_a_sample(
    encodes: list[tuple[str, dict[str, Any]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []

    def on_sample(runner: Any, goal: Goal, spans: Any, *more: Any) -> list[Trial]:
        seen.append(spans)
        return [trial("svtav1", FOUND, 0.02)]

    monkeypatch.setattr(module, "sampled", on_sample)
    runner = Runner(differentiable=False)
    runner.clip = ArrayClip(np.zeros((2000, 1, 1, 3), np.uint8), 20)
    codec, _, _ = run(runner, Goal(Limits()), 600)
    assert codec == "svtav1"
    assert len(seen[0]) == 6
