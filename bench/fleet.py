"""A fleet of 300 synthetic clips under random kills, and what the driver itself costs.

    python bench/fleet.py kills --engine local --kills 100
    python bench/fleet.py kills --engine ray --kills 20
    python bench/fleet.py overhead --engine local --clips 10000
    python bench/fleet.py overhead --engine ray --clips 10000
    python bench/fleet.py cluster --kills 10
    python bench/fleet.py sharing
    python bench/fleet.py costs --codec semantic
    python bench/fleet.py workers

``kills`` makes clips of different sizes, rates and codecs; one in twenty is damaged, two are
identical, and one is forty times as long as the others. ``seesame batch`` is started on them, and
again and again a worker or the driver is killed with signal 9, and the same command started where
that was the driver. ``cluster`` does so on three nodes of Ray, of which one is killed and one added
on the way. At last it is run to its end with ``--retry-failed``, since a clip that is
killed too often counts as failed. Then every good clip must be done once by the log, its file
whole, and its figures those of ``seesame.score``; nothing else may be left. ``overhead`` gives the
driver clips on which nothing is done. Rows are appended to ``bench/results/fleet.jsonl``; the
engine ray needs the extra fleet.
"""

import argparse
import contextlib
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping
from fractions import Fraction
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import av
import numpy as np
import psutil

import fleet_real
import seesame
from common import Results
from seesame.decoders import open_clip
from seesame.fleet import driver
from seesame.fleet.driver import Run, run_batch
from seesame.fleet.engines.local import LocalPool
from seesame.fleet.engines.raypool import ENVIRONMENT, RayPool
from seesame.fleet.engines.remote import Remote
from seesame.fleet.engines.worker import DONE as SAYS_DONE
from seesame.fleet.plan import Task
from seesame.fleet.target.history import read_events
from seesame.fleet.target.state import DONE, State, StateFolder
from seesame.scene import SceneClip, SceneConfig

SIZES = (128, 96), (160, 120), (192, 108), (96, 128)
RATES = Fraction(20), Fraction(25), Fraction(30000, 1001)
KINDS = ("mp4", "libx264"), ("mkv", "libx265"), ("mp4", "mpeg4"), ("mkv", "libvpx-vp9")
FRAMES, LONG = 8, 40
BATCH = "--codec", "x264", "--set", "crf=34"
DRIVER_SHARE = 0.3
"""Share of the kills that end the driver; the others end a worker."""
PAUSE = 0.3, 4.0
"""Seconds from one kill to the next, at least and at most."""
PLAIN: Mapping[str, Any] = {
    **{"codec": "copy", "settings": {}, "limits": {}, "stack": "lite", "on_miss": "fail"},
    **{"device": "cpu", "seed": 0, "recipe": "r", "fingerprint": "f"},
}


