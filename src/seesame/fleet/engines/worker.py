"""A worker process: it takes tasks from its driver's pipe until the driver closes it or dies."""

import multiprocessing
import os
import signal
import tempfile
import threading
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

NEED, DONE, MEMORY = "need", "done", "memory"
"""What a worker says: the pixels of a frame, and then it waits; the state of its task; that there
was too little memory for it."""


def work(connection: Connection, scratch: str, incoming: str) -> None:
    """Do tasks until the pipe is closed; the target of a worker's process.

    Ctrl-C is for the driver, which ends its workers. Where the driver was killed, the worker ends
    at once: the next run may begin any moment.

    Args:
        connection: a pipe to the driver.
        scratch: a folder of this worker's own.
        incoming: as :class:`~seesame.fleet.work.compress.Bench` has it.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT, signal.SIGTERM})
    driver = multiprocessing.parent_process()
    assert driver is not None
    threading.Thread(target=_end_with, args=(driver.sentinel,), daemon=True).start()
    folder = Path(scratch)
    folder.mkdir(parents=True, exist_ok=True)
    tempfile.tempdir = scratch  # so that nothing is left elsewhere when this process is killed

    def ask(pixels: int) -> None:
        connection.send((NEED, pixels))
        connection.recv()

    def alive() -> None:
        if not driver.is_alive():
            os._exit(1)

    try:
        _serve(connection, folder, incoming, ask, alive)
    except (EOFError, BrokenPipeError, ConnectionResetError):
        os._exit(1)  # the driver has gone


def _serve(connection: Connection, folder: Path, incoming: str, ask: Any, alive: Any) -> None:
    from seesame.fleet.work.compress import Bench, do_task
    from seesame.metric.memory import keep_freed_memory

    keep_freed_memory()
    bench = Bench(folder, incoming, ask, alive)
    while (task := connection.recv()) is not None:
        try:
            answer: tuple[str, Any] = DONE, do_task(task, bench)
        except MemoryError:
            answer = MEMORY, None
        connection.send(answer)


def _end_with(sentinel: int) -> None:
    """End this process, at whatever it is, when its driver ends."""
    wait([sentinel])
    os._exit(1)
