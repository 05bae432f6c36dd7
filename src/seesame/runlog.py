"""The log of a training encode: one JSON object a line, appended while it runs.

Lines, by their ``kind``; ``t`` is seconds since the run's ``begin``:

- ``begin``: codec, settings, clip, stack, device, seed, budget in seconds or number of steps, the
  time of day. A resumed run has one for every start.
- ``stage``: what the encode does from now on.
- ``step``: one training step, at most one a second: terms of the loss; estimates of seg, pose and
  bytes; learning rate, temperature, share of the training that is done.
- ``candidate``: a file that was packed, decoded and judged: its true figures.
- ``end``: why, and which candidate the file is.
"""

import json
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from seesame import __version__
from seesame.errors import UserError

if TYPE_CHECKING:
    from seesame.context import EncodeContext
    from seesame.metric.score import Score
    from seesame.video.clip import Clip

RUN_FILE = "run.jsonl"
"""The name of the log in the work folder."""
VERSION = 1


@dataclass(frozen=True)
class LogTuning:
    """The rate at which training steps are logged.

    Args:
        least_s: seconds between two lines at least.
        every_share: share of a run's time so far between two lines: a run of days must not write
            for every second.
    """

    least_s: float = 1.0
    every_share: float = 1e-3


TUNING = LogTuning()


class RunLog:
    """Writes lines; with no file to write to, nothing.

    A line is one write to the end of the file, so that it is there whole, or torn at the very end
    by what killed the process. A log that can no longer be written is given up: the encode is
    worth more.

    Args:
        paths: files, all the same.
        resume: append to what is there.

    Raises:
        UserError: a file cannot be opened.
    """

    def __init__(self, paths: Sequence[Path] = (), resume: bool = False) -> None:
        self.start = time.monotonic()
        self.candidates = 0
        self._due = 0.0
        self._stage = ""
        self._files: list[BinaryIO] = []
        try:
            for path in paths:
                path.parent.mkdir(parents=True, exist_ok=True)
                self._files.append(_opened(path, resume))
        except OSError as error:
            self.close()
            raise UserError(f"{path}: cannot be written ({error.strerror})") from error

    def write(self, kind: str, **values: Any) -> None:
        """Append one line. Numbers that are not finite become null."""
        if not self._files:
            return
        line = {"kind": kind, "t": round(time.monotonic() - self.start, 3)}
        line |= {name: _plain(value) for name, value in values.items()}
        text = json.dumps(line, allow_nan=False, separators=(",", ":"), default=str)
        data = f"{text}\n".encode()
        for file in tuple(self._files):
            try:
                file.write(data)
            except OSError:
                self._files.remove(file)
                with suppress(OSError):
                    file.close()

    def stage(self, name: str) -> None:
        """Say what the encode does from now on; a line is written where that is new."""
        if name != self._stage:
            self._stage, self._due = name, 0.0
            self.write("stage", stage=name)

    def step(self, values: Callable[[], Mapping[str, Any]]) -> None:
        """Log one training step; ``values`` is only called where a line is due."""
        now = time.monotonic()
        if self._files and now >= self._due:
            self.write("step", **values())
            self._due = now + max(TUNING.least_s, TUNING.every_share * (now - self.start))

    def candidate(self, score: "Score", size: int, excess: float, best: bool) -> int:
        """Log a judged file of ``size`` bytes; return its number, from 1.

        Args:
            score: its true figures.
            size: its bytes.
            excess: how far it is beyond the user's limits.
            best: whether it is the best so far.
        """
        self.candidates += 1
        figures = {"seg": score.seg, "pose": score.pose, "rate": score.rate, "score": score.total}
        self.write(
            "candidate", number=self.candidates, bytes=size, **figures, excess=excess, best=best
        )
        return self.candidates

    def close(self) -> None:
        """Close the files."""
        for file in self._files:
            with suppress(OSError):
                file.close()
        self._files.clear()


def _opened(path: Path, resume: bool) -> BinaryIO:
    """Open a log to append to: what a kill tore is ended, so that it spoils no line but itself."""
    file = path.open("ab" if resume else "wb", buffering=0)
    if resume and file.tell():
        with path.open("rb") as reader:
            reader.seek(-1, 2)
            torn = reader.read(1) != b"\n"
        if torn:
            file.write(b"\n")
    return file


def _plain(value: Any) -> Any:
    """Return a value that JSON has."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(name): _plain(one) for name, one in value.items()}
    return value


@contextmanager
def logged(
    codec: str,
    clip: "Clip",
    context: "EncodeContext",
    settings: Mapping[str, Any],
    *,
    seconds: float,
    steps: int | None,
    resume: bool,
) -> Iterator[RunLog]:
    """Yield the log of one encode, begun and, where it fails, ended.

    It is kept in ``context.log``, and in the work folder for as long as a checkpoint is beside it:
    what is done, or cannot be resumed, leaves nothing behind.

    Args:
        codec: its name.
        clip: the source.
        context: where to, and what is noted of the run.
        settings: the user's.
        seconds: planned for the whole encode.
        steps: planned instead of a time.
        resume: append to what is there.

    Raises:
        UserError: a file cannot be opened.
    """
    work = None if context.work is None else context.work / RUN_FILE
    log = RunLog([path for path in (context.log, work) if path is not None], resume)
    try:
        log.write(
            "begin",
            version=VERSION,
            seesame=__version__,
            started=round(time.time(), 3),
            codec=codec,
            settings=dict(settings),
            stack=None if context.stack is None else context.stack.name,
            device=context.device,
            seed=context.seed,
            clip={
                "width": clip.width,
                "height": clip.height,
                "frames": clip.num_frames,
                "fps": float(clip.fps),
                "source_bytes": clip.source_bytes,
            },
            seconds=None if steps is not None else seconds,
            steps=steps,
            resume=resume,
        )
        yield log
    except KeyboardInterrupt:
        log.write("end", why="stopped")
        raise
    except Exception as error:
        log.write("end", why="failed", error=f"{type(error).__name__}: {error}"[:200])
        raise
    finally:
        log.close()
        if work is not None and work.parent.is_dir() and set(work.parent.iterdir()) <= {work}:
            work.unlink(missing_ok=True)
            work.parent.rmdir()
