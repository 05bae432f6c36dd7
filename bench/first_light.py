"""hnerv against the best of a grid of AV1 settings, on a real clip, in one run.

    python bench/first_light.py [--clip ../shared/data/clips/highway.mp4] [--preset fast]

Every file is written to disk, read back, decoded and scored with the ``lite`` stack; results go
to ``bench/results/first_light.jsonl``.
"""

import argparse
import itertools
import tempfile
from pathlib import Path

from common import SHARED, Results
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
    parser.add_argument("--name", default="first_light", help="name of the results file")
    args = parser.parse_args()
    stack = load_stack("lite")
    clip = open_clip(args.clip)
    outputs = reference_outputs(clip, stack)
    results = Results(args.name)
    common = {"clip": args.clip.name, "stack": stack.name, "fingerprint": stack.fingerprint[:16]}
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for crf, scale, grain in itertools.product(CRFS, SCALES, GRAINS):
            settings = {"crf": crf, "scale": scale, "grain": grain, "preset": 4}
            rows.append(measure(clip, outputs, stack, "svtav1", settings, Path(folder)))
            results.add(common | rows[-1])
        best = min(rows, key=lambda row: row["score"])
        settings = {"preset": args.preset}
        row = measure(
            clip, outputs, stack, "hnerv", settings, Path(folder), progress=terminal_progress
        )
        results.add(common | row)
    results.add(
        common
        | {
            "summary": True,
            "best_av1": best["score"],
            "best_av1_settings": best["settings"],
            "hnerv": row["score"],
            "ratio": row["score"] / best["score"],
        }
    )


if __name__ == "__main__":
    main()
