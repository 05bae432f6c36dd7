"""The TIMES section: any rising timestamps come back, and no bytes can ask for much memory."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seesame.bitstream.stamps import pack_times, unpack_times
from seesame.bitstream.varint import pack_varint
from seesame.bounds import BOUNDS
from seesame.errors import DamagedError

RATES = st.fractions(Fraction(1, 10), 240, max_denominator=1001)
TICKS = st.sampled_from([Fraction(1, 1000), Fraction(1, 90000), Fraction(1001, 30000), Fraction(2)])


@given(
    st.integers(-(1 << 40), 1 << 40),
    st.lists(st.integers(1, 1 << 20), max_size=60),
    TICKS,
    st.integers(1, 1 << 30),
    RATES,
)
def test_uneven_times_come_back(start, gaps, tick, duration, fps) -> None:
    pts = [start]
    for gap in gaps:
        pts.append(pts[-1] + gap)
    payload = pack_times(pts, tick, duration, fps)
    if payload is None:
        assert [stamp * tick for stamp in pts] == [number / fps for number in range(len(pts))]
        assert duration * tick == 1 / fps
        return
    found = unpack_times(payload, len(pts), fps)
    assert list(found) == pts
    assert (found.time_base, found.duration) == (tick, duration)


@pytest.mark.parametrize(
    ("fps", "tick", "step", "start", "last", "size"),
    [
        (Fraction(25), Fraction(1, 12800), 512, 0, 512, None),
        (Fraction(30000, 1001), Fraction(1, 30000), 1001, 0, 1001, None),
        (Fraction(25), Fraction(1, 1000), 40, 5, 40, 2),
        (Fraction(30000, 1001), Fraction(1, 30000), 1001, 0, 900, 5),
    ],
)
def test_an_even_rate_takes_a_few_bytes(fps, tick, step, start, last, size) -> None:
    payload = pack_times([start + step * i for i in range(500)], tick, last, fps)
    assert (payload and len(payload)) == size


def test_a_clock_that_only_rounds_takes_no_more_for_more_frames() -> None:
    fps = Fraction(30000, 1001)
    pts = [int(1000 * number / fps + Fraction(1, 2)) for number in range(5000)]
    payload = pack_times(pts, Fraction(1, 1000), 33, fps)
    assert payload is not None
    assert len(payload) < 16
    assert list(unpack_times(payload, 5000, fps)) == pts


@given(st.binary(max_size=40), st.integers(1, 1 << 31))
def test_any_bytes_are_refused_or_give_rising_times(payload: bytes, num_frames: int) -> None:
    try:
        found = unpack_times(payload, num_frames, Fraction(30))
    except DamagedError:
        return
    assert num_frames <= BOUNDS.frames
    assert len(found.changes) <= len(payload) // 2
    stamps = iter(found)
    last = next(stamps)
    for _, stamp in zip(range(200), stamps, strict=False):
        assert stamp > last
        last = stamp


@pytest.mark.parametrize(
    "numbers",
    [
        (),
        (0,),
        (0, 0, 1, 1, 1, 0, 1),
        (0, 1, 1000, 1, 2, 0, 1),  # half a tick a frame
        (0, 1, 1000, 40, 1, 0, 0),  # a last frame of no length
        (0, 1, 1000, 40, 1, 0, 40, 1, 79),  # back by a whole frame
        (0, 1, 1000, 40, 1, 0, 40, 0, 2),
        (0, 1, 1000, 40, 1, 0, 40, 10, 2),  # behind the last frame
        (40, 0, 0),
        (40, 0, 40, 0),
    ],
)
def test_damage_is_refused(numbers: tuple[int, ...]) -> None:
    with pytest.raises(DamagedError):
        unpack_times(b"".join(map(pack_varint, numbers)), 10, Fraction(25))


def test_times_that_do_not_fit_are_refused() -> None:
    for pts, tick, duration in (
        ([0, 0], Fraction(1, 90), 3),
        ([0, 1 << 62], Fraction(1, 90), 3),
        ([0, 2], Fraction(1, 90), 0),
        ([0, 2], Fraction(1, 1 << 40), 3),
    ):
        with pytest.raises(ValueError, match=r"."):
            pack_times(pts, tick, duration, Fraction(30))
