"""Commands that are killed at random moments: ``bench/kills.py`` does this to all of them."""

import random
import signal
import time
from pathlib import Path

import pytest
from kill_cases import CASES, HOME, Case, Place, faults_after, kill_chain, make_inputs

LONGEST = 5.0
"""Seconds that one of the commands takes, at least."""


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_inputs(tmp_path_factory.mktemp("kills") / "in", semantic=False)


@pytest.mark.parametrize(
    ("name", "signals"),
    [
        ("decompress to pictures", (signal.SIGKILL, signal.SIGTERM)),
        ("report", (signal.SIGTERM, signal.SIGKILL)),
        ("search", (signal.SIGKILL,)),
        ("contest evaluate, a script that waits", (signal.SIGKILL,)),
    ],
)
def test_nothing_is_half_written_and_nothing_left(
    tmp_path: Path,
    inputs: Path,
    name: str,
    signals: tuple[signal.Signals, ...],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SEESAME_HOME", str(HOME))
    (case,) = (case for case in CASES if case.name == name)
    chain = kill_chain(case, Place.made(tmp_path, inputs), signals, LONGEST, random.Random(1))
    assert chain.faults == []
    assert chain.kills


def test_the_check_sees_what_a_kill_leaves(tmp_path: Path, inputs: Path) -> None:
    """A command that writes in place, leaves a temporary file, and does not end."""
    program = (
        "bash",
        "-c",
        'echo "{" > "$1/r.json"; touch "$1/.seesame-x"; sleep 300; true',
        "bash",
    )
    case = Case("careless", ("{out}",), "r.json", program=program)
    place = Place.made(tmp_path, inputs)
    process = place.start(case)
    while not any(line.startswith("sleep") for line in place.processes().values()):
        assert process.poll() is None
        time.sleep(0.01)
    process.kill()
    process.wait()
    faults = list(faults_after(case, place))
    assert any(fault.startswith("lives on: sleep") for fault in faults)
    assert any(fault.startswith("r.json is not whole") for fault in faults)
    assert place.temporary() == ["out/.seesame-x"]
