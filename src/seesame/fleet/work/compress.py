"""One clip of a fleet: fetched, compressed, read back, judged, and moved into place."""

import hashlib
import os
import platform
import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any

from seesame.context import no_progress
from seesame.decoders import resolve_device
from seesame.errors import UserError
from seesame.fleet.plan import SSM, Task
from seesame.fleet.sharing import size_name
from seesame.fleet.storage import is_remote, joined, storage
from seesame.fleet.target.state import DONE, FAILED, MISSED, UNCHANGED, State
from seesame.fleet.work.renderers import fetch, renderer_of
from seesame.jobs.portable import MAX_SHARE, place_portable, write_portable
from seesame.jobs.spec import Job, Judged, Source, silent
from seesame.jobs.workbench import Workbench
from seesame.metric.limits import Limits
from seesame.perception.registry import load_stack
from seesame.perception.stack import Stack
from seesame.search.within.cheapest import CheapestTuning
from seesame.search.within.found import PortableTuning, Start
from seesame.search.within.portable import find_portable, finds_portable
from seesame.search.within.quality import finds_quality, write_within

Ask = Callable[[int], None]
"""Called with the pixels of a frame before the work on a clip; returns when there is memory."""
Alive = Callable[[], None]
"""Called before an output is moved into place; ends the work where its driver has died."""


@dataclass(frozen=True)
class Compressed:
    """A file in scratch space, with its figures."""

    path: Path
    width: int
    height: int
    frames: int
    fps: float
    coded: "Coded"


@dataclass(frozen=True)
class Coded:
    """The figures of a file, and how it was found.

    Args:
        judged: the figures.
        kept_source: it is the source itself.
        encodes: of the clip's length that a search made; None without one.
        shared: the search began with what won on other clips.
    """

    judged: Judged
    kept_source: bool
    encodes: float | None = None
    shared: bool = False


@dataclass(frozen=True)
class Bench:
    """The folders and callbacks that a worker has for every clip.

    Args:
        scratch: a folder on this machine, empty but for the clip at work.
        incoming: a folder of the target for outputs that are not yet in place; empty where they
            are only measured.
        ask: called before memory is taken.
        alive: called before an output is moved into place.
        threads: of encoders and networks.
    """

    scratch: Path
    incoming: str
    ask: Ask
    alive: Alive
    threads: int = 1


def do_task(task: Task, bench: Bench) -> State:
    """Do the work of one clip, and return its state. Nothing is left in scratch space.

    Whatever is wrong with the clip is the state's error, in one line.

    Args:
        task: what to do.
        bench: the worker's folders and callbacks.

    Raises:
        MemoryError: there is too little memory.
    """
    started = time.monotonic()
    notes: list[str] = []
    try:
        state = _done(task, bench, notes)
    except Exception as error:
        if _out_of_memory(error):
            raise MemoryError from error
        state = task.state(status=FAILED, error=one_line(error, task, bench.scratch))
    finally:
        _empty(bench.scratch)
    seconds = time.monotonic() - started
    return replace(
        state, seconds=round(seconds, 3), notes=tuple(notes[:5]), machine=platform.node()
    )


def one_line(error: Exception, task: Task, scratch: Path) -> str:
    """Return an error's message in one line, which names the clip and no temporary file."""
    text = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
    text = text.replace(str(_fetched(task, scratch)), task.uri)
    text = text.replace(str(_made(task, scratch)), task.uri)
    return " ".join(text.split())[:500]


def _done(task: Task, bench: Bench, notes: list[str]) -> State:
    """Return the state of a clip whose output is in place, or that has none by the user's wish."""
    scratch = bench.scratch
    source = _local(task, scratch)
    with source.open("rb") as file:
        content = hashlib.file_digest(file, "sha256").hexdigest()
    if task.known == content:
        return task.state(status=UNCHANGED, content=content)
    with _refusing_changes(source):
        made = _compressed(task, source, bench, notes)
    judged = made.coded.judged
    if judged.missed and task.on_miss == "fail":
        judged.check_limits()
    values = _figures(made) | {"content": content, "status": MISSED if judged.missed else DONE}
    if bench.incoming:
        bench.alive()
        target = joined(task.target, task.out)
        temporary = joined(bench.incoming, f"{uuid.uuid4().hex[:12]}{made.path.suffix}")
        storage(task.target).put(made.path, target, temporary)
    return task.state(**values)


def _local(task: Task, scratch: Path) -> Path:
    """Return the clip's file on this machine, fetched where it is elsewhere.

    Raises:
        UserError: it is not there.
    """
    place = storage(task.uri)
    if place.stat(task.uri) is None:
        folder = place.is_folder(task.uri)
        raise UserError(f"{task.uri}: {'is a folder, not a video' if folder else 'not found'}")
    if not is_remote(task.uri):
        return Path(task.uri)
    local = _fetched(task, scratch)
    place.fetch(task.uri, local)
    return local


def _fetched(task: Task, scratch: Path) -> Path:
    return scratch / f"source{PurePosixPath(task.uri).suffix[:16]}"


