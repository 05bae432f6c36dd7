"""hnerv against the best of a grid of AV1 settings, on a real clip, in one run.

    python bench/first_light.py [--clip highway.mp4] [--preset fast]
    python bench/first_light.py --go-on --preset slow --device cuda

Every file is written to disk, read back, decoded and scored with the ``lite`` stack; results go
to ``bench/results/first_light.jsonl``. With ``--go-on`` rows are appended, and AV1 files that the
results have are not made again.
"""

import argparse
import itertools
from pathlib import Path

from common import Results
from measure import measured, name_of, opened, terminal_progress
from readme_tables import first_light_table
from tasks import matches

CRFS = (40, 47, 54, 62)
SCALES = (0.25, 0.35, 0.5)
GRAINS = (0, 22)


def main() -> None:
    """Run the grid, then hnerv, and print the table of docs/results.md."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clip", default="highway.mp4", help="name or path")
    parser.add_argument("--preset", default="fast")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--go-on", action="store_true", help="keep the results that there are")
    parser.add_argument("--keep", type=Path, help="folder for hnerv's file")
    parser.add_argument("--name", default="first_light", help="name of the results file")
    args = parser.parse_args()
    bench = opened(args.clip, "lite", args.device)
    results = Results(args.name, append=args.go_on)
    common = {"clip": name_of(args.clip), "stack": "lite"}
    there = results.rows()
    for crf, scale, grain in itertools.product(CRFS, SCALES, GRAINS):
        settings = {"crf": crf, "scale": scale, "grain": grain, "preset": 4}
        key = common | {"codec": "svtav1", "settings": settings}
        if not any(matches(row, key) for row in there):
            results.add(common | measured(bench, "svtav1", settings))
    out = None if args.keep is None else args.keep / "hnerv.ssm"
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
    more = {"out": out, "overwrite": True, "progress": terminal_progress}
    row = measured(bench, "hnerv", {"preset": args.preset}, **more)
    results.add(common | row | {"device": args.device})
    print(first_light_table(results.rows()))


if __name__ == "__main__":
    main()
