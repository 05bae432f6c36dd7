"""Axes from text, grids, and settings filled in."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seesame.codecs.av.settings import FAMILY
from seesame.errors import UserError
from seesame.search.space import SPACES, Axis, complete, parse_axis


def test_there_is_a_space_for_every_classical_codec() -> None:
    assert set(SPACES) == set(FAMILY)


@pytest.mark.parametrize("name", SPACES)
def test_a_space_holds_only_what_its_codec_takes(name: str) -> None:
    space = SPACES[name]
    for axis in space.axes:
        assert set(axis.coarse) <= set(axis.values)
        for value in axis.values:
            assert complete(name, {axis.name: value})[axis.name] == value
    for start in space.starts:
        assert complete(name, start) == complete(name, {}) | start


@pytest.mark.parametrize("name", SPACES)
def test_a_grid_has_every_combination_once(name: str) -> None:
    settings = [str(one) for one in SPACES[name].grid()]
    assert len(settings) == len(set(settings)) == SPACES[name].size()


def test_the_grids_are_as_large_as_the_challenges() -> None:
    assert SPACES["svtav1"].size() >= 600
    assert SPACES["x265"].size() >= 500


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("crf=20:26:2", (20, 22, 24, 26)),
        ("crf=20:25:2", (20, 22, 24)),
        ("crf=20:22", (20, 21, 22)),
        ("scale=0.5,0.3", (0.3, 0.5)),
        ("scale=0.2:0.4:0.1", (0.2, 0.3, 0.4)),
        ("up=lanczos,bicubic,lanczos", ("lanczos", "bicubic")),
        ("crf=30", (30,)),
    ],
)
def test_axes_from_text(text: str, values: tuple[object, ...]) -> None:
    name = text.partition("=")[0]
    assert parse_axis(text) == Axis(name, values, values)


@pytest.mark.parametrize(
    "text", ["", "crf", "crf=", "=3", "crf=9:3:1", "crf=1:9:0", "crf=1:9:-1", "crf=0:1e9:0.001"]
)
def test_bad_axes(text: str) -> None:
    with pytest.raises(UserError, match="give values, as"):
        parse_axis(text)


@given(st.text(max_size=20))
def test_any_text_is_an_axis_or_a_mistake(text: str) -> None:
    try:
        axis = parse_axis(text)
    except UserError:
        return
    assert axis.name
    assert axis.values


def test_an_axis_replaces_the_spaces_own_and_moves_its_starts() -> None:
    space = SPACES["svtav1"].holding([parse_axis("crf=50,55"), parse_axis("grain=0")])
    assert space.axis("crf").values == (50, 55)
    assert space.size() == SPACES["svtav1"].size() // 8 // 2 * 2
    assert {start["crf"] for start in space.starts} == {50}


def test_values_that_the_codec_refuses_are_refused_at_once() -> None:
    with pytest.raises(UserError, match="crf must be"):
        SPACES["svtav1"].holding([parse_axis("crf=10:90:10")])
    with pytest.raises(UserError, match="no setting 'speed'"):
        SPACES["svtav1"].holding([parse_axis("speed=1,2")])


def test_numbers_that_are_names_become_names() -> None:
    space = SPACES["svtav1"].holding([parse_axis("preset=8,6")])
    assert space.axis("preset").values == ("6", "8")
    assert {start["preset"] for start in space.starts} == {"6"}
    assert all(settings["preset"] in ("6", "8") for settings in space.grid())
    with pytest.raises(UserError, match="preset must be one of"):
        SPACES["x265"].holding([parse_axis("preset=8,6")])


def test_any_setting_may_be_an_axis() -> None:
    texts = ("roi_qp=2,0", "open_gop=true,false", "tune=default,ssim", "depth=8,10")
    space = SPACES["x265"].holding([parse_axis(text) for text in texts])
    assert space.size() == SPACES["x265"].size() * 16
    assert space.axis("roi_qp").values == (0, 2)
    assert space.axis("open_gop").values == (False, True)
    one = next(space.grid())
    assert (one["roi_qp"], one["tune"], one["depth"]) == (0, "default", 8)
    with pytest.raises(UserError, match="no 10-bit coding"):
        SPACES["vp9"].holding([parse_axis("depth=8,10")])


def test_only_classical_codecs_are_searched() -> None:
    with pytest.raises(UserError, match="search is over"):
        complete("hnerv", {})
