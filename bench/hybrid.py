"""The hybrid codec against hand-made classical settings, and what each of its parts gains.

    python bench/hybrid.py --budget 330 --parallel 2 [--go-on] [--part ablation]
    python bench/hybrid.py --table          # run nothing, print the tables

``public``: settings that entries of the comma.ai challenge published, as near as the codecs here
take them, on the same clips and stack. ``ablation``: the base alone, with corrections, with the
network, with both; all four aim at the same size in all, so that a base without a network is a
little larger. Every file is written to disk, read back, decoded and scored. Results are appended to
``bench/results/hybrid.jsonl``.
"""

import argparse
import tempfile
from pathlib import Path

from common import Results
from jobs import Job, Row, add_options, find_clip, rows_of, run_jobs
from measure import measure
from seesame.metric.evaluator import reference_outputs
from seesame.perception.registry import load_stack
from seesame.video.reader import open_clip

PUBLIC: dict[str, tuple[str, Row]] = {
    "AV1 preset 0, CRF 33, 45 %, grain 22": (
        "svtav1",
        {"preset": 0, "crf": 33, "scale": 0.45, "grain": 22, "gop": 180, "up": "bicubic"},
    ),
    "x265 ultrafast, CRF 30, 45 %": (
        "x265",
        {"preset": "ultrafast", "crf": 30, "scale": 0.45, "gop": 1},
    ),
    "x265 veryslow, CRF 27, 44 %, GOP 16": (
        "x265",
        {"preset": "veryslow", "crf": 27, "scale": 0.44, "gop": 16},
    ),
}
"""512x384 of 1164x874 is 44 %."""
PARTS: dict[str, Row] = {
    "base": {"network": False, "sidecar": False},
    "base, corrections": {"network": False},
    "base, network": {"sidecar": False},
    "hybrid": {},
}


def job(clip: str, stack: str, codec: str, settings: Row, device: str, seed: int) -> list[Row]:
    """One file."""
    source, nets = open_clip(find_clip(clip)), load_stack(stack, device)
    outputs = reference_outputs(source, nets, device=device)
    with tempfile.TemporaryDirectory() as folder:
        row = measure(
            source, outputs, nets, codec, settings, Path(folder), device=device, seed=seed
        )
    return [row | {"fingerprint": nets.fingerprint[:16]}]


def jobs_of(args: argparse.Namespace) -> list[Job]:
    """A job a clip and variant."""
    made = []
    length = {"steps": args.steps} if args.steps else {"budget_s": args.budget}
    for clip in args.clips:
        common = {"clip": clip, "stack": args.stack, "device": args.device, "seed": args.seed}
        key = {"clip": Path(clip).name, "stack": args.stack, "seed": args.seed}
        if args.part in (None, "public"):
            for name, (codec, settings) in PUBLIC.items():
                values = {"codec": codec, "settings": settings}
                made.append(Job(key | {"variant": name}, job, common | values))
        if args.part in (None, "ablation"):
            for name, parts in PARTS.items():
                values = {"codec": "hybrid", "settings": parts | length}
                made.append(Job(key | {"variant": name, **length}, job, common | values))
    return made


def print_table(jobs: list[Job], results: Results) -> None:
    """The latest row of each job."""
    print("| clip | variant | bytes | 100·seg | √(10·pose) | 25·rate | score | encode s |")
    print("|---|---|---:|---:|---:|---:|---:|---:|")
    for one in jobs:
        for row in rows_of(results, one.key):
            terms = (100 * row["seg"], (10 * row["pose"]) ** 0.5, 25 * row["rate"], row["score"])
            numbers = " | ".join(f"{term:.3f}" for term in terms)
            name = f"{row['clip']} | {row['variant']}"
            print(f"| {name} | {row['bytes']:,} | {numbers} | {row['encode_s']:.0f} |")


def main() -> None:
    """Run the jobs and print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_options(parser, "hybrid", ("highway.mp4", "dusk.mp4", "forest.mp4"))
    parser.add_argument("--budget", type=float, default=330, help="seconds of each hybrid file")
    parser.add_argument("--steps", type=int, help="training steps instead")
    parser.add_argument("--part", choices=("public", "ablation"), help="only these jobs")
    parser.add_argument("--table", action="store_true", help="run nothing")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--stack", default="lite")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    results = Results(args.name, append=True, folder=args.folder)
    jobs = jobs_of(args)
    if not args.table:
        run_jobs(jobs, results, args)
    print_table(jobs, results)


if __name__ == "__main__":
    main()
