"""Advice after an encode that missed its limits: what would help, from what was seen."""

import math
from dataclasses import dataclass

from seesame.neural.fitting.settings import TrainSettings


@dataclass(frozen=True)
class AdviceTuning:
    """The experience that advice is made from; each number errs on the safe side.

    Args:
        reach_a_time: power by which figures fall as training gets longer.
        reach_a_size: power by which they fall as files get larger.
        spare: factor on what is advised.
        most_times: the most that a time or a size is multiplied by at once.
    """

    reach_a_time: float = 0.5
    reach_a_size: float = 0.45
    spare: float = 1.25
    most_times: float = 10.0


TUNING = AdviceTuning()


def advice(settings: TrainSettings, reach: float, size: int, seconds: float) -> str:
    """Return flags with which the limits should be kept.

    A run that was held to a size is told a larger one; another run is told more time, in which the
    size follows.

    Args:
        settings: of the run.
        reach: the largest figure of its file as a multiple of its bound, 1 or more.
        size: bytes of its file.
        seconds: that it had.
    """
    larger = size * _times(reach, TUNING.reach_a_size)
    if settings.max_bytes is not None and size > settings.max_bytes / 2:
        return f"--max-bytes {_rounded(max(larger, 2 * settings.max_bytes))}"
    if settings.bytes is not None:
        return f"--bytes {_rounded(max(larger, TUNING.spare * settings.bytes))}"
    longer = _times(reach, TUNING.reach_a_time)
    if settings.steps is not None:
        return f"--set steps={_rounded(longer * settings.steps)}"
    minutes = math.ceil(longer * seconds / 60)
    return f"--budget {minutes}m" if minutes < 120 else f"--budget {math.ceil(minutes / 60)}h"


def _times(reach: float, power: float) -> float:
    return min(TUNING.most_times, TUNING.spare * math.pow(max(reach, 1.0), 1 / power))


def _rounded(value: float) -> int:
    """Return a whole number of two digits and zeros, rounded up."""
    unit = 10 ** max(0, math.floor(math.log10(value)) - 1)
    return int(math.ceil(value / unit) * unit)
