"""Lost pictures are found, sound files are not taken for damaged ones."""

import contextlib

import av
import numpy as np
import pytest
from videos import make_frames, make_video, read_all, remux, without

from seesame.errors import DamagedError
from seesame.video.reading import reader
from seesame.video.reading.nal import FrameNumbers, without_false_messages
from seesame.video.reading.reader import open_clip

X264 = {
    "b-frames": {"bf": "8", "b_strategy": "2", "refs": "8"},
    "open groups": {"x264-params": "open-gop=1:keyint=8:bframes=3:b-pyramid=strict"},
    "interlaced": {"x264-params": "interlaced=1:keyint=9:bframes=2"},
    "slices": {"x264-params": "slices=4:bframes=3:keyint=12"},
    "intra refresh": {"x264-params": "intra-refresh=1:keyint=12"},
    "baseline": {"profile": "baseline", "g": "10"},
    "key frames": {"g": "1"},
    "weights": {"x264-params": "weightp=2:cabac=0:keyint=250"},
    "hrd": {"x264-params": "nal-hrd=vbr:vbv-maxrate=500:vbv-bufsize=500:aud=1:tff=1:pic-struct=1"},
}


@pytest.fixture(autouse=True)
def _forget_passes():
    reader._passes.clear()


@pytest.fixture(scope="module")
def frames():
    return make_frames(40, 64, 96)


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts", "avi"])
@pytest.mark.parametrize("kind", X264)
def test_sound_h264_is_never_refused(tmp_path, frames, kind, suffix):
    clip = open_clip(make_video(tmp_path / f"a.{suffix}", frames, encoder=X264[kind]))
    assert clip.num_frames == 40
    assert clip.oddities == []


@pytest.mark.parametrize(
    ("name", "codec", "encoder"),
    [
        ("a.mp4", "libx265", {"x265-params": "open-gop=1:keyint=9:bframes=4:log-level=0"}),
        ("a.ts", "libx265", {"x265-params": "open-gop=1:keyint=9:bframes=4:log-level=0"}),
        ("a.webm", "libvpx-vp9", {"auto-alt-ref": "1", "lag-in-frames": "16"}),
        ("a.webm", "libvpx", {"auto-alt-ref": "1", "lag-in-frames": "16"}),
        ("a.mkv", "libsvtav1", {"preset": "12"}),
        ("a.avi", "mpeg4", {"bf": "2"}),
        ("a.mp4", "mpeg4", {"bf": "2"}),
        ("a.ts", "mpeg2video", {"bf": "2"}),
        ("a.avi", "mjpeg", {}),
    ],
)
def test_other_sound_codecs_are_never_refused(tmp_path, frames, name, codec, encoder):
    pix = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    clip = open_clip(make_video(tmp_path / name, frames, codec, pix, encoder=encoder))
    assert clip.num_frames == 40
    assert clip.oddities == []


@pytest.mark.parametrize("lost", [(13,), (20, 21, 22), tuple(range(9, 26))])
@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts", "flv"])
@pytest.mark.parametrize("kind", ["baseline", "weights", "slices", "open groups"])
def test_pictures_lost_are_found_where_others_need_them(tmp_path, frames, kind, suffix, lost):
    """A clip is refused wherever a decoded frame is not one of the whole clip's."""
    encoder = dict(X264[kind]) | ({"g": "250"} if kind == "baseline" else {})
    whole = make_video(tmp_path / "whole.mp4", frames, encoder=encoder)
    part = remux(whole, tmp_path / f"part.{suffix}", without(*lost))
    known = {frame.tobytes() for frame in decoded(whole)}
    harmed = any(frame.tobytes() not in known for frame in decoded(part))
    if harmed:
        with pytest.raises(DamagedError, match="are missing before packet"):
            read_all(open_clip(part))
        return
    with contextlib.suppress(DamagedError):  # by chance nothing was taken from what is missing
        assert open_clip(part).num_frames == 40 - len(lost)


def decoded(path):
    with av.open(str(path)) as container:
        return [frame.to_ndarray() for frame in container.decode(video=0)]


def test_as_many_pictures_lost_as_the_frame_numbers_can_count(tmp_path, frames):
    """With 15 lost, a frame number of 4 bits is that of the picture before."""
    encoder = {"bf": "0", "g": "250", "refs": "1"}
    whole = make_video(tmp_path / "whole.mp4", frames, encoder=encoder)
    part = remux(whole, tmp_path / "part.mkv", without(*range(10, 25)))
    with pytest.raises(DamagedError, match="before packet 10 \\(15 "):
        read_all(open_clip(part))


def test_lost_hevc_pictures_are_refused(tmp_path, frames):
    whole = make_video(
        tmp_path / "whole.mp4", frames, "libx265", encoder={"x265-params": "bframes=0:log-level=0"}
    )
    part = remux(whole, tmp_path / "part.mp4", without(20, 21))
    with pytest.raises(DamagedError, match="damaged"):
        read_all(open_clip(part))


