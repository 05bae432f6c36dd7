"""Keeps an encoder from taking the machine for itself."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_THREADS = Path("/proc/self/task")
_PASSES = 10
"""Looks at the threads at most, until one finds nothing to change."""


@contextmanager
def usual_scheduling() -> Iterator[None]:
    """Threads get the scheduling back that they had before, new ones that of the calling thread.

    SVT-AV1, run by root as in most containers, gives its threads and the one that opens it
    real-time priority (``SCHED_FIFO``), which lasts beyond the encode: everything else on the
    machine would come to a halt, whatever its priority. Nothing is done elsewhere than on Linux.
    """
    before = _policies()
    try:
        yield
    finally:
        usual = before.get(os.getpid(), 0)
        # A thread that is not yet changed may start another meanwhile, which is like it.
        for _ in range(_PASSES):
            changed = False
            for thread, policy in _policies().items():
                if policy != before.get(thread, usual):
                    with suppress(OSError):  # it has ended, or may not be changed
                        os.sched_setscheduler(thread, before.get(thread, usual), os.sched_param(0))
                        changed = True
            if not changed:
                break


def _policies() -> dict[int, int]:
    """Scheduling policy of each thread of this process."""
    found: dict[int, int] = {}
    if not _THREADS.is_dir() or not hasattr(os, "sched_getscheduler"):
        return found
    for entry in _THREADS.iterdir():
        try:
            found[int(entry.name)] = os.sched_getscheduler(int(entry.name))
        except OSError:  # it has ended
            continue
    return found
