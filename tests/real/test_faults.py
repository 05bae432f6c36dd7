"""The small faulty inputs beside the checkout: each is read as its README says, or refused."""

from fractions import Fraction

import numpy as np
import pytest

from seesame.errors import DamagedError
from seesame.video.reading.reader import open_clip

pytestmark = pytest.mark.real


@pytest.fixture
def faults(shared):
    folder = shared / "data" / "faults"
    if not folder.is_dir():
        pytest.skip("needs ../shared/data/faults beside the checkout")
    return folder


def pixels(path):
    return np.concatenate(list(open_clip(path).batches(16)))


@pytest.mark.parametrize(
    ("name", "oddity"),
    [
        ("gap1h.mkv", "timestamps jump by 1:00:00 after frame 24"),
        ("gap1h.mp4", "timestamps jump by 1:00:00 after frame 24"),
        ("epoch.mkv", "timestamps jump by 472222:13:20 after frame 0"),
        ("thumb_first.mov", None),
        ("two_cameras.mp4", "the file holds 2 videos"),
        ("sei_truncated.mp4", None),
        ("ligogps.ts", None),
        ("tail.mp4", None),
        ("mp4_inside.h264", None),
    ],
)
def test_frames_and_rate_of_the_sound_clip(faults, name, oddity):
    clip = open_clip(faults / name)
    assert (clip.fps, clip.num_frames) == (25, 50)
    assert np.array_equal(pixels(faults / name), pixels(faults / "base.mp4"))
    assert np.allclose(np.diff(clip.times.seconds), 0.04)
    assert len(clip.oddities) == (oddity is not None)
    assert all(text.startswith(oddity) for text in clip.oddities)


def test_two_edits(faults):
    clip = open_clip(faults / "two_edits.mp4")
    assert (clip.fps, clip.num_frames) == (25, 20)
    chosen = pixels(faults / "base.mp4")[[*range(5, 15), *range(35, 45)]]
    assert np.array_equal(pixels(faults / "two_edits.mp4"), chosen)


def test_the_second_camera(faults):
    second = open_clip(faults / "two_cameras.mp4", stream=1)
    assert second.num_frames == 50
    assert not np.array_equal(next(second.batches(1))[0], pixels(faults / "base.mp4")[0])


def test_joined_files(faults):
    clip = open_clip(faults / "twice.ts")
    base = pixels(faults / "base.mp4")
    assert np.array_equal(pixels(faults / "twice.ts"), np.concatenate([base, base]))
    assert clip.times.seconds[-1] - clip.times.seconds[0] == pytest.approx(99 / 25)


def test_a_crop(faults):
    assert np.array_equal(pixels(faults / "crop.mkv"), pixels(faults / "base.mp4")[:, :96])


def test_full_range_tagged_rgb(faults):
    clip = open_clip(faults / "gbr_full.mp4")
    assert clip.num_frames == 50
    assert next(clip.batches(1)).std() > 10


def test_uncompressed_frames(faults):
    clip = open_clip(faults / "clip.y4m")
    assert (clip.width, clip.height, clip.fps, clip.num_frames) == (160, 120, Fraction(25), 5)


def test_lost_pictures(faults):
    with pytest.raises(DamagedError, match="pictures are missing before packet 8"):
        pixels(faults / "lost_p.mkv")
    clip = open_clip(faults / "lost_p.mkv", allow_damage=True)
    assert clip.num_frames == 48
    assert clip.oddities[0].startswith("damage is allowed: 2 pictures are missing")
