"""Figures of files that were never made."""

from dataclasses import replace

from seesame.jobs.trial import Trial
from seesame.metric.figures import Figures
from seesame.metric.score import Score


def flat(
    seg: float = 0.01,
    pose: float = 0.001,
    size: int = 1000,
    source_bytes: int = 50_000,
    *,
    every_frame: bool = True,
    worst: float | None = None,
    lost: tuple[tuple[str, float], ...] = (),
) -> Figures:
    """Return figures of a file all of whose frames are alike, but for the worst 5 % of them."""
    top = seg if worst is None else worst
    return Figures(
        every_frame,
        Score(seg, pose, size / source_bytes).total,
        size,
        seg,
        pose,
        (seg,) * 96 + (top,) * 5,
        (pose,) * 101,
        lost,
        7,
        0.35,
    )


def judged(trial: Trial) -> Trial:
    """Return a trial with figures that follow from its own."""
    found = flat(trial.seg, trial.pose, trial.bytes, trial.source_bytes)
    return replace(trial, figures=found)