def make_fleet(folder: Path, count: int) -> set[str]:
    """Write the clips into a folder, and return the names of the good ones' outputs."""
    good = set()
    frames = {size: pictures(size) for size in SIZES}
    for number in range(count):
        suffix, codec = KINDS[number % len(KINDS)]
        path = folder / f"cam{number % 7}" / f"d{number:03}.{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        size = SIZES[number // 3 % len(SIZES)]
        start = number % (len(frames[size]) - 2 * FRAMES)
        some = frames[size][start : start + FRAMES + number % 5]
        if number == 11:
            some = np.concatenate([some] * LONG)
        write(path, some, codec, RATES[number % len(RATES)])
        if number % 20 == 5:
            data = path.read_bytes()
            path.write_bytes(data[: len(data) // 3] if number % 40 == 5 else b"")
        else:
            good.add(f"cam{number % 7}/d{number:03}.ssm")
    twin = folder / "cam0" / "twin.mp4"
    twin.write_bytes((folder / "cam0" / "d000.mp4").read_bytes())
    return good | {"cam0/twin.ssm"}


def pictures(size: tuple[int, int]) -> np.ndarray:
    """Return frames of a synthetic drive, ``uint8 (T, H, W, 3)``."""
    clip = SceneClip(SceneConfig(width=size[0], height=size[1], seed=size[0]), 6 * FRAMES)
    return np.concatenate(list(clip.batches(8)))


def write(path: Path, frames: np.ndarray, codec: str, rate: Fraction) -> None:
    """Encode frames into a file with one of FFmpeg's encoders."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate)
        stream.height, stream.width, stream.pix_fmt = *frames.shape[1:3], "yuv420p"
        for frame in frames:
            picture = av.VideoFrame.from_ndarray(frame, format="rgb24")
            container.mux(stream.encode(picture))
        container.mux(stream.encode())


class Killed:
    """A batch that is killed again and again.

    Args:
        source: folder of the clips.
        target: of the batch.
        given: the command line of this benchmark.
        address: of a cluster, for the engine ray.
    """

    def __init__(
        self, source: Path, target: Path, given: argparse.Namespace, address: str = ""
    ) -> None:
        words = ["batch", source, "-o", target, *BATCH, "--engine", given.engine]
        words += ["--address", address] if address else ["--jobs", given.jobs]
        self.line = [sys.executable, "-m", "seesame.cli", *map(str, words), "--quiet"]
        self.target, self.random = target, random.Random(given.seed)
        self.kills: Counter[str] = Counter()
        self.starts = 0

    def run(
        self,
        kills: int,
        between: Callable[[int], str] = lambda ended: "",
        pending: Callable[[], bool] = lambda: False,
    ) -> int:
        """Kill so many times, then let it end; return the exit code of the last run.

        Args:
            kills: of workers and drivers.
            between: called again and again with the clips that have ended; says what else it did.
            pending: whether it has something to do still.
        """
        process = self._started()
        while (left := kills - self.kills["worker"] - self.kills["driver"]) > 0 or pending():
            time.sleep(self.random.uniform(*PAUSE))
            if process.poll() is not None:  # all was done before the kills were
                break
            if done := between(self._ended()):
                self.kills[done] += 1
            elif left <= 0:
                continue
            elif self.random.random() < DRIVER_SHARE:
                process.kill()
                process.wait()
                self.kills["driver"] += 1
                process = self._started()
            elif workers := list(filter(is_worker, psutil.Process().children(recursive=True))):
                with contextlib.suppress(psutil.NoSuchProcess):
                    self.random.choice(workers).kill()
                    self.kills["worker"] += 1
        process.wait()
        return subprocess.run([*self.line, "--retry-failed"], capture_output=True).returncode

    def _started(self) -> "subprocess.Popen[bytes]":
        """Start the batch; wait until it works on clips, so that not all kills hit its start."""
        self.starts += 1
        process = subprocess.Popen(self.line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        known = len(read_events(str(self.target)))
        while process.poll() is None and len(read_events(str(self.target))) < known + 2:
            time.sleep(0.2)
        return process

    def _ended(self) -> int:
        """Return how many clips have ended."""
        return sum(event["event"] == "clip" for event in read_events(str(self.target)))


def is_worker(process: psutil.Process) -> bool:
    """Return whether a process does clips, for either engine."""
    try:
        return "spawn_main" in " ".join(process.cmdline()) or "ray::seesame" in process.name()
    except psutil.Error:
        return False


def faults(source: Path, target: Path, good: set[str]) -> list[str]:
    """Return what is wrong at the end; nothing may be."""
    found = []
    states = {state.out: state for state in StateFolder(str(target)).all()}
    events = [e for e in read_events(str(target)) if e["event"] == "clip"]
    times = Counter(e["out"] for e in events if e["status"] == DONE)
    done = {out for out, state in states.items() if state.status == DONE}
    found += [f"{out} is not done" for out in sorted(good - done)]
    found += [f"{out} is damaged and done" for out in sorted(done - good)]
    found += [f"{out} was done {count} times" for out, count in times.items() if count > 1]
    for out in sorted(done):
        found += [f"{out}: {fault}" for fault in file_faults(states[out], target / out)]
    there = {path.relative_to(target).as_posix() for path in target.rglob("*") if path.is_file()}
    kept = {name for name in there if name.startswith((".seesame/clips/", "catalog.", "events."))}
    found += [f"{name} remains" for name in sorted(there - kept - done)]
    return found


def temporaries() -> set[Path]:
    """Return what lies in the system's folder for temporary files, of Ray's sessions too."""
    return {*Path(tempfile.gettempdir()).glob("seesame-tmp-*")}


def file_faults(state: State, file: Path) -> list[str]:
    """Return what is wrong with an output: it must be whole, and its figures the score's."""
    frames = sum(len(batch) for batch in open_clip(file).batches(16))
    score = seesame.score(state.uri, file, seesame.load_stack("lite"))
    found = [] if frames == state.frames else [f"has {frames} of {state.frames} frames"]
    ours = state.seg, state.pose, state.score
    if ours != (score.seg, score.pose, score.total):
        found.append(f"the catalogue says {ours}, the score {score}")
    return found


def kills(given: argparse.Namespace, results: Results) -> None:
    """Run the fleet under kills, check what is there, and keep a row."""
    with tempfile.TemporaryDirectory(prefix="fleet-bench-") as name:
        folder = Path(name)
        good = make_fleet(folder / "in", given.clips)
        before = temporaries()
        killed = Killed(folder / "in", folder / "out", given)
        kept(given, results, killed, folder, good, lambda: killed.run(given.kills), before)


def cluster(given: argparse.Namespace, results: Results) -> None:
    """Run the fleet on three nodes under kills: one node is killed on the way, and one added."""
    from ray.cluster_utils import Cluster

    os.environ |= ENVIRONMENT
    node = {"num_cpus": 1, "memory": 3 << 30, "object_store_memory": 80 << 20}
    given.engine = "ray"
    with tempfile.TemporaryDirectory(prefix="fleet-bench-") as name:
        folder = Path(name)
        good = make_fleet(folder / "in", given.clips)
        before = temporaries()
        nodes = Cluster(initialize_head=True, head_node_args=node | {"include_dashboard": False})
        doomed = [nodes.add_node(**node), nodes.add_node(**node)][0]
        steps = [
            ("node killed", lambda: nodes.remove_node(doomed, allow_graceful=False)),
            ("node added", lambda: nodes.add_node(**node)),
        ]

        def between(ended: int) -> str:
            """Kill a node after a third of the clips, and add one after a half."""
            if not steps or ended < given.clips // (2 if len(steps) == 1 else 3):
                return ""
            done, act = steps.pop(0)
            act()
            return done

        killed = Killed(folder / "in", folder / "out", given, nodes.address)

        def run() -> int:
            try:
                return killed.run(given.kills, between, lambda: bool(steps))
            finally:
                nodes.shutdown()

        kept(given, results, killed, folder, good, run, before)


def kept(
    given: argparse.Namespace,
    results: Results,
    killed: Killed,
    folder: Path,
    good: set[str],
    run: Callable[[], int],
    before: set[Path],
) -> None:
    """Run the fleet, check what is there, and keep a row. Raises SystemExit for faults."""
    start = time.monotonic()
    code = run()
    wall = time.monotonic() - start
    wrong = faults(folder / "in", folder / "out", good)
    if given.engine == "ray":
        wrong += [f"{path} remains" for path in temporaries() - before]
    states = list(StateFolder(str(folder / "out")).all())
    row = {"bench": given.bench, "engine": given.engine, "clips": len(states), "good": len(good)}
    row |= {"kills": dict(killed.kills), "starts": killed.starts, "exit_code": code}
    row |= {"attempts": sum(state.attempts for state in states), "wall_s": round(wall, 1)}
    row |= {"bytes": sum(state.source_bytes for state in states), "jobs": given.jobs}
    results.add({**row, "faults": wrong})
    if wrong:
        raise SystemExit(f"{len(wrong)} faults: {wrong[0]}")


def no_work(connection: Connection, scratch: str, incoming: str) -> None:
    """A local worker that does nothing with its clips."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while (task := connection.recv()) is not None:
        connection.send((SAYS_DONE, task.state(status=DONE)))


def no_remote_work(task: Task, remote: Remote, memory: int) -> dict[str, Any]:
    """A task of Ray that does nothing with its clip."""
    return {"state": task.state(status=DONE).plain(), "pixels": 0}


def overhead(given: argparse.Namespace, results: Results) -> None:
    """Measure what the driver takes for a clip on which nothing is done, and keep a row."""

    def pool(target: str, run: Run, scratch: Path, incoming: str, events: Any) -> Any:
        if given.engine == "ray":
            return RayPool(Remote(target, incoming, ""), given.jobs, None, work=no_remote_work)
        return LocalPool(given.jobs, scratch, incoming, worker=no_work)

    driver._pool = pool
    with tempfile.TemporaryDirectory(prefix="fleet-bench-") as target:
        tasks = [
            Task(uri=f"in/cam/{n:06}.mp4", out=f"cam/{n:06}.ssm", target=target, **PLAIN)
            for n in range(given.clips)
        ]
        start, busy = time.monotonic(), time.process_time()
        run_batch(tasks, target, Run(jobs=given.jobs))
        wall, busy = time.monotonic() - start, time.process_time() - busy
        done = sum(state.status == DONE for state in StateFolder(target).all())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    row = {"bench": "overhead", "engine": given.engine, "clips": given.clips, "done": done}
    row |= {"driver_ms": round(1000 * busy / given.clips, 3), "peak_mb": round(peak)}
    results.add({**row, "wall_s": round(wall, 1), "jobs": given.jobs})


BENCHES = {
    "kills": kills,
    "cluster": cluster,
    "overhead": overhead,
    "sharing": fleet_real.sharing,
    "costs": fleet_real.costs,
    "workers": fleet_real.workers,
}


def main() -> None:
    """Run one of the benchmarks."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bench", choices=tuple(BENCHES))
    parser.add_argument("--engine", choices=("local", "ray"), default="local")
    parser.add_argument("--clips", type=int, default=300)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--frames", type=int, default=60, help="of a part of a real clip")
    parser.add_argument("--names", nargs="*", default=list(fleet_real.CLIPS), help="real clips")
    parser.add_argument("--codec", choices=tuple(fleet_real.CODECS), default="portable")
    parser.add_argument("--budget", type=float, help="seconds of a codec that trains")
    parser.add_argument("--max-seg", type=float, default=0.01)
    both = argparse.BooleanOptionalAction
    parser.add_argument("--share", action=both, help="sharing: with it or without; else both")
    given = parser.parse_args()
    given.share = (False, True) if given.share is None else (given.share,)
    results = Results("fleet", append=True)
    BENCHES[given.bench](given, results)


if __name__ == "__main__":
    main()
