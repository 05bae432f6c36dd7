"""Rate and distortion: hnerv at five sizes a clip, and a grid of AV1 below and above its rates.

    python bench/rate_distortion.py --budget 480 --parallel 2 [--go-on] [--part hnerv]
    python bench/rate_distortion.py --plot      # docs/rate_distortion.png from the results

Every file is written to disk, read back, decoded and scored with the stack. Results are appended
to ``bench/results/rate_distortion.jsonl``. After the runs, and with ``--plot`` or ``--check``, it
is checked that distortion falls as the rate grows along the hnerv points, and which AV1 points
below a rate of 0.10 no hnerv point dominates (lower or equal in both).
"""

import argparse
import itertools
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from common import HERE, Results
from measure import measured, name_of, opened
from seesame.metric.rates.front import pareto_front
from seesame.neural.fitting.settings import target_bytes
from seesame.search.plot import iso_scores, rate_axis
from seesame.video.reading.reader import open_clip
from tasks import Row, Task, find_clip, matches, options, run_tasks

FACTORS = (0.25, 0.5, 1.0, 2.0, 4.0)
"""Sizes of hnerv, in units of what it would choose for the clip."""
CRFS = (24, 32, 40, 47, 54, 62)
SCALES = (0.125, 0.25, 0.35, 0.5, 0.75, 1.0)
GRAINS = (0, 22)
LOW_RATE = 0.10
PLOT = HERE.parent / "docs" / "rate_distortion.png"


def hnerv_task(clip: str, stack: str, settings: Row, device: str, seed: int) -> list[Row]:
    """Make one file of hnerv."""
    return [tidied(measured(opened(clip, stack, device), "hnerv", settings, seed=seed))]


def av1_task(clip: str, stack: str, scale: float, crfs: Sequence[int], preset: int) -> list[Row]:
    """Make the AV1 files of one scale."""
    bench = opened(clip, stack)
    rows = []
    for crf, grain in itertools.product(crfs, GRAINS):
        settings = {"crf": crf, "scale": scale, "grain": grain, "preset": preset}
        rows.append(tidied(measured(bench, "svtav1", settings)))
    return rows


def tidied(row: Row) -> Row:
    """Return a row as it goes to the results; the task's key names the codec."""
    kept = {k: v for k, v in row.items() if k not in ("codec", "settings")}
    return {"parameters": row["settings"], **kept}


