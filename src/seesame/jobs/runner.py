"""Runs the trials of a search, several at once, and never one that the store has."""

import itertools
import json
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from types import TracebackType
from typing import Any

from seesame.codecs.av.options import AT_DECODE
from seesame.context import EncodeMemory, no_progress
from seesame.errors import DamagedError, UserError
from seesame.jobs.spec import Job, Source, silent
from seesame.jobs.store import Store
from seesame.jobs.trial import Subject, Trial
from seesame.jobs.workbench import Workbench
from seesame.metric.evaluator import ReferenceOutputs
from seesame.perception.stack import Stack
from seesame.processes import WorkerPool
from seesame.video.clip import Clip

Wanted = tuple[str, dict[str, Any]]
"""A codec's name and all its settings."""


@dataclass(frozen=True)
class Result:
    """The outcome of a wanted trial.

    Args:
        wanted: the codec and the settings that were asked for.
        trial: the figures; None where the encoder refused.
        known: true where the store had it.
        why: what the encoder said, where it refused.
    """

    wanted: Wanted
    trial: Trial | None
    known: bool = False
    why: str = ""


class Runner:
    """Makes trials on one clip, in this process or in several.

    Args:
        job: names the clip, the stack and the device; its codec and settings are not used.
        bench: the same, opened, with an :class:`~seesame.context.EncodeMemory` of its own.
        store: where trials are kept.
        jobs: trials at once. With more than one, each has a process of its own and its share of
            torch's threads.

    Raises:
        MissingStackError: the bench has no stack.
        UserError: the clip forms no pair.
        DamagedError: it ends early.
    """

    def __init__(self, job: Job, bench: Workbench, store: Store, jobs: int = 1) -> None:
        reference = bench.reference()
        assert bench.stack is not None
        self.job, self.bench, self.store, self.jobs = job, bench, store, jobs
        self.clip: Clip = bench.clip
        self.stack: Stack = bench.stack
        self.made = 0
        """Trials that were not in the store."""
        threads = max(1, (os.cpu_count() or 1) // jobs) if jobs > 1 else None
        self.subject = Subject.of(
            job.source, self.clip, self.stack, bench.device, threads, bench.every_frame
        )
        self._pools: list[WorkerPool] = []
        self._exits = ExitStack()
        if jobs > 1:
            task = replace(job, device=bench.device, threads=threads)
            for _ in range(jobs):
                pool = WorkerPool(1, _begin, (task, reference))
                self._pools.append(self._exits.enter_context(pool))

    @classmethod
    def open(cls, job: Job, store: Store, jobs: int = 1, **more: Any) -> "Runner":
        """Open a job's clip and stack, and return a runner for them.

        Args:
            job: names the clip, the stack and the device.
            store: where trials are kept.
            jobs: trials at once.
            **more: ``stages`` and ``note``, as :meth:`Workbench.open` takes them.

        Raises:
            UserError: the clip or the stack cannot be opened, or the clip forms no pair.
            DamagedError: the clip is damaged.
        """
        bench = Workbench.open(job, **more)
        bench.memory = EncodeMemory()
        return cls(job, bench, store, jobs)

    def on(self, source: Source) -> "Runner":
        """Return a runner like this one for another clip, as a part that was cut out of this one.

        Raises:
            UserError: the clip cannot be opened.
            DamagedError: it is damaged.
        """
        bench = replace(
            self.bench,
            clip=source.open(self.bench.device),
            path=source.path,
            outputs=None,
            memory=EncodeMemory(),
            stages=silent,
        )
        return Runner(replace(self.job, source=source), bench, self.store, self.jobs)

    def __enter__(self) -> "Runner":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._exits.__exit__(kind, error, trace)

    def run(self, wanted: Sequence[Wanted]) -> Iterator[Result]:
        """Yield trials in the order in which they end; those that the store has come first.

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
        """Yield new trials; one process makes those that share a stream one after the other."""
        groups = by_stream(wanted)
        if not self._pools:
            for one in itertools.chain.from_iterable(groups):
                yield one, *_tried(self.bench, one)
            return
        pending: dict[Future[tuple[Trial | None, str]], tuple[Wanted, int]] = {}
        queues: list[deque[Wanted]] = [deque() for _ in self._pools]
        idle = [number for number in range(len(self._pools)) for _ in range(2)]
        try:
            while True:
                for number in idle:  # one trial waits behind each that is at work
                    following = next_for(queues, number, groups)
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
                "a process of the search was killed, perhaps for want of memory; run fewer at once"
            ) from error


def by_stream(wanted: Sequence[Wanted]) -> deque[deque[Wanted]]:
    """Group trials that differ in what the decoder does alone, in the order of their firsts."""
    groups: dict[str, deque[Wanted]] = {}
    for codec, settings in wanted:
        coded = {name: value for name, value in settings.items() if name not in AT_DECODE}
        groups.setdefault(json.dumps([codec, coded]), deque()).append((codec, settings))
    return deque(groups.values())


def next_for(
    queues: Sequence[deque[Wanted]], number: int, groups: deque[deque[Wanted]]
) -> Wanted | None:
    """Return a process's next trial: of its group, a new one or another's; None at the end."""
    mine = queues[number]
    if not mine:
        mine.extend(groups.popleft() if groups else [])
    source = mine or max(queues, key=len)
    return source.popleft() if source else None


def _tried(bench: Workbench, wanted: Wanted) -> tuple[Trial | None, str]:
    """Return a trial, or why the encoder refused. Raises DamagedError for a damaged clip."""
    codec, settings = wanted
    try:
        return Trial.of(bench.encode(codec, settings, progress=no_progress)), ""
    except DamagedError:  # no fault of the settings: it ends the search
        raise
    except UserError as error:
        return None, str(error)


_worker: Callable[[Wanted], tuple[Trial | None, str]]


def _begin(job: Job, outputs: ReferenceOutputs) -> None:
    """Open the clip and the stack once in a worker."""
    global _worker
    bench = Workbench.open(job)
    bench.outputs, bench.memory = outputs, EncodeMemory()
    _worker = partial(_tried, bench)


def _work(wanted: Wanted) -> tuple[Trial | None, str]:
    return _worker(wanted)
