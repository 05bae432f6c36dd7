import pickle
from typing import Any

import pytest
from judged import flat

from seesame.codecs.hnerv.config import HnervSettings
from seesame.errors import UserError
from seesame.metric.limits import Bound, Limits, class_named

FOUND = flat(0.01, 0.001, 1000, worst=0.03, lost=(("lane markings", 0.12), ("road", 0.001)))
"""Score 1 + 0.1 + 0.5."""
CLASSES = ("road", "lane markings", "undrivable", "movable", "my car")


def test_no_limit_is_kept_by_anything() -> None:
    for limits in (Limits(), Limits(challenge_rule=True)):
        assert not limits.given
        assert limits.missed(FOUND) == []
        assert limits.excess(FOUND) == 0


def test_a_bound_is_kept_up_to_its_own_value() -> None:
    limits = Limits(seg=0.01, pose=0.001, bytes=1000)
    assert limits.given
    assert limits.missed(FOUND) == []
    assert Limits(bytes=999).missed(FOUND) == [("bytes", 1000, 999)]


def test_what_is_missed_is_told_beside_what_the_file_has() -> None:
    limits = Limits(score=1.2, seg=0.02, pose=0.0004)
    missed = limits.missed(FOUND)
    assert [held.name for held in missed] == ["score", "pose"]
    assert [held.by for held in missed] == pytest.approx([FOUND.score - 1.2, 0.0006])
    assert limits.excess(FOUND) == pytest.approx((FOUND.score - 1.2) / 1.2 + 1.5)


def test_a_bound_of_zero_can_be_missed() -> None:
    assert Limits(seg=0.0).excess(FOUND) > 0


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("p95=0.01", True),
        ("p96=0.01", False),
        ("worst=0.03", True),
        ("WORST=0.0299", False),
        ("lane=0.12", True),
        ("markings=0.119", False),
        ("lane_markings=0.119", False),
        ("car=0", True),  # the source has no pixel of it
        ("mean=0.009", False),
    ],
)
def test_percentiles_the_worst_and_classes(text: str, kept: bool) -> None:
    limits = Limits.from_settings({"max_seg": text}).resolved(CLASSES)
    assert (limits.missed(FOUND) == []) is kept
    assert limits.on_seg
    assert limits.every_frame


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"max_seg": [0.01, "p95=0.02", "lane=0.05"]}, "seg"),
        ({"max_pose": ["p90=0.1", "worst=1"], "max_bytes": 900}, "pose"),
        ({"target_score": 1.5, "challenge_rule": True}, "score"),
        ({"max_seg": "0.5"}, "seg"),
    ],
)
def test_settings_and_back(settings: dict[str, Any], name: str) -> None:
    limits, others = Limits.split({**settings, "crf": 3})
    assert others == {"crf": 3}
    assert Limits.from_settings(limits.settings()) == limits
    assert pickle.loads(pickle.dumps(limits)) == limits
    assert hash(limits) == hash(Limits.from_settings(settings))
    assert name in str(limits)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"max_seg": "p95"}, "give a number"),
        ({"max_seg": "p0=0.1"}, "p1 to p99"),
        ({"max_seg": "p100=0.1"}, "p1 to p99"),
        ({"max_seg": "=0.1"}, "p1 to p99"),
        ({"max_seg": "lane=nan"}, "0 or more"),
        ({"max_seg": "lane=-1"}, "0 or more"),
        ({"max_seg": True}, "0 or more"),
        ({"max_seg": 1.5}, "between 0 and 1"),
        ({"max_seg": [0.1, "mean=0.2"]}, "has a bound already"),
        ({"max_seg": ["worst=0.1", "worst=0.2"]}, "has a bound already"),
        ({"max_pose": "lane=0.1"}, "max_pose=lane=0.1: give a number"),
        ({"max_bytes": 10.5}, "whole number"),
        ({"max_bytes": 0}, "whole number"),
        ({"challenge_rule": "yes"}, "true or false"),
    ],
)
def test_bounds_that_mean_nothing_are_refused(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words):
        Limits.from_settings(settings)


def test_short_names_of_classes() -> None:
    assert class_named("lane", CLASSES) == "lane markings"
    assert class_named("My-Car", CLASSES) == "my car"
    assert class_named("m", ("my car", "other")) == "my car"
    for text, words in [
        ("m", "may be lane markings or movable or my car"),
        ("drivable", "is no class"),
        ("", "may be"),
    ]:
        with pytest.raises(UserError, match=words):
            class_named(text, CLASSES)
    assert class_named("car", ("car", "car roof")) == "car"  # an exact name comes first


def test_one_class_has_one_bound() -> None:
    limits = Limits(more=(Bound("seg", "lane", 0.1), Bound("seg", "markings", 0.2)))
    with pytest.raises(UserError, match="same class"):
        limits.resolved(CLASSES)


def test_figures_of_the_other_rule_are_not_compared() -> None:
    second = flat(every_frame=False)
    with pytest.raises(ValueError, match="every frame"):
        Limits(seg=0.5).missed(second)
    assert Limits(seg=0.5, challenge_rule=True).missed(second) == []
    assert Limits(pose=0.5).missed(second) == []  # a pose has no rule


def test_settings_make_limits_and_a_size_to_aim_at() -> None:
    settings = HnervSettings.from_mapping({"target_score": 1, "max_seg": 0.1, "max_bytes": 10_000})
    assert settings.limits == Limits(score=1, seg=0.1, bytes=10_000)
    assert settings.aim(50_000) == 9700
    assert settings.aim(4000) == 4000
    assert HnervSettings(bytes=7000).aim(50_000) == 7000
    assert HnervSettings(bytes=20_000, max_bytes=10_000).aim(50_000) == 9700
