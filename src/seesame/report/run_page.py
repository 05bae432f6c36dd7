"""The page of a training run: its curves, its candidates, how far it is."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from seesame.report.render import rendered
from seesame.report.run import CandidateLine, Run


@dataclass(frozen=True)
class CurveSettings:
    """The settings of the page's curves.

    Attributes:
        most_points: of a curve; the last point is always among them.
        smooth: lines over which the seg distortion of single batches is averaged.
        stale_seconds: without a line, after which the page says so.
        reload_seconds: after which the page of a live run loads itself again.
    """

    most_points: int = 1200
    smooth: int = 15
    stale_seconds: float = 120.0
    reload_seconds: int = 3


SETTINGS = CurveSettings()
Column = list[float | None]


def run_values(run: Run, name: str, now: float) -> dict[str, Any]:
    """Return the summary as plain JSON values.

    Args:
        run: the log.
        name: of the file.
        now: time of day in seconds since 1970.
    """
    best, estimate = run.best, _estimates(run)
    return {
        "run": name,
        "codec": run.about.get("codec"),
        "stage": run.stages[-1].name if run.stages else None,
        "ended": run.ended or None,
        "elapsed_s": run.t,
        "left_s": run.left,
        "share": run.share,
        "steps": run.steps[-1].step if run.steps else 0,
        "starts": len(run.starts),
        "candidates": len(run.candidates),
        "best": None if best is None else _candidate(best, run.candidates.index(best) + 1),
        "estimate": estimate["score"][-1] if estimate["score"] else None,
        "quiet_s": None if run.updated is None or run.ended else max(0.0, now - run.updated),
        "skipped_lines": run.skipped,
    }


def page_data(run: Run, name: str, now: float, live: bool) -> dict[str, Any]:
    """Return everything that the page's script reads, as plain JSON values."""
    best = run.best
    chosen = _thinned(len(run.steps))
    columns: dict[str, Column] = {
        "t": [one.t for one in run.steps],
        "step": [one.step for one in run.steps],
        "loss": [one.loss for one in run.steps],
        "bytes": [one.bytes for one in run.steps],
        "learning": [one.learning_rate for one in run.steps],
        **_estimates(run),
    }
    summary = run_values(run, name, now)
    return {
        "name": name,
        "live": live,
        "reload": SETTINGS.reload_seconds,
        "stale": SETTINGS.stale_seconds,
        "updated": run.updated,
        "columns": {key: [column[i] for i in chosen] for key, column in columns.items()},
        "candidates": [_candidate(one, i) for i, one in enumerate(run.candidates, start=1)],
        "best": None if best is None else run.candidates.index(best),
        "stages": [{"name": one.name, "t": one.t, "step": one.step} for one in run.stages],
        "resumed": [{"t": one.t, "step": one.step} for one in run.starts[1:]],
        "end": {"t": run.t, "step": summary["steps"]},
        "summary": summary,
    }


def write_run_page(place: Path, run: Run, name: str, now: float, live: bool = False) -> None:
    """Write the page into the file ``place``.

    Args:
        place: the file.
        run: the log.
        name: of the log, as shown; a stranger's text.
        now: time of day in seconds since 1970.
        live: the page will be replaced, and loads itself again.
    """
    data = page_data(run, name, now, live)
    text = rendered(
        "run.html", data, run=run, summary=data["summary"], best=run.best, facts=_facts(run)
    )
    place.write_text(text, encoding="utf-8", errors="replace")


def _candidate(one: CandidateLine, number: int) -> dict[str, Any]:
    """Return a candidate's figures and its score's terms; ``number`` counts those of all starts."""
    return {
        "number": number,
        "t": one.t,
        "step": one.step,
        "stage": one.stage,
        "bytes": one.bytes,
        "seg": one.seg,
        "pose": one.pose,
        "rate": one.rate,
        "score": one.score,
        "excess": one.excess,
        "best_yet": one.best,
        "terms": [100 * one.seg, (10 * one.pose) ** 0.5, 25 * one.rate],
    }


def _estimates(run: Run) -> dict[str, Column]:
    """Return the score's terms at each step, as training saw them, and their sum.

    The seg distortion of a batch is averaged over the lines before; the score needs the bytes,
    which are unknown until weights are quantised.
    """
    seg = _running([one.seg for one in run.steps])
    segs = [None if value is None else 100 * value for value in seg]
    poses = [None if s.pose is None or s.pose < 0 else (10 * s.pose) ** 0.5 for s in run.steps]
    source = run.source_bytes
    rates = [
        None if one.bytes is None or source <= 0 else 25 * one.bytes / source for one in run.steps
    ]
    sums = [
        None if a is None or c is None else a + (b or 0.0) + c
        for a, b, c in zip(segs, poses, rates, strict=True)
    ]
    return {"seg": segs, "pose": poses, "rate": rates, "score": sums}


def _running(values: Sequence[float | None]) -> Column:
    """Return the mean of each value and those shortly before it."""
    known = np.array([np.nan if value is None else value for value in values])
    there = ~np.isnan(known)
    sums = np.cumsum(np.where(there, known, 0.0))
    counts = np.cumsum(there)
    sums[SETTINGS.smooth :] -= sums[: -SETTINGS.smooth].copy()
    counts[SETTINGS.smooth :] -= counts[: -SETTINGS.smooth].copy()
    return [float(s / c) if c else None for s, c in zip(sums, counts, strict=True)]


def _thinned(count: int) -> list[int]:
    """Return places of the points to draw, evenly over all."""
    if count <= SETTINGS.most_points:
        return list(range(count))
    return [int(i) for i in np.linspace(0, count - 1, SETTINGS.most_points).round()]


def _facts(run: Run) -> list[str]:
    """Return the facts of the run, in short pieces."""
    about, facts = run.about, [run.about.get("codec") or "unknown codec"]
    if about.get("width") and about.get("height"):
        facts.append(f"{about['width']:.0f}\u00d7{about['height']:.0f}")
    for value, text in (
        (about.get("frames"), "{:,.0f} frames"),
        (run.source_bytes, "{:,.0f} bytes"),
        (about.get("stack"), "stack {}"),
        (about.get("device"), "on {}"),
        (about.get("seesame"), "seesame {}"),
    ):
        if value:
            facts.append(text.format(value))
    return facts
