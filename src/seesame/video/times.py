"""The presentation timestamps of a clip's frames, and the mending of broken ones."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from seesame.video.clip import Clip


@dataclass(frozen=True)
class TimesSettings:
    """The thresholds of a sound clock.

    Attributes:
        longest: seconds between two neighbouring frames above which the clock is broken, unless
            ``times`` says otherwise.
        times: an interval of so many times the median is sound however long it is (a time lapse).
        jitter: share of the median by which the intervals that make the rate may differ from it.
        rates: frames a second that cameras have; a rate within the rounding of the clock's ticks
            is taken for the nearest of these.
        told: places that are described one by one; more are only counted.
    """

    longest: int = 60
    times: int = 10
    jitter: Fraction = Fraction(1, 50)
    rates: tuple[Fraction, ...] = (
        *map(Fraction, (1, 2, 3, 4, 5, 6, 8, 9, 10, 12, 15, 16, 18, 20, 24, 25, 27, 30)),
        *map(Fraction, (48, 50, 60, 90, 100, 120, 144, 200, 240)),
        *(Fraction(1000 * rate, 1001) for rate in (6, 12, 15, 24, 30, 48, 60, 120, 240)),
        Fraction(15, 2),
        Fraction(25, 2),
    )
    told: int = 3


SETTINGS = TimesSettings()

_FARTHEST = 1 << 62
"""Ticks from zero at which no clock starts: 64 bits hold them, and the length of any clip."""


@dataclass(frozen=True, eq=False)
class Times:
    """Presentation timestamps of a clip's frames.

    Args:
        pts: ``int64 (T,)``, strictly rising, in ticks; the first one is as the file gives it.
        time_base: seconds a tick.
        duration: ticks that the last frame is shown.
    """

    pts: NDArray[np.int64]
    time_base: Fraction
    duration: int

    @property
    def seconds(self) -> NDArray[np.float64]:
        """The timestamps in seconds, ``float64 (T,)``."""
        return np.multiply(self.pts, float(self.time_base), dtype=np.float64)

    @property
    def rate(self) -> Fraction:
        """Frames a second by the median interval; pauses and other odd intervals do not count.

        It is a rate that cameras have (``TimesSettings.rates``) where one lies within the rounding
        of the ticks: intervals of 33, 34 and 33 ms are 30000/1001 frames a second.
        """
        intervals = np.diff(self.pts) if len(self.pts) > 1 else np.array([self.duration])
        middle = int(np.sort(intervals)[(len(intervals) - 1) // 2])
        near = np.abs(intervals - middle) <= max(1, SETTINGS.jitter * middle)
        steady = intervals[near]
        count, total = len(steady), int(steady.sum())
        mean = Fraction(total, count)
        # Each run of steady intervals begins and ends at a rounded timestamp.
        runs = int(near[0]) + int(np.count_nonzero(near[1:] & ~near[:-1]))
        spread = max(1, int(steady.max() - steady.min()))
        rounding = min(Fraction(runs * spread, count), SETTINGS.jitter * mean)
        known = min(SETTINGS.rates, key=lambda rate: abs(1 / (rate * self.time_base) - mean))
        if abs(1 / (known * self.time_base) - mean) <= rounding:
            return known
        exact = 1 / (mean * self.time_base)
        return exact.limit_denominator(1001) or exact


def clip_times(clip: Clip) -> Times | None:
    """Return the timestamps of a clip's frames; None where its source has no clock.

    Raises:
        DamagedError: the clip cannot be read to its end.
    """
    found: Times | None = getattr(clip, "times", None)
    return found


def mended(
    stamps: Sequence[int | None],
    time_base: Fraction,
    duration: int = 0,
    nominal: Fraction | None = None,
) -> tuple[Times, list[str]]:
    """Return sound timestamps, and sentences that say what had to be mended.

    An interval that is zero, negative or longer than a minute is replaced by the median interval,
    and so is one whose timestamps are missing, unless those around fix it. All other intervals are
    kept to the tick.

    Args:
        stamps: a frame's timestamp each, in ticks; None where the file has none. At least one.
        time_base: seconds a tick.
        duration: ticks that the last frame is shown; 0 where the file does not say.
        nominal: frames a second that the file declares, for the case that no interval is sound.
    """
    known = [index for index, stamp in enumerate(stamps) if stamp is not None]
    values = [stamp for stamp in stamps if stamp is not None]
    frames = [later - first for first, later in pairwise(known)]
    steps = [later - first for first, later in pairwise(values)]  # of any size: not of 64 bits
    single = [step // count for step, count in zip(steps, frames, strict=True)]
    usual = _usual(single, time_base, duration, nominal)
    limit = max(int(SETTINGS.longest / time_base), SETTINGS.times * usual)
    intervals = np.full(len(stamps) - 1, usual, dtype=np.int64)
    oddities = []
    for first, count, step in zip(known, frames, steps, strict=False):
        if count <= step <= limit * count:
            ends = step * np.arange(count + 1) // count
            intervals[first : first + count] = np.diff(ends)
        else:
            jump = (step - usual * count) * time_base
            oddities.append(_jump(first + count - 1, jump, step, count))
    if len(oddities) > SETTINGS.told:
        oddities = [*oddities[: SETTINGS.told], f"timestamps are joined at {len(oddities)} places"]
    if len(known) < len(stamps):
        oddities.append(
            f"{len(stamps) - len(known)} of {len(stamps)} frames have no timestamp; they are put "
            "between their neighbours"
        )
    start = values[0] - usual * known[0] if known and abs(values[0]) < _FARTHEST else 0
    pts = start + np.concatenate([[0], np.cumsum(intervals)]).astype(np.int64)
    last = duration if 0 < duration <= limit else usual
    return Times(pts, time_base, last), oddities


def _usual(steps: list[int], time_base: Fraction, duration: int, nominal: Fraction | None) -> int:
    """Return the interval between neighbouring frames, in ticks, that broken ones are given."""
    declared = [duration] if nominal is None else [duration, round(1 / (nominal * time_base))]
    longest = SETTINGS.longest / time_base
    sound = next((ticks for ticks in declared if 0 < ticks <= longest), 0)
    positive = sorted(step for step in steps if step > 0)
    if not positive:
        return sound or max(1, round(1 / (20 * time_base)))
    middle = positive[(len(positive) - 1) // 2]
    return sound if sound and middle > longest else middle


def _jump(frame: int, seconds: Fraction, step: int, count: int) -> str:
    """Say what is wrong with the interval after a frame."""
    if 0 <= step < count:
        return f"timestamps stand still after frame {frame}; the usual interval is put there"
    whole, rest = divmod(round(abs(seconds) * 1000), 1000)
    clock = f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"
    fine = f".{rest:03}".rstrip("0") if rest else ""
    back = " back" if seconds < 0 else ""
    return f"timestamps jump{back} by {clock}{fine} after frame {frame}; they are joined there"
