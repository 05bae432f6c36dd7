"""Curves from names of files, and the BD-rates between them."""

from pathlib import Path

import pytest

from seesame.errors import UserError
from seesame.metric.rates.bd_rate import bd_rate
from seesame.metric.rates.curves import CurvePoint, checked_anchor, compared, curve_names


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("av1-30.mp4", "av1"),
        ("av1_crf35.mp4", "av1"),
        ("av1.crf=35.mp4", "av1"),
        ("drive-x265-crf-28.mkv", "drive-x265"),
        ("x264.mp4", "x264"),
        ("x26423.mp4", "x26423"),
        ("hybrid 60k.ssm", "hybrid"),
        ("hybrid-1.5mb.ssm", "hybrid"),
        ("portable-0.01.mp4", "portable"),
        ("av1crf40.mp4", "av1"),
        ("x265-q28.mp4", "x265"),
        ("freq-30.mp4", "freq"),
        ("seq30.mp4", "seq30"),
        ("Frameräte.q30.mp4", "Frameräte"),
        ("éq30.mp4", "éq30"),
        ("semantic.ssm", "semantic"),
        ("Ünï-7.mp4", "Ünï"),
    ],
)
def test_a_name_without_its_setting_is_the_curve(file: str, name: str) -> None:
    assert curve_names([Path(file), Path("other-1.mp4")])[0] == name


def test_folders_tell_curves_apart() -> None:
    files = [Path("av1/30.mp4"), Path("x265/crf28.mp4"), Path("x265/fast-28.mp4")]
    assert curve_names(files) == ["av1", "x265", "x265/fast"]
    same = [Path("a/drive-1.mp4"), Path("b/drive-1.mp4")]
    assert curve_names(same) == ["a/drive", "b/drive"]


def points(curve: str, scale: float, shift: float = 0.0) -> list[CurvePoint]:
    return [
        CurvePoint(
            f"{curve}-{rate}",
            curve,
            round(scale * rate),
            qualities={"iou": quality + shift, "none": None if curve == "b" else quality},
        )
        for rate, quality in ((1000, 50.0), (2000, 60.0), (4000, 67.0), (8000, 71.0))
    ]


def test_curves_are_compared_at_every_quality() -> None:
    a, b = points("a", 1), points("b", 0.5, 1.0)
    rows = compared([*a, *b])
    assert [(row.quality, row.curve, row.anchor) for row in rows] == [
        ("iou", "b", "a"),
        ("none", "b", "a"),
    ]
    sides = [[(p.bytes, p.qualities["iou"] or 0) for p in curve] for curve in (a, b)]
    assert rows[0].found == bd_rate(sides[0], sides[1])
    assert rows[1].found is None
    assert "b has 0 points" in rows[1].refused
    (other,) = [row for row in compared([*a, *b], "b") if row.found]
    assert other.anchor == "b"
    assert other.found is not None
    assert other.found.percent > 100


def test_what_is_refused() -> None:
    with pytest.raises(UserError, match="one curve, a"):
        compared(points("a", 1))
    with pytest.raises(UserError, match="no curve is called 'c'"):
        checked_anchor(["a", "b", "a"], "c")
    assert checked_anchor(["a", "b"]) == "a"
    with pytest.raises(UserError, match="share no range"):
        compared([*points("a", 1), *points("b", 1, 50)])
