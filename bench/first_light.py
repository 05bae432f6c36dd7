"""hnerv against the best of a grid of AV1 settings, on a real clip, in one run.

    python bench/first_light.py [--clip ../shared/data/clips/highway.mp4] [--preset fast]
    python bench/first_light.py --go-on --preset slow --device cuda

Every file is written to disk, read back, decoded and scored with the ``lite`` stack; results go
to ``bench/results/first_light.jsonl``. With ``--go-on`` rows are appended, and AV1 files that the
results have are not made again.
"""

import argparse
import contextlib
import itertools
import tempfile
from pathlib import Path

from common import SHARED, Results
from jobs import matches
from measure import measure, terminal_progress
from seesame.metric.evaluator import reference_outputs
from seesame.perception.registry import load_stack
from seesame.video.reader import open_clip

CRFS = (40, 47, 54, 62)
SCALES = (0.25, 0.35, 0.5)
GRAINS = (0, 22)


def main() -> None:
    """Run the grid, then hnerv, and print the ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clip", type=Path, default=SHARED / "data/clips/highway.mp4")
    parser.add_argument("--preset", default="fast")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--go-on", action="store_true", help="keep the results that there are")
    parser.add_argument("--keep", type=Path, help="folder for the files themselves")
    parser.add_argument("--name", default="first_light", help="name of the results file")
    args = parser.parse_args()
    stack = load_stack("lite", args.device)
    clip = open_clip(args.clip)
    outputs = reference_outputs(clip, stack, device=args.device)
    results = Results(args.name, append=args.go_on)
    common = {"clip": args.clip.name, "stack": stack.name, "fingerprint": stack.fingerprint[:16]}
    there, rows = results.rows(), []
    with contextlib.ExitStack() as held:
        folder = args.keep or Path(held.enter_context(tempfile.TemporaryDirectory()))
        folder.mkdir(parents=True, exist_ok=True)
        for crf, scale, grain in itertools.product(CRFS, SCALES, GRAINS):
            settings = {"crf": crf, "scale": scale, "grain": grain, "preset": 4}
            key = common | {"codec": "svtav1", "settings": settings}
            row = next((row for row in there if matches(row, key)), None)
            if row is None:
                row = measure(clip, outputs, stack, "svtav1", settings, folder, device=args.device)
                results.add(common | row)
            rows.append(row)
        best = min(rows, key=lambda row: row["score"])
        settings = {"preset": args.preset}
        row = measure(
            clip,
            outputs,
            stack,
            "hnerv",
            settings,
            folder,
            device=args.device,
            progress=terminal_progress,
        )
        results.add(common | row | {"device": args.device})
    results.add(
        common
        | {
            "summary": True,
            "best_av1": best["score"],
            "best_av1_settings": best["settings"],
            "preset": args.preset,
            "device": args.device,
            "hnerv": row["score"],
            "ratio": row["score"] / best["score"],
        }
    )


if __name__ == "__main__":
    main()
