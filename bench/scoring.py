"""The speed of a score against the straightforward loop, with networks of comma's shape.

    python bench/scoring.py [--runs 5] [--pairs 40]

The nets have random weights. The straightforward loop (tests/helpers/literal_metric.py) decodes
both clips and runs both nets on both, in batches of 16 pairs. Beside it stand seesame's first
score of a source and its next score of the same source, whose outputs are then in the cache. Every
measurement is a process of its own, from loading the nets to the score, imports left out; they
take turns.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from common import HERE, SHARED, Results
from seesame.codecs.registry import get_codec
from seesame.context import EncodeContext
from seesame.metric import cached_reference_outputs, evaluate, keep_freed_memory
from seesame.perception.comma import stack as comma
from seesame.perception.registry import load_stack
from seesame.scene import SceneClip, SceneConfig
from seesame.video.clip import Clip
from seesame.video.reading.reader import open_clip
from seesame.video.resize import resize_frames
from seesame.video.span import Span
from seesame.video.writing.writer import write_clip

sys.path.append(str(HERE.parent / "tests" / "helpers"))
from literal_metric import literal_score
from random_comma import random_nets, save_nets

SIZE = (874, 1164)
CLIP = SHARED / "data/clips/highway.mp4"
SOURCE_CRF, POOR_CRF = 16, 50
KINDS = ("straightforward", "exact, first", "exact, again")


def prepare(clip: Clip, count: int, folder: Path) -> int:
    """Write ``source.mp4`` and ``decoded.mkv`` into a new folder; return the bytes between."""
    folder.mkdir()
    height, width = SIZE
    source = folder / "source.mp4"
    frames = (resize_frames(batch, SIZE) for batch in Span(clip, 0, count).batches(16))
    size = {"fps": clip.fps, "width": width, "height": height}
    write_clip(source, frames, crf=SOURCE_CRF, **size)
    container = get_codec("svtav1").encode(open_clip(source), {"crf": POOR_CRF}, EncodeContext())
    decoded = get_codec("svtav1").decode(container)
    write_clip(folder / "decoded.mkv", decoded.batches(16), crf=0, **size)
    return container.write(folder / "poor.ssm")


def measure(kind: str, folder: Path, weights: Path, size: int, cache: Path) -> dict[str, Any]:
    """Score once in this process, and time it."""
    source, decoded = folder / "source.mp4", folder / "decoded.mkv"
    start = time.perf_counter()
    if kind == "straightforward":
        nets = comma.segment_net(), comma.PoseNet()
        for net, file in zip(nets, ("segnet", "posenet"), strict=True):
            comma.load_strictly(net, weights / f"{file}.safetensors")
            net.eval().requires_grad_(False)
        score = literal_score(source, decoded, nets, size).score
    else:
        keep_freed_memory()
        stack = load_stack(f"comma:{weights}")
        if kind == "exact, first":
            shutil.rmtree(cache, ignore_errors=True)
        reference = cached_reference_outputs(source, open_clip(source), stack, folder=cache)
        score = evaluate(reference, open_clip(decoded), stack, size).score.total
    return {"seconds": time.perf_counter() - start, "score": score}


def in_process(kind: str, *values: object) -> dict[str, Any]:
    """Measure in a process of its own."""
    words = [sys.executable, __file__, "--one", kind, *map(str, values)]
    ran = subprocess.run(words, capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(ran.stdout.splitlines()[-1])
    return found


def spread(values: list[float]) -> dict[str, float]:
    """Return the least, the middle and the largest value."""
    return {"min": min(values), "median": float(np.median(values)), "max": max(values)}


def timing(results: Results, runs: int, pairs: int, work: Path) -> None:
    """Measure in turns, then record the ratios and the differences in score."""
    clip: Clip = open_clip(CLIP) if CLIP.exists() else SceneClip(SceneConfig(seed=1), 2 * pairs)
    folder, weights = work / "timing", work / "noise"
    size = prepare(clip, 2 * pairs, folder)
    weights.mkdir()
    save_nets(*random_nets(), weights)
    found: dict[str, list[dict[str, Any]]] = {kind: [] for kind in KINDS}
    for run in range(runs):
        for kind in KINDS:
            found[kind].append(in_process(kind, folder, weights, size, work / "cache"))
            results.add({"run": run, "kind": kind, "pairs": pairs, **found[kind][-1]})
    plain = found["straightforward"]
    for kind in KINDS[1:]:
        ratios = [a["seconds"] / b["seconds"] for a, b in zip(plain, found[kind], strict=True)]
        apart = [abs(a["score"] - b["score"]) for a, b in zip(plain, found[kind], strict=True)]
        results.add({"kind": kind, "faster": spread(ratios), "score_difference": max(apart)})


def main() -> None:
    """Print and record everything."""
    torch.set_num_threads(2)
    if "--one" in sys.argv:
        kind, folder, weights, size, cache = sys.argv[sys.argv.index("--one") + 1 :]
        found = measure(kind, Path(folder), Path(weights), int(size), Path(cache))
        print(json.dumps(found))
        return
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--pairs", type=int, default=40)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        timing(Results("scoring"), args.runs, args.pairs, Path(work))


if __name__ == "__main__":
    main()
