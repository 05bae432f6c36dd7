"""Trials as dots over their rate, with the front and lines of equal score."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from seesame.jobs.trial import Trial
from seesame.search.goal import pareto_front

COLOURS = ("#1f5f8b", "#c8442d", "#4f8a3c", "#8a5aa8")
MARGIN = 1.4
"""Factor between the smallest or largest rate and the edge."""
MEASURES: tuple[tuple[str, Callable[[Trial], float]], ...] = (
    ("distortion: 100·seg + √(10·pose)", lambda trial: trial.distortion),
    ("100·seg", lambda trial: 100 * trial.seg),
    ("√(10·pose)", lambda trial: math.sqrt(10 * trial.pose)),
)


def draw(path: Path, trials: Sequence[Trial], best: Trial | None, title: str) -> None:
    """Draw rate against distortion, and against each of its terms; the star is the best."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, 3, figsize=(15, 4.8), layout="constrained")
    codecs = list(dict.fromkeys(trial.codec for trial in trials))
    rates = [trial.score.rate for trial in trials]
    for axis, (label, measure) in zip(axes, MEASURES, strict=True):
        for codec, colour in zip(codecs, COLOURS, strict=False):
            own = [(t.score.rate, measure(t)) for t in trials if t.codec == codec]
            style = {"color": colour, "markersize": 3.5, "alpha": 0.5}
            axis.plot(*zip(*own, strict=True), "o", label=codec, **style)
        top = 1.08 * max(measure(trial) for trial in trials) or 1.0
        rate_axis(axis, rates)
        axis.set_ylim(0, top)
        axis.set_ylabel(label)
        if best is not None:
            place = ([best.score.rate], [measure(best)])
            axis.plot(*place, "*", color="#e0a000", markersize=15, markeredgecolor="0.2")
    front = [(t.score.rate, t.distortion) for t in pareto_front(trials)]
    style = {"color": "0.15", "linewidth": 1.2, "markersize": 4}
    axes[0].plot(*zip(*front, strict=True), "o-", label="Pareto front", zorder=1.5, **style)
    iso_scores(axes[0], min(trial.score.total for trial in trials))
    axes[0].legend(fontsize=8)
    figure.suptitle(title, fontsize=10)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def rate_axis(axis: Any, rates: Sequence[float]) -> None:
    """Make an axis logarithmic, for rates, with marks at 1, 2 and 5 times powers of ten."""
    low, high = min(rates) / MARGIN, max(rates) * MARGIN
    axis.set_xscale("log")
    axis.set_xlim(low, high)
    marks = [m * 10.0**e for e in range(-7, 2) for m in (1, 2, 5)]
    marks = [mark for mark in marks if low <= mark <= high]
    axis.set_xticks(marks, [f"{mark:g}" for mark in marks])
    axis.set_xticks([], minor=True)
    axis.set_xlabel("rate: compressed bytes / source bytes")


def iso_scores(axis: Any, least: float) -> None:
    """Draw lines of equal score on an axis whose limits are set, from just below ``least`` up."""
    (low, high), (_, top) = axis.get_xlim(), axis.get_ylim()
    across = [low * (high / low) ** (i / 200) for i in range(201)]
    step = max(1, round(2 * top / 6)) / 2
    first = max(math.floor(least / step), 1)
    for score in (step * i for i in range(first, first + 8)):
        line = [score - 25 * rate for rate in across]
        axis.plot(across, line, color="0.8", linewidth=0.8, zorder=1)
        if 0 < line[0] < top:
            text = {"color": "0.45", "fontsize": 7, "va": "bottom"}
            axis.text(low * 1.03, line[0], f"score {score:g}", **text)
