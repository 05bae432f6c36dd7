"""Parts of a clip in lossless files."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seesame.errors import DamagedError
from seesame.search.excerpt import cut_out, even_cuts, sample, windows
from seesame.video.clip import ArrayClip
from seesame.video.reading.reader import open_clip


@pytest.mark.parametrize(
    ("frames", "length", "cuts"),
    [(12, 6, [6]), (12, 5, [4, 8]), (13, 6, [6]), (16, 6, [6, 12]), (5, 6, []), (4, 1, [2])],
)
def test_even_cuts(frames: int, length: int, cuts: list[int]) -> None:
    assert even_cuts(frames, length) == cuts


def test_parts_are_cut_out_without_loss(drive: Path, tmp_path: Path) -> None:
    clip = open_clip(drive)
    whole = np.concatenate(list(clip.batches(5)))
    start = 0
    for piece in cut_out(clip, [4, 10], tmp_path):
        part = np.concatenate(list(open_clip(piece.path).batches(5)))
        assert np.array_equal(part, whole[start : start + piece.frames])
        assert piece.source_bytes == round(clip.source_bytes * piece.frames / 12)
        start += piece.frames
    assert start == 12
    assert not list(tmp_path.iterdir())


def test_a_sample_is_its_windows(drive: Path, tmp_path: Path) -> None:
    clip = open_clip(drive)
    whole = np.concatenate(list(clip.batches(5)))
    piece = sample(clip, [(2, 4), (4, 6), (10, 12)], tmp_path)
    part = np.concatenate(list(open_clip(piece.path).batches(5)))
    assert np.array_equal(part, whole[[2, 3, 4, 5, 10, 11]])
    assert (piece.frames, piece.source_bytes) == (6, round(clip.source_bytes / 2))


def test_a_clip_that_ends_early(tmp_path: Path) -> None:
    class Short(ArrayClip):
        def batches(self, batch_size: int):  # type: ignore[no-untyped-def]
            yield self.frames[:6]

    clip = Short(np.zeros((12, 64, 64, 3), np.uint8))
    with pytest.raises(DamagedError, match="promises 12 frames"):
        sample(clip, [(2, 4), (8, 10)], tmp_path)
    with pytest.raises(DamagedError, match="promises 12 frames"):
        list(cut_out(clip, [4], tmp_path))


@given(
    st.integers(2, 5000),
    st.floats(0.1, 200),
    st.sampled_from([Fraction(20), Fraction(30000, 1001)]),
)
def test_windows_are_spread_evenly(num_frames: int, seconds: float, fps: Fraction) -> None:
    clip = ArrayClip(np.zeros((num_frames, 1, 1, 3), np.uint8), fps)
    spans = windows(clip, seconds)
    flat = [frame for span in spans for frame in span]
    assert flat == sorted(flat)
    assert 0 <= flat[0] <= flat[-1] <= num_frames
    if spans == [(0, num_frames)]:
        return
    assert all(start % 2 == 0 and (end - start) % 2 == 0 and end > start for start, end in spans)
    total = sum(end - start for start, end in spans)
    assert total <= max(2, seconds * fps + 1)
    gaps = np.diff([0, *flat, num_frames])[::2]
    assert gaps[1:-1].max(initial=0) - gaps[1:-1].min(initial=num_frames) <= 2
