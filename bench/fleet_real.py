"""Measure the time of a fleet on real clips: with and without sharing, by codec, by two workers.

These are modes of ``bench/fleet.py``. Times are processor seconds of the workers, so that other
programs on the machine change them little; the efficiency of two workers needs a quiet machine.
"""

import argparse
import os
import resource
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from common import SHARED, Results
from seesame.decoders import open_clip
from seesame.fleet.driver import Run, run_batch
from seesame.fleet.plan import Defaults, make_tasks
from seesame.fleet.sources.listing import list_source
from seesame.fleet.target.state import State, StateFolder
from seesame.perception.registry import load_stack
from seesame.video.span import Span
from seesame.video.writing.writer import write_clip

CLIPS = "highway", "dusk", "motorway", "forest"
PARTS = 4
"""Parts that a clip is cut into, at most."""
CODECS: Mapping[str, tuple[str | None, Mapping[str, Any]]] = {
    "portable": (None, {"max_seg": 0.01}),
    "portable, max_seg 0.02": (None, {"max_seg": 0.02}),
    "semantic": ("semantic", {}),
    "hybrid": ("hybrid", {}),
    "hnerv": ("hnerv", {}),
}


def cut(folder: Path, frames: int, clips: Sequence[str] = CLIPS) -> None:
    """Write parts of the real clips, spread over each, into a folder for each of them."""
    for name in clips:
        clip = open_clip(SHARED / "data" / "clips" / f"{name}.mp4")
        count = min(PARTS, clip.num_frames // frames)
        (folder / name).mkdir(parents=True)
        for number in range(count):
            start = number * (clip.num_frames - frames) // max(1, count - 1)
            part = Span(clip, start, frames, 1).batches(10)
            path = folder / name / f"part{number}.mp4"
            write_clip(path, part, fps=clip.fps, width=clip.width, height=clip.height, crf=12)


def batch(source: Path, target: Path, defaults: Defaults, run: Run) -> dict[str, Any]:
    """Run a batch; return its states, its wall time and the processor time of its workers."""
    tasks = make_tasks(list_source(str(source), str(target)), str(target), defaults, load_stack)
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    run_batch(tasks, str(target), run, note=print)
    wall, after = time.monotonic() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    states = sorted(StateFolder(str(target)).all(), key=lambda state: state.out)
    return {"states": states, "wall_s": round(wall, 1), "cpu_s": round(cpu, 1)}


def video_seconds(states: Sequence[State]) -> float:
    """Return the seconds of the clips that have an output."""
    return sum(state.seconds_of_video for state in states if state.finished)


def sharing(given: argparse.Namespace, results: Results) -> None:
    """Measure the encodes, bytes and time of clips that share what won, and of clips alone."""
    with tempfile.TemporaryDirectory(prefix="fleet-bench-") as name:
        folder = Path(name)
        cut(folder / "in", given.frames, given.names)
        defaults = Defaults(settings={"max_seg": given.max_seg})
        for share in given.share:
            run = Run(jobs=given.jobs, share=share, overwrite=True)
            found = batch(folder / "in", folder / f"out-{share}", defaults, run)
            for state in found["states"]:
                row = {"bench": "sharing", "share": share, "clip": state.out, "bytes": state.bytes}
                row |= {"encodes": state.encodes, "shared": state.shared, "status": state.status}
                row |= {"scale": state.used.get("scale", 1.0), "crf": state.used.get("crf")}
                row |= {"frames_seg": state.frames_seg, "max_seg": given.max_seg}
                results.add({**row, "frames": state.frames})
            row = {"bench": "sharing", "share": share, "clip": "all", "max_seg": given.max_seg}
            encodes = [s.encodes for s in found["states"] if s.encodes is not None]
            later = [s.encodes for s in found["states"] if s.shared and s.encodes is not None]
            row |= {"clips": len(found["states"]), "bytes": sum(s.bytes for s in found["states"])}
            row |= {"encodes": round(sum(encodes) / len(encodes), 2), "sharing": len(later)}
            row |= {"encodes_sharing": round(sum(later) / max(1, len(later)), 2)}
            results.add(row | {"cpu_s": found["cpu_s"], "wall_s": found["wall_s"]})


def costs(given: argparse.Namespace, results: Results) -> None:
    """Measure the processor seconds of an hour of footage, by what is written."""
    codec, settings = CODECS[given.codec]
    with tempfile.TemporaryDirectory(prefix="fleet-bench-") as name:
        folder = Path(name)
        cut(folder / "in", given.frames, given.names)
        extra = {"budget_s": float(given.budget)} if given.budget else {}
        defaults = Defaults(codec=codec, settings={**settings, **extra})
        found = batch(folder / "in", folder / "out", defaults, Run(jobs=given.jobs))
        seconds = video_seconds(found["states"])
    row = {"bench": "costs", "codec": given.codec, "clips": len(found["states"])}
    row |= {"names": given.names, "video_s": round(seconds, 2), "budget_s": given.budget}
    row |= {"statuses": sorted({s.status for s in found["states"]}), "cpu_s": found["cpu_s"]}
    row |= {"core_s_an_hour": round(3600 * found["cpu_s"] / seconds), "wall_s": found["wall_s"]}
    results.add({**row, "bytes": sum(s.bytes for s in found["states"]), "jobs": given.jobs})


def workers(given: argparse.Namespace, results: Results) -> None:
    """Measure the efficiency of two workers against one; for a machine on which nothing else is."""
    with tempfile.TemporaryDirectory(prefix="fleet-bench-") as name:
        folder = Path(name)
        cut(folder / "in", given.frames)
        defaults = Defaults(codec="x264", settings={"crf": 30})
        walls = {}
        for jobs in (1, 2):
            # The second run must not find what the networks made of the sources in the first.
            os.environ["SEESAME_CACHE"] = str(folder / f"cache-{jobs}")
            run = Run(jobs=jobs, share=False)
            walls[jobs] = batch(folder / "in", folder / f"out-{jobs}", defaults, run)["wall_s"]
    row = {"bench": "workers", "one_s": walls[1], "two_s": walls[2]}
    results.add({**row, "efficiency": round(walls[1] / (2 * walls[2]), 3)})
