"""The real clips, read from end to end."""

from fractions import Fraction

import av
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from seesame.errors import DamagedError
from seesame.video.reading.reader import open_clip
from seesame.video.writing.writer import write_clip

pytestmark = pytest.mark.real


@pytest.mark.parametrize(
    ("name", "width", "height", "fps", "count"),
    [
        ("highway", 960, 540, Fraction(25), 221),
        ("dusk", 640, 360, Fraction(24000, 1001), 296),
        ("forest", 640, 360, Fraction(30000, 1001), 1231),
        ("motorway", 640, 360, Fraction(30000, 1001), 248),
        ("comma_minute", 256, 128, Fraction(20), 1200),
    ],
)
def test_clips(shared, name, width, height, fps, count):
    path = shared / "data" / "clips" / f"{name}.mp4"
    clip = open_clip(path)
    assert (clip.width, clip.height, clip.fps) == (width, height, fps)
    assert clip.source_bytes == path.stat().st_size
    assert clip.num_frames == count
    assert next(clip.batches(8)).shape == (8, height, width, 3)


def test_highway_frames_follow_the_published_formula(shared):
    path = shared / "data" / "clips" / "highway.mp4"
    batch = next(open_clip(path).batches(3))
    with av.open(str(path)) as container:
        for got, frame in zip(batch, container.decode(video=0), strict=False):
            planes = [np.frombuffer(p, np.uint8).reshape(-1, p.line_size) for p in frame.planes]
            y = torch.from_numpy(planes[0][:, :960].copy()).float()
            u, v = (
                F.interpolate(
                    torch.from_numpy(p[:, :480].copy()).float()[None, None],
                    size=(540, 960),
                    mode="bilinear",
                    align_corners=False,
                )[0, 0]
                for p in planes[1:]
            )
            y, u, v = (y - 16) * (255 / 219), (u - 128) * (255 / 224), (v - 128) * (255 / 224)
            rgb = [y + 1.402 * v, y - 0.344136 * u - 0.714136 * v, y + 1.772 * u]
            expected = torch.stack([c.clamp(0, 255) for c in rgb], -1).round().to(torch.uint8)
            assert np.array_equal(got, expected.numpy())


def test_truncated_highway_is_refused(shared, tmp_path):
    data = (shared / "data" / "clips" / "highway.mp4").read_bytes()
    path = tmp_path / "cut.mp4"
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(DamagedError, match=r"cut\.mp4"):
        for _ in open_clip(path).batches(16):
            pass


def test_damaged_highway_is_refused(shared, tmp_path):
    data = bytearray((shared / "data" / "clips" / "highway.mp4").read_bytes())
    middle = len(data) // 2
    data[middle : middle + 20_000] = bytes(20_000)
    path = tmp_path / "hole.mp4"
    path.write_bytes(data)
    with pytest.raises(DamagedError, match=r"hole\.mp4"):
        for _ in open_clip(path).batches(16):
            pass


def test_camera_pictures(shared):
    clip = open_clip(shared / "data" / "comma_frames")
    assert (clip.width, clip.height, clip.num_frames, clip.fps) == (1164, 874, 10, 20)
    assert [len(b) for b in clip.batches(4)] == [4, 4, 2]


def test_grey_pictures(shared):
    folder = shared / "data" / "kitti_odometry"
    pictures = sorted(folder.rglob("*.png"))
    clip = open_clip(pictures[0].parent, fps=10)
    assert (clip.width, clip.height, clip.num_frames) == (1226, 370, 51)
    first = next(clip.batches(1))[0]
    assert np.array_equal(first, np.dstack([np.asarray(Image.open(pictures[0]))] * 3))


def test_camera_frames_round_trip(shared, tmp_path):
    clip = open_clip(shared / "data" / "comma_frames")
    for name in ("a.mkv", "a.raw"):
        size = {"width": clip.width, "height": clip.height}
        assert write_clip(tmp_path / name, clip.batches(4), fps=clip.fps, **size) == 10
        back = open_clip(tmp_path / name)
        pairs = zip(clip.batches(4), back.batches(4), strict=True)
        assert all(np.array_equal(a, b) for a, b in pairs)
