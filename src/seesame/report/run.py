"""Reading the log of a training encode, which may still grow, be torn, or be no log at all."""

import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from seesame.errors import UserError
from seesame.runlog import RUN_FILE


@dataclass(frozen=True)
class LogBounds:
    """The most that is read of a log, whatever it holds.

    Attributes:
        file_bytes: of the file; a log of a month has a tenth of that.
        line_bytes: of a line; a longer one is left out.
        candidates: kept of a log; an encode judges a handful. It also bounds starts and stages.
        characters: kept of any text.
        settings: kept of a run.
        number: no figure of a run is larger.
    """

    file_bytes: int = 32 << 20
    line_bytes: int = 1 << 16
    candidates: int = 500
    characters: int = 200
    settings: int = 60
    number: float = 1e15


BOUNDS = LogBounds()


@dataclass(frozen=True)
class StepLine:
    """A training step: seconds and steps since the first start, and what was logged of it."""

    t: float
    step: int
    share: float
    loss: float | None
    seg: float | None
    pose: float | None
    bytes: float | None
    learning_rate: float | None


@dataclass(frozen=True)
class CandidateLine:
    """A judged file: when, in which stage, its true figures, and whether it was the best yet."""

    t: float
    step: int
    stage: str
    start: int
    number: int
    bytes: int
    seg: float
    pose: float
    rate: float
    score: float
    excess: float
    best: bool


@dataclass(frozen=True)
class Mark:
    """The place where a stage or a resumed start begins."""

    name: str
    t: float
    step: int


@dataclass
class Run:
    """The content of a log, with all starts of a resumed run in order.

    Args:
        about: the last ``begin``: plain, short texts and numbers.
        settings: of it, as text.
        source_bytes: of the clip; 0 when unknown.
        planned: seconds of the last start, or None where it has a number of steps.
        steps: training steps.
        candidates: judged files.
        stages: in order.
        starts: one for each ``begin``.
        ended: why the run ended; "" while it goes on.
        final: number of the candidate that the file is, as its start counted.
        t: of the last line, in seconds since the first start.
        updated: time of day of that line, in seconds since 1970; None when unknown.
        skipped: lines that could not be read.
    """

    about: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, str] = field(default_factory=dict)
    source_bytes: float = 0.0
    planned: float | None = None
    steps: list[StepLine] = field(default_factory=list)
    candidates: list[CandidateLine] = field(default_factory=list)
    stages: list[Mark] = field(default_factory=list)
    starts: list[Mark] = field(default_factory=list)
    ended: str = ""
    final: int | None = None
    t: float = 0.0
    updated: float | None = None
    skipped: int = 0

    @property
    def best(self) -> CandidateLine | None:
        """The file, or the best candidate of the last start that has any."""
        if not self.candidates:
            return None
        last = self.candidates[-1].start
        mine = [one for one in self.candidates if one.start == last]
        for one in mine:
            if self.ended and one.number == self.final:
                return one
        return min(reversed(mine), key=lambda one: (one.excess, one.score))

    @property
    def share(self) -> float | None:
        """Share of the training that is done."""
        return self.steps[-1].share if self.steps else None

    @property
    def left(self) -> float | None:
        """Seconds that the run will still take; None when it has ended or that is unknown."""
        if self.ended or not self.starts:
            return None
        begun = self.starts[-1].t
        if self.planned is not None:
            return max(0.0, self.planned - (self.t - begun))
        mine = [one for one in self.steps if one.t >= begun]
        if len(mine) < 2 or mine[-1].share <= mine[0].share:
            return None
        pace = (mine[-1].t - mine[0].t) / (mine[-1].share - mine[0].share)
        return pace * (1 - mine[-1].share)


def run_file(place: Path) -> Path | None:
    """Return the log that a path means, the file or the one in a work folder, else None."""
    if place.is_dir():
        inside = place / RUN_FILE
        return inside if inside.is_file() else None
    return place if place.suffix == ".jsonl" else None


def parse_run(data: bytes, name: str) -> Run:
    """Parse the lines of a log.

    Args:
        data: of the file, perhaps with half a line at its end, or between two starts.
        name: of the file, for errors.

    Raises:
        UserError: too large, or nothing of a run is in it.
    """
    if len(data) > BOUNDS.file_bytes:
        raise UserError(f"{name}: is larger than the log of a run ever gets")
    reader = _Reader()
    for line in data.split(b"\n"):
        if line.strip():
            reader.line(line)
    if not reader.run.starts:
        raise UserError(f"{name}: is not the log of a run; an encode that trains writes one")
    return reader.run


