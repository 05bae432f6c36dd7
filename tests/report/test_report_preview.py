import io
import zlib

import numpy as np
import pytest
from PIL import Image
from tiny_stack import TinyStack

from seesame.report.plan import SETTINGS, plan
from seesame.report.preview import Pictures, difference, packed_mask, shrunk
from seesame.report.tracks import Tracks


class Sized:
    """As much of a clip as a plan asks for."""

    def __init__(self, width: int, height: int, num_frames: int) -> None:
        self.width, self.height, self.num_frames = width, height, num_frames


@pytest.mark.parametrize("kind", ["u1", "<i2"])
def test_a_mask_comes_back(kind: str) -> None:
    classes = np.random.default_rng(1).integers(0, 200, (7, 5)).astype(kind)
    data = zlib.decompress(packed_mask(classes))
    rows = np.frombuffer(data, kind).reshape(7, 5).copy()
    for row in range(1, 7):
        rows[row] ^= rows[row - 1]
    assert np.array_equal(rows, classes)


def test_a_difference_is_the_root_of_the_mean() -> None:
    source = np.full((8, 8, 3), 100, dtype=np.uint8)
    decoded = source.copy()
    decoded[:4, :4] = (100, 91, 118)  # a mean of 9
    found = np.asarray(difference(source, decoded, (2, 2)))
    assert found.tolist() == [[round((9 * 255) ** 0.5), 0], [0, 0]]
    assert np.array_equal(found, np.asarray(difference(decoded, source, (2, 2))))
    opposite = difference(source * 0, source * 0 + 255, (2, 2))
    assert np.asarray(opposite).max() == 255


def test_pictures_fit_their_budget() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (40, 90, 160, 3), dtype=np.uint8)
    frames = [Image.fromarray(frame) for frame in noise]
    free, bound = Pictures(40, None), Pictures(40, 40 * 5500)
    assert sum(len(free.encoded(frame)) for frame in frames) > 40 * 7000
    sizes = [len(bound.encoded(frame)) for frame in frames]
    assert sum(sizes) <= 1.03 * 40 * 5500
    assert sum(sizes) > 0.8 * 40 * 5500
    assert Image.open(io.BytesIO(bound.encoded(frames[0]))).size == (160, 90)


def test_frames_shrink_by_averaging() -> None:
    frame = np.zeros((4, 4, 3), dtype=np.uint8)
    frame[::2] = 200
    assert np.asarray(shrunk(frame, (2, 2))).tolist() == [[[100] * 3] * 2] * 2
    assert np.array_equal(np.asarray(shrunk(frame, (4, 4))), frame)


def test_plans() -> None:
    stack = TinyStack()
    ten_seconds = plan(Sized(960, 540, 221), 3, stack)
    assert ten_seconds is not None
    assert ten_seconds.one_file
    assert ten_seconds.picture == (360, 640)
    characters = 4 / 3 * (4 * ten_seconds.picture_bytes + 3 * ten_seconds.difference_bytes)
    assert characters < SETTINGS.most_characters
    long = plan(Sized(1164, 874, 1200), 3, stack)
    assert long is not None
    assert not long.one_file
    assert long.picture_bytes is None
    assert plan(Sized(1164, 874, 1200), 3, stack, one_file=True) is None
    small = plan(Sized(256, 128, 1200), 3, stack, one_file=True)
    assert small is not None
    assert small.picture == (128, 256)


def test_tracks_hold_items_in_order() -> None:
    tracks = Tracks()
    for index in range(40):
        tracks.add("p0", bytes([index]) * 2)
    sizes = tracks.close()
    assert sizes == {"p0": [4] * 40}
    assert [len(tracks.chunks[name]) for name in ("p0-0", "p0-1")] == [4 * 32, 4 * 8]
