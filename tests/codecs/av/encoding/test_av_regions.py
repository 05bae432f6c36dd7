from fractions import Fraction

import numpy as np
from av.video.frame import VideoFrame
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from seesame.codecs.av.encoding.regions import regions, with_regions


@given(
    hnp.arrays(
        np.int64, st.tuples(st.integers(1, 7), st.integers(1, 7)), elements=st.integers(0, 3)
    )
)
def test_regions_cover_every_block_once(offsets: np.ndarray) -> None:
    drawn = np.zeros_like(offsets)
    for column, row, width, height, offset in regions(offsets):
        part = drawn[row : row + height, column : column + width]
        assert part.shape == (height, width)
        assert not part.any()
        part[:] = offset
    assert np.array_equal(drawn, offsets)


def test_equal_rows_are_one_region() -> None:
    offsets = np.array([[2, 2, 0, 1], [2, 2, 0, 3], [2, 2, 5, 5]])
    assert regions(offsets) == [(0, 0, 2, 3, 2), (2, 2, 2, 1, 5), (3, 0, 1, 1, 1), (3, 1, 1, 1, 3)]


def test_the_picture_stays_as_it_is() -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (96, 64), dtype=np.uint8)
    picture = VideoFrame.from_ndarray(rgb, format="yuv420p")
    picture.pts, picture.time_base = 7, Fraction(1, 25)
    assert with_regions(picture, np.zeros((4, 4), np.int64), 16) is picture
    shown = with_regions(picture, np.arange(16).reshape(4, 4), 16)
    assert np.array_equal(shown.to_ndarray(), rgb)
    assert (shown.pts, shown.time_base) == (7, Fraction(1, 25))
    assert len(shown.side_data.keys()) == 1
