"""Control groups (Linux, cgroup v2): the kernel counts all that a script's processes take.

That is exact where looking at the processes is not: pages that nobody has mapped, buffers of pipes
and sockets, file systems in memory. It needs a group that this process may make others in, with
the controllers ``memory`` and ``pids``; ``systemd-run --user --scope`` gives a user one.
"""

import os
import uuid
from contextlib import suppress
from pathlib import Path

from seesame.contest.isolation.limits import Limits

_MOUNTS = Path("/proc/self/mountinfo")
_OWN = Path("/proc/self/cgroup")
_NEEDED = {"memory", "pids"}
_COUNTED = ("anon", "shmem", "kernel_stack", "pagetables", "percpu", "sock", "slab_unreclaimable")
"""The parts of a group's memory that cannot be dropped, as the cache of files can."""

GROUP = "by the kernel, as a control group"
"""The way in which memory was counted, for a report."""
PROCESSES = "process by process, with /dev/shm and open files without a name"


class Group:
    """A control group of the script's processes alone.

    Args:
        folder: a new folder in the hierarchy.
        limits: the kernel keeps to those of memory and of threads.

    Raises:
        OSError: it cannot be made.
    """

    def __init__(self, folder: Path, limits: Limits) -> None:
        self.folder = folder
        folder.mkdir()
        try:
            self._set("memory.max", limits.memory)
            self._set("memory.oom.group", 1)
            with suppress(OSError):  # absent without swap
                self._set("memory.swap.max", 0)
            self._set("pids.max", limits.most_threads)
        except OSError:
            folder.rmdir()
            raise

    @property
    def processes(self) -> Path:
        """The file into which a process writes ``0`` to join the group."""
        return self.folder / "cgroup.procs"

    def memory(self) -> int:
        """Return the bytes of memory that are in use and cannot be dropped."""
        figures = dict(line.split() for line in self._lines("memory.stat"))
        return sum(int(figures.get(name, 0)) for name in _COUNTED)

    def was_short_of_memory(self) -> bool:
        """Return whether the kernel has ended a process because memory was at its limit."""
        return self._event("memory.events", "oom_kill") > 0

    def was_short_of_threads(self) -> bool:
        """Return whether the kernel has refused a thread because their number was at its limit."""
        return self._event("pids.events", "max") > 0

    def kill(self) -> None:
        """Kill every process of the group (Linux 5.14 and later)."""
        with suppress(OSError):
            self._set("cgroup.kill", 1)

    def remove(self) -> None:
        """Remove the group and those made in it; no process may be left."""
        for folder, _, _ in os.walk(self.folder, topdown=False):
            with suppress(OSError):
                os.rmdir(folder)

    def _set(self, name: str, value: int) -> None:
        (self.folder / name).write_text(f"{value}\n", encoding="ascii")

    def _lines(self, name: str) -> list[str]:
        try:
            return (self.folder / name).read_text(encoding="ascii").splitlines()
        except OSError:
            return []

    def _event(self, file: str, name: str) -> int:
        figures = dict(line.split() for line in self._lines(file))
        return int(figures.get(name, 0))


def new_group(limits: Limits) -> Group | None:
    """Return a new group, in that of this process or beside it; None where that is not allowed."""
    own = _own_folder()
    if own is None:
        return None
    for place in (own, own.parent):
        try:
            enabled = (place / "cgroup.subtree_control").read_text(encoding="ascii").split()
            # To move a process, one must be allowed to write here too.
            if _NEEDED.issubset(enabled) and os.access(place / "cgroup.procs", os.W_OK):
                return Group(place / f"seesame-{uuid.uuid4().hex[:12]}", limits)
        except OSError:
            continue
    return None


def _own_folder() -> Path | None:
    """Return the folder of this process's group; None without cgroup v2."""
    try:
        lines = _OWN.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
        mounts = _MOUNTS.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return None
    own = next((line[3:] for line in lines if line.startswith("0::/")), None)
    for mount in mounts:
        fields, _, rest = mount.partition(" - ")
        if own is not None and rest.startswith("cgroup2 "):
            return Path(fields.split()[4]) / own.lstrip("/")
    return None
