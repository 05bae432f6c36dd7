import pytest

from seesame.codecs.hnerv.config import HnervSettings
from seesame.metric.limits import Limits
from seesame.metric.score import Score

SCORE = Score(seg=0.01, pose=0.001, rate=0.02)  # 1 + 0.5 + 0.1


def test_no_limit_is_kept_by_anything() -> None:
    assert not Limits().given
    assert Limits().missed(SCORE, 10**9) == {}
    assert Limits().excess(SCORE, 10**9) == 0


def test_a_bound_is_kept_up_to_its_own_value() -> None:
    limits = Limits(seg=0.01, pose=0.001, bytes=5000)
    assert limits.given
    assert limits.missed(SCORE, 5000) == {}
    assert limits.missed(SCORE, 5001) == {"bytes": 1}


def test_what_is_missed_is_told_by_how_much() -> None:
    limits = Limits(score=1.2, seg=0.02, pose=0.0004)
    missed = limits.missed(SCORE, 1)
    assert missed == pytest.approx({"score": 0.4, "pose": 0.0006})
    assert limits.excess(SCORE, 1) == pytest.approx(0.4 / 1.2 + 1.5)


def test_a_bound_of_zero_can_be_missed() -> None:
    assert Limits(seg=0.0).excess(SCORE, 1) > 0


def test_settings_make_limits_and_a_size_to_aim_at() -> None:
    settings = HnervSettings.from_mapping({"target_score": 1, "max_seg": 0.1, "max_bytes": 10_000})
    assert settings.limits == Limits(score=1, seg=0.1, bytes=10_000)
    assert settings.aim(50_000) == 9700
    assert settings.aim(4000) == 4000
    assert HnervSettings(bytes=7000).aim(50_000) == 7000
    assert HnervSettings(bytes=20_000, max_bytes=10_000).aim(50_000) == 9700
