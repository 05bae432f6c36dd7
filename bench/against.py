"""The time of honest work with this checkout and with another one, turn by turn.

    git worktree add ../other REVISION
    python bench/against.py ../other [--turns 7] [--only "decode x264" ...]

Every piece of work runs in a process of its own, with the modules of one checkout and then of the
other, once to warm up and then ``--turns`` times. The ratio is that of the time of this checkout to
the other's, by the processor time of all its processes and by wall time: the median over the turns,
with the quartiles. Files are made with this checkout, from a part of ``highway``. Rows are appended
to ``bench/results/against.jsonl``. Run it on a quiet machine.
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from common import HERE, Results, twinlitenet
from fleet_real import cut

FRAMES = 100
CODECS = {
    "copy": (),
    "x264": ("--set", "crf=26", "--set", "scale=1"),
    "x265": ("--set", "crf=30", "--set", "scale=0.5"),
    "svtav1": ("--set", "crf=40", "--set", "scale=0.5"),
    "vp9": ("--set", "crf=40", "--set", "sharpen=2"),
    "hnerv": ("--set", "steps=40"),
    "hybrid": ("--budget", "60s"),
    "semantic": (),
}
DECODE = """
import sys, seesame
video = seesame.open(sys.argv[1])
for first in range(0, len(video), 16):
    video[first : min(first + 16, len(video))]
"""


def run(line: list[str], checkout: Path = HERE.parent) -> None:
    """Run a command line with the modules of a checkout."""
    environment = os.environ | {"PYTHONPATH": str(checkout / "src")}
    subprocess.run(line, env=environment, check=True, stdout=subprocess.DEVNULL)


def command(*words: str) -> list[str]:
    """Return a command line of seesame."""
    return [sys.executable, "-m", "seesame.cli", *words]


def make(folder: Path, only: Sequence[str]) -> dict[str, list[str]]:
    """Make the files, and return a command line for each piece of work; ``{new}`` is a new name.

    Args:
        folder: of the files.
        only: the pieces of work that are wanted; all when empty.
    """
    cut(folder / "cut", FRAMES, ["highway"])
    source = folder / "cut" / "highway" / "part0.mp4"
    clip = str(source)
    work = {}
    for codec, words in CODECS.items():
        if only and codec != "x264" and f"decode {codec}" not in only:
            continue
        path = str(folder / f"{codec}.ssm")
        run(command("compress", clip, "-o", path, "--codec", codec, *words, "--no-score", "-q"))
        work[f"decode {codec}"] = [sys.executable, "-c", DECODE, path]
    coded = str(folder / "x264.ssm")
    net = twinlitenet(folder / "net")
    work["score"] = command("score", clip, coded, "--stack", "lite", "--no-cache")
    work["score with an ONNX net"] = command("score", clip, coded, "--stack", net, "--no-cache")
    words = ("--codec", "svtav1", *CODECS["svtav1"], "--no-score", "-q")
    work["encode svtav1"] = command("compress", clip, "-o", "{new}.ssm", *words)
    work["decompress to mkv"] = command("decompress", coded, "-o", "{new}.mkv", "-q")
    entry, videos, names = folder / "entry", source.parent, folder / "names.txt"
    names.write_text(f"{source.name}\n", encoding="utf-8")
    run(command("contest", "pack", coded, "-o", str(entry), "-q"))
    words = (
        "--videos",
        str(videos),
        "--names",
        str(names),
        "--stack",
        "lite",
        "--no-cache",
        "-q",
        "--overwrite",
    )
    work["contest evaluate"] = command("contest", "evaluate", str(entry), "-o", str(folder), *words)
    return work


def timed(line: list[str], checkout: Path, new: Path) -> tuple[float, float]:
    """Run a command with a checkout's modules; return its processor and wall seconds."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    run([word.replace("{new}", str(new)) for word in line], checkout)
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, wall


def measure(line: list[str], other: Path, turns: int, folder: Path) -> dict[str, Any]:
    """Run a piece of work with both checkouts, turn by turn; return the ratios of their times."""
    both = HERE.parent, other
    found: dict[Path, list[tuple[float, float]]] = {checkout: [] for checkout in both}
    for turn in range(turns + 1):
        for number, checkout in enumerate(both if turn % 2 else both[::-1]):
            seconds = timed(line, checkout, folder / f"new{turn}-{number}")
            found[checkout] += [seconds] if turn else []
    row: dict[str, Any] = {}
    for place, kind in enumerate(("cpu", "wall")):
        ours, others = ([one[place] for one in found[checkout]] for checkout in both)
        ratios = [a / b for a, b in zip(ours, others, strict=True)]
        low, middle, high = statistics.quantiles(ratios, n=4, method="inclusive")
        row |= {
            f"{kind}_ratio": round(middle, 4),
            f"{kind}_quartiles": [round(low, 4), round(high, 4)],
        }
        row[f"{kind}_s"] = round(statistics.median(ours), 3)
    return row


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("other", type=Path, help="folder of the other checkout")
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--only", nargs="+", default=[], help="pieces of work")
    given = parser.parse_args()
    other = given.other.resolve()
    line = ["git", "rev-parse", "--short", "HEAD"]
    revision = subprocess.run(line, cwd=other, check=True, capture_output=True, text=True).stdout
    results = Results("against", append=True)
    with tempfile.TemporaryDirectory(prefix="seesame-against-") as name:
        work = make(Path(name), given.only)
        for what in given.only or work:
            row = measure(work[what], other, given.turns, Path(name))
            results.add({"what": what, "other": revision.strip(), "turns": given.turns} | row)


if __name__ == "__main__":
    main()
