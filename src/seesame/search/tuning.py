"""Numbers that a search could be tuned by, each with its meaning and the reason for its value."""

from dataclasses import dataclass


@dataclass(frozen=True)
class SurfaceTuning:
    """The fit of a response surface.

    Args:
        curve_from: an axis with so many numbers gets a curve; a shorter one gets a step for every
            value, because a curve through a few unequal steps is wrong between them.
        most_points: settings that are predicted at once; a larger space is thinned out at random.
            120,000 take about 0.1 s and 20 MB.
        ridge: pulls steps towards no effect, in units of one trial's weight: a value seen in a
            single trial is believed in part only.
        reach: a trial whose logarithmic measure is so far from the best counts 1/e of it: the
            surface has to be true near the best.
        least_weight: weight of the trials that are farthest from the best.
        curiosity: by how much (in the logarithm of the measure) a value that was never tried is
            taken to be better than predicted, so that it is tried once where it may matter.
        bound: weight of being a whole limit's worth beyond a limit, in the same units.
        tiny: added to distortions before their logarithm is taken.
    """

    curve_from: int = 8
    most_points: int = 120_000
    ridge: float = 0.03
    reach: float = 0.15
    least_weight: float = 0.03
    curiosity: float = 0.01
    bound: float = 3.0
    tiny: float = 1e-7


@dataclass(frozen=True)
class AutoTuning:
    """The division of the trials of the method ``auto``.

    Args:
        model_share: share of the trials that explore: starting settings and proposals of TPE.
        patience: rounds for each trial. Settings that were asked for before are no new trial, and
            a small space runs out of new ones.
        depth: predictions that are looked through for each trial made so far.
        proofs: of the trials that are left halfway, the share for values that were only tried
            far from the best.
    """

    model_share: float = 0.35
    patience: int = 4
    depth: int = 50
    proofs: float = 0.5


@dataclass(frozen=True)
class SampleTuning:
    """A search on a sample of a long clip.

    Args:
        long_seconds: clips longer than this are searched on a sample unless the user says
            otherwise.
        seconds: length of the sample in all.
        window_seconds: length of one of its windows: long enough for what an encoder gains from
            one frame to the next.
        confirmed: settings of the sample's best that are tried on the whole clip.
        steps: by how much CRF is then moved from the best, first in large steps, then in small.
        most: trials on the whole clip at most.
    """

    long_seconds: float = 90.0
    seconds: float = 24.0
    window_seconds: float = 4.0
    confirmed: int = 3
    steps: tuple[int, ...] = (3, 1)
    most: int = 11


@dataclass(frozen=True)
class PartsTuning:
    """A clip in parts with settings of their own.

    Args:
        near_crf: by how much a part's CRF may differ from the whole clip's.
        near_scale: by which factor its scale may.
        weights: smallest and largest weight of pose and of bytes against ``100 * seg``, and how
            many between them, evenly spaced in the logarithm.
        steps: by how many trials, in order of bytes, two parts may change against each other.
        most_paired: with more parts than this, no pairs are changed: slopes alone then come near
            any limit.
        least_trials: encodes of each part, where half of the search's would be fewer.
    """

    near_crf: int = 12
    near_scale: float = 1.6
    weights: tuple[float, float, int] = (1e-3, 1e3, 61)
    steps: int = 3
    most_paired: int = 16
    least_trials: int = 8


@dataclass(frozen=True)
class ChoiceTuning:
    """The division of the time of ``seesame compress --codec auto``.

    Args:
        seconds: the whole time, where the user gives none.
        codecs: classical codecs that are searched.
        search_share: share of the time for the search; a trial that has begun is finished.
        most_trials: of the search, however much time there is: more found nothing better.
        least_semantic: seconds of the whole below which semantic is not tried.
        least_hybrid: seconds below which a hybrid is not worth starting.
        least_hnerv: seconds below which hnerv is not.
        hybrid_share: share of the time after the search for hybrid, where hnerv gets the rest.
    """

    seconds: float = 480.0
    codecs: tuple[str, ...] = ("svtav1", "x265")
    search_share: float = 0.35
    most_trials: int = 60
    least_semantic: float = 60.0
    least_hybrid: float = 40.0
    least_hnerv: float = 120.0
    hybrid_share: float = 1 / 3
