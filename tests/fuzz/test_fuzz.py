"""Damaged and crafted files: read or refused, within bounds of memory and time, and nothing else.

``bench/fuzz.py`` runs many more of the same cases.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import pytest
from fuzzing.runner import Bounds, Runner
from fuzzing.targets import TARGETS

CASES = {"semantic": 40, "hybrid": 60, "hnerv": 80, "segments": 80, "cache": 60}
USUAL = 120
SMALL = Bounds(seconds=1.0, wall=10.0, megabytes=400)


@pytest.fixture(scope="module")
def runner() -> Iterator[Runner]:
    """A worker that has read every sound file of the corpus."""
    with Runner() as made:
        yield made


@pytest.mark.parametrize("target", TARGETS)
def test_every_case_is_read_or_refused(runner: Runner, target: str) -> None:
    outcomes = list(runner.run(target, range(CASES.get(target, USUAL))))
    assert [one for one in outcomes if one.fault] == []
    ends = Counter(one.end for one in outcomes)
    assert ends["read"] + ends["refused"] == CASES.get(target, USUAL)
    assert min(ends["read"], ends["refused"]) > 0  # else the damage is too small, or too large


def test_a_case_is_always_the_same(runner: Runner) -> None:
    first, again = (
        [replace(one, seconds=0, megabytes=0) for one in runner.run("hnerv", range(5, 20))]
        for _ in range(2)
    )
    assert first == again


@pytest.fixture(scope="module")
def planted() -> Iterator[Runner]:
    """A worker whose targets have faults."""
    with Runner(SMALL, "fuzzing.planted") as made:
        yield made


@pytest.mark.parametrize(
    ("target", "end"),
    [
        ("sound", "read"),
        ("refused", "refused"),
        ("exception", "exception"),
        ("crash", "crash"),
        ("hang", "hang"),
        ("busy", "hang"),
        ("used", "memory"),
        ("asked", "memory"),
    ],
)
def test_the_runner_sees_each_end(planted: Runner, target: str, end: str) -> None:
    count = 1 if end == "hang" else 2
    outcomes = list(planted.run(target, range(count)))
    assert [(one.seed, one.end) for one in outcomes] == [(seed, end) for seed in range(count)]
    if end == "refused":
        assert outcomes[0].text == "DamagedError: #file: is damaged at byte #"
