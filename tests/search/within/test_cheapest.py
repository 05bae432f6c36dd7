"""The quality that keeps limits, found in a few encodes, on files that follow laws."""

import itertools
import math
from dataclasses import replace

import pytest
from judged import flat, judged

from seesame.jobs.trial import Trial
from seesame.metric.limits import Bound, Limits
from seesame.search.within.cheapest import CheapestTuning, cheapest

CRFS = range(16, 64)


class Law:
    """Makes trials: seg is exponential in CRF with a bend, bytes fall."""

    def __init__(self, seg: float = 0.01, slope: float = 0.05, bend: float = 0.0) -> None:
        self.seg, self.slope, self.bend = seg, slope, bend
        self.asked: list[int] = []

    def trial(self, crf: int) -> Trial:
        away = crf - 40
        seg = min(1.0, self.seg * math.exp(self.slope * away + self.bend * away * abs(away)))
        size = round(30_000 * math.exp(-0.07 * away))
        made = judged(Trial("svtav1", {"crf": crf}, size, 10**6, seg, 0.001, 1.0, 1.0))
        return replace(made, figures=flat(seg, 0.001, size, 10**6, worst=min(1.0, 3 * seg)))

    def __call__(self, crf: int) -> Trial:
        self.asked.append(crf)
        return self.trial(crf)


@pytest.mark.parametrize("slope", [0.02, 0.05, 0.12])
@pytest.mark.parametrize("bend", [0.0, 0.001, -0.0003])
@pytest.mark.parametrize("bound", [0.004, 0.01, 0.03, 0.0101])
@pytest.mark.parametrize("start", [16, 35, 63])
def test_the_highest_crf_within_a_limit_is_found(
    slope: float, bend: float, bound: float, start: int
) -> None:
    law = Law(slope=slope, bend=bend)
    found = cheapest(law, Limits(seg=bound), CRFS, start)
    within = [crf for crf in CRFS if law.trial(crf).seg <= bound]
    assert len(law.asked) == len(set(law.asked)) <= 6
    if within:
        assert found.seg <= bound
        assert max(within) - found.settings["crf"] <= 1
    else:
        assert found.settings["crf"] == CRFS[0]


def test_most_searches_end_at_the_very_crf() -> None:
    exact, encodes = 0, 0
    cases = list(itertools.product((0.03, 0.05, 0.08), (0.0, 0.0005), (0.005, 0.01, 0.02), (35,)))
    for slope, bend, bound, start in cases:
        law = Law(slope=slope, bend=bend)
        found = cheapest(law, Limits(seg=bound), CRFS, start)
        within = [crf for crf in CRFS if law.trial(crf).seg <= bound]
        exact += found.settings["crf"] == max(within, default=CRFS[0])
        encodes += len(law.asked)
    assert exact >= 0.9 * len(cases)
    assert encodes <= 4.5 * len(cases)


@pytest.mark.parametrize("size", [4_000, 20_000, 30_000, 100_000, 5_000])
def test_a_limit_on_bytes_alone_takes_the_lowest_crf_within_it(size: int) -> None:
    law = Law()
    found = cheapest(law, Limits(bytes=size), CRFS, 35)
    within = [crf for crf in CRFS if law.trial(crf).bytes <= size]
    assert found.settings["crf"] == (min(within) if within else CRFS[-1])
    assert len(law.asked) <= 6


def test_the_worst_frame_binds_where_it_is_the_hardest() -> None:
    law = Law()
    limits = Limits(seg=0.02, more=(Bound("seg", "worst", 0.03),))
    found = cheapest(law, limits, CRFS, 20)
    assert found.judged.worst_seg <= 0.03 < law.trial(found.settings["crf"] + 2).judged.worst_seg


def test_where_limits_exclude_each_other_the_nearest_is_returned() -> None:
    law = Law()
    limits = Limits(seg=0.005, bytes=1000)
    found = cheapest(law, limits, CRFS, 35)
    assert limits.missed(found.judged)
    assert limits.excess(found.judged) == min(
        limits.excess(law.trial(crf).judged) for crf in law.asked
    )


def test_everything_is_kept_or_nothing() -> None:
    law = Law()
    assert cheapest(law, Limits(seg=1.0), CRFS, 35).settings["crf"] == 63
    assert cheapest(law, Limits(seg=0.0), CRFS, 35).settings["crf"] == 16
    assert cheapest(law, Limits(bytes=10**9), CRFS, 35).settings["crf"] == 16


def test_encodes_are_bounded() -> None:
    law = Law(slope=0.005)
    cheapest(law, Limits(seg=0.0101), CRFS, 16, CheapestTuning(most=2))
    assert len(law.asked) == 2


def test_noise_loses_no_file_that_keeps_the_limits() -> None:
    law = Law()

    def noisy(crf: int) -> Trial:
        made = law(crf)
        seg = made.seg * (1.3 if crf % 3 == 0 else 1.0)
        return replace(made, seg=seg, figures=flat(seg, 0.001, made.bytes, 10**6))

    found = cheapest(noisy, Limits(seg=0.01), CRFS, 30)
    assert found.seg <= 0.01
    assert found.settings["crf"] >= 35
