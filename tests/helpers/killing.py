"""Kill ``seesame compress`` at random moments, and check what is then on the disk."""

import json
import random
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from seesame.bitstream.container import Container
from seesame.codecs.registry import codec_by_id
from seesame.neural.fitting.checkpoint import NAME

START = 1.0
"""Seconds before which nothing is killed: Python is still importing."""


@dataclass
class Killed:
    """The record of a run that was killed again and again.

    Args:
        kills: moments, in seconds after each start, at which it was killed.
        resumable: after how many of the kills there was a state to go on from.
        ended: how many of the attempts ended before their moment came.
        faults: what was wrong on the disk after a kill, or at the end; empty when nothing was.
        score: of the last file.
        bytes: of the last file.
    """

    kills: list[float] = field(default_factory=list)
    resumable: int = 0
    ended: int = 0
    faults: list[str] = field(default_factory=list)
    score: float = 0.0
    bytes: int = 0


def command(clip: Path, out: Path, flags: Sequence[str]) -> list[str]:
    """Return the command line of one attempt, in a process that can be killed."""
    words = ["compress", str(clip), "-o", str(out), *flags, "--json", "--quiet"]
    return [sys.executable, "-m", "seesame.cli", *words]


def finish(words: Sequence[str], environment: Mapping[str, str]) -> dict[str, float]:
    """Run a command to its end and return its JSON.

    Raises:
        RuntimeError: it failed.
    """
    done = subprocess.run(words, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"ended with {done.returncode}: {done.stderr.strip()[-500:]}")
    values: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return values


def run_killed(
    clip: Path,
    out: Path,
    flags: Sequence[str],
    environment: Mapping[str, str],
    moments: Sequence[float],
    after: Path | None = None,
    wanted: int | None = None,
) -> Killed:
    """Start, kill -9 at each of the moments (seconds after the start), and start again.

    Every attempt but the first is given ``--resume --overwrite``; the last one runs to its end.

    Args:
        clip: the source.
        out: the .ssm file, alone in its folder.
        flags: of ``seesame compress``.
        environment: of the processes.
        moments: one a kill, in seconds.
        after: seconds count from when this path is there, not from the start.
        wanted: so many kills are enough; attempts that end before their moment do not count.
    """
    found, work = Killed(), out.parent / f"{out.stem}.work"
    again = [*flags, "--resume", "--overwrite"]
    for number, moment in enumerate(moments):
        if len(found.kills) == wanted:
            break
        words = command(clip, out, again if number else flags)
        process = subprocess.Popen(
            words, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        while after is not None and not after.exists() and process.poll() is None:
            time.sleep(0.02)
        start = time.monotonic()
        try:
            _, errors = process.communicate(timeout=moment)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            found.kills.append(round(time.monotonic() - start, 2))
            found.resumable += (work / NAME).exists()
        else:
            found.ended += 1
            if process.returncode:
                found.faults.append(f"attempt {number + 1}: {errors.strip()[-300:]}")
        found.faults += [f"after attempt {number + 1}: {f}" for f in disk_faults(out)]
    try:
        last = finish(command(clip, out, again), environment)
    except RuntimeError as error:
        found.faults.append(f"the last attempt {error}")
        return found
    found.faults += [f"at the end: {f}" for f in disk_faults(out)]
    found.score, found.bytes = last["score"], int(last["bytes"])
    return found


def moments(count: int, longest: float, seed: int) -> list[float]:
    """Return random moments up to a little beyond the length of an uninterrupted run."""
    source = random.Random(seed)
    return [source.uniform(START, max(1.1 * longest, 2 * START)) for _ in range(count)]


def disk_faults(out: Path) -> list[str]:
    """Return the faults of an output file and its folder: it must be absent or whole, and alone.

    The work folder may hold anything. A killed run leaves the lock of its output, which is empty,
    and which the next run takes over.
    """
    allowed = {out.name, f"{out.stem}.work"}
    there = [p for p in sorted(out.parent.iterdir()) if p.name not in allowed]
    faults = [f"{p.name} remains" for p in there if p.suffix != ".lock" or p.stat().st_size]
    if not out.exists():
        return faults
    try:
        container = Container.read(out)
        clip = codec_by_id(container.codec_id).decode(container)
        frames = sum(len(batch) for batch in clip.batches(16))
    except Exception as error:
        return [*faults, f"{out.name} does not decode: {error}"]
    if frames != container.num_frames:
        faults.append(f"{out.name} gives {frames} of {container.num_frames} frames")
    return faults
