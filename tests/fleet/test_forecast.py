"""The forecast of a dry run: from clips that are really tried, and nothing is written."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from command import Ran
from fleets import STACK, make_fleet, states_of

from seesame.fleet.forecast import sampled
from seesame.fleet.plan import Task
from seesame.fleet.storage import Found

Run = Callable[..., Ran]
PLAIN: dict[str, Any] = {"codec": "x264", "settings": {}, "limits": {}, "stack": "s", "recipe": "r"}
PLAIN |= {"on_miss": "fail", "device": "cpu", "seed": 0, "fingerprint": "f", "target": "t"}


@pytest.mark.parametrize(
    ("count", "sizes"), [(0, []), (1, [6]), (3, [2, 6, 10]), (11, list(range(1, 12))), (99, None)]
)
def test_the_sample_is_spread_over_the_sizes(count: int, sizes: list[int] | None) -> None:
    tasks = [Task(uri="u", out=f"{n}", found=Found(n, ""), **PLAIN) for n in range(11, 0, -1)]
    found = [task.size for task in sampled(tasks, count)]
    assert found == (list(range(1, 12)) if sizes is None else sizes)


def test_what_is_forecast_is_what_comes(seesame: Run, tmp_path: Path) -> None:
    source, target = tmp_path / "in", tmp_path / "out"
    make_fleet(source, 6)
    line = ("batch", source, "-o", target, "--codec", "x264", "--set", "crf=30", "--stack", STACK)
    planned = seesame(*line, "--dry-run", "--sample", 5, "--json", "--quiet")
    assert (planned.code, planned.err) == (0, "")
    assert not target.exists()
    *todo, last = map(json.loads, planned.out.splitlines())
    assert len(todo) == 6
    found = last["forecast"]
    assert (found["tried"], found["failed"]) == (5, 0)
    assert 0 < found["core_s"][0] < found["core_s"][1]
    text = seesame(*line, "--dry-run", "--quiet").out
    assert "of one core's work (from 3 clips that were tried)" in text.splitlines()[-1]
    assert seesame(*line, "--jobs", 1, "--quiet").code == 0
    low, high = found["bytes"]
    assert low <= sum(state.bytes for state in states_of(target).values()) <= high
    assert "expect" not in seesame(*line, "--dry-run", "--quiet").out


def test_a_sample_that_tells_nothing_says_so(seesame: Run, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name in "abc":
        (tmp_path / "in" / f"{name}.mp4").write_text("no video")
    line = ("batch", tmp_path / "in", "-o", tmp_path / "out", "--codec", "x264", "--stack", STACK)
    ran = seesame(*line, "--dry-run", "--quiet")
    assert ran.code == 0
    assert "too little is known from 0 clips that were tried, and 3 that failed" in ran.out
    assert seesame(*line, "--sample", 2).err.count("\n") == 1