def default_bytes(path: Path) -> int:
    """Return the size that hnerv chooses for a clip."""
    clip = open_clip(path)
    return target_bytes(-(-clip.num_frames // 2), clip.source_bytes)


def tasks_of(args: argparse.Namespace) -> list[Task]:
    """Return all tasks, those of the grid first: they are quick."""
    made = []
    for clip in args.clips:
        base = {"clip": name_of(clip), "stack": args.stack}
        for scale in args.scales:
            key = base | {"kind": "av1", "scale": scale, "crfs": args.crfs, "preset": 4}
            values = {"scale": scale, "crfs": args.crfs, "preset": 4}
            made.append(Task(key, av1_task, {"clip": clip, "stack": args.stack, **values}))
    for clip, factor in itertools.product(args.clips, args.factors):
        size = max(500, round(factor * default_bytes(find_clip(clip))))
        length = {"steps": args.steps} if args.steps else {"budget_s": args.budget}
        key = {"clip": name_of(clip), "stack": args.stack, "kind": "hnerv", "wanted": size}
        key |= {"factor": factor, **length, "seed": args.seed}
        settings = {"bytes": size, **length}
        values = {"settings": settings, "device": args.device, "seed": args.seed}
        made.append(Task(key, hnerv_task, {"clip": clip, "stack": args.stack, **values}))
    return [task for task in made if args.part in (None, task.key["kind"])]


def distortion(row: Row) -> float:
    """Return the score without its rate term."""
    return 100 * float(row["seg"]) + math.sqrt(10 * float(row["pose"]))


def points(rows: list[Row], clip: str, kind: str) -> list[Row]:
    """Return the latest row of each setting of a kind on a clip, by rate.

    Of hnerv, only runs of the same length as the latest one.
    """
    found = [row for row in rows if matches(row, {"clip": clip, "kind": kind})]
    if kind == "hnerv" and found:
        length = {k: found[-1].get(k) for k in ("budget_s", "steps", "seed")}
        found = [row for row in found if {k: row.get(k) for k in length} == length]
    # By size asked for: hnerv's parameters hold it.
    latest = {str(row["parameters"]): row for row in found}
    return sorted(latest.values(), key=lambda row: row["rate"])


def rate_and_distortion(row: Row) -> tuple[float, float]:
    """Return a row's place in the plot."""
    return row["rate"], distortion(row)


def check(rows: list[Row], clip: str) -> bool:
    """Print what holds on a clip; return true when all does."""
    ours, av1 = points(rows, clip, "hnerv"), points(rows, clip, "av1")
    rising = [(a, b) for a, b in itertools.pairwise(ours) if distortion(b) >= distortion(a)]
    print(f"\n{clip}: {len(ours)} hnerv points, {len(av1)} AV1 points")
    for row in ours:
        print(
            f"  hnerv {row['bytes']:8,} bytes (asked {row['wanted']:,})  rate {row['rate']:.4f}"
            f"  distortion {distortion(row):.4f}  score {row['score']:.4f}"
        )
    print(f"  monotone: {'no' if rising else 'yes'}")
    for a, b in rising:
        print(f"    {a['bytes']:,} bytes {distortion(a):.4f}; {b['bytes']:,} {distortion(b):.4f}")
    low = [row for row in av1 if row["rate"] < LOW_RATE]
    free = [
        row
        for row in low
        if not any(o["rate"] <= row["rate"] and distortion(o) <= distortion(row) for o in ours)
    ]
    print(f"  AV1 points below rate {LOW_RATE:g}: {len(low)}, not dominated: {len(free)}")
    for row in free:
        below = ours and row["rate"] < ours[0]["rate"]
        print(
            f"    rate {row['rate']:.4f} distortion {distortion(row):.3f} score {row['score']:.3f}"
            f" {row['parameters']}{' (smaller than every hnerv file)' if below else ''}"
        )
    return bool(ours) and not rising and not free


def draw(rows: list[Row], clips: Sequence[str], path: Path) -> None:
    """Draw a panel for each clip: distortion over rate."""
    figure = Figure(figsize=(4.6 * len(clips), 4.2), layout="constrained")
    axes = figure.subplots(1, len(clips), squeeze=False)
    for axis, clip in zip(axes[0], clips, strict=True):
        panel(axis, points(rows, clip, "hnerv"), points(rows, clip, "av1"))
        axis.set_title(clip)
    axes[0][0].set_ylabel("distortion: 100·seg + √(10·pose)")
    axes[0][0].legend(loc="upper right", fontsize=8, framealpha=0.9)
    figure.savefig(path, dpi=130)
    print(f"wrote {path}")


def panel(axis: Any, ours: list[Row], av1: list[Row]) -> None:
    """Draw one clip: iso-score lines, AV1 dots and their front, hnerv points joined."""
    everything = ours + av1
    rate_axis(axis, [row["rate"] for row in everything])
    axis.set_ylim(0, 1.08 * max(distortion(row) for row in everything))
    iso_scores(axis, min(row["score"] for row in everything))
    best = pareto_front(av1, rate_and_distortion)
    for rows, label, style in (
        (av1, "AV1", {"linestyle": "none", "color": "#7aa6c2", "markersize": 3.5}),
        (best, "AV1, Pareto front", {"color": "#1f5f8b", "markersize": 3.5}),
        (ours, "hnerv", {"color": "#c8442d", "markersize": 5.5, "linewidth": 1.8}),
    ):
        if rows:
            values = [distortion(row) for row in rows]
            axis.plot([row["rate"] for row in rows], values, marker="o", label=label, **style)
    axis.axvline(LOW_RATE, color="0.6", linewidth=0.8, linestyle=":")


def main() -> None:
    """Run the tasks, then check and, if asked, draw."""
    parser = options(__doc__, "rate_distortion", ("highway.mp4", "dusk.mp4", "comma_minute.mp4"))
    parser.add_argument("--budget", type=float, default=480, help="seconds of each hnerv file")
    parser.add_argument("--steps", type=int, help="training steps instead")
    parser.add_argument("--factors", type=float, nargs="+", default=list(FACTORS))
    parser.add_argument("--crfs", type=int, nargs="+", default=list(CRFS))
    parser.add_argument("--scales", type=float, nargs="+", default=list(SCALES))
    parser.add_argument("--part", choices=("hnerv", "av1"), help="only these tasks")
    parser.add_argument("--plot", action="store_true", help="run nothing; check and draw")
    parser.add_argument("--check", action="store_true", help="run nothing; check")
    parser.add_argument("--out", type=Path, default=PLOT, help="file of the plot")
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    results = Results(args.name, append=True, folder=args.folder)
    if not args.plot and not args.check:
        run_tasks(tasks_of(args), results, args)
    names, rows = [name_of(clip) for clip in args.clips], results.rows()
    held = [check(rows, name) for name in names]
    if args.plot:
        there = {row["clip"] for row in rows}
        draw(rows, [name for name in names if name in there], args.out)
    print(f"\nall checks hold on {sum(held)} of {len(names)} clips")


if __name__ == "__main__":
    main()
