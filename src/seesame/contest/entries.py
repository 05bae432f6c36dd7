"""The reports of evaluated submissions, read and checked: they may come from anybody."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from math import isclose, sqrt
from pathlib import Path
from typing import Any, TypeVar

from seesame.contest.isolation.limits import ReportLimits
from seesame.contest.submission import FORMAT, REPORT_JSON, Uncounted
from seesame.errors import DamagedError, UserError

MAX_TEXT = 500
"""Characters of a name, path or verdict that are shown; the rest is cut off."""
MAX_WHOLE = 1 << 53
"""The largest count: above it, not every whole number is a float or a number of JavaScript."""
DECIMALS = 6
"""Decimals of a score, at least; as many more as tell apart the scores of a board."""
_TEXTS = ("bench", "stack", "fingerprint", "axis", "device", "decoder", "network", "seesame")
T = TypeVar("T")


@dataclass(frozen=True)
class Figures:
    """The figures of all pairs of all videos, or of one video; lower is better."""

    score: float
    seg: float
    """Seg distortion, 0..1."""
    pose: float
    """Pose distortion, 0 or more."""
    rate: float
    samples: int

    @property
    def parts(self) -> tuple[float, float, float]:
        """The score's three terms: ``100·seg``, ``25·rate``, ``sqrt(10·pose)``."""
        return 100 * self.seg, 25 * self.rate, sqrt(10 * self.pose)


@dataclass(frozen=True)
class Entry:
    """A submission by its report; every text is printable and at most 500 characters long."""

    folder: Path
    name: str
    verdict: str
    """``"scored"``, or why it was not."""
    figures: Figures | None
    """None when it was not scored."""
    videos: tuple[tuple[str, Figures], ...]
    """Name and figures of each video."""
    compressed_bytes: int | None
    source_bytes: int | None
    bench: str
    """Entries with the same bench are comparable; empty only when not scored."""
    stack: str
    fingerprint: str
    official: bool
    """True if the stack has the challenge's own weights."""
    axis: str
    device: str
    decoder: str
    network: str
    """``"cut off"`` or ``"open"`` while it inflated; empty if it never did."""
    inflate_seconds: float | None
    uncounted_bytes: int
    uncounted: tuple[Uncounted, ...]
    date: str
    seesame: str

    @cached_property
    def warnings(self) -> tuple[str, ...]:
        """The reservations that a reader must know before trusting the rank."""
        found = []
        if self.uncounted_bytes:
            counted = ""
            if self.figures and self.source_bytes:
                score = self.figures.score + 25 * self.uncounted_bytes / self.source_bytes
                counted = f"; with them the score would be {score:.{DECIMALS}f}"
            found.append(f"{self.uncounted_bytes:,} bytes are not counted in the rate{counted}")
        if self.network == "open":
            found.append("the network was open while it inflated")
        if self.figures and not self.official:
            found.append("the networks are not the challenge's own")
        return tuple(found)


def read_entries(folders: Sequence[Path], limits: ReportLimits | None = None) -> list[Entry]:
    """Read the reports of submission folders, or of folders that hold submission folders.

    Args:
        folders: each with a ``report.json``, or with direct sub-folders that have one. A
            submission that is named twice is read once.
        limits: what a report may hold.

    Raises:
        UserError: no such folder, no report in it, or one of another version of seesame.
        DamagedError: a report that is not what ``contest evaluate`` writes.
    """
    limits = limits or ReportLimits()
    entries: dict[Path, Entry] = {}
    for folder in folders:
        for path in _reports(folder):
            place = path.parent.resolve()
            if place not in entries:
                entries[place] = _read(path, limits)
    return list(entries.values())


def printable(text: str) -> str:
    """Return a stranger's text, cut to 500 characters, with control characters spelled out."""
    shown = text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 1] + "…"
    return "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in shown)


