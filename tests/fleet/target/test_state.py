"""The state of clips and the log of events, on disk."""

import json
import math
from pathlib import Path

import pytest

from seesame.fleet.target.state import DONE, WORKING, Events, State, StateFolder

STATE = State("in/a.mp4", "x/a.ssm", DONE, "r", bytes=5, settings={"crf": 3}, notes=("one",))


def test_a_state_comes_back(tmp_path: Path) -> None:
    folder = StateFolder(str(tmp_path))
    assert folder.get("x/a.ssm") is None
    assert list(folder.all()) == []
    odd = State("in/\udcff.mp4", "\udcff.ssm", DONE, "r")  # a name that is not UTF-8
    for state in (STATE, odd):
        folder.put(state)
        assert folder.get(state.out) == state
    assert sorted(s.uri for s in folder.all()) == ["in/a.mp4", "in/\udcff.mp4"]
    assert len(list((tmp_path / ".seesame" / "clips").iterdir())) == 2


@pytest.mark.parametrize(
    "data", [b"", b"{", b"[]", b"5", b"\xff", b'{"format": 99}', b'{"format": 1, "uri": 5}']
)
def test_a_damaged_state_is_that_of_a_clip_not_ended(tmp_path: Path, data: bytes) -> None:
    folder = StateFolder(str(tmp_path))
    folder.put(STATE)
    (path,) = (tmp_path / ".seesame" / "clips").iterdir()
    path.write_bytes(data)
    found = folder.get(STATE.out)
    assert found is not None
    assert (found.status, found.out) == (WORKING, STATE.out)
    assert list(folder.all()) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("uri", 5), ("status", None), ("error", ["x"]), ("group", {}), ("notes", "text")),
        *(("notes", [1]), ("notes", None), ("settings", []), ("limits", "x"), ("used", None)),
        *(("bytes", "5"), ("bytes", True), ("bytes", -1), ("bytes", 1.5), ("bytes", None)),
        *(("frames", 1 << 63), ("frames", 10**400), ("fps", "25"), ("fps", []), ("seg", {})),
        *(("seconds", None), ("kept_source", 1), ("worst_pair", 0.5), ("attempts", "many")),
        *(("seg", math.inf), ("pose", math.nan), ("score", -math.inf), ("seconds", 1e300)),
        *(("settings", {"crf": math.nan}), ("used", {"a": [{"b": math.inf}]})),
    ],
)
def test_a_state_with_a_value_of_another_kind_is_damaged(
    tmp_path: Path, name: str, value: object
) -> None:
    folder = StateFolder(str(tmp_path))
    folder.put(STATE)
    (path,) = (tmp_path / ".seesame" / "clips").iterdir()
    path.write_text(json.dumps({**json.loads(path.read_text()), name: value}))
    assert list(folder.all()) == []
    found = folder.get(STATE.out)
    assert found is not None
    assert found.status == WORKING


def test_a_newer_field_is_no_obstacle(tmp_path: Path) -> None:
    folder = StateFolder(str(tmp_path))
    folder.put(STATE)
    (path,) = (tmp_path / ".seesame" / "clips").iterdir()
    path.write_text(json.dumps({**json.loads(path.read_text()), "later": 1}))
    assert folder.get(STATE.out) == STATE


def test_events_are_added_behind_a_torn_line(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    Events(str(tmp_path), "one", True).add("start", clips=3)
    path.write_bytes(path.read_bytes() + b'{"event": "cl')
    second = Events(str(tmp_path), "two", True)
    second.add("start")
    second.add("end")
    lines = path.read_text().splitlines()
    assert [json.loads(line)["event"] for line in (lines[0], *lines[2:])] == [
        "start",
        "start",
        "end",
    ]
    assert lines[1] == '{"event": "cl'
