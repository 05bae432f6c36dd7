"""Watching a process and all that it starts: time, memory, files, number; none is left behind."""

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import psutil

from seesame.contest.isolation.limits import GIB, Limits, WatchSettings

_SET_CHILD_SUBREAPER = 36
"""The option of Linux's prctl that makes orphans of our children our children."""


@dataclass(frozen=True)
class Outcome:
    """The end of a script."""

    seconds: float
    exit_code: int
    """The shell's form: 128 plus the signal's number where a signal ended it."""
    stopped: str | None
    """Which limit it passed; None when it ended by itself."""
    log: str
    """The beginning and the end of what it printed."""
    peak_memory: int
    """Most bytes seen at once."""


def watch(
    command: Sequence[str],
    folder: Path,
    environment: Mapping[str, str],
    limits: Limits,
    settings: WatchSettings | None = None,
) -> Outcome:
    """Run a command to its end or to its first limit; on return none of its processes is left.

    Args:
        command: program and words.
        folder: its working directory, whose size is watched.
        environment: its whole environment.
        limits: where it is stopped.
        settings: how closely it is watched.
    """
    settings = settings or WatchSettings()
    start = time.monotonic()
    before = psutil.Process().children()
    with _adopting_orphans(), _ahead_of_others():
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        assert process.stdout is not None
        printed = _Printed(process.stdout, settings.kept)
        counts = _Counts(folder, limits)
        try:
            stopped = _until_end(process, start, settings.interval, counts, before)
            seconds = time.monotonic() - start
        finally:
            _kill_all(process, before, settings.patience)
            log = printed.close()
    code = process.returncode
    # Measure once more: what was written since, or by a script that was quick.
    stopped = stopped or counts.disk()
    return Outcome(seconds, 128 - code if code < 0 else code, stopped, log, counts.peak)


def _until_end(
    process: "subprocess.Popen[bytes]",
    start: float,
    interval: float,
    counts: "_Counts",
    before: list[psutil.Process],
) -> str | None:
    """Wait for the end; return the limit that was passed, or None."""
    pause = interval
    while True:
        try:
            process.wait(timeout=pause)
            return None
        except subprocess.TimeoutExpired:
            pass
        measured = time.monotonic()
        if measured - start > counts.limits.seconds:
            return f"ran past {counts.limits.seconds:g} s"
        if (passed := counts.processes(_descendants(before)) or counts.disk()) is not None:
            return passed
        pause = max(interval, 2 * (time.monotonic() - measured))


class _Counts:
    """The memory and disk that the processes take."""

    def __init__(self, folder: Path, limits: Limits) -> None:
        self.folder, self.limits = folder, limits
        self.peak = 0

    def processes(self, found: list[psutil.Process]) -> str | None:
        """Return the limit of number or memory that is passed, if one is."""
        if len(found) > self.limits.processes:
            return f"started more than {self.limits.processes} processes"
        total = _sum(found, lambda process: process.memory_info().rss)
        if total > self.limits.memory:  # pages that several share count once in the slower figure
            total = _sum(found, _proportional)
        self.peak = max(self.peak, total)
        if total > self.limits.memory:
            return f"took more than {self.limits.memory / GIB:g} GiB of memory"
        return None

    def disk(self) -> str | None:
        """Return the limit of files or bytes that is passed, if one is."""
        count = used = 0
        queue = [str(self.folder)]
        while queue:
            try:
                entries = list(os.scandir(queue.pop()))
            except OSError:  # gone since, or made unreadable: then nothing is scored from there
                continue
            for entry in entries:
                try:
                    status = entry.stat(follow_symlinks=False)
                except OSError:
                    continue
                count += 1
                used += status.st_blocks * 512
                if count > self.limits.files:
                    return f"made more than {self.limits.files:,} files"
                if used > self.limits.bytes or status.st_size > self.limits.bytes:
                    return f"wrote more than {self.limits.bytes:,} bytes"
                if entry.is_dir(follow_symlinks=False):
                    queue.append(entry.path)
        return None


