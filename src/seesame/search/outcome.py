"""The results of a search: values for JSON, rows for CSV, a picture of the trials."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from seesame.codecs.segments import NAME as SEGMENTS
from seesame.files import SEARCH_FOLDER, replacing, write_text
from seesame.jobs.trial import Trial
from seesame.metric.report import frame_values
from seesame.search.goal import pareto_front
from seesame.search.plot import draw
from seesame.search.space import complete

FIGURES = ("codec", "bytes", "rate", "seg", "pose", "score", "encode_s", "judge_s")


def trial_values(trial: Trial) -> dict[str, Any]:
    """Return a trial as plain values in full precision; seg and pose are those of the score."""
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
        "frames": None if trial.figures is None else frame_values(trial.figures),
    }


def chosen_settings(trial: Trial) -> dict[str, Any]:
    """Return what a user sets to make a trial's file: quality, scale, all that is no default."""
    if trial.codec == SEGMENTS:
        return dict(trial.settings)
    defaults = complete(trial.codec, {})
    changed = {k: v for k, v in sorted(trial.settings.items()) if v != defaults[k]}
    return {k: trial.settings[k] for k in ("crf", "scale")} | changed


def write_outcome(
    folder: Path, trials: Sequence[Trial], best: Trial | None, title: str, overwrite: bool
) -> None:
    """Write ``trials.csv``, ``front.csv``, ``search.json`` and ``search.png`` into a new folder.

    Raises:
        UserError: the folder is there already, or cannot be written.
    """
    front = pareto_front(trials)
    with replacing(folder, overwrite, holds=SEARCH_FOLDER) as temporary:
        temporary.mkdir()
        write_csv(temporary / "trials.csv", trials)
        write_csv(temporary / "front.csv", front)
        values = {
            "search": title,
            "best": trial_values(best) if best else None,
            "front": [trial_values(trial) for trial in front],
            "trials": [trial_values(trial) for trial in trials],
        }
        write_text(temporary / "search.json", json.dumps(values, indent=1))
        draw(temporary / "search.png", trials, best, title)


def write_csv(path: Path, trials: Sequence[Trial]) -> None:
    """Write a row for each trial: figures, then every setting that any of them has."""
    names = list(dict.fromkeys(name for trial in trials for name in trial.settings))
    with path.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file:
        writer = csv.writer(file)
        writer.writerow([*FIGURES, *names])
        for trial in trials:
            values = trial_values(trial)
            settings = [trial.settings.get(name, "") for name in names]
            writer.writerow([*(values[name] for name in FIGURES), *settings])
