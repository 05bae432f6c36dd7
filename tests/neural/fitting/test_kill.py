"""A training encode that is killed, in a process of its own."""

import os
from pathlib import Path

import killing
import pytest

from seesame.neural.fitting.checkpoint import NAME

ROOT = Path(__file__).resolve().parents[3]
STEPS = 150
STACK = """
from dataclasses import replace

from fake_stack import FakeStack

import seesame.neural.fitting.loop as train

train.TUNING = replace(train.TUNING, checkpoint_s=0.3)
stack = FakeStack()
"""
"""The tests' stack; training saves its state often enough for runs of seconds."""


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Of the processes: they find the stack."""
    (tmp_path / "quick_stack.py").write_text(STACK)
    places = [ROOT / "src", ROOT / "tests" / "helpers", tmp_path]
    path = os.pathsep.join(map(str, places))
    return {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}


def test_a_killed_encode_goes_on_and_leaves_nothing_half_written(
    environment: dict[str, str], drive: Path, tmp_path: Path
) -> None:
    flags = ["--stack", "quick_stack:stack", "--set", f"steps={STEPS}", "--set", "latent=6"]
    flags += ["--bytes", "3000", "--device", "cpu"]
    for name in ("alone", "killed"):
        (tmp_path / name).mkdir()
    alone = killing.finish(killing.command(drive, tmp_path / "alone" / "a.ssm", flags), environment)
    out = tmp_path / "killed" / "a.ssm"
    # In training; and, since the state is there already, anywhere in what follows the next start.
    times, state = [0.05, 3.0], out.with_name("a.work") / NAME
    found = killing.run_killed(drive, out, flags, environment, times, after=state)
    assert not found.faults
    assert len(found.kills) + found.ended == len(times)
    assert found.resumable >= 1
    assert found.score < 1.2 * alone["score"]
    assert not out.with_name("a.work").exists()


def test_what_is_half_written_is_found(tmp_path: Path) -> None:
    out = tmp_path / "a.ssm"
    assert killing.disk_faults(out) == []
    (tmp_path / "a.work").mkdir()
    (tmp_path / ".a.12345678.ssm").write_bytes(b"")
    out.write_bytes(b"SSM")
    faults = killing.disk_faults(out)
    assert len(faults) == 2
    assert ".a.12345678.ssm" in faults[0]
    assert "does not decode" in faults[1]
