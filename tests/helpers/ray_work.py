"""What tasks of Ray do in tests: what their names say, without a clip."""

import errno
import os
import signal
import time
from pathlib import Path
from typing import Any

import ray

from seesame.fleet.engines.remote import Remote
from seesame.fleet.plan import Task
from seesame.fleet.target.state import DONE


def act(task: Task, remote: Remote, memory: int) -> dict[str, Any]:
    """Do what the words of a task's name say, and note the memory that it was given.

    ``kill`` ends the worker, ``memory`` is too little of it, ``disk`` is a full one, ``once`` only
    the first time, a number is the pixels of a frame, ``wait`` takes its time.
    """
    words = task.out.split("-")
    notes = Path(task.target) / task.out
    first = not notes.exists()
    with notes.open("a") as file:
        file.write(f"{memory}\n")
    pixels = next((int(word) for word in words if word.isdecimal()), 0)
    if memory and remote.needs(pixels, 1) > memory:
        return {"need": pixels}
    if "wait" in words:
        node = ray.get_runtime_context().get_node_id()
        notes.with_suffix(".node").write_text(node)
        time.sleep(4.0)  # longer than a node takes to go
        notes.with_suffix(".end").touch()
    if first or "once" not in words:
        if "kill" in words:
            os.kill(os.getpid(), signal.SIGKILL)
        if "memory" in words:
            return {"memory": True}
        if "disk" in words:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    return {"state": task.state(status=DONE).plain(), "pixels": pixels}


def nothing(task: Task, remote: Remote, memory: int) -> dict[str, Any]:
    """Return at once, to measure the driver."""
    return {"state": task.state(status=DONE).plain(), "pixels": 0}