class _Reader:
    """The reader that adds line after line to a run."""

    def __init__(self) -> None:
        self.run = Run()
        self.begun_t, self.begun_step, self.step = 0.0, 0, 0
        self.started: float | None = None

    def line(self, data: bytes) -> None:
        """Read one line; one that is none is counted and left out."""
        try:
            values = json.loads(data) if len(data) <= BOUNDS.line_bytes else None
        except (ValueError, RecursionError):
            values = None
        if not isinstance(values, dict) or values.get("kind") not in _KINDS:
            values = {}
        kind, t = values.get("kind"), _number(values.get("t"))
        if t is None or t < 0 or not (self.run.starts or kind == "begin"):
            self.run.skipped += 1
            return
        if kind == "begin":
            self.begun_t, self.begun_step = self.run.t, self.step
        self.run.t = max(self.run.t, self.begun_t + t)
        if not getattr(self, f"_{kind}")(values):
            self.run.skipped += 1
        if self.started is not None:
            self.run.updated = self.started + self.run.t - self.begun_t

    def _begin(self, values: dict[str, Any]) -> bool:
        run = self.run
        if len(run.starts) >= BOUNDS.candidates:
            return False
        run.starts.append(Mark("resumed" if run.starts else "", run.t, self.step))
        run.ended, run.final = "", None
        self.started = _number(values.get("started"))
        run.planned = _number(values.get("seconds"))
        clip = values.get("clip")
        clip = clip if isinstance(clip, dict) else {}
        run.source_bytes = _number(clip.get("source_bytes")) or 0.0
        run.about = {key: _text(values.get(key)) for key in ("codec", "stack", "device", "seesame")}
        run.about["steps"] = _number(values.get("steps"))
        for key in ("width", "height", "frames", "fps"):
            run.about[key] = _number(clip.get(key))
        settings = values.get("settings")
        pairs = list(settings.items()) if isinstance(settings, dict) else []
        run.settings = {_text(key): _text(value) for key, value in pairs[: BOUNDS.settings]}
        return True

    def _stage(self, values: dict[str, Any]) -> bool:
        if len(self.run.stages) >= BOUNDS.candidates:
            return False
        self.run.stages.append(Mark(_text(values.get("stage")), self.run.t, self.step))
        return True

    def _step(self, values: dict[str, Any]) -> bool:
        step, share = _number(values.get("step")), _number(values.get("share"))
        if step is None or share is None or step < 0 or not 0 <= share <= 1:
            return False
        self.step = max(self.step, self.begun_step + int(step))
        names = ("loss", "seg", "pose", "bytes", "learning_rate")
        figures = [_number(values.get(name)) for name in names]
        self.run.steps.append(StepLine(self.run.t, self.step, share, *figures))
        return True

    def _candidate(self, values: dict[str, Any]) -> bool:
        names = ("number", "bytes", "seg", "pose", "rate", "score", "excess")
        found = {name: _number(values.get(name)) for name in names}
        figures = {name: one for name, one in found.items() if one is not None and one >= 0}
        run = self.run
        if len(figures) < len(names) or len(run.candidates) >= BOUNDS.candidates:
            return False
        run.candidates.append(
            CandidateLine(
                t=run.t,
                step=self.step,
                stage=run.stages[-1].name if run.stages else "",
                start=len(run.starts),
                number=int(figures.pop("number")),
                bytes=int(figures.pop("bytes")),
                best=values.get("best") is True,
                **figures,
            )
        )
        return True

    def _end(self, values: dict[str, Any]) -> bool:
        self.run.ended = _text(values.get("why")) or "ended"
        number = _number(values.get("number"))
        self.run.final = None if number is None else int(number)
        return True


_KINDS = ("begin", "stage", "step", "candidate", "end")


def _number(value: Any) -> float | None:
    """Return a finite number of a size that figures have; else None."""
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > BOUNDS.number:
        return None
    return float(value) if math.isfinite(value) else None


def _text(value: Any) -> str:
    """Return any value as a short text."""
    text = value if isinstance(value, str) else "" if value is None else json.dumps(value)
    return text if len(text) <= BOUNDS.characters else text[: BOUNDS.characters - 1] + "\u2026"
