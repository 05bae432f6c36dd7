"""Searching a codec's settings: `auto` with few encodes against an exhaustive grid.

    python bench/search.py --part grid --parallel 2 [--clips dusk.mp4]    # hours; goes on by itself
    python bench/search.py --part auto
    python bench/search.py --part wide          # auto over all that `seesame search` would try
    python bench/search.py --table              # run nothing, print the table

The grid is of 600 settings of one encoder; ``auto`` may ask for 40 encodes of the space that the
grid is taken from, whose quality has steps of one. Both count the seconds of each trial as they
were measured when it was made, so that a trial that the store had costs what it had cost. The grid
is encoded once for the five kernels of the decoder. A killed grid goes on where it was. The grid's
space is narrow, for the grid's sake; ``wide`` is ``auto`` over the codec's own space, with slower
presets. One row a clip and method, with all its trials, is appended to
``bench/results/search.jsonl``; the best trial's file is made once more by ``seesame compress`` and
scored by ``seesame score``, with the stack of the search and with ``--transfer``, one that the
search never saw.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from common import HERE, Results
from measure import name_of
from readme_tables import search_table
from seesame.jobs.runner import Result, Runner
from seesame.jobs.spec import Job, Source
from seesame.jobs.store import Store
from seesame.jobs.trial import Trial
from seesame.metric.limits import Limits
from seesame.search.auto import auto
from seesame.search.goal import Goal
from seesame.search.grid import grid
from seesame.search.outcome import chosen_settings
from seesame.search.space import SPACES, Axis, Space
from tasks import Row, find_clip, options

CODEC = "svtav1"
CRFS = tuple(range(24, 64))
AXES = (
    Axis("crf", CRFS, tuple(range(27, 64, 4))),
    Axis("scale", *2 * ((0.15, 0.2, 0.25, 0.3, 0.4, 0.5),)),
    Axis("preset", ("8",), ("8",)),
    Axis("gop", (9999,), (9999,)),
    Axis("down", ("lanczos",), ("lanczos",)),
    Axis("up", *2 * (("bicubic", "lanczos", "bilinear", "area", "nearest"),)),
    Axis("grain", (0, 22), (0, 22)),
)
"""Ten qualities, six scales, five kernels, with and without grain: 600 settings."""
STORE = HERE.parent / "out" / "bench-search.sqlite"


METHODS = ("auto", "grid", "wide")


def space(method: str) -> Space:
    """Return what a method searches."""
    return SPACES[CODEC] if method == "wide" else SPACES[CODEC].holding(AXES)


def searched(clip: Path, args: argparse.Namespace, method: str) -> Row:
    """Return all trials of a method on a clip, and what they took."""
    job = Job(Source(clip), CODEC, stack=args.stack)
    goal, began, count = Goal(Limits()), time.monotonic(), 0

    def tell(result: Result) -> None:
        nonlocal count
        count += 1
        if sys.stderr.isatty() or count % 20 == 0:
            spent = time.monotonic() - began
            print(f"{clip.name}: {method} {count} after {spent:.0f} s", file=sys.stderr)

    with Runner.open(job, Store(args.store), args.parallel) as runner:
        searching = space(method)
        if method == "grid":
            found = grid([searching], runner, tell)
        else:
            found = auto([searching], goal, runner, args.trials, args.seed, tell)
        fingerprint = runner.stack.fingerprint[:16]
    best = goal.best(found)
    assert best is not None
    return {
        "trials": len(found),
        "trial_s": round(sum(t.encode_s + t.judge_s for t in found), 1),
        "settings": chosen_settings(best),
        "best": compact(best, searching),
        "all": [compact(trial, searching) for trial in found],
        "fingerprint": fingerprint,
        "confirmed": confirmed(clip, best, args),
    }


def compact(trial: Trial, searched: Space) -> list[Any]:
    """Return the settings that vary, then the figures."""
    varied = [trial.settings[a.name] for a in searched.axes if len(a.values) > 1]
    return [*varied, trial.bytes, trial.seg, trial.pose, round(trial.score.total, 6)]


def confirmed(clip: Path, best: Trial, args: argparse.Namespace) -> Row:
    """Return the best trial's figures by the commands that a user has."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "best.ssm"
        words = ["compress", clip, "-o", out, "--codec", best.codec, "--no-score"]
        for name, value in chosen_settings(best).items():
            words += ["--set", f"{name}={value}"]
        command(*words)
        rows = {"score": command("score", clip, out, "--stack", args.stack)}
        if args.transfer:
            rows["transfer"] = command("score", clip, out, "--stack", args.transfer)
    return {name: {k: row[k] for k in ("seg", "pose", "score")} for name, row in rows.items()}


def command(*words: Any) -> Row:
    """Return the JSON that a seesame command prints."""
    line = [sys.executable, "-m", "seesame.cli", *map(str, words), "--json", "--quiet"]
    done = subprocess.run(line, capture_output=True, text=True, check=True)
    row: Row = json.loads(done.stdout.splitlines()[0])
    return row


def main() -> None:
    """Search, and print the table of docs/results.md."""
    parser = options(__doc__, "search", ("highway.mp4", "dusk.mp4", "forest.mp4"))
    parser.add_argument("--part", choices=METHODS, help="only this method")
    parser.add_argument("--trials", type=int, default=40, help="encodes that auto may ask for")
    parser.add_argument("--store", type=Path, default=STORE)
    parser.add_argument("--transfer", help="a stack that the search does not see, as onnx:DIR")
    parser.add_argument("--table", action="store_true", help="run nothing")
    args = parser.parse_args()
    results = Results(args.name, append=True, folder=args.folder)
    for clip in [] if args.table else args.clips:
        for method in METHODS:
            if args.part in (None, method):
                row = searched(find_clip(clip), args, method)
                key = {"clip": name_of(clip), "method": method, "codec": CODEC}
                results.add(key | {"stack": args.stack, "seed": args.seed, **row})
    print(search_table(results.rows()))


if __name__ == "__main__":
    main()
