"""The catalogue of a target: a row for each clip, as CSV and Parquet, and their totals."""

import csv
import io
import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from seesame.files import readable
from seesame.fleet.storage import joined, storage
from seesame.fleet.target.lock import catalogue_lock
from seesame.fleet.target.state import DONE, FAILED, MISSED, WORKING, State, StateFolder

CSV_NAME, PARQUET_NAME = "catalog.csv", "catalog.parquet"
COLUMNS = (
    *("uri", "out", "status", "error", "source_bytes", "bytes", "rate", "codec", "settings"),
    *("used", "limits", "limits_met", "missed", "kept_source", "on_miss", "stack", "fingerprint"),
    *("group", "width", "height", "frames", "fps", "seconds_of_video", "seg", "pose", "score"),
    *("frames_seg", "worst_pair", "worst_pair_seg", "worst_pair_pose", "seconds", "encode_s"),
    *("judge_s", "attempts", "machine", "time", "content", "seed", "notes"),
)
_TEXT = frozenset(
    ("uri", "out", "status", "error", "codec", "settings", "used", "limits", "missed", "on_miss")
) | {"stack", "fingerprint", "group", "machine", "time", "content", "notes"}
_FORMULA = re.compile(r"[=+\-@\t\r]")
"""First characters of a cell that a spreadsheet would run as a formula."""


@dataclass(frozen=True)
class Totals:
    """A fleet in numbers.

    Args:
        clips: by status.
        source_bytes: of the clips that have an output.
        bytes: of their outputs.
        video_s: seconds of their video.
        work_s: seconds of work on all clips, failed ones included.
        kept_source: outputs that are the source itself.
        seg: mean of the seg distortions, each clip weighed by its frames; None where there is none.
        pose: the same of pose.
        failures: reasons, each without what it names, and how many clips have it.
    """

    clips: dict[str, int]
    source_bytes: int
    bytes: int
    video_s: float
    work_s: float
    kept_source: int
    seg: float | None
    pose: float | None
    failures: dict[str, int]

    @property
    def rate(self) -> float | None:
        """Bytes of the outputs over those of their sources; None where there is none."""
        return self.bytes / self.source_bytes if self.source_bytes else None


def row(state: State) -> dict[str, Any]:
    """Return the catalogue's row of a clip: plain values by column, None where there is none."""
    plain = state.plain()
    video = state.frames / state.fps if state.frames and state.fps else None
    derived = {
        "rate": state.bytes / state.source_bytes if state.finished and state.source_bytes else None,
        "limits_met": not state.missed if state.finished and state.limits else None,
        "seconds_of_video": video,
        "settings": json.dumps(plain["settings"], sort_keys=True, default=str),
        "used": json.dumps(plain["used"], sort_keys=True, default=str),
        "limits": json.dumps(plain["limits"], sort_keys=True, default=str),
        "notes": "; ".join(state.notes),
        "bytes": state.bytes if state.finished else None,
    }
    values = {**plain, **derived}
    return {name: _plain(values[name]) for name in COLUMNS}


def totals(states: Iterable[State]) -> Totals:
    """Return the totals of a fleet."""
    states = list(states)
    there = [state for state in states if state.finished]
    judged = [state for state in there if state.seg is not None and state.frames]
    weight = sum(state.frames or 0 for state in judged)
    means = {
        name: sum(getattr(s, name) * (s.frames or 0) for s in judged) / weight if weight else None
        for name in ("seg", "pose")
    }
    counts = Counter(state.status for state in states)
    reasons = Counter(reason(state) for state in states if state.status == FAILED)
    return Totals(
        clips={name: counts[name] for name in (DONE, MISSED, FAILED, WORKING)},
        source_bytes=sum(state.source_bytes for state in there),
        bytes=sum(state.bytes for state in there),
        video_s=sum(s.frames / s.fps for s in there if s.frames and s.fps),
        work_s=sum(state.seconds for state in states),
        kept_source=sum(state.kept_source for state in there),
        seg=means["seg"],
        pose=means["pose"],
        failures=dict(reasons.most_common()),
    )


def reason(state: State) -> str:
    """Return why a clip failed, without the names and numbers by which clips differ."""
    text = state.error
    for name in (state.uri, state.out):
        text = text.replace(f"{name}: ", "").replace(name, "…")
    return re.sub(r"\d+(?:[.,]\d+)*", "N", text)


def write_catalogue(target: str, states: StateFolder) -> list[State]:
    """Write the catalogue of all states in a target, whole or not at all, and return the states."""
    with catalogue_lock(target):
        found = sorted(states.all(), key=lambda state: state.out)
        rows = [row(state) for state in found]
        place = storage(target)
        place.write(joined(target, CSV_NAME), csv_bytes(rows))
        data = parquet_bytes(rows)
        if data is not None:
            place.write(joined(target, PARQUET_NAME), data)
    return found


def csv_bytes(rows: Sequence[dict[str, Any]]) -> bytes:
    """Return the rows as CSV in UTF-8. No text in it is a formula to a spreadsheet."""
    text = io.StringIO()
    writer = csv.writer(text)  # its usual "\r\n" makes it quote both in a cell (RFC 4180)
    writer.writerow(COLUMNS)
    for values in rows:
        writer.writerow([_cell(values[name]) for name in COLUMNS])
    return readable(text.getvalue()).encode()


def parquet_bytes(rows: Sequence[dict[str, Any]]) -> bytes | None:
    """Return the rows as Parquet; None where pyarrow is not installed."""
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        return None
    kinds = {"limits_met": pyarrow.bool_(), "kept_source": pyarrow.bool_()}
    whole = ("source_bytes", "bytes", "width", "height", "frames", "worst_pair", "attempts", "seed")
    kinds |= dict.fromkeys(whole, pyarrow.int64()) | dict.fromkeys(_TEXT, pyarrow.string())
    schema = pyarrow.schema([(name, kinds.get(name, pyarrow.float64())) for name in COLUMNS])
    clean = [
        {k: readable(v) if isinstance(v, str) else v for k, v in values.items()} for values in rows
    ]
    sink = pyarrow.BufferOutputStream()
    parquet.write_table(pyarrow.Table.from_pylist(clean, schema=schema), sink)
    data: bytes = sink.getvalue().to_pybytes()
    return data


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        # A quote in front makes a text of it to spreadsheets (OWASP, "CSV injection").
        return f"'{value}" if _FORMULA.match(value) else value
    return repr(value)


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
