"""Signals and child processes: whatever ends this process, none that it started lives on."""

import multiprocessing
import os
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import resource_tracker
from multiprocessing.connection import wait
from multiprocessing.context import SpawnContext, SpawnProcess
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

from seesame.temporary import TemporaryFolder

_ENDING = (signal.SIGTERM, signal.SIGHUP)
_HELD = {signal.SIGINT, signal.SIGTERM}


@contextmanager
def ending_as_ctrl_c() -> Iterator[None]:
    """Treat SIGTERM, and the end of the terminal, as Ctrl-C.

    SIGTERM is what ``docker stop``, systemd and ``timeout`` send. Only a main thread has signals;
    elsewhere, and where a signal has a handler already or is ignored, nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {}
    for number in _ENDING:
        if signal.getsignal(number) == signal.SIG_DFL:  # nohup has SIGHUP ignored
            before[number] = signal.signal(number, _as_ctrl_c)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _as_ctrl_c(number: int, frame: FrameType | None) -> None:
    """Do what Ctrl-C does now, as a codec that trains first writes the best file so far."""
    handler = signal.getsignal(signal.SIGINT)
    if not callable(handler):  # the shell lets processes in the background ignore Ctrl-C
        raise KeyboardInterrupt
    handler(signal.SIGINT, frame)


@contextmanager
def signals_held() -> Iterator[None]:
    """Hold Ctrl-C and SIGTERM back until the block has ended, as while something is put away.

    The first that came then does what it would have done at once. A mask would not do: it is one
    thread's, and the system hands a signal to any other, for which Python interrupts this one. Only
    a main thread has signals, and one that is ignored stays so.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    handlers = {one: signal.getsignal(one) for one in (signal.SIGINT, *_ENDING)}
    # None is a handler that is not Python's, which nobody could put back.
    held = {one: was for one, was in handlers.items() if was not in (signal.SIG_IGN, None)}
    try:
        for one in held:
            signal.signal(one, lambda number, _: came.append(number))
        yield
    finally:
        for one, was in held.items():
            signal.signal(one, was)
        if came:
            signal.raise_signal(came[0])


class Worker(SpawnProcess):
    """A process of ``multiprocessing`` that leaves Ctrl-C to this one, and ends when this ends.

    It is spawned, not forked.

    Args:
        scratch: the folder of its temporary files; None for the system's.
        *arguments: of ``multiprocessing.Process``.
        **named: the same.
    """

    def __init__(self, scratch: Path | None, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._scratch = None if scratch is None else str(scratch)

    def start(self) -> None:
        """Start it. Signals are held back meanwhile, so that no process is lost by one."""
        with signals_held():
            resource_tracker.ensure_running()  # which unblocks signals where it is not yet
            # Of the new process, until it ignores Ctrl-C.
            before = signal.pthread_sigmask(signal.SIG_BLOCK, _HELD)
            try:
                super().start()
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def run(self) -> None:
        """Do the work; called in the new process."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _HELD)
        tempfile.tempdir = self._scratch
        parent = multiprocessing.parent_process()
        assert parent is not None
        threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()
        super().run()


def _end_with(sentinel: int) -> None:
    """End this process, at whatever it is, when the one that started it ends.

    One of a pool would wait for ever: it holds the other end of the pipe that its work comes by.
    """
    wait([sentinel])
    os._exit(1)


def end_with(parent: int) -> None:
    """End this process when its parent ends; for one that is no process of ``multiprocessing``.

    Args:
        parent: the number of the process that has started this one.
    """

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.2)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


class WorkerPool(ProcessPoolExecutor):
    """Processes that do calls, and end with this one or with the first error of the block.

    Args:
        jobs: processes at most.
        begin: called once in each.
        arguments: of ``begin``.
    """

    def __init__(
        self, jobs: int, begin: Callable[..., object] | None = None, arguments: tuple[Any, ...] = ()
    ) -> None:
        # Here, so that a process that is killed in the middle leaves nothing either.
        self._scratch = TemporaryFolder()
        self._workers = _Workers(self._scratch.path)
        super().__init__(jobs, self._workers, begin, arguments)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        ended = False
        try:
            self.shutdown(wait=kind is None, cancel_futures=True)
            ended = kind is None
        finally:
            try:
                if not ended:
                    self._workers.kill()
            finally:
                self._scratch.remove()


class _Workers(SpawnContext):
    """Starts processes as :class:`Worker`, and remembers them."""

    def __init__(self, scratch: Path) -> None:
        super().__init__()
        self.scratch = scratch
        self.made: list[Worker] = []

    def Process(self, *arguments: Any, **named: Any) -> Worker:  # type: ignore[override]
        process = Worker(self.scratch, *arguments, **named)
        self.made.append(process)
        return process

    def kill(self) -> None:
        """End those that have started, and wait for their end."""
        started = [process for process in self.made if process.pid is not None]
        for process in started:
            process.kill()
        for process in started:
            process.join()


def usable_cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1  # other systems than Linux cannot tell
