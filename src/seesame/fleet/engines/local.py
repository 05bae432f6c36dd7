"""The local engine: worker processes on this machine, no more of them than memory allows."""

import contextlib
import os
import shutil
import signal
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass, field, replace
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

import psutil

from seesame.fleet.engines.worker import DONE, NEED, work
from seesame.fleet.plan import Task
from seesame.fleet.target.state import FAILED, State
from seesame.processes import Worker, signals_held

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
"""Environment variables by which libraries choose their number of threads."""


@dataclass(frozen=True)
class PoolTuning:
    """The numbers of the pool.

    Args:
        share: of the memory that is free when a run begins, which its workers may take.
        worker_bytes: of a worker by itself, with its libraries and the networks.
        pixel_bytes: that a clip takes for each pixel of one of its frames, at most.
        tries: of a clip whose worker dies or has too little memory. Each try after the first is
            taken to need twice the memory.
        patience: seconds that a worker gets to end by itself.
    """

    share: float = 0.8
    worker_bytes: int = 600 << 20
    pixel_bytes: int = 1600
    tries: int = 2
    patience: float = 5.0


@dataclass(eq=False)
class _Worker:
    """One process, and what it does."""

    process: Worker
    connection: Connection
    scratch: Path
    task: Task | None = None
    attempts: int = 0
    needs: int = 0
    granted: bool = False


@dataclass(frozen=True)
class Ended:
    """One clip whose work has ended.

    Args:
        task: what was to be done.
        state: what became of it.
    """

    task: Task
    state: State


