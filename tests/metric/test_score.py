import dataclasses

import pytest

from seesame.metric.score import Score


def test_total_is_the_challenge_formula() -> None:
    assert Score(seg=0.01, pose=0.4, rate=0.02).total == pytest.approx(1.0 + 0.5 + 2.0)
    assert Score(seg=0.0, pose=0.0, rate=0.0).total == 0.0


def test_a_score_does_not_change() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Score(0.0, 0.0, 0.0).seg = 1.0  # type: ignore[misc]
