"""Runs cases in a worker, and ends those that take too long or too much."""

import json
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from fuzzing import corpus
from fuzzing.worker import BROKEN

FAULTS = ("exception", "crash", "hang", "memory")
"""The ends that no case may have; the others are ``read`` and ``refused``."""


@dataclass(frozen=True)
class Bounds:
    """The bounds of a case.

    Args:
        seconds: of processor time that it may take, before it is killed; other processes on a
            busy machine do not count.
        wall: seconds that it may take in all, so that a case that waits is killed as well.
        megabytes: of memory, the process included; more is a fault.
        room: megabytes of address space beyond what the process has at its start; it is refused
            more, and killed where it really uses them.
        run: cases of one process.
    """

    seconds: float = 20.0
    wall: float = 200.0
    megabytes: int = 1200
    room: int = 3000
    run: int = 4000


@dataclass(frozen=True)
class Outcome:
    """What came of a case.

    Args:
        target: its target.
        seed: its number.
        end: ``read``, ``refused``, or one of :data:`FAULTS`.
        seconds: of processor time that reading took.
        megabytes: the most memory that the process had meanwhile.
        text: the error.
    """

    target: str
    seed: int
    end: str
    seconds: float
    megabytes: int
    text: str = ""

    @property
    def fault(self) -> bool:
        """True where this must not happen."""
        return self.end in FAULTS


class Runner:
    """A worker, and the pipe to it. Use it in a ``with`` statement.

    Args:
        bounds: of each case.
        module: the worker's.
    """

    def __init__(self, bounds: Bounds = Bounds(), module: str = "fuzzing.worker") -> None:
        self.bounds = bounds
        shm = Path("/dev/shm")
        self._folder = Path(tempfile.mkdtemp(prefix="fuzz-", dir=shm if shm.is_dir() else None))
        self._said = self._folder / "said"
        reading, writing = os.pipe()
        environment = os.environ | {"TMPDIR": str(self._folder), "OMP_NUM_THREADS": "1"}
        with self._said.open("wb") as said:
            self._process = subprocess.Popen(
                [sys.executable, "-m", module, str(writing)],
                stdin=subprocess.PIPE,
                stdout=said,
                stderr=said,
                env=environment,
                pass_fds=[writing],
                cwd=Path(corpus.__file__).resolve().parents[1],
            )
        os.close(writing)
        self._pipe, self._left = reading, b""
        ready = self._line(600.0)
        if ready is None:
            self.close()
            raise RuntimeError(f"the worker did not start: {self._last_words()}")
        self.start_megabytes: int = ready["ready"]
        """Memory of the worker before any case."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the worker and remove its files."""
        self._process.kill()
        self._process.communicate()
        os.close(self._pipe)
        shutil.rmtree(self._folder, ignore_errors=True)

    def run(self, target: str, seeds: range) -> Iterator[Outcome]:
        """Run cases and yield what came of each, in order."""
        first = seeds.start
        while first < seeds.stop:
            count = min(self.bounds.run, seeds.stop - first)
            for outcome in self._some(target, first, count):
                yield outcome
                first = outcome.seed + 1

    def _some(self, target: str, first: int, count: int) -> Iterator[Outcome]:
        """Run cases in one process, up to the one that ends it."""
        task = {"target": target, "first": first, "count": count, "room": self.bounds.room}
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(task).encode() + b"\n")
        self._process.stdin.flush()
        pid, begun, killed, peak, before = 0, time.monotonic(), "", 0, 0.0
        while True:
            row = self._line(0.1)
            if row is None:
                peak = max(peak, _peak(pid))
                late = _processor_time(pid) - before > self.bounds.seconds
                late |= time.monotonic() - begun > self.bounds.wall
                if pid and not killed and (late or peak > self.bounds.room):
                    killed = "hang" if late else "memory"
                    os.kill(pid, signal.SIGKILL)
            elif "pid" in row:
                pid, begun = row["pid"], time.monotonic()
            elif "status" in row:
                break
            else:
                first, begun, peak = row["seed"] + 1, time.monotonic(), 0
                before = row.pop("before")
                yield self._outcome(target, row)
        if row["status"] == BROKEN:
            raise RuntimeError(f"{target}:{first} cannot be made: {self._last_words()}")
        if row["status"]:
            seconds = round(time.monotonic() - begun, 1)
            text = f"exit status {row['status']}: {self._last_words()}"
            yield Outcome(target, first, killed or "crash", seconds, peak, text)
        self._said.write_bytes(b"")

    def _outcome(self, target: str, row: dict[str, Any]) -> Outcome:
        outcome = Outcome(target=target, **row)
        if outcome.megabytes <= self.bounds.megabytes or outcome.fault:
            return outcome
        text = f"{outcome.end}: {outcome.text}"
        return Outcome(target, outcome.seed, "memory", outcome.seconds, outcome.megabytes, text)

    def _line(self, seconds: float) -> dict[str, Any] | None:
        """Return the next line of the worker; None where there is none for so long, or ever."""
        end = time.monotonic() + seconds
        while b"\n" not in self._left:
            ready = select.select([self._pipe], [], [], max(0.0, end - time.monotonic()))[0]
            data = os.read(self._pipe, 1 << 16) if ready else b""
            if not data:
                if ready:
                    raise RuntimeError(f"the worker ended: {self._last_words()}")
                return None
            self._left += data
        line, _, self._left = self._left.partition(b"\n")
        row: dict[str, Any] = json.loads(line)
        return row

    def _last_words(self) -> str:
        return self._said.read_text(errors="replace")[-600:]


def _processor_time(pid: int) -> float:
    """Return the seconds of processor time that a process has taken; 0 where it is gone."""
    try:
        found = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(found[11]) + int(found[12])) / os.sysconf("SC_CLK_TCK")


def _peak(pid: int) -> int:
    """Return the most megabytes that a process has had; 0 where it is gone."""
    try:
        found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    except OSError:
        return 0
    return int(found[1]) >> 10 if found else 0
