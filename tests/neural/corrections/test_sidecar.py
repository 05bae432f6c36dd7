import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from seesame.bitstream.entropy import SymbolEncoder
from seesame.errors import DamagedError
from seesame.neural.corrections.apply import apply
from seesame.neural.corrections.sidecar import (
    FIELDS,
    KINDS,
    LIMIT,
    MAX_PAIRS,
    Corrections,
    pack_sidecar,
    unpack_sidecar,
    without,
)

FRAMES = 127.5 + 100 * torch.sin(torch.arange(2 * 2 * 3 * 9 * 13) * 0.37).view(2, 2, 3, 9, 13)


def one(field: str, value: int, frame: int = 1) -> torch.Tensor:
    """Values of two pairs, of which only the second pair has one correction."""
    values = torch.zeros(2, 2, len(FIELDS), dtype=torch.int8)
    values[1, frame, FIELDS.index(field)] = value
    return values


@st.composite
def corrections(draw: st.DrawFn) -> Corrections:
    count = draw(st.integers(1, 20))
    limit = draw(st.sampled_from([1, 3, LIMIT]))
    values = draw(hnp.arrays(np.int8, (count, 2, len(FIELDS)), elements=st.integers(-limit, limit)))
    used = draw(hnp.arrays(np.bool_, (count, 2, len(FIELDS))))
    present = draw(hnp.arrays(np.bool_, (2, len(FIELDS))))
    return Corrections(values * used * present)


@settings(max_examples=100, deadline=None)
@given(corrections())
def test_corrections_come_back(made: Corrections) -> None:
    payload = pack_sidecar(made)
    if not made.values.any():
        assert payload == b""
        return
    found = unpack_sidecar(payload, len(made.values), "s").values
    np.testing.assert_array_equal(found, made.values)
    assert found.dtype == np.int8


def test_mostly_zero_is_cheap() -> None:
    made = Corrections.none(600)
    made.values[::60, 0, 0] = [3, -2, 5, 1, 1, -4, 2, 2, -1, 7]
    # Ten of six hundred: 0.12 bits each to say which, and a few bits a value.
    assert len(pack_sidecar(made)) < 25


def test_a_column_of_one_value_is_cheap() -> None:
    made = Corrections.none(1000)
    made.values[:, 1, 4] = 1
    assert len(pack_sidecar(made)) < 30


@pytest.mark.parametrize("values", [np.full((2, 2, 7), 128), np.full((2, 2, 7), -128)])
def test_values_out_of_range_are_not_written(values: np.ndarray) -> None:
    with pytest.raises(ValueError, match="no sidecar"):
        pack_sidecar(Corrections(values))


def test_impossible_sidecars_are_refused() -> None:
    def packed(mode: int, limit: int, column: list[int]) -> bytes:
        coder = SymbolEncoder()
        coder.adaptive([mode] + [0] * 13, 3)
        if mode == 2:
            coder.adaptive([1] * 3, 2)
        if mode:
            coder.uniform([limit], LIMIT + 1)
            coder.uniform([80], 256)
            coder.laplace(column, 80, limit)
        return coder.to_bytes()

    unpack_sidecar(packed(1, 5, [1, 0, 2]), 3, "s")
    unpack_sidecar(packed(2, 127, [-127, 126, 0]), 3, "s")
    for damaged in (
        b"",
        packed(0, 0, []),
        packed(1, 5, [0, 0, 0]),
        packed(1, 0, [0, 0, 0]),
        packed(2, 127, [1, 127, 1]),
        packed(1, 5, [1, 0, 2]) + b"\1",
        packed(1, 5, [1, 0, 2])[:1],
    ):
        with pytest.raises(DamagedError):
            unpack_sidecar(damaged, 3, "s")
    with pytest.raises(DamagedError, match="too many"):
        unpack_sidecar(packed(1, 5, [1, 0, 2]), MAX_PAIRS + 1, "s")


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60), st.integers(1, 50))
def test_noise_is_refused_or_bounded(payload: bytes, num_pairs: int) -> None:
    try:
        found = unpack_sidecar(payload, num_pairs, "s")
    except DamagedError:
        return
    assert found.values.shape == (num_pairs, 2, len(FIELDS))
    assert found.values.any()
    assert np.abs(found.values.astype(int)).max() <= LIMIT


def test_no_correction_changes_nothing() -> None:
    assert torch.equal(apply(FRAMES, one("right", 0)), FRAMES)


@pytest.mark.parametrize("frame", [0, 1])
@pytest.mark.parametrize("field", FIELDS)
def test_only_the_named_frame_changes(field: str, frame: int) -> None:
    found = apply(FRAMES, one(field, -3, frame))
    changed = (found != FRAMES).flatten(2).any(2)
    expected = torch.zeros(2, 2, dtype=torch.bool)
    expected[1, frame] = True
    assert torch.equal(changed, expected)


@pytest.mark.parametrize(("field", "axis"), [("right", -1), ("down", -2)])
def test_sixteen_steps_are_a_pixel(field: str, axis: int) -> None:
    side = FRAMES.shape[axis]
    after = (torch.arange(side) + 1).clamp(max=side - 1)
    whole = FRAMES[1, 1].index_select(axis, after)
    assert torch.equal(apply(FRAMES, one(field, 16))[1, 1], whole)
    half = (FRAMES[1, 1] + whole) / 2
    torch.testing.assert_close(apply(FRAMES, one(field, 8))[1, 1], half)


def test_zoom_leaves_the_middle_and_moves_the_edges() -> None:
    ramp = torch.arange(129.0).expand(1, 2, 3, 9, 129).clone()
    values = torch.zeros(1, 2, len(FIELDS), dtype=torch.int8)
    values[:, 0, FIELDS.index("zoom")] = -32
    found = apply(ramp, values)[0, 0, 0, 4]
    # A step is 1/2048 of the distance from the middle.
    torch.testing.assert_close(found, 64 + (torch.arange(129.0) - 64) * (1 - 32 / 2048))


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        ("gain", FRAMES[1, 1] + (FRAMES[1, 1] - 127.5) * 6 / 256),
        ("grey", FRAMES[1, 1] + 1.5),
        ("red", FRAMES[1, 1] + torch.tensor([1.5, 0, 0])[:, None, None]),
        ("blue", FRAMES[1, 1] + torch.tensor([0, 0, 1.5])[:, None, None]),
    ],
)
def test_gain_and_levels(field: str, expected: torch.Tensor) -> None:
    torch.testing.assert_close(apply(FRAMES, one(field, 6))[1, 1], expected)


def test_kinds_are_counted_and_cover_all_fields() -> None:
    assert sorted(field for fields in KINDS.values() for field in fields) == list(range(7))
    made = Corrections.none(5)
    made.values[1:3, 0, 0] = 2
    made.values[2, 1, 1] = 1
    made.values[4, 1, 6] = -1
    assert made.counts() == {"shift": 2, "zoom": 0, "gain": 0, "colour": 1}
    assert not without(made.values, KINDS["shift"])[:4].any()
    assert made.values[1, 0, 0] == 2
