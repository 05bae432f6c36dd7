"""Small fleets for tests: clips in a folder, stacks that wait, and what lies in a target."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from tiny_stack import TinyStack
from torch import Tensor
from videos import make_frames, make_video

from seesame.decoders import open_clip
from seesame.fleet.target.state import State, StateFolder

STACK = "tiny_stack:TinyStack"
SLOW = "fleets:SlowStack"


class SlowStack(TinyStack):
    """Waits before it looks at a batch, so that a run can be killed in the middle of a clip."""

    name = "slow"

    def segment(self, rgb: Tensor) -> Tensor:
        time.sleep(0.2)
        return super().segment(rgb)

    def to(self, device: torch.device) -> "SlowStack":
        return self


def make_fleet(folder: Path, count: int, frames: int = 8, width: int = 64) -> list[Path]:
    """Write clips of rising length in two folders, ``cam0`` and ``cam1``."""
    made = []
    for number in range(count):
        path = folder / f"cam{number % 2}" / f"drive{number}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        pictures = make_frames(frames + 2 * number, width * 3 // 4, width, seed=number)
        made.append(make_video(path, pictures))
    return made


def states_of(target: Path) -> dict[str, State]:
    """Return the states in a target by the outputs' names."""
    return {state.out: state for state in StateFolder(str(target)).all()}


def events_of(target: Path) -> list[dict[str, Any]]:
    """Return the lines of the log of events; a line that is not yet whole is left out."""
    path = target / "events.jsonl"
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").split("\n")[:-1]
    return [json.loads(line) for line in lines if line]


def target_faults(target: Path, ended: bool) -> list[str]:
    """Return what is wrong with the files in a target; nothing may ever be half written.

    Args:
        target: the target.
        ended: the run has ended by itself or by Ctrl-C, so that nothing but its results is left.
    """
    faults = []
    states = states_of(target)
    for path in sorted(p for p in target.rglob("*") if p.is_file()):
        name = path.relative_to(target).as_posix()
        if path.suffix in (".ssm", ".mp4", ".mkv") and not name.startswith(".seesame"):
            try:
                clip = open_clip(path)
                seen = sum(len(batch) for batch in clip.batches(16))
            except Exception as error:
                faults.append(f"{name} does not decode: {error}")
                continue
            state = states.get(name)
            if state is None:
                faults.append(f"{name} has no state")
            elif state.finished and (state.bytes, state.frames) != (path.stat().st_size, seen):
                faults.append(f"{name} is not the file of its state")
        elif ended and not (
            name.startswith(("catalog.", "events"))
            or (name.startswith(".seesame/clips/") and name.endswith(".json"))
        ):
            faults.append(f"{name} remains")
    hidden = target / ".seesame"
    if ended and hidden.exists() and {p.name for p in hidden.iterdir()} != {"clips"}:
        faults.append(f"in {hidden.name}: {sorted(p.name for p in hidden.iterdir())}")
    for state in states.values():
        if state.finished and not (target / state.out).exists():
            faults.append(f"{state.out} is {state.status} and not there")
    return faults


def start(words: list[object], environment: Mapping[str, str]) -> subprocess.Popen[str]:
    """Start ``seesame batch`` in a process of its own, which can be killed."""
    line = [sys.executable, "-m", "seesame.cli", "batch", *map(str, words)]
    pipe = subprocess.PIPE
    return subprocess.Popen(line, env=dict(environment), stdout=pipe, stderr=pipe, text=True)


def until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    """Wait for a condition. Raises TimeoutError."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError("it did not come to that")
        time.sleep(0.02)
