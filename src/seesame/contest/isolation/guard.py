"""A program that runs a command and kills all that it started when the caller ends.

``python guard.py PARENT COMMAND...``, with the number of the process that starts it. It is for a
script that no sandbox holds: the caller may be killed, and the script's processes would live on,
in groups and sessions of their own too. It needs only the standard library and starts at once.
"""

import ctypes
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

_PDEATHSIG, _SUBREAPER = 1, 36
"""Options of Linux's prctl: the signal at the parent's end, and adopting orphans."""
PATIENCE = 5.0
"""Seconds in which all processes must have been killed; a storm of forks takes several rounds."""


def guarded(command: Sequence[str]) -> list[str]:
    """Return the command line that runs a command for as long as this process lives (Linux)."""
    if not sys.platform.startswith("linux"):
        return list(command)
    return [sys.executable, "-I", "-S", __file__, str(os.getpid()), *command]


def main(words: Sequence[str]) -> int:
    """Run a command under guard; return its exit code, in the shell's form."""
    parent, command = int(words[0]), [*words[1:]]
    prctl: Any = ctypes.CDLL(None).prctl
    signal.signal(signal.SIGTERM, _end)
    prctl(_SUBREAPER, 1, 0, 0, 0)
    prctl(_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent:  # it ended before it was watched
        return 1
    child = os.fork()
    if not child:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        prctl(_PDEATHSIG, signal.SIGKILL, 0, 0, 0)  # should the script kill its guard
        try:
            os.execvp(command[0], command)
        finally:
            os._exit(127)
    ended = 0
    while ended != child:
        ended, status = os.wait()
    _kill_descendants()
    code = os.waitstatus_to_exitcode(status)
    return 128 - code if code < 0 else code


def _end(number: int, frame: object) -> None:
    _kill_descendants()
    os._exit(1)


def _kill_descendants() -> None:
    end = time.monotonic() + PATIENCE
    while (found := _descendants()) and time.monotonic() < end:
        for process in found:
            try:
                os.kill(process, signal.SIGKILL)
                os.waitpid(process, os.WNOHANG)
            except (ProcessLookupError, PermissionError, ChildProcessError):
                continue


def _descendants() -> list[int]:
    """Return this process's children and theirs, in that order."""
    children: dict[int, list[int]] = {}
    for place in Path("/proc").glob("[0-9]*/stat"):
        try:
            # The name, in parentheses, may hold anything.
            facts = place.read_bytes().rpartition(b")")[2].split()
        except OSError:
            continue
        children.setdefault(int(facts[1]), []).append(int(place.parent.name))
    found = children.get(os.getpid(), [])
    for process in found:
        found.extend(children.get(process, []))
    return found


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
