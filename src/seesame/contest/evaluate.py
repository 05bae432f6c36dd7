"""Judging a submission from its folder to its score, as the challenge's ``evaluate.sh`` does.

Unpack the archive, run ``inflate.sh`` in isolation, check what it made, score it pair by pair.
Whatever a submission does wrong ends in a verdict, never in an exception of ours.
"""

import hashlib
import json
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib.resources import files
from pathlib import Path

import numpy as np
import torch

from seesame.contest.archive import unpack
from seesame.contest.isolation.limits import ArchiveLimits, Limits
from seesame.contest.isolation.sandbox import Workspace, run_inflate
from seesame.contest.isolation.watch import Outcome
from seesame.contest.submission import (
    ARCHIVE,
    SCRIPT,
    DiskSpaceError,
    Submission,
    SubmissionError,
    copy_scripts,
    open_submission,
)
from seesame.contest.videos import Video, inflated_name
from seesame.context import Progress, no_progress
from seesame.metric.evaluator import Evaluation, ReferenceOutputs, evaluate
from seesame.metric.memory import keep_freed_memory
from seesame.metric.score import Score
from seesame.metric.storage.cache import cached_reference_outputs
from seesame.perception.registry import load_stack
from seesame.perception.stack import Stack
from seesame.processes import WorkerPool
from seesame.temporary import temporary_folder
from seesame.video.clip import Clip
from seesame.video.reading.raw import RawClip
from seesame.video.reading.reader import open_clip


@dataclass(frozen=True)
class Bench:
    """The videos and networks by which every submission of one contest is judged.

    Args:
        videos: the source videos.
        source_bytes: bytes of all files in the videos' folder, the denominator of the rate.
        folder: the videos' folder.
        stack: the networks, as :func:`seesame.perception.registry.load_stack` names them.
        device: where they run.
        cached: keep their outputs for the source videos, for the next submission.
        jobs: videos scored at the same time, each in a process of its own.
    """

    videos: tuple[Video, ...]
    source_bytes: int
    folder: Path
    stack: str
    device: str = "cpu"
    cached: bool = True
    jobs: int = 1


@dataclass(frozen=True)
class Result:
    """The outcome of judging a submission.

    Args:
        name: the submission's.
        verdict: ``scored``, or why not, in one line.
        submission: its folder; None when that could not be opened.
        outcome: how its script ended; None when it was never run.
        videos: name and figures of each video.
        total: figures over the pairs of all videos; None when it was not scored.
    """

    name: str
    verdict: str
    submission: Submission | None
    outcome: Outcome | None
    videos: tuple[tuple[str, Evaluation], ...] = ()
    total: Evaluation | None = None


def evaluate_submission(
    folder: Path,
    bench: Bench,
    limits: Limits | None = None,
    *,
    isolate: bool = True,
    work: Path | None = None,
    progress: Progress = no_progress,
) -> Result:
    """Judge one submission; nothing of it is left but the result.

    Args:
        folder: holds ``archive.zip`` and ``inflate.sh``; it is not changed.
        bench: videos, stack and device.
        limits: where the script is stopped; ``bytes`` is lowered to the most that an honest
            script can need.
        isolate: see :func:`seesame.contest.isolation.sandbox.run_inflate`.
        work: where the raw videos go for a while; the system's temporary folder when None.
        progress: called with the share done and what is being done.

    Raises:
        IsolationError: this machine cannot isolate a script.
        DiskSpaceError: the disk has no space for the raw videos.
        UserError: no such folder, or a source video that cannot be read.
    """
    submission: Submission | None = None
    outcome: Outcome | None = None
    try:
        submission = open_submission(folder)
        with temporary_folder(work) as temporary:
            workspace = _lay_out(temporary / "contest", submission, bench)
            limits = _limits(limits or Limits(), bench, workspace)
            progress(0.0, "inflate.sh")
            hidden, gpu = (bench.folder, folder), bench.device.startswith("cuda")
            outcome = run_inflate(workspace, limits, isolate=isolate, hidden=hidden, gpu=gpu)
            _check_outcome(outcome)
            raws = [_check_raw(workspace, video) for video in bench.videos]
            videos = _score(raws, submission, bench, progress)
    except SubmissionError as error:
        return Result(folder.resolve().name, str(error), submission, outcome)
    total = combine([evaluation for _, evaluation in videos])
    return Result(submission.name, "scored", submission, outcome, videos, total)


@lru_cache(maxsize=1)
def loaded_stack(spec: str, device: str) -> Stack:
    """Return the stack, loaded once a process however many videos there are.

    Raises:
        UserError, DamagedError: as :func:`seesame.perception.registry.load_stack`.
    """
    return load_stack(spec, device)


def combine(evaluations: list[Evaluation]) -> Evaluation:
    """Return one evaluation over the pairs of several videos that share their rate."""
    first = evaluations[0]
    seg = np.concatenate([evaluation.seg for evaluation in evaluations])
    pose = np.concatenate([evaluation.pose for evaluation in evaluations])
    means = [float(values.mean(dtype=np.float64)) for values in (seg, pose)]
    score = Score(means[0], means[1], first.score.rate)
    return replace(first, score=score, seg=seg, pose=pose)


def bench_digest(bench: Bench, fingerprint: str, decoder: str) -> str:
    """Return a digest that is equal for results that may be compared.

    They have the same networks, videos and decoder.
    """
    videos = [(v.name, v.bytes, v.num_frames, v.width, v.height) for v in bench.videos]
    what = json.dumps([fingerprint, decoder, bench.source_bytes, videos])
    return hashlib.sha256(what.encode()).hexdigest()


