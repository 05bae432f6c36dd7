"""A soak: mixed work for a long time in one process and in new ones; nothing may grow.

    taskset -c 1 python bench/soak.py --minutes 60

One process compresses, decodes, scores and reports small synthetic clips again and again, by the
API and by the command line's own function, with clips, codecs, seeds and mistakes of the user
drawn at random; every tenth round a command runs in a process of its own as well. After each round
its resident memory, its open handles and threads, and the files in its temporary folder and beside
its outputs are counted. Rows are written to ``bench/results/soak.jsonl``: one for each part of the
time, and one for the whole, which compares the last quarter of the rounds with the second. The
first quarter is left out, in which libraries are loaded and buffers reach their size.
"""

import argparse
import contextlib
import gc
import io
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from statistics import median

import psutil

from common import HERE, Results

HELPERS = HERE.parent / "tests" / "helpers"
sys.path.append(str(HELPERS))  # the stacks of the tests can be named

PARTS = 20
"""Rows in the whole time."""
EVERY = 10
"""Rounds from one process of its own to the next."""
CLIPS = ((96, 64, 8), (128, 64, 13), (160, 96, 24))
"""Width, height and frames of the clips."""


@dataclass(frozen=True)
class Measure:
    """The counts after one round of work."""

    seconds: float
    rss: int
    handles: int
    threads: int
    scratch: int
    outputs: int


class Work:
    """The clips, the outputs and the kinds of work.

    Args:
        folder: of all of it.
        seed: of what is drawn.
        stack: name of the networks.
    """

    def __init__(self, folder: Path, seed: int, stack: str) -> None:
        import seesame
        from seesame.scene import SceneClip, SceneConfig
        from seesame.video.writing.writer import write_clip

        self.folder, self.random = folder, random.Random(seed)
        self.out = folder / "out"
        self.out.mkdir()
        self.stack, self.judged = seesame.load_stack(stack), ("--stack", stack)
        self.clips = []
        for number, (width, height, frames) in enumerate(CLIPS):
            path = folder / f"clip{number}.mp4"
            scene = SceneClip(SceneConfig(width=width, height=height, seed=number), frames)
            fps = scene.fps + Fraction(number)
            write_clip(path, scene.batches(8), fps=fps, width=width, height=height, crf=18)
            self.clips.append(path)
        self.damaged = folder / "damaged.ssm"
        self.kinds: Mapping[str, Callable[[Path], None]] = {
            "api: compress, save, decode": self._compress,
            "api: score": self._score,
            "command: compress to mp4": self._portable,
            "command: decompress": self._decompress,
            "command: report": self._report,
            "command: search": self._search,
            "command: score": self._command_score,
            "command: a mistake": self._mistake,
        }
        self.file("x264", self.clips[0])
        self.damaged.write_bytes(self.file("x264", self.clips[0]).read_bytes()[:-40])

    def round(self) -> str:
        """Do one piece of work; return its kind."""
        kind = self.random.choice([*self.kinds])
        self.kinds[kind](self.random.choice(self.clips))
        return kind

    def apart(self) -> None:
        """Run a command in a process of its own."""
        words = [str(word) for word in self._words(self.random.choice(self.clips))]
        done = subprocess.run(
            [sys.executable, "-m", "seesame.cli", *words], capture_output=True, text=True
        )
        if done.returncode not in (0, 4):  # 4: misses a limit
            raise RuntimeError(f"{words}: {done.stderr.strip()[-300:]}")

    def file(self, codec: str, clip: Path) -> Path:
        """Return a clip's file of a codec, made where it is not there."""
        path = self.out / f"{clip.stem}.{codec}.ssm"
        if not path.exists():
            self._command("compress", clip, "-o", path, "--codec", codec, "--no-score", "-q")
        return path

    def _compress(self, clip: Path) -> None:
        import seesame

        codec = self.random.choice(["x264", "svtav1", "vp9", "copy"])
        made = seesame.compress(clip, self.stack, codec=codec, seed=self.random.randrange(9))
        path = made.save(self.out / "api.ssm", overwrite=True)
        decoder = seesame.open(path)
        assert len(decoder[:]) == len(decoder)

    def _score(self, clip: Path) -> None:
        import seesame

        seesame.score(clip, self.file(self.random.choice(["x264", "vp9"]), clip), self.stack)

    def _portable(self, clip: Path) -> None:
        self._command(*self._words(clip))

    def _words(self, clip: Path) -> tuple[object, ...]:
        wish = self.random.choice([("--max-seg", 0.1), *3 * [("--set", "crf=30")]])
        words = ("compress", clip, "-o", self.out / "small.mp4", *wish, *self.judged)
        return *words, "--codec", "x264", "--overwrite", "-q"

    def _decompress(self, clip: Path) -> None:
        name = self.random.choice(["d.mkv", "d.raw", "d"])
        self._command("decompress", self.file("x264", clip), "-o", self.out / name, "--overwrite")

    def _report(self, clip: Path) -> None:
        name = self.random.choice(["r.html", "r"])
        words = ("report", clip, self.file("x264", clip), "-o", self.out / name)
        self._command(*words, *self.judged, "--overwrite", "-q")

    def _search(self, clip: Path) -> None:
        store = self.folder / "tmp" / "search.sqlite"
        words = ("search", clip, "--codec", "x264", "--grid", "crf=28,36", "--store", store)
        self._command(*words, *self.judged, "-o", self.out / "found", "--overwrite", "-q")
        store.unlink()

    def _command_score(self, clip: Path) -> None:
        words = ("score", clip, self.file("x264", clip), "--report", self.out / "s.txt")
        self._command(*words, *self.judged, "--overwrite", "-q")

    def _mistake(self, clip: Path) -> None:
        words: tuple[tuple[object, ...], ...] = (
            ("decompress", self.damaged, "-o", self.out / "never.mkv"),
            ("score", clip, self.damaged),
            ("compress", self.folder / "nothing.mp4", "-o", self.out / "never.ssm"),
            ("compress", clip, "-o", self.out / "never.ssm", "--codec", "x264", "--set", "crf=99"),
        )
        self._command(*self.random.choice(words), code=2)

    def _command(self, *words: object, code: int | tuple[int, ...] = (0, 4)) -> None:
        """Run a command in this process. Raises RuntimeError where it ends otherwise."""
        from seesame.cli.main import main

        said = io.StringIO()
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            found = main([str(word) for word in words])
        if found not in (code if isinstance(code, tuple) else (code,)):
            raise RuntimeError(f"{words} ended with {found}: {said.getvalue()[-300:]}")

    def measure(self, start: float) -> Measure:
        """Count what the process holds."""
        gc.collect()
        own = psutil.Process()
        return Measure(
            time.monotonic() - start,
            own.memory_info().rss,
            own.num_fds(),
            own.num_threads(),
            sum(1 for _ in (self.folder / "tmp").rglob("*")),
            sum(path.name.startswith(".") for path in self.out.rglob("*")),
        )


