"""The demo of a fleet: synthetic drives, and a batch of them that is killed and goes on."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from seesame.context import Progress, no_progress
from seesame.errors import UserError
from seesame.fleet.target.history import read_events
from seesame.jobs.demo import render_drive


@dataclass(frozen=True)
class FleetDemoSettings:
    """The fleet that the demo makes, and when it is killed.

    Args:
        clips: that are rendered; one more is a damaged copy of the first.
        cameras: folders that they lie in.
        size: width and height of a frame.
        seconds: length of the shortest clip; each is longer than the one before by ``step``.
        step: in seconds.
        batch: flags of ``seesame batch``.
        kill_after: clips that have ended when the first run is killed.
        patience: seconds in which so many must have ended.
    """

    clips: int = 12
    cameras: int = 3
    size: tuple[int, int] = (384, 288)
    seconds: float = 1.0
    step: float = 0.1
    batch: tuple[str, ...] = ("--codec", "x264", "--max-seg", "0.02")
    kill_after: int = 4
    patience: float = 180.0


def render_fleet(
    folder: Path,
    seed: int = 0,
    progress: Progress = no_progress,
    settings: FleetDemoSettings = FleetDemoSettings(),
) -> list[Path]:
    """Render drives into ``cam0``, ``cam1`` … of a folder, and a damaged one; return their paths.

    Args:
        folder: of the clips; files of these names in it are replaced.
        seed: of the first scene; each clip has another.
        progress: called with the share done and a short text.
        settings: of the demo.
    """
    made = []
    for number in range(settings.clips):
        progress(number / settings.clips, f"{number} of {settings.clips} clips")
        path = folder / f"cam{number % settings.cameras}" / f"drive{number:02}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        length = settings.seconds + settings.step * number
        render_drive(path, settings.size, length, seed + number, overwrite=True)
        made.append(path)
    data = made[0].read_bytes()
    damaged = folder / "cam0" / "damaged.mp4"
    damaged.write_bytes(data[: len(data) // 2])
    return [*made, damaged]


def run_and_kill(
    words: Sequence[object],
    target: Path,
    progress: Progress = no_progress,
    settings: FleetDemoSettings = FleetDemoSettings(),
) -> int:
    """Start a batch and kill it with signal 9 in the middle; return how many clips had ended.

    Args:
        words: of ``seesame batch``, as on a command line.
        target: the folder that it writes into.
        progress: called with the share of the clips that it is left to do, and a short text.
        settings: of the demo.

    Raises:
        UserError: it ended by itself, or did too little in time.
    """
    process = subprocess.Popen(
        _line(words),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    end = time.monotonic() + settings.patience
    ended = 0
    try:
        while ended < settings.kill_after and time.monotonic() < end and process.poll() is None:
            time.sleep(0.1)
            ended = sum(event["event"] == "clip" for event in read_events(str(target)))
            progress(ended / settings.kill_after, f"{ended} of {settings.kill_after} clips")
    finally:
        process.kill()
        _, errors = process.communicate()
    if process.returncode != -signal.SIGKILL or not ended:
        last = (errors.strip().splitlines() or ["nothing was done in time"])[-1]
        raise UserError(f"the batch could not be killed in the middle: {last}")
    return ended


def finish(words: Sequence[object]) -> int:
    """Run a batch to its end, its output on this terminal; return its exit code."""
    sys.stdout.flush()
    with subprocess.Popen(_line(words)) as process:
        try:
            return process.wait()
        except KeyboardInterrupt:
            process.terminate()
            raise


def _line(words: Sequence[object]) -> list[str]:
    """Return the command line of a batch that ends with this process."""
    program = (
        f"from seesame.processes import end_with; end_with({os.getpid()}); "
        "from seesame.cli.main import main; raise SystemExit(main())"
    )
    return [sys.executable, "-c", program, "batch", *map(str, words)]