@dataclass
class LocalPool:
    """Worker processes that do tasks.

    Processes are spawned, not forked. A worker that dies is replaced, and its clip is tried once
    more; the second time it has failed. Before it takes memory for a clip, a worker tells how large
    the frames are, and waits until what others have taken leaves room for that, or none is at work.

    Args:
        jobs: workers at most.
        scratch: a folder for temporary files, on this machine.
        incoming: as :class:`~seesame.fleet.work.compress.Bench` has it.
        memory: bytes that all workers together may take; None for a share of what is free.
        tell: called with the name and the facts of what happens.
        tuning: its numbers.
        worker: what a :class:`~seesame.processes.Worker` does, given its pipe, its scratch folder,
            and ``incoming``.
    """

    jobs: int
    scratch: Path
    incoming: str
    memory: int | None = None
    tell: Callable[..., None] = field(default=lambda event, **facts: None)
    tuning: PoolTuning = PoolTuning()
    worker: Callable[[Connection, str, str], None] = work

    def __post_init__(self) -> None:
        budget = self.memory or int(self.tuning.share * free_memory())
        self.size = max(1, min(self.jobs, budget // self.tuning.worker_bytes))
        self.left = budget - self.size * self.tuning.worker_bytes
        self._workers: list[_Worker] = []
        self._asking: deque[_Worker] = deque()
        self._again: deque[tuple[Task, int]] = deque()
        self._number = 0

    def run(self, tasks: Iterable[Task], begin: Callable[[Task], None]) -> Generator[Ended]:
        """Yield tasks in the order in which they end.

        Args:
            tasks: in the order in which they are begun.
            begin: called with each task when it is given to a worker.
        """
        source = iter(tasks)
        try:
            while True:
                self._feed(source, begin)
                busy = [worker for worker in self._workers if worker.task is not None]
                if not busy:
                    break
                waited = [worker.connection for worker in busy]
                ready = set(wait([*waited, *(w.process.sentinel for w in busy)]))
                for worker in busy:
                    if worker.connection in ready or worker.process.sentinel in ready:
                        yield from self._heard(worker)
                self._grant()
        finally:
            self.close()

    def close(self) -> None:
        """End all workers, at once where they are at work."""
        for worker in self._workers:
            if worker.task is None:
                with contextlib.suppress(OSError):
                    worker.connection.send(None)
            else:
                worker.process.terminate()
        for worker in self._workers:
            self._end(worker)
        self._workers.clear()

    def _feed(self, source: Iterator[Task], begin: Callable[[Task], None]) -> None:
        """Give a task to every worker that has none, and start workers while there are tasks."""
        while True:
            idle = next((one for one in self._workers if one.task is None), None)
            if idle is None and len(self._workers) >= self.size:
                return
            task, attempts = self._again.popleft() if self._again else (next(source, None), 0)
            if task is None:
                return
            worker = idle or self._started()
            if not attempts:
                begin(task)
            worker.task, worker.attempts, worker.granted = task, attempts + 1, False
            try:
                worker.connection.send(task)
            except OSError:  # it has died meanwhile, which its sentinel tells
                continue

    def _heard(self, worker: _Worker) -> Iterator[Ended]:
        """Take what a worker says, or that it has died; yield its task where that has ended."""
        task = worker.task
        if task is None:
            return
        said: str | None = None
        value: Any = None
        with contextlib.suppress(EOFError, OSError):  # it has died
            if worker.connection.poll():
                said, value = worker.connection.recv()
        if said == NEED:
            factor = 2 ** (worker.attempts - 1)
            worker.needs = value * self.tuning.pixel_bytes * factor
            self._asking.append(worker)
            return
        if worker.granted:
            self.left += worker.needs
        worker.task, worker.granted = None, False
        if worker in self._asking:
            self._asking.remove(worker)
        attempts = task.earlier + worker.attempts
        if said == DONE:
            yield Ended(task, replace(value, attempts=attempts))
            return
        why = "there was too little memory"
        if said is None:
            why = self._replace(worker)
        self.tell("died" if said is None else "memory", out=task.out, why=why)
        if worker.attempts < self.tuning.tries:
            self._again.append((task, worker.attempts))
            return
        error = f"{task.uri}: {why}, {worker.attempts} times"
        yield Ended(task, task.state(status=FAILED, error=error, attempts=attempts))

    def _grant(self) -> None:
        """Let workers go on that wait for memory, in their order, while there is some."""
        while self._asking:
            worker = self._asking[0]
            alone = not any(other.granted for other in self._workers)
            if worker.needs > self.left and not alone:
                return
            self._asking.popleft()
            self.left -= worker.needs
            worker.granted = True
            with contextlib.suppress(OSError):  # it has died, which its sentinel tells
                worker.connection.send(True)

    def _started(self) -> _Worker:
        """Start a worker. Signals are held back meanwhile, so that none is lost or left behind."""
        ours, theirs = Pipe()
        self._number += 1
        scratch = self.scratch / str(self._number)
        arguments = theirs, str(scratch), self.incoming
        process = Worker(scratch, target=self.worker, args=arguments, daemon=True)
        worker = _Worker(process, ours, scratch)
        with signals_held(), one_thread():
            process.start()
            self._workers.append(worker)
        theirs.close()
        return worker

    def _replace(self, worker: _Worker) -> str:
        """Forget a worker that died, and return why it did."""
        self._end(worker)
        self._workers.remove(worker)
        code = worker.process.exitcode or 0
        if code == -signal.SIGKILL:
            return "its worker was killed (signal 9), perhaps for want of memory"
        if code < 0:
            return f"its worker died of signal {-code} ({signal.Signals(-code).name})"
        return f"its worker ended with exit code {code}"

    def _end(self, worker: _Worker) -> None:
        worker.process.join(self.tuning.patience)
        if worker.process.is_alive():
            worker.process.kill()
            worker.process.join()
        worker.connection.close()
        shutil.rmtree(worker.scratch, ignore_errors=True)


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Start processes whose libraries use one thread: there is a worker for each core."""
    before = {name: os.environ.get(name) for name in THREADS}
    os.environ.update(dict.fromkeys(THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def free_memory() -> int:
    """Return the bytes that are free on this machine, or in the control group of a container."""
    free = int(psutil.virtual_memory().available)
    with contextlib.suppress(OSError, ValueError):
        group = Path("/sys/fs/cgroup")
        most = int((group / "memory.max").read_text())
        used = int((group / "memory.current").read_text())
        facts = (group / "memory.stat").read_text().split()
        cached = int(facts[facts.index("inactive_file") + 1])
        free = min(free, max(0, most - used + cached))
    return free
