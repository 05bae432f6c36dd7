"""The log of a target's runs, read again: how much was done in which part of the time."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from seesame.fleet.storage import is_remote, joined, storage
from seesame.fleet.target.state import EVENTS, UNCHANGED, State

MOST_BINS = 48
CLIPS_A_BIN = 3
"""Clips that a bin of the throughput has on average, at least."""


@dataclass(frozen=True)
class Throughput:
    """What was done over the time in which runs were at work; the time between runs is left out.

    Args:
        bin_s: length of a bin in seconds.
        clips: that ended in each bin, failed ones included.
        bytes: of the sources of these.
        video_s: seconds of their video.
        starts: seconds of work after which a run began.
    """

    bin_s: float
    clips: list[int]
    bytes: list[int]
    video_s: list[float]
    starts: list[float]


def read_events(target: str) -> list[dict[str, Any]]:
    """Return the events of a target in the order of their times; lines that are none are left out.

    Args:
        target: the folder or URI of the outputs.
    """
    place = storage(target)
    names = [EVENTS]
    if is_remote(target):
        stem = EVENTS.removesuffix(".jsonl")
        names = [n for n in place.names(target) if n.startswith(stem) and n.endswith(".jsonl")]
    found = []
    for name in names:
        data = place.read(joined(target, name)) or b""
        for line in data.decode("utf-8", errors="replace").split("\n"):
            event = _event(line)
            if event is not None:
                found.append(event)
    return sorted(found, key=lambda event: float(event["t"]))


def throughput(events: Sequence[Mapping[str, Any]], states: Iterable[State]) -> Throughput | None:
    """Return how much was done over the time of work; None where no clip has ended.

    Args:
        events: as :func:`read_events` returns them.
        states: of the same target.
    """
    sizes = {state.out: state for state in states}
    ended = [e for e in events if e["event"] == "clip" and e.get("status") != UNCHANGED]
    spans = _spans(events)
    whole = sum(end - start for start, end in spans)
    if not ended or whole <= 0:
        return None
    count = max(1, min(MOST_BINS, len(ended) // CLIPS_A_BIN))
    clips, size, video = [0] * count, [0] * count, [0.0] * count
    for event in ended:
        place = min(count - 1, int(_worked(spans, event["t"]) / whole * count))
        clips[place] += 1
        state = sizes.get(str(event.get("out")))
        if state is not None:
            size[place] += state.source_bytes
            video[place] += state.seconds_of_video
    starts = [_worked(spans, event["t"]) for event in events if event["event"] == "start"]
    return Throughput(whole / count, clips, size, video, starts)


def _event(line: str) -> dict[str, Any] | None:
    """Return a line's event with its time in seconds since 1970 as ``t``; None for no event."""
    try:
        values = json.loads(line)
        plain = {"event": str(values["event"]), "run": str(values["run"])}
        return {**values, **plain, "t": datetime.fromisoformat(values["time"]).timestamp()}
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
        return None


def _spans(events: Iterable[Mapping[str, Any]]) -> list[tuple[float, float]]:
    """Return the times in which at least one run was at work, in order and apart."""
    runs: dict[str, tuple[float, float]] = {}
    for event in events:
        first, _ = runs.get(event["run"], (event["t"], 0.0))
        runs[event["run"]] = first, event["t"]
    spans: list[tuple[float, float]] = []
    for start, end in sorted(runs.values()):
        if spans and start <= spans[-1][1]:
            spans[-1] = spans[-1][0], max(end, spans[-1][1])
        else:
            spans.append((start, end))
    return spans


def _worked(spans: Iterable[tuple[float, float]], time: float) -> float:
    """Return the seconds of work up to a time."""
    return sum(max(0.0, min(time, end) - start) for start, end in spans)
