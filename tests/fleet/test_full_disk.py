"""A full disk: at the worker, and in the target. Clips fail with one line, and nothing is half."""

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from command import Ran
from fleets import STACK, states_of, target_faults
from videos import make_video

from seesame.fleet.target.state import DONE, FAILED

Run = Callable[..., Ran]
LARGE = "cam/large.ssm"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 KB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    line = ["mount", "-t", "tmpfs", "-o", "size=256k", "none", str(folder)]
    try:
        made = subprocess.run(line, capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("there is no mount")
    if made.returncode:
        pytest.skip(f"a small file system cannot be mounted here: {made.stderr.strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Three clips, of which one has more bytes than the disk."""
    random = np.random.default_rng(1)
    folder = tmp_path / "in" / "cam"
    folder.mkdir(parents=True)
    for name, frames in (("a", 4), ("large", 80), ("b", 5)):
        noise = random.integers(0, 256, (frames, 48, 64, 3), dtype=np.uint8)
        make_video(folder / f"{name}.mp4", noise, encoder={"crf": "1"})
    assert (folder / "large.mp4").stat().st_size > 300_000
    assert (folder / "b.mp4").stat().st_size < 60_000
    return tmp_path / "in"


def batch(source: Path, target: Path, *more: object) -> tuple[object, ...]:
    """A command whose outputs are as large as their sources."""
    return "batch", source, "-o", target, "--codec", "copy", "--stack", STACK, "--quiet", *more


def test_a_full_disk_at_the_worker(
    seesame: Run, source: Path, small_disk: Path, tmp_path: Path
) -> None:
    target = tmp_path / "out"
    line = batch(source, target, "--jobs", 1)
    ran = seesame(*line, "--scratch", small_disk)
    assert ran.code == 3, ran.err
    states = states_of(target)
    assert {out: state.status for out, state in states.items()} == {
        "cam/a.ssm": DONE,
        "cam/b.ssm": DONE,
        LARGE: FAILED,
    }
    assert "no space left on" in states[LARGE].error.lower()
    assert str(small_disk) not in states[LARGE].error
    assert target_faults(target, ended=True) == []
    assert list(small_disk.iterdir()) == []
    again = seesame(*line, "--retry-failed", "--json")  # where there is space
    assert (again.code, json.loads(again.out)["worked_on"]) == (0, 1), again.err
    assert target_faults(target, ended=True) == []


def test_a_full_target(seesame: Run, source: Path, small_disk: Path, tmp_path: Path) -> None:
    target = small_disk / "out"
    line = batch(source, target, "--jobs", 1)
    ran = seesame(*line, "--scratch", tmp_path)
    assert ran.code in (2, 3), ran.err
    assert "Traceback" not in ran.err
    assert "no space left on" in (ran.err + states_of(target)[LARGE].error).lower()
    assert not (target / LARGE).exists()
    assert [p for p in target.rglob("*.ssm") if ".seesame" in p.parts] == []
    subprocess.run(["mount", "-o", "remount,size=4m", str(small_disk)], check=True)
    again = seesame(*line, "--scratch", tmp_path, "--retry-failed")
    assert again.code == 0, again.err
    assert {state.status for state in states_of(target).values()} == {DONE}
    assert target_faults(target, ended=True) == []