def test_damage_that_is_allowed_is_counted(tmp_path, frames):
    whole = make_video(tmp_path / "whole.mp4", frames, encoder={"bf": "0", "g": "20"})
    part = remux(whole, tmp_path / "part.mkv", without(5, 6, 25))
    clip = open_clip(part, allow_damage=True)
    assert clip.num_frames == len(read_all(clip)) == 37
    assert clip.oddities == [
        "damage is allowed: 3 pictures are missing, and what was predicted from them is wrong"
    ]
    with pytest.raises(DamagedError):
        read_all(open_clip(part))  # allowed once is not allowed always


def test_a_hole_and_a_cut_end_that_are_allowed(tmp_path, frames):
    path = make_video(tmp_path / "a.ts", frames, encoder={"g": "10"})
    data = bytearray(path.read_bytes())
    third = len(data) // 3
    data[third : third + 500] = bytes(500)
    path.write_bytes(data[:-70])
    with pytest.raises(DamagedError):
        read_all(open_clip(path))
    clip = open_clip(path, allow_damage=True)
    assert 20 < clip.num_frames <= 40
    assert all(text.startswith("damage is allowed: ") for text in clip.oddities)
    assert any("truncated" in text for text in clip.oddities)


def test_a_packet_that_gives_no_picture(tmp_path, frames):
    """Its slice's type says that it is nothing for this decoder."""

    def hide(packets):
        for number, packet in enumerate(packets):
            if number == 39:
                data = bytearray(bytes(packet))
                data[4] = data[4] & 0xE0 | 24
                packet.update(bytes(data))
            yield packet

    whole = make_video(tmp_path / "whole.mp4", frames, encoder={"bf": "0", "g": "250"})
    part = remux(whole, tmp_path / "part.mkv", hide)
    with pytest.raises(DamagedError, match="1 packets give no picture"):
        read_all(open_clip(part))


# Messages that lie.


def with_message(packets, message, annex_b, start):
    """Put an SEI unit before every picture."""
    for packet in packets:
        unit = message if not annex_b else b"\0\0\0\1" + message
        prefix = b"" if annex_b else len(message).to_bytes(4, "big")
        made = av.Packet(prefix + unit + bytes(packet))
        made.pts, made.dts, made.time_base = packet.pts, packet.dts, packet.time_base
        made.duration, made.is_keyframe = packet.duration, packet.is_keyframe
        yield made


LIES = {
    "too long": b"\x05\xff\x10" + bytes(range(1, 30)) + b"\x80",
    "no identity": b"\x05\x04abcd\x80",
    "second too long": b"\x05\x11" + bytes(range(1, 18)) + b"\x04\x60ab\x80",
    "no size": b"\x05\xff\xff\xff",
}


@pytest.mark.parametrize("lie", LIES)
@pytest.mark.parametrize(
    ("codec", "suffix", "header"),
    [
        ("libx264", "mp4", b"\x06"),
        ("libx264", "ts", b"\x06"),
        ("libx265", "mp4", b"\x4e\x01"),
        ("libx265", "mkv", b"\x4e\x01"),
    ],
)
def test_messages_that_lie_change_no_picture(tmp_path, frames, codec, suffix, header, lie):
    encoder = {"x265-params": "log-level=0"} if codec == "libx265" else {}
    whole = make_video(tmp_path / f"whole.{suffix}", frames, codec, encoder=encoder)
    expected = read_all(open_clip(whole))
    part = remux(
        whole,
        tmp_path / f"part.{suffix}",
        lambda packets: with_message(packets, header + LIES[lie], suffix == "ts", 0),
    )
    clip = open_clip(part)
    assert np.array_equal(read_all(clip), expected)
    assert clip.oddities == []


def test_sound_messages_are_left_alone():
    sound = b"\x06\x05\x10" + bytes(range(1, 17)) + b"\x80"
    packet = len(sound).to_bytes(4, "big") + sound
    assert without_false_messages("h264", packet, 4) is None
    short = b"\x06\x05\x11" + bytes(range(1, 17)) + b"\x80"
    mended = without_false_messages("h264", len(short).to_bytes(4, "big") + short, 4)
    assert mended is None or mended[4] == 12
    assert without_false_messages("hevc", b"", 0) is None


@pytest.mark.parametrize("prefix", [0, 1, 2, 4])
def test_any_bytes_are_parsed(prefix):
    rng = np.random.default_rng(prefix)
    for _ in range(300):
        data = rng.integers(0, 8, int(rng.integers(0, 60)), dtype=np.uint8).tobytes()
        numbers = FrameNumbers(b"\x01" * int(rng.integers(0, 9)) + data)
        assert numbers.lost(data) >= 0
        assert numbers.lost(b"\0\0\1\x67" + data + b"\0\0\1\x68" + data + b"\0\0\1\x41" + data) >= 0
        without_false_messages("h264", data, prefix)
        without_false_messages("hevc", data, prefix)
