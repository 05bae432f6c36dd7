"""Runs trials, several at once, and never one that the store has."""

import itertools
import json
import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType

import torch

from seesame.codecs.av.options import AT_DECODE
from seesame.context import EncodeContext, EncodeMemory
from seesame.errors import UserError
from seesame.jobs.store import Store
from seesame.jobs.trial import Subject, Trial, run_trial
from seesame.metric.cache import source_digest
from seesame.metric.evaluator import ReferenceOutputs
from seesame.perception.registry import load_stack
from seesame.perception.stack import Stack
from seesame.search.space import Settings
from seesame.video.clip import Clip
from seesame.video.reader import open_clip
from seesame.video.span import Span

Wanted = tuple[str, Settings]
"""A codec's name and all its settings."""


@dataclass(frozen=True)
class Source:
    """Where a worker finds the clip and the judges.

    Args:
        path: of the clip.
        size: rows and columns of a .raw clip.
        fps: of a .raw clip or a folder.
        stack: name of the stack.
        device: where the nets run.
        source_bytes: what the rate is taken of, where the file is a part cut out of another.
    """

    path: Path
    size: tuple[int, int] | None = None
    fps: Fraction | None = None
    stack: str = "lite"
    device: str = "cpu"
    source_bytes: int | None = None

    def open(self) -> tuple[Clip, Stack]:
        """The clip and the judges. Raises UserError or DamagedError."""
        clip = open_clip(self.path, size=self.size, fps=self.fps)
        if self.source_bytes is not None:
            clip = Span(clip, 0, clip.num_frames, self.source_bytes)
        return clip, load_stack(self.stack, self.device)

    def subject(self, clip: Clip, stack: Stack) -> Subject:
        """What the trials on it have in common."""
        shape = f"{clip.width}x{clip.height}, {clip.num_frames} frames, {clip.fps} fps"
        if self.source_bytes is not None:
            shape += f", of {self.source_bytes} bytes"
        return Subject(f"{source_digest(self.path)} {shape}", stack.fingerprint, self.device)


@dataclass(frozen=True)
class Result:
    """What became of a wanted trial.

    Args:
        wanted: what was asked for.
        trial: None where the encoder refused.
        known: whether the store had it.
        why: what the encoder said.
    """

    wanted: Wanted
    trial: Trial | None
    known: bool = False
    why: str = ""


class Runner:
    """Trials on one clip, in this process or in several.

    Args:
        source: the clip and the judges.
        opened: what ``source.open()`` gave.
        outputs: what the judges see in the clip.
        store: where trials are kept.
        jobs: trials at once; with more than one each has a process of its own.
    """

    def __init__(
        self,
        source: Source,
        opened: tuple[Clip, Stack],
        outputs: ReferenceOutputs,
        store: Store,
        jobs: int = 1,
    ) -> None:
        self.source, self.store, self.outputs, self.jobs = source, store, outputs, jobs
        self.clip, self.stack = opened
        self.subject = source.subject(self.clip, self.stack)
        self.made = 0
        """Trials that were not in the store."""
        self._context = EncodeContext(self.stack, source.device, memory=EncodeMemory())
        self._pools: list[ProcessPoolExecutor] = []
        if jobs > 1:
            threads = max(1, (os.cpu_count() or 1) // jobs)
            start = multiprocessing.get_context("spawn"), _begin, (source, outputs, threads)
            self._pools = [ProcessPoolExecutor(1, *start) for _ in range(jobs)]

    def __enter__(self) -> "Runner":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        for pool in self._pools:
            pool.shutdown(wait=kind is None, cancel_futures=True)
        if self._pools and kind is not None:
            for process in multiprocessing.active_children():
                process.terminate()

    def run(self, wanted: Sequence[Wanted]) -> Iterator[Result]:
        """Trials in the order in which they end; those that the store has come first.

        Raises:
            UserError: the store fails, or a worker was killed.
            DamagedError: the clip ends early.
        """
        missing = []
        for codec, settings in wanted:
            known = self.store.get(self.subject.key(codec, settings))
            if known is None:
                missing.append((codec, settings))
            else:
                yield Result((codec, settings), known, known=True)
        for one, trial, why in self._make(missing):
            if trial is not None:
                self.store.put(self.subject.key(*one), self.subject, trial)
            self.made += 1
            yield Result(one, trial, why=why)

    def _make(self, wanted: Sequence[Wanted]) -> Iterator[tuple[Wanted, Trial | None, str]]:
        """Trials that share a stream are made one after the other by one process."""
        groups = _by_stream(wanted)
        if not self._pools:
            for one in itertools.chain.from_iterable(groups):
                yield one, *_tried(self.clip, self.outputs, self.stack, one, self._context)
            return
        pending: dict[Future[tuple[Trial | None, str]], tuple[Wanted, int]] = {}
        queues: list[deque[Wanted]] = [deque() for _ in self._pools]
        idle = [number for number in range(len(self._pools)) for _ in range(2)]
        try:
            while True:
                for number in idle:  # one trial waits behind each that is at work
                    following = _next(queues, number, groups)
                    if following is not None:
                        future = self._pools[number].submit(_work, following)
                        pending[future] = following, number
                if not pending:
                    break
                idle = []
                for future in wait(pending, return_when=FIRST_COMPLETED).done:
                    one, number = pending.pop(future)
                    idle.append(number)
                    yield one, *future.result()
        except BrokenProcessPool as error:
            raise UserError(
                "a process of the search was killed, perhaps for memory; try fewer --jobs"
            ) from error


def _by_stream(wanted: Sequence[Wanted]) -> deque[deque[Wanted]]:
    """Groups of trials that differ in what the decoder does alone, in the order of their firsts."""
    groups: dict[str, deque[Wanted]] = {}
    for codec, settings in wanted:
        coded = {name: value for name, value in settings.items() if name not in AT_DECODE}
        groups.setdefault(json.dumps([codec, coded]), deque()).append((codec, settings))
    return deque(groups.values())


def _next(
    queues: Sequence[deque[Wanted]], number: int, groups: deque[deque[Wanted]]
) -> Wanted | None:
    """What a process does next: of its group, of a new one, or of another's; None at the end."""
    mine = queues[number]
    if not mine:
        mine.extend(groups.popleft() if groups else [])
    source = mine or max(queues, key=len)
    return source.popleft() if source else None


def _tried(
    clip: Clip, outputs: ReferenceOutputs, stack: Stack, wanted: Wanted, context: EncodeContext
) -> tuple[Trial | None, str]:
    """A trial, or why the encoder refused; a clip that is damaged ends the search."""
    try:
        return run_trial(clip, outputs, stack, *wanted, context), ""
    except UserError as error:
        if type(error) is not UserError:  # a damaged clip is no fault of the settings
            raise
        return None, str(error)


_worker: Callable[[Wanted], tuple[Trial | None, str]]


def _begin(source: Source, outputs: ReferenceOutputs, threads: int) -> None:
    """Open everything once in a worker."""
    global _worker
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that started it
    torch.set_num_threads(threads)
    clip, stack = source.open()
    context = EncodeContext(stack, source.device, memory=EncodeMemory())

    def work(wanted: Wanted) -> tuple[Trial | None, str]:
        return _tried(clip, outputs, stack, wanted, context)

    _worker = work


def _work(wanted: Wanted) -> tuple[Trial | None, str]:
    return _worker(wanted)
