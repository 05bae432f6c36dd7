"""Whole minutes through compress, decompress and score: time and peak memory of each process.

    python bench/minute.py

The clips are the comma camera minute beside the checkout and a synthetic minute at 1164x874.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from common import SHARED, Results
from seesame.scene import SceneClip, SceneConfig
from seesame.video.writer import write_clip


def run(*arguments: str) -> tuple[dict[str, Any], float, float]:
    """Run ``seesame`` in a process of its own: its JSON, seconds, and peak memory in GB."""
    # Only a fresh parent knows the peak of one child, so each command gets one.
    script = (
        "import json, resource, subprocess, sys; "
        "p = subprocess.run(sys.argv[1:], stdout=subprocess.PIPE, text=True); "
        "peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss; "
        "print(json.dumps([p.returncode, p.stdout, peak]))"
    )
    command = [str(Path(sys.executable).with_name("seesame")), *arguments, "--json", "--quiet"]
    start = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", script, *command], stdout=subprocess.PIPE, text=True, check=True
    )
    seconds = time.monotonic() - start
    code, out, peak = json.loads(done.stdout)
    if code:
        raise SystemExit(f"seesame {' '.join(arguments)} ended with {code}")
    unit = 1 if sys.platform == "darwin" else 1024
    return json.loads(out.splitlines()[-1]) if out.strip() else {}, seconds, peak * unit / 1e9


def minute(results: Results, clip: Path, folder: Path) -> None:
    """One clip through all three commands."""
    packed, decoded = folder / f"{clip.stem}.ssm", folder / f"{clip.stem}.raw.mkv"
    made, compress_s, compress_gb = run(
        "compress", str(clip), "-o", str(packed), "--preset", "draft"
    )
    _, decompress_s, decompress_gb = run("decompress", str(packed), "-o", str(decoded))
    found, score_s, score_gb = run("score", str(clip), str(decoded), "--compressed", str(packed))
    results.add(
        {
            "clip": clip.name,
            "bytes": made["bytes"],
            "source_bytes": made["source_bytes"],
            "score_of_compress": made["score"],
            "score_of_score": found["score"],
            "difference": abs(made["score"] - found["score"]),
            "seconds": {
                "compress": round(compress_s, 1),
                "decompress": round(decompress_s, 1),
                "score": round(score_s, 1),
            },
            "peak_gb": {
                "compress": round(compress_gb, 2),
                "decompress": round(decompress_gb, 2),
                "score": round(score_gb, 2),
            },
        }
    )
    decoded.unlink()


def main() -> None:
    """Render the synthetic minute, then run both."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=60, help="length of the synthetic drive")
    parser.add_argument("--source", type=Path, help="keep the synthetic drive here, or reuse it")
    args = parser.parse_args()
    results = Results("minute")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        minute(results, SHARED / "data/clips/comma_minute.mp4", folder)
        source = args.source or folder / "synthetic_minute.mkv"
        if not source.exists():
            scene = SceneClip(SceneConfig(seed=7), 20 * args.seconds)
            size = {"width": scene.width, "height": scene.height}
            write_clip(source, scene.batches(8), fps=scene.fps, crf=12, **size)
        minute(results, source, folder)


if __name__ == "__main__":
    main()
