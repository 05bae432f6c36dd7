"""hnerv against the best of a grid of AV1 settings, on a real clip, in one run.

    python bench/first_light.py [--clip ../shared/data/clips/highway.mp4] [--preset fast]

Every file is written to disk, read back, decoded and scored with the ``lite`` stack; results go
to ``bench/results/first_light.jsonl``.
"""

import argparse
import itertools
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from common import SHARED, Results
from seesame.bitstream.container import Container
from seesame.codecs.base import EncodeContext, no_progress
from seesame.codecs.registry import codec_by_id, get_codec
from seesame.metric.evaluator import ReferenceOutputs, evaluate, reference_outputs
from seesame.perception.registry import load_stack
from seesame.perception.stack import Stack
from seesame.video.clip import Clip
from seesame.video.reader import open_clip

CRFS = (40, 47, 54, 62)
SCALES = (0.25, 0.35, 0.5)
GRAINS = (0, 22)


def measure(
    clip: Clip,
    outputs: ReferenceOutputs,
    stack: Stack,
    codec: str,
    settings: dict[str, Any],
    folder: Path,
) -> dict[str, Any]:
    """Encode, write, read back, decode and score: one row of results."""
    path = folder / f"{codec}.ssm"

    def progress(share: float, text: str) -> None:
        if sys.stderr.isatty():
            print(f"\r{share:6.1%} {text:60}", end="", file=sys.stderr)

    start = time.monotonic()
    context = EncodeContext(stack=stack, progress=progress if codec == "hnerv" else no_progress)
    get_codec(codec).encode(clip, settings, context).write(path, overwrite=True)
    encoded = time.monotonic()
    container = Container.read(path)
    decoded = codec_by_id(container.codec_id).decode(container)
    found = evaluate(outputs, decoded, stack, path.stat().st_size)
    return {
        "codec": codec,
        "settings": settings,
        "bytes": path.stat().st_size,
        "seg": found.score.seg,
        "pose": found.score.pose,
        "rate": found.score.rate,
        "score": found.score.total,
        "encode_s": round(encoded - start, 2),
        "decode_and_score_s": round(time.monotonic() - encoded, 2),
    }


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
        row = measure(clip, outputs, stack, "hnerv", settings, Path(folder))
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
