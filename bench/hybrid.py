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

from common import Results
from measure import encode_task, name_of
from tasks import Row, Task, add_options, rows_of, run_tasks

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


def tasks_of(args: argparse.Namespace) -> list[Task]:
    """Return a task for each clip and variant."""
    made = []
    length = {"steps": args.steps} if args.steps else {"budget_s": args.budget}
    for clip in args.clips:
        common = {"clip": clip, "stack": args.stack, "device": args.device, "seed": args.seed}
        key = {"clip": name_of(clip), "stack": args.stack, "seed": args.seed}
        if args.part in (None, "public"):
            for name, (codec, settings) in PUBLIC.items():
                values = {"codec": codec, "settings": settings}
                made.append(Task(key | {"variant": name}, encode_task, common | values))
        if args.part in (None, "ablation"):
            for name, parts in PARTS.items():
                values = {"codec": "hybrid", "settings": parts | length}
                named = key | {"variant": name, **length}
                made.append(Task(named, encode_task, common | values))
    return made


def print_table(tasks: list[Task], results: Results) -> None:
    """Print the latest row of each task."""
    print("| clip | variant | bytes | 100·seg | √(10·pose) | 25·rate | score | encode s |")
    print("|---|---|---:|---:|---:|---:|---:|---:|")
    for one in tasks:
        for row in rows_of(results, one.key):
            terms = (100 * row["seg"], (10 * row["pose"]) ** 0.5, 25 * row["rate"], row["score"])
            numbers = " | ".join(f"{term:.3f}" for term in terms)
            name = f"{row['clip']} | {row['variant']}"
            print(f"| {name} | {row['bytes']:,} | {numbers} | {row['encode_s']:.0f} |")


def main() -> None:
    """Run the tasks and print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_options(parser, "hybrid", ("highway.mp4", "dusk.mp4", "forest.mp4"))
    parser.add_argument("--budget", type=float, default=330, help="seconds of each hybrid file")
    parser.add_argument("--steps", type=int, help="training steps instead")
    parser.add_argument("--part", choices=("public", "ablation"), help="only these tasks")
    parser.add_argument("--table", action="store_true", help="run nothing")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--stack", default="lite")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    results = Results(args.name, append=True, folder=args.folder)
    tasks = tasks_of(args)
    if not args.table:
        run_tasks(tasks, results, args)
    print_table(tasks, results)


if __name__ == "__main__":
    main()
