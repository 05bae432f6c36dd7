"""A forecast of what a run will take and give, from a few of its clips that are tried."""

from collections.abc import Sequence
from dataclasses import dataclass

from seesame.context import Progress, no_progress
from seesame.fleet.eta import Left, Pace
from seesame.fleet.plan import Task
from seesame.fleet.work.compress import Bench, do_task
from seesame.temporary import temporary_folder

SAMPLE = 3
"""Clips that are tried when no number is given; the fewest that give an interval."""

Interval = tuple[float, float]


@dataclass(frozen=True)
class Forecast:
    """What a run will take and give, each as an interval that nine of ten runs should end in.

    Args:
        tried: clips of the sample that could be compressed.
        failed: clips of the sample that could not.
        bytes: of all outputs; None from too small a sample.
        core_s: seconds of work of one core; None from too small a sample.
    """

    tried: int
    failed: int
    bytes: Interval | None
    core_s: Interval | None


def sampled(tasks: Sequence[Task], count: int) -> list[Task]:
    """Return so many tasks whose sizes are spread evenly over those of all."""
    ordered = sorted(tasks, key=lambda task: (task.size, task.out))
    count = min(count, len(ordered))
    return [ordered[(2 * i + 1) * len(ordered) // (2 * count)] for i in range(count)]


def forecast(tasks: Sequence[Task], count: int, progress: Progress = no_progress) -> Forecast:
    """Compress a few clips into scratch space, one after the other, and estimate the rest by them.

    Nothing is written into the target. Sizes of outputs and times are taken to follow the sizes of
    the clips; the interval holds how far those that were tried are from that.

    Args:
        tasks: all that is to be done.
        count: clips to try.
        progress: called with the share done and a short text.

    Raises:
        MemoryError: there is too little memory for one of them.
    """
    sizes, times = Pace(1), Pace(1)
    chosen = sampled(tasks, count)
    failed = 0
    for number, task in enumerate(chosen):
        progress(number / len(chosen), task.out)
        with temporary_folder() as scratch:
            bench = Bench(scratch, "", lambda pixels: None, lambda: None)
            state = do_task(task, bench)
        if not state.finished:
            failed += 1
            continue
        sizes.add(task.size, state.bytes)
        times.add(task.size, state.seconds)
    left = Left(task.size for task in tasks)
    return Forecast(sizes.known, failed, sizes.left(left), times.left(left))