class _Printed:
    """A reader of all that is printed, so that the writer never waits; it keeps both ends."""

    def __init__(self, pipe: IO[bytes], kept: int) -> None:
        self._pipe, self._kept = pipe, kept
        self._head, self._tail, self._bytes = b"", b"", 0
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        while chunk := os.read(self._pipe.fileno(), 1 << 16):
            self._bytes += len(chunk)
            left = self._kept - len(self._head)
            self._head += chunk[:left]
            self._tail = (self._tail + chunk[left:])[-self._kept :]

    def close(self) -> str:
        """Return the text, when every writer is gone."""
        self._thread.join(timeout=10)
        if not self._thread.is_alive():
            self._pipe.close()
        left_out = self._bytes - len(self._head) - len(self._tail)
        gap = f"\n[... {left_out:,} bytes left out ...]\n".encode() if left_out else b""
        return (self._head + gap + self._tail).decode("utf-8", "replace")


def _sum(found: list[psutil.Process], figure: Callable[[psutil.Process], int]) -> int:
    total = 0
    for process in found:
        try:
            total += figure(process)
        except psutil.Error:  # ended meanwhile
            continue
    return total


def _proportional(process: psutil.Process) -> int:
    """Return memory with shared pages divided among those who share them, where that is known."""
    full = process.memory_full_info()
    return int(getattr(full, "pss", full.rss))


def _descendants(before: list[psutil.Process]) -> list[psutil.Process]:
    """Return our children and theirs, less those that we had before and what these start."""
    try:
        found = psutil.Process().children(recursive=True)
    except psutil.Error:
        return []
    others = set(before)
    for process in before:
        with suppress(psutil.Error):
            others.update(process.children(recursive=True))
    return [process for process in found if process not in others]


def _kill_all(
    process: "subprocess.Popen[bytes]", before: list[psutil.Process], patience: float
) -> None:
    """Kill until nothing is left; a storm of forks may need more than one round."""
    deadline = time.monotonic() + patience
    groups = {process.pid} if process.poll() is None else set()
    while time.monotonic() < deadline:
        # Whole groups at once, before anything is looked up: in a storm that takes long, and
        # no member can fork its way out of a signal to its group. Bubblewrap takes all it holds
        # with it.
        for group in groups:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(group, signal.SIGKILL)
        found = _descendants(before)
        groups = {_group(other) for other in found} - {os.getpgrp(), 0}
        process.poll()
        _reap(found, process.pid)
        if process.returncode is not None and not _descendants(before):
            return
        time.sleep(0.01)
    raise RuntimeError("processes of inflate.sh could not be killed")


def _group(process: psutil.Process) -> int:
    """Return a process's group; 0 when it is gone."""
    try:
        return os.getpgid(process.pid)
    except ProcessLookupError:
        return 0


def _reap(found: list[psutil.Process], spare: int) -> None:
    """Take the exit codes of orphans that became our children, or they stay as zombies."""
    for other in found:
        if other.pid != spare:  # that one is Popen's to wait for
            try:
                os.waitpid(other.pid, os.WNOHANG)
            except ChildProcessError:
                continue


@contextmanager
def _ahead_of_others() -> Iterator[None]:
    """Let this thread run when it wants to, where the system allows (Linux, as root).

    A storm of forks would keep it from ever measuring. ``ulimit`` holds for others, but not for
    root.
    """
    try:
        policy, priority = os.sched_getscheduler(0), os.sched_getparam(0)
        flags = os.SCHED_RR | os.SCHED_RESET_ON_FORK
        os.sched_setscheduler(0, flags, os.sched_param(1))
    except (AttributeError, OSError):
        yield
        return
    try:
        yield
    finally:
        os.sched_setscheduler(0, policy, priority)


@contextmanager
def _adopting_orphans() -> Iterator[None]:
    """Make orphans of our children ours (Linux), so that none gets out of sight."""
    if not sys.platform.startswith("linux"):
        yield
        return
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    try:
        yield
    finally:
        prctl(_SET_CHILD_SUBREAPER, 0, 0, 0, 0)