def _lay_out(folder: Path, submission: Submission, bench: Bench) -> Workspace:
    """Lay out a folder as the challenge's repository is, so that scripts find their way."""
    workspace = Workspace(folder, submission.name)
    for place in (workspace.archive, workspace.out, workspace.tmp):
        place.mkdir(parents=True)
    copy_scripts(submission, workspace.scripts)
    most = ArchiveLimits().bytes(bench.source_bytes)
    unpack(submission.folder / ARCHIVE, workspace.archive, most)
    names = "".join(f"{video.name}\n" for video in bench.videos)
    workspace.names.write_text(names, encoding="utf-8", errors="surrogateescape")
    module = files("seesame.contest").joinpath("frame_utils.py").read_text(encoding="utf-8")
    (folder / "frame_utils.py").write_text(module, encoding="utf-8")
    return workspace


def _limits(limits: Limits, bench: Bench, workspace: Workspace) -> Limits:
    """Return the limits with as much disk as the videos need, where there is that much."""
    raw = sum(video.raw_bytes for video in bench.videos)
    there = sum(path.stat().st_size for path in workspace.folder.rglob("*") if path.is_file())
    wanted = min(limits.bytes, raw + there + limits.beyond_raw)
    free = shutil.disk_usage(workspace.folder).free
    if free < raw:
        raise DiskSpaceError(
            f"{workspace.folder.parent.parent}: {free:,} bytes are free, but the raw videos take "
            f"{raw:,}; choose another place for them"
        )
    return replace(limits, bytes=min(wanted, there + free))


def _check_outcome(outcome: Outcome) -> None:
    if outcome.stopped is not None:
        raise SubmissionError(f"{SCRIPT} {outcome.stopped}")
    if outcome.exit_code:
        lines = [line for line in outcome.log.splitlines() if line.strip()]
        last = f": {ascii(lines[-1].strip()[:200])[1:-1]}" if lines else ""
        raise SubmissionError(f"{SCRIPT} ended with exit code {outcome.exit_code}{last}")


def _check_raw(workspace: Workspace, video: Video) -> Path:
    """Return the file that the script made for a video, if it is a plain one of the right size."""
    name = inflated_name(video.name)
    try:
        return _plain_file(workspace, workspace.out / name, name, video)
    except OSError as error:
        raise SubmissionError(f"{name} cannot be read: {error.strerror}") from error


def _plain_file(workspace: Workspace, path: Path, name: str, video: Video) -> Path:
    steps = [path, *path.parents]
    if any(step.is_symlink() for step in steps[: steps.index(workspace.folder)]):
        raise SubmissionError(f"{name} is a link, not a file")
    if not path.is_file():
        raise SubmissionError(f"{SCRIPT} made no {name}")
    size = path.stat().st_size
    if size != video.raw_bytes:
        raise SubmissionError(
            f"{name} has {size:,} bytes, not {video.raw_bytes:,} "
            f"({video.num_frames} frames of {video.width}x{video.height} RGB)"
        )
    path.open("rb").close()
    return path


@dataclass(frozen=True)
class _Task:
    """One video to score, as plain data that another process can be given."""

    raw: Path
    video: Video
    bench: Bench
    compressed_bytes: int
    threads: int


def _score(
    raws: list[Path], submission: Submission, bench: Bench, tell: Progress
) -> tuple[tuple[str, Evaluation], ...]:
    jobs = max(1, min(bench.jobs, len(raws)))
    threads = max(1, torch.get_num_threads() // jobs)
    tasks = [
        _Task(raw, video, bench, submission.archive_bytes, threads)
        for raw, video in zip(raws, bench.videos, strict=True)
    ]
    found = []
    results: Iterator[Evaluation]
    with ExitStack() as exits:
        if jobs == 1:
            count = len(tasks)
            parts = [_part(tell, i, count, f"video {i + 1} of {count}, ") for i in range(count)]
            results = map(_score_one, tasks, parts)
        else:
            pool = exits.enter_context(WorkerPool(jobs))
            results = pool.map(_score_in_process, tasks)
        for task, result in zip(tasks, results, strict=True):
            found.append((task.video.name, result))
            tell(len(found) / len(tasks), f"video {len(found)} of {len(tasks)}")
    return tuple(found)


def _part(tell: Progress, index: int, count: int, label: str) -> Progress:
    """Return a callback for the progress of one of several equal parts."""
    return lambda share, text: tell((index + share) / count, label + text)


def _score_in_process(task: _Task) -> Evaluation:
    torch.set_num_threads(task.threads)
    keep_freed_memory()
    return _score_one(task, no_progress)


def _score_one(task: _Task, progress: Progress) -> Evaluation:
    bench, video = task.bench, task.video
    stack = loaded_stack(bench.stack, bench.device)
    source = open_clip(video.path)
    reference: Clip | ReferenceOutputs = source
    if bench.cached:
        reading, progress = _part(progress, 0, 2, "source "), _part(progress, 1, 2, "")
        reference = cached_reference_outputs(
            video.path, source, stack, device=bench.device, progress=reading
        )
    decoded = RawClip(task.raw, (video.height, video.width), source.fps)
    return evaluate(
        reference,
        decoded,
        stack,
        task.compressed_bytes,
        source_bytes=bench.source_bytes,
        device=bench.device,
        progress=progress,
    )
