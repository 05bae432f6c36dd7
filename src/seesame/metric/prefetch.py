"""Decoding the next batch while the networks work on this one."""

import queue
import threading
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


@dataclass
class _End:
    """The last thing in the queue: why there is nothing more."""

    error: BaseException | None


def prefetched(items: Iterator[T], depth: int = 1) -> Generator[T, None, None]:
    """Yield ``items`` in order, made by a thread that runs at most ``depth`` + 1 items ahead.

    An exception in the thread is raised here, after the items made before it. Closing the
    generator (or leaving its loop by ``contextlib.closing``) ends the thread and waits for it.
    """
    waiting: queue.Queue[T | _End] = queue.Queue(maxsize=depth)
    stop = threading.Event()
    thread = threading.Thread(target=_fill, args=(items, waiting, stop), name="prefetch")
    thread.daemon = True
    thread.start()
    try:
        while True:
            item = waiting.get()
            if isinstance(item, _End):
                if item.error is not None:
                    raise item.error
                return
            yield item
            del item  # else one more batch stays in memory while the next is awaited
    finally:
        stop.set()
        _drain(waiting)  # the thread may be waiting for room
        thread.join()


def _fill(items: Iterator[T], waiting: "queue.Queue[T | _End]", stop: threading.Event) -> None:
    """Move items to the queue until they end, one fails, or ``stop`` is set."""
    end = _End(None)
    try:
        for item in items:
            waiting.put(item)
            del item
            if stop.is_set():
                break
    except BaseException as error:  # carried over to the reader, whatever it is
        end = _End(error)
    finally:
        close = getattr(items, "close", None)
        if close is not None:  # a generator may hold an open file
            close()
    if not stop.is_set():
        waiting.put(end)


def _drain(waiting: "queue.Queue[T | _End]") -> None:
    try:
        while True:
            waiting.get_nowait()
    except queue.Empty:
        pass
