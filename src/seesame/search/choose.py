"""The best file for a clip within a time: classical settings searched, then what is trained.

A part of the time goes to the search; the rest to a hybrid over the best settings that it found
and, where there is enough of it, to hnerv. The file that does best by the goal is kept.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from seesame.bitstream.container import Container
from seesame.context import EncodeContext, Progress
from seesame.errors import UserError
from seesame.jobs.runner import Runner
from seesame.jobs.trial import Trial, encoded_and_judged
from seesame.search.auto import Tell, auto
from seesame.search.goal import Goal
from seesame.search.outcome import chosen_settings
from seesame.search.sampled import sampled, usual_windows
from seesame.search.space import SPACES

CODECS = ("svtav1", "x265")
SEARCH_SHARE = 0.35
"""Of the time, for the search; a trial that has begun is finished."""
MOST_TRIALS = 60
LEAST_HYBRID, LEAST_HNERV = 40.0, 120.0
"""Seconds with which training comes to something."""
HYBRID_SHARE = 1 / 3
"""Of the time after the search, where hnerv gets the rest."""


@dataclass(frozen=True, eq=False)
class Chosen:
    """The best file, and what else was in the running: the best of each codec."""

    trial: Trial
    container: Container
    others: tuple[Trial, ...]


def choose(
    runner: Runner,
    goal: Goal,
    seconds: float,
    context: EncodeContext,
    tell: Tell,
    training: Callable[[str], Progress],
) -> Chosen:
    """Search, train, and keep the best.

    Args:
        runner: makes the search's trials; its clip and its judges are those of the training, too.
        goal: what is best.
        seconds: for all of it.
        context: of the training; its stack is the runner's.
        tell: called with every result of the search.
        training: gives the progress of the codec with this name, which is about to train.

    Raises:
        UserError: Optuna is not installed, or no encode succeeded.
        DamagedError: the clip ends early.
    """
    start = time.monotonic()
    searching = SEARCH_SHARE * seconds
    spaces = [SPACES[codec] for codec in CODECS]

    def late() -> bool:
        return time.monotonic() - start > searching

    def look(part: Runner, aim: Goal) -> list[Trial]:
        return auto(spaces, aim, part, MOST_TRIALS, context.seed, tell, late)

    spans = usual_windows(runner.clip)
    tried = look(runner, goal) if spans is None else sampled(runner, goal, spans, look, tell, late)
    best = goal.best(tried)
    if best is None:
        raise UserError("no encoder takes this clip")
    files: list[tuple[Trial, Container | None]] = [(best, None)]
    left = seconds - (time.monotonic() - start)
    for codec, share in _trained(left, runner.stack.differentiable):
        inner = replace(context, progress=training(codec))
        settings = _settings(codec, best, goal) | {"budget_s": max(10.0, share * left)}
        files.append(
            encoded_and_judged(runner.clip, runner.outputs, runner.stack, codec, settings, inner)
        )
    won = goal.best(trial for trial, _ in files)
    container = next(container for trial, container in files if trial is won)
    assert won is not None
    if container is None:  # the search keeps figures only; its encoders repeat themselves
        _, container = encoded_and_judged(
            runner.clip, runner.outputs, runner.stack, won.codec, won.settings, context
        )
    return Chosen(won, container, tuple(trial for trial, _ in files))


def _trained(left: float, differentiable: bool) -> list[tuple[str, float]]:
    """Codecs to train in so many seconds, and the share of them that each gets."""
    if not differentiable or left < LEAST_HYBRID:
        return []
    if (1 - HYBRID_SHARE) * left < LEAST_HNERV:
        return [("hybrid", 1.0)]
    return [("hybrid", HYBRID_SHARE), ("hnerv", 1 - HYBRID_SHARE)]


def _settings(codec: str, best: Trial, goal: Goal) -> dict[str, Any]:
    """Settings of a training: the goal's limits, and for a hybrid the base that was found."""
    limits = goal.limits
    bounds = {
        "target_score": limits.score,
        "max_seg": limits.seg,
        "max_pose": limits.pose,
        "max_bytes": limits.bytes,
    }
    given = {name: bound for name, bound in bounds.items() if bound is not None}
    if codec == "hybrid":
        # Its quality is left to hybrid: with corrections and a network a lower one does.
        found = {k: v for k, v in chosen_settings(best).items() if k not in ("crf", "sharpen")}
        given |= {"base": best.codec} | {f"base.{k}": v for k, v in found.items()}
    return given
