"""The memory, disk, processes and threads that a script takes, against its limits."""

import sys
from collections.abc import Sequence
from pathlib import Path

import psutil

from seesame.contest.isolation.cgroup import GROUP, PROCESSES, Group
from seesame.contest.isolation.held import (
    Held,
    Holding,
    file_system,
    own_memory,
    threads_and_memory,
)
from seesame.contest.isolation.limits import GIB, Limits, WatchSettings
from seesame.contest.isolation.usage import Usage

_LINUX = sys.platform.startswith("linux")


class Counts:
    """The memory, disk space and threads that a script uses; each look measures them again.

    Args:
        folder: the script's files.
        limits: what may be taken.
        settings: how closely it is measured.
        group: the control group of the script; without one, processes are looked at.
        shared: a folder of the script's own in memory, as its processes see it.
    """

    def __init__(
        self,
        folder: Path,
        limits: Limits,
        settings: WatchSettings,
        group: Group | None,
        shared: str | None,
    ) -> None:
        self.limits, self._group, self._shared = limits, group, shared
        self._usage = Usage(folder, limits)
        self._holding = Holding(settings, limits.all_open_files)
        self._hidden: int | None = None
        self.peak = 0
        """Most bytes of memory that were seen at once."""
        self.how = GROUP if group is not None else PROCESSES if _LINUX else "process by process"
        """The way in which memory is counted, as reports name it."""

    def passed(self, found: Sequence[psutil.Process]) -> str | None:
        """Return the limit that is passed, if one is.

        Args:
            found: all processes of the script.
        """
        limits = self.limits
        if len(found) > limits.processes:
            return f"started more than {limits.processes} processes"
        if not _LINUX:
            return self._memory(sum(map(_resident, found))) or self._usage.passed(0)
        pids = [process.pid for process in found]
        figures = [threads_and_memory(pid) for pid in pids]
        if sum(threads for threads, _ in figures) > limits.most_threads:
            return f"started more than {limits.most_threads} threads"
        apart = None if self._shared is None else file_system(pids, self._shared)
        device, used = apart or (None, 0)
        held = self._holding.measure(pids, self._usage.large, device)
        if held.count > limits.all_open_files:
            return f"opened more than {limits.all_open_files:,} files"
        # One that is just starting or ending may be closed to us for a moment.
        if held.hidden is not None and held.hidden == self._hidden:
            return "hid the files that it has open"
        self._hidden = held.hidden
        if self._group is not None:
            memory = self._group.memory()
        else:
            memory = self._looked_at(pids, sum(size for _, size in figures), held, device, used)
        return self._memory(memory) or self._usage.passed(held.disk)

    def at_end(self) -> str | None:
        """Return the limit that was passed since, when no process is left."""
        if self._group is not None:
            if self._group.was_short_of_memory():
                return self._memory(self.limits.memory + 1)
            if self._group.was_short_of_threads():
                return f"started more than {self.limits.most_threads} threads"
        return self._usage.passed(0)

    def _looked_at(
        self, pids: Sequence[int], resident: int, held: Held, device: int | None, used: int
    ) -> int:
        """Return the bytes of memory of processes and of what they hold."""
        others = held.memory + held.buffers + used
        if resident + others <= self.limits.memory:
            return resident + others
        # What several share, or is in a file that is counted, counts once in this slower figure.
        return own_memory(pids, held.files, device) + others

    def _memory(self, total: int) -> str | None:
        self.peak = max(self.peak, total)
        if total > self.limits.memory:
            return f"took more than {self.limits.memory / GIB:g} GiB of memory"
        return None


def _resident(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.Error:  # ended meanwhile
        return 0
