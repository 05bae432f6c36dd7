"""Transfer: the worth of a file that was made for one stack to another network, and to people.

    python bench/transfer.py --parallel 2 [--go-on] [--kinds hybrid hnerv]
    python bench/transfer.py --table          # run nothing, print the table
    python bench/transfer.py --plot           # docs/transfer.png from the results

On each clip AV1 at several qualities, hybrid and hnerv at several pixel weights. Every file is
written to disk, read back and decoded; the stack that it was made for judges it, then TwinLiteNet,
which no encoder trained against, and PSNR and MS-SSIM say how much it looks like the source.
Results are appended to ``bench/results/transfer.jsonl``. Its rows with ``augment`` come from a
training that no longer exists; table and plot leave them out.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from common import HERE, Results, twinlitenet
from measure import name_of, opened, row_of
from readme_tables import transfer_table
from seesame.codecs.registry import codec_by_id
from seesame.metric.evaluator import evaluate
from seesame.metric.fidelity import luma, ms_ssim, psnr, squared_errors
from seesame.perception.registry import load_stack
from seesame.video.clip import Clip
from tasks import Row, Task, matches, options, run_tasks

AV1: Row = {"preset": 4, "scale": 0.5, "gop": 240, "up": "lanczos"}
CRFS = (38, 44, 50, 55, 60)
WEIGHTS = (0.0, 0.05, 0.3)
BUDGETS = {"hybrid": 240.0, "hnerv": 300.0}
"""Seconds of a file."""
FOLDER = HERE.parent / "out" / "twinlitenet"
PLOT = HERE.parent / "docs" / "transfer.png"
COLOURS = {"av1": "#1f5f8b", "hybrid": "#3a8f4d", "hnerv": "#c8442d"}
PAIR_BATCH = 8


def task(clip: str, stack: str, codec: str, settings: Row, seed: int) -> list[Row]:
    """Make one file; judge it with both stacks, and compare its picture with the source."""
    bench, other = opened(clip, stack), load_stack(twinlitenet(FOLDER))
    outcome = bench.encode(codec, settings, seed=seed)
    decoded = codec_by_id(outcome.container.codec_id).decode(outcome.container)
    second = evaluate(bench.clip, decoded, other, outcome.bytes)
    row = row_of(bench, outcome)
    row |= {"transfer": second.score.seg, "transfer_stack": other.name}
    return [row | likeness(bench.clip, decoded)]


def likeness(source: Clip, decoded: Clip) -> Row:
    """Return the PSNR of the whole clip, and the mean of the frames' MS-SSIM."""
    errors: list[float] = []
    alike: list[float] = []
    batches = zip(source.batches(PAIR_BATCH), decoded.batches(PAIR_BATCH), strict=True)
    for first, second in batches:
        errors += squared_errors(first, second)
        found = ms_ssim(luma(first), luma(second))
        assert found is not None
        alike += found.tolist()
    return {"psnr": psnr(float(np.mean(errors))), "ms_ssim": float(np.mean(alike))}


def tasks_of(args: argparse.Namespace) -> list[Task]:
    """Return all tasks, those of AV1 first: they are quick."""
    made = []
    for clip in args.clips:
        variants: list[tuple[str, str, Row, Row]] = [
            ("av1", "svtav1", {"crf": crf}, AV1 | {"crf": crf}) for crf in CRFS
        ]
        for codec, budget in BUDGETS.items():
            length = {"steps": args.steps} if args.steps else {"budget_s": budget}
            for weight in WEIGHTS:
                named = {"pixel_weight": weight, **length}
                variants.append((codec, codec, named, named))
        for kind, codec, named, settings in variants:
            if kind in args.kinds:
                key = {"clip": name_of(clip), "stack": args.stack, "kind": kind, **named}
                values = {"codec": codec, "settings": settings, "seed": args.seed}
                made.append(Task(key, task, {"clip": clip, "stack": args.stack, **values}))
    return made


def found_rows(tasks: list[Task], results: Results) -> list[Row]:
    """Return the latest row of each task that has one."""
    every = [row for row in reversed(results.rows()) if not row.get("augment")]
    found = (next((row for row in every if matches(row, one.key)), None) for one in tasks)
    return [row for row in found if row is not None]


def draw(rows: list[Row], clips: list[str], path: Path) -> None:
    """Draw score against transfer for each clip; each file has its CRF or weight, and its PSNR."""
    figure = Figure(figsize=(5.2 * len(clips), 4.4), layout="constrained")
    axes = figure.subplots(1, len(clips), squeeze=False)
    for axis, clip in zip(axes[0], clips, strict=True):
        panel(axis, [row for row in rows if row["clip"] == clip])
        axis.set_title(clip)
    axes[0][0].set_ylabel("pixels whose class changes for TwinLiteNet")
    axes[0][0].legend(fontsize=8, framealpha=0.9)
    figure.savefig(path, dpi=130)
    print(f"wrote {path}")


def panel(axis: Any, rows: list[Row]) -> None:
    """Draw one clip."""
    axis.set_xlabel("score (100·seg + 25·rate + √(10·pose))")
    axis.grid(color="0.92")
    axis.set_axisbelow(True)
    for kind, colour in COLOURS.items():
        own = [row for row in rows if row["kind"] == kind]
        axis.plot(*across(own), color=colour, linewidth=1, alpha=0.6)
        sizes = [4 + 2 * max(0.0, row["psnr"] - 10) for row in own]
        axis.scatter(*across(own), sizes, colour, label=kind, zorder=3)
        for number, row in enumerate(own):
            text = f"{row['crf'] if kind == 'av1' else row['pixel_weight']:g}, {row['psnr']:.0f} dB"
            left = kind == "av1" and number % 2
            at = {"xytext": (-6 if left else 6, -3), "textcoords": "offset points"}
            at |= {"ha": "right" if left else "left"}
            axis.annotate(text, (row["score"], row["transfer"]), fontsize=7, color="0.3", **at)
    axis.set_xlim(0, 1.2 * max(row["score"] for row in rows))
    axis.set_yscale("log")
    axis.set_yticks([0.01, 0.02, 0.05, 0.1, 0.2], ["1 %", "2 %", "5 %", "10 %", "20 %"])
    axis.minorticks_off()
    axis.set_ylim(0.01, 0.25)


def across(rows: list[Row]) -> tuple[list[float], list[float]]:
    """Return scores and transfer distortions."""
    return [row["score"] for row in rows], [row["transfer"] for row in rows]


def main() -> None:
    """Run the tasks, print the table of docs/transfer.md and, if asked, draw."""
    parser = options(__doc__, "transfer", ("highway.mp4", "dusk.mp4"))
    parser.add_argument("--kinds", nargs="+", choices=list(COLOURS), default=list(COLOURS))
    parser.add_argument("--steps", type=int, help="training steps instead of a time")
    parser.add_argument("--table", action="store_true", help="run nothing; print the table")
    parser.add_argument("--plot", action="store_true", help="run nothing; draw")
    args = parser.parse_args()
    results = Results(args.name, append=True, folder=args.folder)
    tasks = tasks_of(args)
    if not args.table and not args.plot:
        run_tasks(tasks, results, args)
    print(transfer_table(results.rows()))
    if args.plot:
        draw(found_rows(tasks, results), [name_of(clip) for clip in args.clips], PLOT)


if __name__ == "__main__":
    main()
