"""The catalogue of a target: a row for each clip, as CSV and Parquet, and their totals."""

import csv
import io
import json
import math
import re
import tempfile
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, BinaryIO

from seesame.files import readable
from seesame.fleet.storage import joined, storage
from seesame.fleet.target.lock import WHOLE, Shard, catalogue_lock, incoming_folder
from seesame.fleet.target.state import (
    DONE,
    FAILED,
    MISSED,
    WORKING,
    State,
    StateFolder,
    packed,
    unpacked,
)
from seesame.temporary import temporary_folder

CSV_NAME, PARQUET_NAME = "catalog.csv", "catalog.parquet"
COLUMNS = (
    *("uri", "out", "status", "error", "source_bytes", "bytes", "rate", "codec", "settings"),
    *("used", "limits", "limits_met", "missed", "kept_source", "on_miss", "stack", "fingerprint"),
    *("group", "width", "height", "frames", "fps", "seconds_of_video", "seg", "pose", "score"),
    *("frames_seg", "worst_pair", "worst_pair_seg", "worst_pair_pose", "encodes", "shared"),
    *("seconds", "encode_s", "judge_s", "attempts", "machine", "time", "content", "seed", "notes"),
)
_TEXT = frozenset(
    ("uri", "out", "status", "error", "codec", "settings", "used", "limits", "missed", "on_miss")
) | {"stack", "fingerprint", "group", "machine", "time", "content", "notes"}
GROUP_ROWS = 10_000
"""Rows that are in memory at once while a Parquet file is written."""
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
    derived = {
        "rate": state.bytes / state.source_bytes if state.finished and state.source_bytes else None,
        "limits_met": not state.missed if state.finished and state.limits else None,
        "seconds_of_video": state.seconds_of_video or None,
        "settings": json.dumps(plain["settings"], sort_keys=True, default=str),
        "used": json.dumps(plain["used"], sort_keys=True, default=str),
        "limits": json.dumps(plain["limits"], sort_keys=True, default=str),
        "notes": "; ".join(state.notes),
        "bytes": state.bytes if state.finished else None,
    }
    values = {**plain, **derived}
    return {name: _plain(values[name]) for name in COLUMNS}


class Tally:
    """Counts clips, so that the states of a large fleet need not be in memory at once."""

    def __init__(self) -> None:
        self._clips: Counter[str] = Counter()
        self._reasons: Counter[str] = Counter()
        self._sums: Counter[str] = Counter()
        self._video, self._work = 0.0, 0.0
        self._weighed = {"seg": 0.0, "pose": 0.0}

    def add(self, state: State) -> None:
        """Count a clip."""
        self._clips[state.status] += 1
        self._work += state.seconds
        if state.status == FAILED:
            self._reasons[reason(state)] += 1
        if not state.finished:
            return
        self._sums["source_bytes"] += state.source_bytes
        self._sums["bytes"] += state.bytes
        self._sums["kept_source"] += state.kept_source
        self._video += state.seconds_of_video
        if state.frames and state.seg is not None and state.pose is not None:
            self._sums["judged"] += state.frames
            self._weighed["seg"] += state.seg * state.frames
            self._weighed["pose"] += state.pose * state.frames

    def totals(self) -> Totals:
        """Return the totals of what was counted."""
        judged = self._sums["judged"]
        means = {name: sum / judged if judged else None for name, sum in self._weighed.items()}
        return Totals(
            clips={name: self._clips[name] for name in (DONE, MISSED, FAILED, WORKING)},
            source_bytes=self._sums["source_bytes"],
            bytes=self._sums["bytes"],
            video_s=self._video,
            work_s=self._work,
            kept_source=self._sums["kept_source"],
            seg=means["seg"],
            pose=means["pose"],
            failures=dict(self._reasons.most_common()),
        )


def totals(states: Iterable[State]) -> Totals:
    """Return the totals of a fleet."""
    tally = Tally()
    for state in states:
        tally.add(state)
    return tally.totals()


def reason(state: State) -> str:
    """Return why a clip failed, without the names and numbers by which clips differ."""
    text = state.error
    for name in (state.uri, state.out):
        text = text.replace(f"{name}: ", "").replace(name, "…")
    return re.sub(r"\d+(?:[.,]\d+)*", "N", text)


def write_catalogue(target: str, states: StateFolder, shard: Shard = WHOLE) -> None:
    """Write the catalogue of all states in a target, each of its files whole or not at all.

    The states wait in a temporary file until their order is known, so that memory grows by the
    names of the outputs alone.

    Args:
        target: the folder or URI.
        states: of all its clips.
        shard: of the run that writes it, whose folder of incoming files it uses and clears.
    """
    with catalogue_lock(target), tempfile.TemporaryFile() as spool:
        places: list[tuple[str, int, int]] = []
        for state in states.all():
            data = packed(state)
            places.append((state.out, spool.tell(), len(data)))
            spool.write(data)
        places.sort()

        def rows() -> Iterator[dict[str, Any]]:
            for _, start, size in places:
                spool.seek(start)
                state = unpacked(spool.read(size))
                assert state is not None
                yield row(state)

        place, incoming = storage(target), incoming_folder(target, shard)
        try:
            with temporary_folder() as folder:
                for name, write in ((CSV_NAME, write_csv), (PARQUET_NAME, write_parquet)):
                    with (folder / name).open("wb") as file:
                        written = write(rows(), file)
                    if written:
                        temporary = joined(incoming, f"{uuid.uuid4().hex[:12]}-{name}")
                        place.put(folder / name, joined(target, name), temporary)
        finally:
            place.clear(incoming)


def write_csv(rows: Iterable[dict[str, Any]], file: BinaryIO) -> bool:
    """Write the rows as CSV in UTF-8. No text in it is a formula to a spreadsheet."""
    text = io.TextIOWrapper(file, encoding="utf-8", newline="")
    writer = csv.writer(text)  # its usual "\r\n" makes it quote both in a cell (RFC 4180)
    writer.writerow(COLUMNS)
    for values in rows:
        writer.writerow([_cell(values[name]) for name in COLUMNS])
    text.detach()
    return True


def write_parquet(rows: Iterable[dict[str, Any]], file: BinaryIO) -> bool:
    """Write the rows as Parquet; return False where pyarrow is not installed."""
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        return False
    kinds = dict.fromkeys(("limits_met", "kept_source", "shared"), pyarrow.bool_())
    whole = ("source_bytes", "bytes", "width", "height", "frames", "worst_pair", "attempts", "seed")
    kinds |= dict.fromkeys(whole, pyarrow.int64()) | dict.fromkeys(_TEXT, pyarrow.string())
    schema = pyarrow.schema([(name, kinds.get(name, pyarrow.float64())) for name in COLUMNS])
    with parquet.ParquetWriter(file, schema) as writer:
        rest = iter(rows)
        while some := list(islice(rest, GROUP_ROWS)):
            clean = [
                {k: readable(v) if isinstance(v, str) else v for k, v in values.items()}
                for values in some
            ]
            writer.write_table(pyarrow.Table.from_pylist(clean, schema=schema))
    return True


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        # A quote in front makes a text of it to spreadsheets (OWASP, "CSV injection").
        return readable(f"'{value}" if _FORMULA.match(value) else value)
    return repr(value)


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