def _reports(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder; give a submission folder")
    if (folder / REPORT_JSON).is_file():
        return [folder / REPORT_JSON]
    found = sorted(path for path in folder.glob(f"*/{REPORT_JSON}") if path.is_file())
    if not found:
        raise UserError(
            f"{folder}: no {REPORT_JSON} in it or in its sub-folders; "
            f"run `seesame contest evaluate` on the submission first"
        )
    return found


class _Wrong(Exception):
    """A wrong value; it becomes a DamagedError that names the file."""


def _read(path: Path, limits: ReportLimits) -> Entry:
    with path.open("rb") as file:
        source = file.read(limits.bytes + 1)
    if len(source) > limits.bytes:
        raise DamagedError(f"{path}: longer than {limits.bytes:,} bytes; not a report")
    try:
        raw = json.loads(source)
    except (ValueError, RecursionError) as error:
        raise DamagedError(f"{path}: not valid JSON; evaluate the submission again") from error
    if not isinstance(raw, dict):
        raise DamagedError(f"{path}: not a report of `seesame contest evaluate`")
    if raw.get("format") != FORMAT:
        raise UserError(f"{path}: not a report of this version; evaluate the submission again")
    try:
        return _entry(path.parent, raw, limits)
    except _Wrong as error:
        raise DamagedError(f"{path}: {error}; evaluate the submission again") from error


def _entry(folder: Path, raw: dict[str, Any], limits: ReportLimits) -> Entry:
    scored = _flag(raw, "scored")
    verdict = _text(raw, "verdict")
    if (verdict == "scored") != scored:
        raise _Wrong("verdict and scored contradict each other")
    # A submission that was refused may have come to an end before these were known.
    known = [key for key in _TEXTS if scored or raw.get(key) is not None]
    videos, uncounted = (_items(raw, key, scored, limits.items) for key in ("videos", "uncounted"))
    entry = Entry(
        folder=folder,
        name=_text(raw, "name"),
        verdict=verdict,
        figures=_figures(raw) if scored else None,
        videos=tuple((_text(v, "name"), _figures(v)) for v in videos),
        compressed_bytes=_optional(_whole, raw, "compressed_bytes"),
        source_bytes=_optional(_whole, raw, "source_bytes"),
        official=_flag(raw, "official") if scored else raw.get("official") is True,
        inflate_seconds=_optional(_number, raw, "inflate_seconds"),
        uncounted_bytes=_optional(_whole, raw, "uncounted_bytes") or 0,
        uncounted=tuple(
            Uncounted(_text(item, "path"), _whole(item, "bytes"), _text(item, "why"))
            for item in uncounted
        ),
        date=_date(raw),
        **dict.fromkeys(_TEXTS, "") | {key: _text(raw, key) for key in known},
    )
    if entry.figures:
        _agree(entry, entry.figures, limits.tolerance)
    return entry


def _agree(entry: Entry, figures: Figures, tolerance: float) -> None:
    """Refuse figures that contradict each other."""
    if not entry.compressed_bytes or not entry.source_bytes:
        raise _Wrong("compressed_bytes and source_bytes must be above 0")
    if not entry.bench:
        raise _Wrong("bench is empty")
    if not isclose(figures.rate, entry.compressed_bytes / entry.source_bytes, rel_tol=tolerance):
        raise _Wrong("rate is not compressed_bytes / source_bytes")
    if not isclose(figures.score, sum(figures.parts), rel_tol=tolerance, abs_tol=tolerance):
        raise _Wrong("score is not 100*seg + 25*rate + sqrt(10*pose)")


def _figures(raw: dict[str, Any]) -> Figures:
    return Figures(
        score=_number(raw, "score"),
        seg=_number(raw, "seg", 1.0),
        pose=_number(raw, "pose"),
        rate=_number(raw, "rate"),
        samples=_whole(raw, "samples", least=1),
    )


def _optional(read: Callable[[dict[str, Any], str], T], raw: dict[str, Any], key: str) -> T | None:
    return None if raw.get(key) is None else read(raw, key)


def _text(raw: dict[str, Any], key: str) -> str:
    value = raw.get(key)
    if not isinstance(value, str):
        raise _Wrong(f"{key} must be text")
    return printable(value)


def _date(raw: dict[str, Any]) -> str:
    value = _text(raw, "date")
    try:
        datetime.fromisoformat(value)
    except ValueError as error:
        raise _Wrong("date must be a date and time as 2026-11-25T10:00:00Z") from error
    return value


def _flag(raw: dict[str, Any], key: str) -> bool:
    value = raw.get(key)
    if not isinstance(value, bool):
        raise _Wrong(f"{key} must be true or false")
    return value


def _number(raw: dict[str, Any], key: str, most: float = 1e12) -> float:
    value = raw.get(key)
    # A comparison with NaN is false.
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= most:
        raise _Wrong(f"{key} must be a number in 0..{most:g}")
    return float(value)


def _whole(raw: dict[str, Any], key: str, least: int = 0) -> int:
    value = raw.get(key)
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= MAX_WHOLE:
        raise _Wrong(f"{key} must be a whole number, {least} or more")
    return value


def _items(raw: dict[str, Any], key: str, needed: bool, most: int) -> list[dict[str, Any]]:
    value = raw.get(key)
    if value is None and not needed:
        return []
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise _Wrong(f"{key} must be a list of objects")
    if len(value) > most:
        raise _Wrong(f"{key} has more than {most:,} items")
    return value
