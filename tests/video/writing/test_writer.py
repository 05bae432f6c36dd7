import contextlib
import os
import subprocess
from fractions import Fraction

import av
import numpy as np
import pytest
from PIL import Image

from seesame.errors import UserError
from seesame.video.colour import rgb_to_yuv420, rgb_to_yuv444, yuv420_to_rgb
from seesame.video.reading.reader import open_clip
from seesame.video.writing.writer import write_clip

FPS = Fraction(30000, 1001)


def noise(count, height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, height, width, 3), dtype=np.uint8)


def smooth(count, height, width):
    coarse = Image.fromarray(noise(1, 6, 6)[0])
    picture = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC))
    return np.stack([np.roll(picture, t, axis=1) for t in range(count)])


def write(path, frames, **options):
    height, width = frames.shape[1:3]
    batches = (frames[i : i + 2] for i in range(0, len(frames), 2))
    return write_clip(path, batches, fps=FPS, width=width, height=height, **options)


def read(path, size=None):
    return np.concatenate(list(open_clip(path, size=size).batches(3)))


@pytest.mark.parametrize("size", [(48, 64), (47, 63), (2, 2), (1, 1), (3, 2)])
@pytest.mark.parametrize("name", ["a.mkv", "a.mp4", "a.raw", "folder"])
def test_lossless_comes_back_exactly(tmp_path, name, size):
    frames = noise(5, *size)
    assert write(tmp_path / name, frames) == 5
    assert np.array_equal(read(tmp_path / name, size), frames)
    assert [p.name for p in tmp_path.iterdir()] == [name]
    if name in ("a.mkv", "a.mp4"):
        assert open_clip(tmp_path / name).fps == FPS


def test_lossless_without_x264rgb(tmp_path, monkeypatch):
    monkeypatch.setattr(av, "codecs_available", {"ffv1"})
    frames = noise(3, 17, 23)
    write(tmp_path / "a.mkv", frames)
    assert np.array_equal(read(tmp_path / "a.mkv"), frames)
    with pytest.raises(UserError, match=r"a\.mp4.*\.mkv"):
        write(tmp_path / "a.mp4", frames)


@pytest.mark.parametrize("name", ["mkv", "mp4", "raw"])
def test_equal_frames_make_equal_files(tmp_path, name):
    frames = smooth(4, 48, 64)
    paths = [tmp_path / f"{i}.{name}" for i in range(2)]
    for path in paths:
        write(path, frames)
    assert paths[0].read_bytes() == paths[1].read_bytes()


@pytest.mark.parametrize("name", ["a.mkv", "a.mp4"])
@pytest.mark.parametrize("size", [(48, 64), (47, 64), (48, 63), (2, 2)])
def test_crf(tmp_path, name, size):
    frames = smooth(6, *size)
    assert write(tmp_path / name, frames, crf=8) == 6
    got = read(tmp_path / name)
    assert got.shape == frames.shape
    if min(size) > 2:
        assert np.abs(got.astype(int) - frames).mean() < 3
    frame = next(av.open(str(tmp_path / name)).decode(video=0))
    odd = size[0] % 2 or size[1] % 2
    assert frame.format.name == ("yuv444p" if odd else "yuv420p")
    assert (int(frame.color_range), int(frame.colorspace)) == (1, 6)


def test_higher_crf_is_smaller(tmp_path):
    frames = smooth(10, 64, 64)
    for crf in (10, 40):
        write(tmp_path / f"{crf}.mkv", frames, crf=crf)
    assert (tmp_path / "40.mkv").stat().st_size < (tmp_path / "10.mkv").stat().st_size


@pytest.mark.parametrize("size", [(6, 8), (5, 7), (1, 1)])
def test_rgb_to_yuv420_inverts_the_reading(size):
    for rgb in [(0, 0, 0), (255, 255, 255), (200, 60, 30), (30, 90, 220)]:
        frame = np.full((*size, 3), rgb, np.uint8)
        y, u, v = rgb_to_yuv420(frame)
        assert y.shape == size
        assert u.shape == v.shape == ((size[0] + 1) // 2, (size[1] + 1) // 2)
        assert np.abs(yuv420_to_rgb(y, u, v).astype(int) - rgb).max() <= 2
        full = rgb_to_yuv444(frame)
        assert [int(p[0, 0]) for p in full] == [int(p[0, 0]) for p in (y, u, v)]


def test_rgb_to_yuv420_averages_chroma():
    frame = np.zeros((2, 2, 3), np.uint8)
    frame[0, 0] = (0, 0, 255)
    _, u, v = rgb_to_yuv420(frame)
    one = rgb_to_yuv444(frame)
    # The mean is taken before rounding, so it may differ by a step from the mean of bytes.
    assert abs(u[0, 0] - (int(one[1][0, 0]) + 3 * 128) / 4) <= 1
    assert abs(v[0, 0] - (int(one[2][0, 0]) + 3 * 128) / 4) <= 1


def test_existing_output(tmp_path):
    frames = noise(2, 4, 4)
    for name in ("a.mkv", "folder"):
        write(tmp_path / name, frames)
        with pytest.raises(UserError, match="exists already"):
            write(tmp_path / name, frames)
        write(tmp_path / name, frames[:1], overwrite=True)
        assert len(read(tmp_path / name)) == 1


@pytest.mark.parametrize(
    ("name", "options", "match"),
    [
        ("a.gif", {}, "cannot write .gif"),
        ("a.raw", {"crf": 20}, "crf 20"),
        ("folder", {"crf": 20}, "crf 20"),
        ("a.mkv", {"crf": 60}, "crf 60"),
        ("no/a.mkv", {}, "does not exist"),
    ],
)
def test_wrong_requests(tmp_path, name, options, match):
    with pytest.raises(UserError, match=match) as caught:
        write(tmp_path / name, noise(1, 4, 4), **options)
    assert str(caught.value).startswith(str(tmp_path / name))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["a.mkv", "a.mp4", "a.raw", "folder"])
def test_no_frames(tmp_path, name):
    with pytest.raises(UserError, match="no frames"):
        write(tmp_path / name, noise(0, 4, 4))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["a.mkv", "a.raw", "folder"])
def test_failing_source_leaves_nothing(tmp_path, name):
    def batches():
        yield noise(2, 4, 4)
        raise UserError("the source is damaged")

    with pytest.raises(UserError, match="the source is damaged"):
        write_clip(tmp_path / name, batches(), fps=FPS, width=4, height=4)
    with pytest.raises(ValueError, match="uint8"):
        write_clip(tmp_path / name, [noise(2, 4, 5)], fps=FPS, width=4, height=4)
    assert list(tmp_path.iterdir()) == []


def test_frames_too_large_for_the_encoder(tmp_path):
    with pytest.raises(UserError, match="cannot be encoded"):
        write(tmp_path / "a.mkv", np.zeros((1, 2, 40000, 3), np.uint8))
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def tiny_disk(tmp_path):
    folder = tmp_path / "tiny"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    mounted = False
    with contextlib.suppress(OSError):
        mounted = os.geteuid() == 0 and not subprocess.run(mount, capture_output=True).returncode
    if not mounted:
        pytest.skip("mounting a tiny tmpfs needs root")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize(
    ("name", "crf"), [("a.mkv", None), ("a.mp4", None), ("b.mp4", 5), ("a.raw", None), ("f", None)]
)
def test_full_disk(tiny_disk, name, crf):
    with pytest.raises(UserError, match="no space left"):
        write(tiny_disk / name, noise(12, 96, 128), crf=crf)
    assert list(tiny_disk.iterdir()) == []
