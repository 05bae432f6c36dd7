"""Reading video files from any frame on: the same frames as from the first one, and few decoded."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from seesame.scene import SceneClip, SceneConfig
from seesame.video.clip import Frames
from seesame.video.reading.reader import VideoClip, open_clip
from seesame.video.span import Span, batches_from, entry

COUNT, GOP = 40, 10
X264 = {"g": str(GOP), "bf": "3", "preset": "veryfast"}
KINDS = {
    "b.mp4": ("libx264", X264 | {"x264-params": "scenecut=0"}),
    "b.mkv": ("libx264", X264 | {"x264-params": "scenecut=0"}),
    "b.ts": ("libx264", X264 | {"x264-params": "scenecut=0"}),
    "open.mp4": ("libx264", X264 | {"x264-params": "open-gop=1:scenecut=0:b-pyramid=normal"}),
    "open.mkv": ("libx265", {"x265-params": f"keyint={GOP}:open-gop=1:scenecut=0:log-level=none"}),
    "uneven.mp4": ("libx264", X264 | {"x264-params": "scenecut=0"}),
    "uneven.mkv": ("libvpx-vp9", {"g": str(GOP), "cpu-used": "8", "deadline": "realtime"}),
    "av1.mp4": ("libsvtav1", {"g": str(GOP), "preset": "12"}),
    "fragments.mp4": ("libx264", X264 | {"x264-params": "scenecut=0"}),
    "pictures.avi": ("mjpeg", {}),
}
OTHERS = {
    "refresh.mkv": ("libx264", {"g": "30", "x264-params": "intra-refresh=1"}),
    "one.mp4": ("libx264", {"g": "250", "x264-params": "scenecut=0"}),
    "b.avi": ("libx264", X264),
    "b.h264": ("libx264", X264),
    "hidden.webm": ("libvpx", {"g": "20", "lag-in-frames": "16", "auto-alt-ref": "1"}),
}
"""Files in which fewer key frames help, or none."""


@pytest.fixture(scope="module")
def source() -> Frames:
    scene = SceneClip(SceneConfig(width=96, height=64, seed=3), COUNT)
    return np.concatenate(list(scene.batches(8)))


def written(path: Path, source: Frames) -> Path:
    codec, options = (KINDS | OTHERS)[path.name]
    steps = np.random.default_rng(5).integers(10, 200, COUNT) if "uneven" in path.name else 50
    times = np.cumsum(np.broadcast_to(steps, COUNT))
    muxer = {"movflags": "frag_keyframe+empty_moov"} if "fragments" in path.name else {}
    pixels = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    tick = Fraction(1, 20 if path.suffix == ".avi" else 1000)
    with av.open(str(path), "w", options=muxer) as container:
        stream = container.add_stream(codec, rate=20, options=options)
        stream.width, stream.height, stream.pix_fmt = 96, 64, pixels
        stream.codec_context.time_base = tick
        for number, rgb in enumerate(source):
            frame = av.VideoFrame.from_ndarray(rgb, format="rgb24").reformat(format=pixels)
            frame.pts = number if path.suffix == ".avi" else int(times[number])
            frame.time_base = tick
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def cut(source: Path, target: Path, seconds: Fraction) -> Path:
    """Copy a file from a time on; an edit list hides the frames from the key frame to there."""
    with av.open(str(source)) as whole, av.open(str(target), "w") as part:
        video = whole.streams.video[0]
        copy = part.add_stream_from_template(video)
        packets = [packet for packet in whole.demux(video) if packet.size]
        start = int(seconds / video.time_base)
        first = max(i for i, p in enumerate(packets) if p.is_keyframe and p.pts <= start)
        for packet in packets[first:]:
            packet.pts -= start
            packet.dts -= start
            packet.stream = copy
            part.mux(packet)
    return target


class Counting(VideoClip):
    """Counts the passes that decode from the first frame on."""

    passes = 0

    def _frames(self) -> Iterator[av.VideoFrame]:
        self.passes += 1
        return super()._frames()


def check(path: Path) -> Counting:
    """Compare every frame, asked for in random order, with those of one pass over the file."""
    clip = Counting(path)
    whole = np.concatenate(list(clip.batches(8)))
    for number in np.random.default_rng(0).permutation(len(whole)):
        (frame,) = next(batches_from(clip, int(number), 1))
        assert np.array_equal(frame, whole[number]), number
    rest = np.concatenate(list(batches_from(clip, len(whole) // 3, 4)))
    assert np.array_equal(rest, whole[len(whole) // 3 :])
    clip.passes -= 1
    return clip


@pytest.mark.parametrize("name", KINDS)
def test_any_frame_is_that_of_one_pass(name: str, source: Frames, tmp_path: Path) -> None:
    clip = check(written(tmp_path / name, source))
    assert clip.index is not None
    assert len(clip.index.stamps) == COUNT
    first_group = GOP if name != "pictures.avi" else 1
    late = 2 if name.endswith(".ts") else 1  # a transport stream has no table of key frames
    assert clip.passes <= late * first_group + 1
    assert entry(clip, 25) == (20 if name != "pictures.avi" else 25)


@pytest.mark.parametrize("name", OTHERS)
def test_where_key_frames_do_not_help(name: str, source: Frames, tmp_path: Path) -> None:
    clip = check(written(tmp_path / name, source))
    assert clip.passes > GOP


@pytest.mark.parametrize("name", ["b.mp4", "open.mkv"])
def test_edit_lists(name: str, source: Frames, tmp_path: Path) -> None:
    """The hidden frames have no number, and the entry of those after them is among the hidden."""
    path = cut(written(tmp_path / name, source), tmp_path / "cut.mp4", Fraction(3, 4))
    clip = check(path)
    assert clip.index is not None
    assert 20 <= len(clip.index.stamps) < 30
    assert clip.index.keys[0] == 0
    assert clip.passes <= clip.index.keys[1]


def test_times_are_those_of_the_packets(source: Frames, tmp_path: Path) -> None:
    clip = open_clip(written(tmp_path / "uneven.mp4", source))
    assert isinstance(clip, VideoClip)
    assert clip.index is not None
    times = clip.index.times()
    steps = np.random.default_rng(5).integers(10, 200, COUNT)
    np.testing.assert_allclose(times.seconds, np.cumsum(steps) / 1000, atol=1e-9)


def test_a_part_is_read_from_its_key_frame(source: Frames, tmp_path: Path) -> None:
    clip = Counting(written(tmp_path / "b.mp4", source))
    whole = np.concatenate(list(clip.batches(8)))
    part = Span(clip, 23, 9)
    assert [len(batch) for batch in part.batches(4)] == [4, 4, 1]
    assert np.array_equal(np.concatenate(list(part.batches(4))), whole[23:32])
    assert clip.passes == 1
