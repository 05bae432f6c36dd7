"""The hybrid codec against hand-made classical settings, and what each of its parts gains.

    python bench/hybrid.py --budget 330 --parallel 2 [--go-on] [--part ablation]
    python bench/hybrid.py --table          # run nothing, print the table

``public``: settings that entries of the comma.ai challenge published, as near as the codecs here
take them, on the same clips and stack. ``ablation``: the base alone, with corrections, with the
network, with both; all four aim at the same size in all, so that a base without a network is a
little larger. Every file is written to disk, read back, decoded and scored. Results are appended to
``bench/results/hybrid.jsonl``.
"""

import argparse

from common import Results
from measure import encode_task, name_of
from readme_tables import hybrid_table
from tasks import Row, Task, options, run_tasks

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


def main() -> None:
    """Run the tasks and print the table of docs/results.md."""
    parser = options(__doc__, "hybrid", ("highway.mp4", "dusk.mp4", "forest.mp4"))
    parser.add_argument("--budget", type=float, default=330, help="seconds of each hybrid file")
    parser.add_argument("--steps", type=int, help="training steps instead")
    parser.add_argument("--part", choices=("public", "ablation"), help="only these tasks")
    parser.add_argument("--table", action="store_true", help="run nothing")
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    results = Results(args.name, append=True, folder=args.folder)
    if not args.table:
        run_tasks(tasks_of(args), results, args)
    print(hybrid_table(results.rows()))


if __name__ == "__main__":
    main()
