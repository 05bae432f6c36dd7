"""A worker process: it takes tasks from its driver's pipe until the driver closes it or dies."""

import multiprocessing
import os
import signal
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

NEED, DONE, MEMORY = "need", "done", "memory"
"""What a worker says: the pixels of a frame, and then it waits; the state of its task; that there
was too little memory for it."""


def work(connection: Connection, scratch: str, incoming: str) -> None:
    """Do tasks until the pipe is closed; what a :class:`~seesame.processes.Worker` does.

    Args:
        connection: a pipe to the driver.
        scratch: a folder of this worker's own.
        incoming: as :class:`~seesame.fleet.work.compress.Bench` has it.
    """
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # by which its driver ends it
    driver = multiprocessing.parent_process()
    assert driver is not None
    folder = Path(scratch)
    folder.mkdir(parents=True, exist_ok=True)

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
