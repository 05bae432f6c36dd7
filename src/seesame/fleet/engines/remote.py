"""A clip's work as a task of Ray: what runs on a node of the cluster."""

import contextlib
import os
import signal
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seesame.errors import UserError
from seesame.fleet.engines.local import THREADS
from seesame.fleet.plan import Task
from seesame.fleet.target.lock import WHOLE, Shard, owner
from seesame.temporary import remove_dead_folders, temporary_folder


@dataclass(frozen=True)
class Remote:
    """What a task needs to know beside its clip, as plain data.

    Args:
        target: the folder or URI of the outputs.
        incoming: as :class:`~seesame.fleet.work.compress.Bench` has it.
        owner: the run that the target's lock names; outputs are put in place for no other.
        shard: of that run.
        folder: the driver's own folder, from which relative paths count.
        umask: the driver's, since that of Ray's processes is another.
        scratch: folder for temporary files on each node; None for the system's own.
        threads: of the networks.
        worker_bytes: memory of a worker by itself.
        pixel_bytes: memory for each pixel of a frame.
    """

    target: str
    incoming: str
    owner: str
    shard: Shard = WHOLE
    folder: str = ""
    umask: int = 0o022
    scratch: str | None = None
    threads: int = 1
    worker_bytes: int = 0
    pixel_bytes: int = 0

    @property
    def top(self) -> Path:
        """The folder for temporary files on a node."""
        return Path(self.scratch or tempfile.gettempdir())

    def needs(self, pixels: int, factor: int) -> int:
        """Return the bytes of memory for a clip whose frames have so many pixels."""
        return (self.worker_bytes + pixels * self.pixel_bytes) * factor


class _MoreMemoryError(MemoryError):
    """The clip needs more memory than the task was given."""


def do_remote(task: Task, remote: Remote, memory: int) -> dict[str, Any]:
    """Do the work of one clip on a node of the cluster.

    Args:
        task: what to do.
        remote: the run.
        memory: bytes that the task was given; 0 where a node has no more.

    Returns:
        The clip's state as plain values under ``state``; or under ``need`` the pixels of a frame,
        for which that memory is too little; or ``memory`` where it was used up.
    """
    _prepare(remote)
    from seesame.fleet.work.compress import Bench, do_task

    asked: list[int] = []

    def ask(pixels: int) -> None:
        asked.append(pixels)
        if memory and remote.needs(pixels, 1) > memory:
            raise _MoreMemoryError

    def alive() -> None:
        if owner(remote.target, remote.shard) != remote.owner:
            raise UserError(f"{task.uri}: its run has ended meanwhile")

    with _scratch(remote) as scratch:
        try:
            state = do_task(task, Bench(scratch, remote.incoming, ask, alive, remote.threads))
        except MemoryError as error:
            more = isinstance(error.__cause__, _MoreMemoryError)
            return {"need": asked[-1]} if more else {"memory": True}
    return {"state": state.plain(), "pixels": asked[-1] if asked else 0}


def sweep(remote: Remote) -> None:
    """Remove what tasks that were killed have left on this node."""
    remove_dead_folders(remote.top)


def _prepare(remote: Remote) -> None:
    """Make a process of Ray's as one of the driver's own."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.umask(remote.umask)
    if remote.folder:
        with contextlib.suppress(OSError):  # another machine may have no such folder
            os.chdir(remote.folder)
    os.environ.update(dict.fromkeys(THREADS, str(remote.threads)))
    import torch

    from seesame.metric.memory import keep_freed_memory

    torch.set_num_threads(remote.threads)
    keep_freed_memory()


@contextlib.contextmanager
def _scratch(remote: Remote) -> Iterator[Path]:
    """Yield a folder for the temporary files of this process."""
    remote.top.mkdir(parents=True, exist_ok=True)
    with temporary_folder(remote.top) as folder:
        before, tempfile.tempdir = tempfile.tempdir, str(folder)
        try:
            yield folder
        finally:
            tempfile.tempdir = before
