"""Throughput from the log of runs: pauses left out, torn and foreign lines too."""

import json
from pathlib import Path
from typing import Any

import pytest

from seesame.fleet.target.history import MOST_BINS, read_events, throughput
from seesame.fleet.target.state import DONE, State


def line(second: float, run: str, event: str, **facts: Any) -> str:
    minute, rest = divmod(second, 60)
    time = f"2026-01-01T{int(minute) // 60:02}:{int(minute) % 60:02}:{rest:06.3f}+00:00"
    return json.dumps({"time": time, "run": run, "event": event, **facts})


def clip(second: float, run: str, out: str, status: str = DONE) -> str:
    return line(second, run, "clip", out=out, status=status)


def written(folder: Path, *lines: str) -> str:
    (folder / "events.jsonl").write_text("\n".join(lines) + "\n")
    return str(folder)


def state(out: str) -> State:
    return State(out, out, DONE, "r", source_bytes=100, frames=20, fps=10.0)


def test_pauses_between_runs_are_left_out(tmp_path: Path) -> None:
    first = [line(0, "a", "start"), clip(5, "a", "1"), clip(10, "a", "2"), clip(10, "a", "3")]
    second = [line(3600, "b", "start"), clip(3608, "b", "4"), clip(3609, "b", "5")]
    second += [clip(3610, "b", "6"), clip(3610, "b", "7", "unchanged"), line(3610, "b", "end")]
    found = throughput(read_events(written(tmp_path, *first, *second)), map(state, "1234567"))
    assert found is not None
    assert (found.bin_s, found.clips, found.bytes) == (10.0, [1, 5], [100, 500])
    assert found.video_s == [2.0, 10.0]
    assert found.starts == [0.0, 10.0]


def test_shards_at_the_same_time_count_once(tmp_path: Path) -> None:
    one = [line(0, "a", "start"), *(clip(i, "a", f"a{i}") for i in range(1, 11))]
    two = [line(5, "b", "start"), *(clip(5 + i, "b", f"b{i}") for i in range(1, 11))]
    found = throughput(read_events(written(tmp_path, *one, *two)), [])
    assert found is not None
    assert sum(found.clips) == 20
    assert found.bin_s * len(found.clips) == 15.0
    assert found.starts == [0.0, 5.0]


def test_what_is_no_event_is_left_out(tmp_path: Path) -> None:
    bad = ["", "x", "[]", "null", "[" * 9999, '{"time": 5, "run": "a", "event": "clip"}']
    bad += ['{"time": "yesterday", "run": "a", "event": "clip"}', '{"event": "clip"}']
    good = [line(0, "a", "start"), clip(4, "a", "1")]
    target = written(tmp_path, *bad, *good, good[1][:20])
    assert [event["event"] for event in read_events(target)] == ["start", "clip"]
    assert throughput(read_events(target), []) is not None
    assert throughput([], []) is None
    assert read_events(str(tmp_path / "none")) == []


def test_a_long_run_has_few_bins(tmp_path: Path) -> None:
    lines = [line(0, "a", "start"), *(clip(1 + i / 10, "a", str(i)) for i in range(5000))]
    found = throughput(read_events(written(tmp_path, *lines)), [])
    assert found is not None
    assert len(found.clips) == MOST_BINS
    assert sum(found.clips) == 5000


def test_logs_of_a_store(tmp_path: Path) -> None:
    fsspec = pytest.importorskip("fsspec")
    files = fsspec.filesystem("memory")
    for run, second in (("b", 9), ("a", 0)):
        files.pipe_file(f"/history/events-{run}.jsonl", line(second, run, "start").encode())
    assert [event["run"] for event in read_events("memory://history")] == ["a", "b"]