def _made(task: Task, scratch: Path) -> Path:
    return scratch / f"made{PurePosixPath(task.out).suffix.lower()}"


@contextmanager
def _refusing_changes(source: Path) -> Iterator[None]:
    """Refuse a clip that is written to while it is worked on: its figures would be of neither."""
    before = os.stat(source)
    yield
    after = os.stat(source)
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise UserError(f"{source}: was changed while it was compressed")


def _compressed(task: Task, source: Path, bench: Bench, notes: list[str]) -> Compressed:
    """Compress a clip into scratch space, and judge what was read back."""
    made = _made(task, bench.scratch)
    limits = Limits.from_settings(task.limits)
    device = resolve_device(task.device)
    if renderer := renderer_of(task.codec, task.settings):
        fetch(task.target, renderer)
    stack = _stack(task.stack, device)
    if stack.fingerprint != task.fingerprint:
        raise UserError(f"the stack {task.stack} has changed since the run began; start it again")
    job = Job(
        Source(source),
        task.codec,
        task.settings,
        out=made,
        limits=limits,
        device=device,
        seed=task.seed,
        threads=bench.threads,
    )
    work = replace(Workbench.open(job, silent, notes.append), stack=stack)
    clip = work.clip
    bench.ask(clip.width * clip.height)
    coded = _ssm(work, job, task) if made.suffix == SSM else _portable(work, job, task)
    return Compressed(made, clip.width, clip.height, clip.num_frames, float(clip.fps), coded)


def _ssm(bench: Workbench, job: Job, task: Task) -> Coded:
    """Write an .ssm file, as ``seesame compress`` does."""
    assert job.out is not None
    start = _start(task, bench)
    shared = False
    if finds_quality(job.codec, job.settings, job.limits):
        shared = start is not None
        tuning = CheapestTuning(enough=PortableTuning().enough if shared else 0.0)
        found = write_within(bench, job, no_progress, start.crf if start else None, tuning)
    else:
        found = bench.encode(job.codec, job.settings, out=job.out, limits=job.limits, seed=job.seed)
    if found.missed and task.on_miss == "keep-source":
        return Coded(bench.encode("copy", {}, out=job.out, overwrite=True), True)
    return Coded(found, job.codec == "copy", shared=shared)


def _portable(bench: Workbench, job: Job, task: Task) -> Coded:
    """Write a plain video file, as ``seesame compress`` does."""
    assert job.out is not None
    encodes, shared = None, False
    if finds_portable(job.settings):
        search = find_portable(
            bench,
            job.codec,
            job.settings,
            job.limits,
            job.out,
            start=_start(task, bench),
            progress=no_progress,
        )
        found, encodes, shared = search.file, round(search.encodes, 2), search.shared
    else:
        limits = bench.bound(job.limits)
        found = write_portable(
            bench, job.codec, job.settings, job.out, max_share=MAX_SHARE, limits=limits
        )
    if found.missed and task.on_miss == "keep-source":
        moved = job.out.with_name(f"missed{job.out.suffix}")
        os.replace(job.out, moved)
        found = place_portable(bench, replace(found, path=moved), job.out, max_share=0.0)
        if not found.kept_source:
            raise UserError(f"{task.uri}: misses a limit, and is no video file that can be kept")
    return Coded(found, found.kept_source, encodes, shared)


def _start(task: Task, bench: Workbench) -> Start | None:
    """Return what won on earlier clips with frames of this size; None where there is nothing."""
    return task.starts.get(size_name(bench.clip.width, bench.clip.height))


def _figures(made: Compressed) -> dict[str, Any]:
    """Return what the catalogue says of a file, by the names of the state's fields."""
    judged = made.coded.judged
    evaluation = judged.evaluation
    assert evaluation is not None
    worst = int(evaluation.pair_scores.argmax())
    missed = ", ".join(
        f"{one.name} is {one.value:.6g}, not {one.bound:g} or less" for one in judged.missed
    )
    return {
        "bytes": made.path.stat().st_size,
        "used": dict(judged.settings),
        "width": made.width,
        "height": made.height,
        "frames": made.frames,
        "fps": made.fps,
        "seg": judged.score.seg,
        "pose": judged.score.pose,
        "score": judged.score.total,
        "frames_seg": judged.figures.seg,
        "worst_pair": worst,
        "worst_pair_seg": float(evaluation.seg[worst]),
        "worst_pair_pose": float(evaluation.pose[worst]),
        "missed": missed,
        "kept_source": made.coded.kept_source,
        "encodes": made.coded.encodes,
        "shared": made.coded.shared,
        "encode_s": round(judged.encode_s, 3),
        "judge_s": round(judged.judge_s, 3),
    }


@cache
def _stack(name: str, device: str) -> Stack:
    """Return a stack, which a worker loads once for all its clips."""
    return load_stack(name, device)


def _out_of_memory(error: Exception) -> bool:
    """Return whether an error is Python's, torch's or an encoder's way to say so."""
    name = type(error).__name__
    return (
        isinstance(error, MemoryError)
        or name == "OutOfMemoryError"
        or "allocate memory" in str(error)
    )


def _empty(folder: Path) -> None:
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
