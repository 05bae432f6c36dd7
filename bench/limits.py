"""A test of every codec under a limit on every frame, and of its advice where it misses one.

    python bench/limits.py --codecs hnerv hybrid svtav1 x265 [--seconds 3.2] [--budget 3m]

``seesame compress CLIP --codec CODEC --max-seg BOUND`` is run as a user would, and what it says is
compared with a measurement of its own: every frame of source and file goes through the network.
Where the limit is missed, the exit code must be 4, and the command is run again with the advised
flags. A row is ``right`` where what was said is true, and where an advised run keeps the limit.
Rows are appended to ``bench/results/limits.jsonl``.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import av
import torch

from common import Results
from seesame.decoders import open_clip
from seesame.perception.registry import load_stack
from tasks import find_clip

MISSED = 4
"""Exit code of a command whose file misses a limit."""
TRAINED = "hnerv", "hybrid"
BATCH = 4
"""Frames that go through the network at a time."""


def cut(clip: Path, seconds: float, folder: Path) -> Path:
    """Return a copy of the beginning of a clip, cut between packets and not encoded again."""
    made = folder / f"{clip.stem}{clip.suffix}"
    with av.open(str(clip)) as source, av.open(str(made), "w") as out:
        stream = source.streams.video[0]
        copied = out.add_stream_from_template(stream)
        for packet in source.demux(stream):
            if packet.dts is None or float(packet.dts * packet.time_base) >= seconds:
                break
            packet.stream = copied
            out.mux(packet)
    return made


def measured(clip: Path, file: Path, stack_name: str) -> float:
    """Return the mean share of pixels of all frames that change class, by the network itself."""
    stack, wrong, frames = load_stack(stack_name), 0.0, 0
    pairs = zip(open_clip(clip).batches(BATCH), open_clip(file).batches(BATCH), strict=True)
    with torch.inference_mode():
        for batches in pairs:
            before, after = (
                stack.segment(torch.from_numpy(batch.copy()).permute(0, 3, 1, 2).float()).argmax(1)
                for batch in batches
            )
            wrong += float((before != after).double().mean((1, 2)).sum())
            frames += len(before)
    return wrong / frames


def compress(clip: Path, out: Path, flags: list[str]) -> tuple[int, dict[str, Any], float]:
    """Run the command; return its exit code, its JSON, and the seconds that it took."""
    command = [sys.executable, "-m", "seesame.cli", "compress", str(clip), "-o", str(out)]
    start = time.monotonic()
    done = subprocess.run(
        [*command, *flags, "--json", "--overwrite", "--quiet"], capture_output=True, text=True
    )
    seconds = time.monotonic() - start
    if done.returncode not in (0, MISSED):
        raise RuntimeError(f"{clip} {flags}: ended with {done.returncode}: {done.stderr[-500:]}")
    return done.returncode, json.loads(done.stdout), seconds


def followed(flags: list[str], advice: str) -> list[str]:
    """Return flags with the advised ones in the place of those of the same name."""
    advised = advice.split()
    names = {word for word in advised if word.startswith("--") and word != "--set"}
    kept: list[str] = []
    for name, value in zip(flags[::2], flags[1::2], strict=True):
        if name not in names:
            kept += [name, value]
    return [*kept, *advised]


def main() -> None:
    """Run every codec on every clip."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    clips = ["dusk.mp4", "motorway.mp4", "highway.mp4"]
    parser.add_argument("--clips", nargs="+", default=clips, help="names or paths")
    parser.add_argument("--codecs", nargs="+", default=[*TRAINED, "svtav1", "x265", "x264", "vp9"])
    parser.add_argument("--bound", type=float, default=0.01, help="the most seg distortion")
    parser.add_argument("--seconds", type=float, help="of the beginning of each clip; all of it")
    parser.add_argument("--budget", help="of codecs that train, as 3m; their preset when left out")
    parser.add_argument("--stack", default="lite")
    parser.add_argument("--runs", type=int, default=2, help="runs of a codec at most, with advice")
    parser.add_argument("--name", default="limits", help="name of the results file")
    parser.add_argument("--folder", type=Path, help="folder of the results file")
    args = parser.parse_args()
    results, wrong = Results(args.name, append=True, folder=args.folder), 0
    with tempfile.TemporaryDirectory() as made:
        for name in args.clips:
            clip = find_clip(name)
            if args.seconds:
                clip = cut(clip, args.seconds, Path(made))
            for codec in args.codecs:
                flags = ["--codec", codec, "--max-seg", f"{args.bound:g}", "--stack", args.stack]
                if args.budget and codec in TRAINED:
                    flags += ["--budget", args.budget]
                for run in range(args.runs):
                    out = Path(made) / "file.ssm"
                    code, told, seconds = compress(clip, out, flags)
                    seg = measured(clip, out, args.stack)
                    advice, kept = told.get("advice", ""), seg <= args.bound
                    # Advice is owed for a miss, and must have helped where it was followed.
                    right = kept == (code == 0) and (kept or (bool(advice) and run == 0))
                    wrong += not right
                    row = {"clip": clip.name, "codec": codec, "flags": " ".join(flags)}
                    row |= {"bound": args.bound, "seg": seg, "exit": code, "kept": kept}
                    row |= {"told": told["limits"][0]["value"], "bytes": told["bytes"]}
                    row |= {"advice": advice, "seconds": round(seconds, 1), "right": right}
                    results.add(row | {"frames": open_clip(clip).num_frames, "run": run})
                    if kept or not advice:
                        break
                    flags = followed(flags, advice)
    if wrong:
        raise SystemExit(f"{wrong} runs are not right")


if __name__ == "__main__":
    main()
