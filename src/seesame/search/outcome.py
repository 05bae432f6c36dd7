"""What a search leaves: values for JSON, rows for CSV, a picture of the trials."""

import csv
import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from seesame.files import replacing
from seesame.search.goal import pareto_front
from seesame.search.trial import Trial

COLOURS = ("#1f5f8b", "#c8442d", "#4f8a3c", "#8a5aa8")
FIGURES = ("codec", "bytes", "rate", "seg", "pose", "score", "encode_s", "judge_s")


def trial_values(trial: Trial) -> dict[str, Any]:
    """A trial in plain values, full precision."""
    return {
        "codec": trial.codec,
        "settings": dict(trial.settings),
        "bytes": trial.bytes,
        "rate": trial.score.rate,
        "seg": trial.seg,
        "pose": trial.pose,
        "score": trial.score.total,
        "encode_s": trial.encode_s,
        "judge_s": trial.judge_s,
    }


def write_outcome(
    folder: Path, trials: Sequence[Trial], best: Trial | None, title: str, overwrite: bool
) -> None:
    """Write ``trials.csv``, ``front.csv``, ``search.json`` and ``search.png`` into a new folder.

    Raises:
        UserError: the folder is there already, or cannot be written.
    """
    front = pareto_front(trials)
    with replacing(folder, overwrite) as temporary:
        temporary.mkdir()
        write_csv(temporary / "trials.csv", trials)
        write_csv(temporary / "front.csv", front)
        values = {
            "search": title,
            "best": trial_values(best) if best else None,
            "front": [trial_values(trial) for trial in front],
            "trials": [trial_values(trial) for trial in trials],
        }
        (temporary / "search.json").write_text(json.dumps(values, indent=1), encoding="utf-8")
        draw(temporary / "search.png", trials, best, title)


def write_csv(path: Path, trials: Sequence[Trial]) -> None:
    """A row a trial: figures, then every setting that any of them has."""
    names = list(dict.fromkeys(name for trial in trials for name in trial.settings))
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([*FIGURES, *names])
        for trial in trials:
            values = trial_values(trial)
            settings = [trial.settings.get(name, "") for name in names]
            writer.writerow([*(values[name] for name in FIGURES), *settings])


def draw(path: Path, trials: Sequence[Trial], best: Trial | None, title: str) -> None:
    """Rate against the score's distortion terms, seg and pose: trials, their fronts, the best."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, 3, figsize=(15, 4.8), layout="constrained")
    measures: tuple[tuple[str, Callable[[Trial], float]], ...] = (
        ("distortion: 100·seg + √(10·pose)", lambda t: t.distortion),
        ("100·seg", lambda t: 100 * t.seg),
        ("√(10·pose)", lambda t: math.sqrt(10 * t.pose)),
    )
    codecs = list(dict.fromkeys(trial.codec for trial in trials))
    for axis, (label, measure) in zip(axes, measures, strict=True):
        for codec, colour in zip(codecs, COLOURS, strict=False):
            own = [trial for trial in trials if trial.codec == codec]
            rates, values = [t.score.rate for t in own], [measure(t) for t in own]
            axis.plot(rates, values, "o", color=colour, markersize=3.5, alpha=0.5, label=codec)
        front = pareto_front(trials)
        if axis is axes[0] and front:
            rates, values = [t.score.rate for t in front], [measure(t) for t in front]
            style = {"color": "0.15", "linewidth": 1.2, "markersize": 4}
            axis.plot(rates, values, "o-", label="Pareto front", **style)
            _iso_scores(axis, trials)
        if best is not None:
            place = ([best.score.rate], [measure(best)])
            axis.plot(*place, "*", color="#e0a000", markersize=15, markeredgecolor="0.2")
        axis.set_xscale("log")
        axis.set_ylim(bottom=0)
        axis.set_xlabel("rate: compressed bytes / source bytes")
        axis.set_ylabel(label)
    axes[0].legend(fontsize=8)
    figure.suptitle(title, fontsize=10)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def _iso_scores(axis: Any, trials: Sequence[Trial]) -> None:
    """Lines of equal score."""
    rates = [trial.score.rate for trial in trials]
    low, high = min(rates) / 1.2, max(rates) * 1.2
    top = 1.05 * max(trial.distortion for trial in trials)
    across = [low * (high / low) ** (i / 100) for i in range(101)]
    first = min(trial.score.total for trial in trials)
    step = max(0.25, round(2 * top / 6) / 2)
    for score in (step * i for i in range(math.floor(first / step), math.ceil(top / step) + 1)):
        line = [score - 25 * rate for rate in across]
        axis.plot(across, line, color="0.85", linewidth=0.8, zorder=0)
        if 0 < line[0] < top:
            axis.text(low, line[0], f" score {score:g}", color="0.5", fontsize=7, va="bottom")
    axis.set_xlim(low, high)
    axis.set_ylim(0, top)
