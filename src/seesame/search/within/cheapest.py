"""The quality of a codec at which a file keeps limits with the fewest bytes, in a few encodes."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from seesame.jobs.trial import Trial
from seesame.metric.limits import LEAST, Limits
from seesame.search.goal import Goal


@dataclass(frozen=True)
class CheapestTuning:
    """The numbers of the search.

    Args:
        most: encodes at most.
        slope: by how much the logarithm of a distortion is taken to rise with one step of CRF while
            only one CRF was tried.
        size_slope: by how much the logarithm of the size is taken to fall.
        enough: by how much less than its bound what exceeds it most may be, as a logarithm, where
            the search ends at the first file that keeps the limits so closely; 0 to go on.
    """

    most: int = 6
    slope: float = 0.06
    size_slope: float = 0.08
    enough: float = 0.0


def cheapest(
    measure: Callable[[int], Trial],
    limits: Limits,
    crfs: Sequence[int],
    start: int,
    tuning: CheapestTuning = CheapestTuning(),
) -> Trial:
    """Return the trial that keeps limits and does best by their goal; else the nearest.

    With limits on distortion it is the highest CRF that keeps them, for bytes fall as CRF rises;
    with a limit on bytes alone the lowest. Distortions and bytes are taken to be exponential in
    CRF: the logarithm of what exceeds its bound most is interpolated between the nearest CRF that
    keeps the limits and the nearest that does not, until the two are neighbours (regula falsi, with
    a step of bisection where it creeps).

    Args:
        measure: encodes with a CRF and judges the file.
        limits: one or more bounds.
        crfs: the CRFs to choose from, rising by one.
        start: the first to try.
        tuning: of the search.
    """
    goal = Goal(limits)
    rises = limits.on_distortion
    found: dict[int, Trial] = {}
    levels: dict[int, float] = {}
    crf: int | None = min(max(start, crfs[0]), crfs[-1])
    while crf is not None and len(found) < tuning.most:
        found[crf] = measure(crf)
        levels[crf] = level(limits, found[crf])
        if -tuning.enough < levels[crf] <= 0 and goal.kept(found[crf]):
            break
        crf = _next(levels, crfs, rises, tuning)
    best = goal.best(found.values())
    assert best is not None
    return best


def level(limits: Limits, trial: Trial) -> float:
    """Return the logarithm of what exceeds its bound most, over that bound; 0 or less is kept.

    The size counts only where nothing else is bounded.
    """
    held = limits.held(trial.judged)
    counted = [one for one in held if one.name != "bytes"] or held
    return max(math.log(max(one.value, LEAST) / max(one.bound, LEAST)) for one in counted)


def _next(
    level: Mapping[int, float], crfs: Sequence[int], rises: bool, tuning: CheapestTuning
) -> int | None:
    """Return the CRF to try next; None where the answer lies between neighbours or at an end."""
    sign = 1 if rises else -1
    kept = [crf for crf, value in level.items() if value <= 0]
    missed = [crf for crf, value in level.items() if value > 0]
    inner = max(kept, key=lambda crf: sign * crf) if kept else None
    # What is beyond a CRF that keeps the limits bounds the search; noise may have missed before it.
    beyond = [crf for crf in missed if inner is None or sign * crf > sign * inner]
    outer = min(beyond, key=lambda crf: sign * crf) if beyond else None
    if inner is not None and outer is not None:
        if abs(outer - inner) == 1:
            return None
        share = -level[inner] / (level[outer] - level[inner])
        *_, before, last = level.values()
        if len(level) > 2 and (before > 0) == (last > 0):
            share = 0.5  # twice on one side: the interpolation creeps, so the middle is tried
        wanted = inner + share * (outer - inner)
        low, high = sorted((inner + sign, outer - sign))
        return min(max(math.floor(wanted) if rises else math.ceil(wanted), low), high)
    at = inner if outer is None else outer
    assert at is not None
    others = [crf for crf in level if crf != at]
    slope = sign * (tuning.slope if rises else tuning.size_slope)
    if others:
        near = min(others, key=lambda crf: abs(crf - at))
        seen = (level[at] - level[near]) / (at - near)
        slope = sign * max(sign * seen, abs(slope) / 8)
    # A step too far brackets the answer; one too short does not.
    step = -level[at] / slope
    step = max(1.0, abs(step)) * (sign if outer is None else -sign)
    wanted_crf = at + (math.ceil(step) if step > 0 else math.floor(step))
    wanted_crf = min(max(wanted_crf, crfs[0]), crfs[-1])
    return None if wanted_crf in level else wanted_crf
