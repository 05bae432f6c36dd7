"""Running a command within limits of all kinds; on its end none of its processes is left."""

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import psutil

from seesame.contest.isolation.cgroup import Group, new_group
from seesame.contest.isolation.counts import Counts
from seesame.contest.isolation.limits import Limits, WatchSettings

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
    counted: str
    """How memory was counted."""


def watch(
    command: Sequence[str],
    folder: Path,
    environment: Mapping[str, str],
    limits: Limits,
    settings: WatchSettings | None = None,
    *,
    handles: Sequence[int] = (),
    shared: str | None = None,
) -> Outcome:
    """Run a command to its end or to its first limit; on return none of its processes is left.

    Args:
        command: program and words.
        folder: its working directory, whose size is watched.
        environment: its whole environment.
        limits: where it is stopped.
        settings: how closely it is watched.
        handles: open files that it gets.
        shared: a folder of its own in memory, as the processes see it, which counts as memory.
    """
    settings = settings or WatchSettings()
    start = time.monotonic()
    before = psutil.Process().children()
    with _adopting_orphans(), _ahead_of_others(), _own_group(limits) as group:
        if group is not None:
            command = ["bash", "-c", 'echo 0 > "$0" && exec "$@"', str(group.processes), *command]
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=tuple(handles),
        )
        assert process.stdout is not None
        printed = _Printed(process.stdout, settings.kept)
        counts = Counts(folder, limits, settings, group, shared)
        try:
            stopped = _until_end(process, start, settings.interval, counts, before)
            seconds = time.monotonic() - start
        finally:
            _kill_all(process, before, settings.patience, group)
            log = printed.close()
            # Measure once more: what was written since, or by a script that was quick.
            last = counts.at_end()
    code = process.returncode
    code = 128 - code if code < 0 else code
    return Outcome(seconds, code, stopped or last, log, counts.peak, counts.how)


@contextmanager
def _own_group(limits: Limits) -> Iterator[Group | None]:
    group = new_group(limits)
    try:
        yield group
    finally:
        if group is not None:
            group.remove()


def _until_end(
    process: "subprocess.Popen[bytes]",
    start: float,
    interval: float,
    counts: Counts,
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
        if (passed := counts.passed(_descendants(before))) is not None:
            return passed
        pause = max(interval, 2 * (time.monotonic() - measured))


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
    process: "subprocess.Popen[bytes]",
    before: list[psutil.Process],
    patience: float,
    group: Group | None,
) -> None:
    """Kill until nothing is left; a storm of forks may need more than one round."""
    deadline = time.monotonic() + patience
    groups = {process.pid} if process.poll() is None else set()
    while time.monotonic() < deadline:
        if group is not None:
            group.kill()
        # Whole groups at once, before anything is looked up: in a storm that takes long, and
        # no member can fork its way out of a signal to its group. Bubblewrap takes all it holds
        # with it.
        for number in groups:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(number, signal.SIGKILL)
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
