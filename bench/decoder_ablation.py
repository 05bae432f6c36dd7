"""Variants of the hnerv decoder at equal bytes: settings by name, a score for each clip.

    python bench/decoder_ablation.py --steps 600 --parallel 2 [--go-on]
    python bench/decoder_ablation.py --variant wide='{"latent": 28}' --variant sine='{"sine": 1}'
    python bench/decoder_ablation.py --variants FILE.json     # {"name": {"latent": 28}, ...}
    python bench/decoder_ablation.py --table                  # run nothing, print the table

A variant is a name, settings of hnerv and a design of its decoder (``decoder_variants.py``),
laid over ``--bytes`` (the size that hnerv would choose for the clip when left out) and ``--steps``
or ``--budget``, the same for all. Sizes are aimed at, not met to the byte: the score counts what
each file really has, and the table shows it. Results are appended to
``bench/results/decoder_ablation.jsonl``.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from common import Results
from decoder_variants import DESIGN, install
from jobs import Job, Row, add_options, find_clip, rows_of, run_jobs
from rate_distortion import default_bytes, hnerv_job

VARIANTS: dict[str, Row] = {
    "hnerv": {},
    "hnerv, weights at random": {"random_start": True},
    "12 latent values": {"latent": 12},
    "28 latent values": {"latent": 28},
    "equal widths": {"taper": [20, 20, 20, 20, 20]},
    "steeper taper": {"taper": [32, 26, 20, 14, 10]},
    "kernels 1 3 3 3 5, at random": {"kernels": [1, 3, 3, 3, 5]},
    "depthwise, pointwise, at random": {"depthwise": [0, 1, 2, 3, 4]},
    "sine": {"sine": 1.0},
    "stem of half the grid": {"stages": 6},
    "frame by frame, at random": {"by_frame": True},
}


def variants_of(args: argparse.Namespace) -> dict[str, Row]:
    """The variants by name, from the command line."""
    found: dict[str, Row] = {}
    if args.variants:
        found |= json.loads(args.variants.read_text())
    for text in args.variant or []:
        name, _, settings = text.partition("=")
        found[name] = json.loads(settings)
    return found or VARIANTS


def key_of(args: argparse.Namespace, clip: str, name: str, settings: Row) -> Row:
    """What names a job in the results: everything that shapes its file."""
    length = {"steps": args.steps} if args.budget is None else {"budget_s": args.budget}
    size = args.bytes or default_bytes(find_clip(clip))
    whole = {"bytes": size, **length, **settings}
    key = {"clip": Path(clip).name, "stack": args.stack, "variant": name}
    return key | {"asked": whole, "seed": args.seed}


def variant_job(clip: str, settings: Row, **more: Any) -> list[Row]:
    """One file of a variant: its design is installed in this process, the rest is hnerv's."""
    install({name: value for name, value in settings.items() if name in DESIGN})
    plain = {name: value for name, value in settings.items() if name not in DESIGN}
    return hnerv_job(clip=clip, settings=plain, **more)


def table(args: argparse.Namespace, results: Results, variants: dict[str, Row]) -> str:
    """Markdown: a row a variant, a column a clip, the best of each column in bold."""
    cells: dict[tuple[str, str], Row] = {}
    for name, settings in variants.items():
        for clip in args.clips:
            rows = rows_of(results, key_of(args, clip, name, settings))
            if rows:
                cells[name, clip] = rows[-1]
    best = {
        clip: min((row["score"] for (_, c), row in cells.items() if c == clip), default=None)
        for clip in args.clips
    }
    lines = ["| variant | " + " | ".join(Path(clip).name for clip in args.clips) + " |"]
    lines.append("| --- |" + " ---: |" * len(args.clips))
    for name in variants:
        texts = []
        for clip in args.clips:
            row = cells.get((name, clip))
            score = "" if row is None else f"{row['score']:.4f}"
            mark = "**" if row is not None and row["score"] == best[clip] else ""
            texts.append(f"{mark}{score}{mark} ({row['bytes']:,} B)" if row else "")
        lines.append(f"| {name} | " + " | ".join(texts) + " |")
    return "\n".join(lines)


def main() -> None:
    """Run the variants and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_options(parser, "decoder_ablation", ("highway.mp4", "dusk.mp4"))
    parser.add_argument("--variant", action="append", metavar="NAME=JSON", help="repeatable")
    parser.add_argument("--variants", type=Path, help="JSON file of names and settings")
    parser.add_argument("--bytes", type=int, help="size of all files")
    parser.add_argument("--steps", type=int, default=600, help="training steps of all")
    parser.add_argument("--budget", type=float, help="seconds of each instead of steps")
    parser.add_argument("--table", action="store_true", help="run nothing, print the table")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--stack", default="lite")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    variants = variants_of(args)
    results = Results(args.name, append=True, folder=args.folder)
    if not args.table:
        jobs = []
        for name, settings in variants.items():
            for clip in args.clips:
                key = key_of(args, clip, name, settings)
                values = {"settings": key["asked"], "device": args.device, "seed": args.seed}
                jobs.append(Job(key, variant_job, {"clip": clip, "stack": args.stack, **values}))
        run_jobs(jobs, results, args)
    print(table(args, results, variants))


if __name__ == "__main__":
    main()