def main() -> None:
    """Work for some time, and write what was counted."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--stack", default="lite", help="as the command line takes it")
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="soak-") as name:
        folder = Path(name)
        (folder / "tmp").mkdir()
        os.environ["TMPDIR"] = tempfile.tempdir = str(folder / "tmp")
        os.environ["SEESAME_CACHE"] = str(folder / "cache")
        os.environ["PYTHONPATH"] = os.pathsep.join([str(HERE.parent / "src"), str(HELPERS)])
        work = Work(folder, wanted.seed, wanted.stack)
        soak(work, wanted.minutes, {"seed": wanted.seed, "stack": wanted.stack})


def soak(work: Work, minutes: float, about: Mapping[str, object]) -> None:
    """Work for some time, and write the rows, each with what they are about."""
    results, kinds, start = Results("soak"), Counter[str](), time.monotonic()
    found = [work.measure(start)]
    written = 0
    while found[-1].seconds < 60 * minutes or len(found) < 8:
        kinds[work.round()] += 1
        if kinds.total() % EVERY == 0:
            work.apart()
            kinds["in a process of its own"] += 1
        found.append(work.measure(start))
        part = int(found[-1].seconds / (60 * minutes) * PARTS)
        if part > written:
            written = part
            results.add({"part": part, **about, "rounds": kinds.total(), **vars(found[-1])})
    last = found[-1].seconds
    length = len(found) // 4
    quarter = {2: found[length : 2 * length], 4: found[-length:]}
    results.add(
        {
            "part": "all",
            **about,
            "minutes": round(last / 60, 1),
            "rounds": dict(kinds),
            **{
                f"{name}_{label}": median(getattr(one, name) for one in quarter[number])
                for name in ("rss", "handles", "threads", "scratch", "outputs")
                for number, label in ((2, "second_quarter"), (4, "last_quarter"))
            },
            "most_rss": max(one.rss for one in found),
            "most_handles": max(one.handles for one in found),
        }
    )


if __name__ == "__main__":
    main()
