"""What lies around a video in its file: other videos, foreign bytes, crops, joints, encryption."""

import struct
from fractions import Fraction

import av
import numpy as np
import pytest
from videos import make_frames, make_video, read_all, remux

from seesame.codecs.registry import get_codec
from seesame.context import EncodeContext
from seesame.errors import DamagedError, UserError
from seesame.jobs.spec import Source
from seesame.jobs.trial import Subject
from seesame.video.reading.headers import clusters_whole, video_facts
from seesame.video.reading.reader import open_clip
from seesame.video.reading.transport import ends_in_a_packet, only_joints
from seesame.video.span import Span

FOREIGN = np.random.default_rng(1).integers(0, 256, 3001, dtype=np.uint8).tobytes()


def put(path, data):
    path.write_bytes(data)
    return path


def several(path, sizes, counts, defaults=(), codecs=None):
    """Write a file with several videos, each of its size, length and codec."""
    with av.open(str(path), "w") as container:
        streams = []
        for number, (width, height) in enumerate(sizes):
            codec = codecs[number] if codecs else "libx264"
            stream = container.add_stream(codec, rate=25)
            stream.width, stream.height = width, height
            stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
            if number in defaults:
                stream.disposition = av.stream.Disposition.default
            streams.append(stream)
        for number, stream in enumerate(streams):
            rgb = make_frames(counts[number], *sizes[number][::-1], seed=number)
            for t, pixels in enumerate(rgb):
                frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
                frame.pts, frame.time_base = t, Fraction(1, 25)
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
    return path


# Which video.


@pytest.mark.parametrize("suffix", ["mkv", "mov", "avi"])
def test_a_thumbnail_never_wins(tmp_path, suffix):
    path = several(
        tmp_path / f"a.{suffix}", [(320, 240), (64, 48)], [1, 30], (0,), ["mjpeg", "libx264"]
    )
    clip = open_clip(path)
    assert (clip.width, clip.height, clip.num_frames) == (64, 48, 30)
    assert clip.oddities == []
    thumbnail = open_clip(path, stream=0)
    assert (thumbnail.width, thumbnail.num_frames) == (320, 1)


def test_the_default_wins_then_the_most_pixels(tmp_path):
    sizes, counts = [(64, 48), (96, 64), (32, 32)], [20, 20, 20]
    chosen = several(tmp_path / "a.mkv", sizes, counts, (2,))
    assert open_clip(chosen).width == 32
    clip = open_clip(several(tmp_path / "b.avi", sizes, counts))
    assert clip.width == 96
    assert clip.oddities == [
        "the file holds 3 videos: 0 (64x48 h264, 20 frames), 1 (96x64 h264, 20 frames), "
        "2 (32x32 h264, 20 frames); video 1 is read"
    ]


def test_a_video_is_chosen_by_its_number(tmp_path):
    path = several(tmp_path / "a.mp4", [(64, 48), (64, 48)], [12, 12], (0,))
    first, second = open_clip(path), open_clip(path, stream=1)
    assert not np.array_equal(read_all(first), read_all(second))
    assert np.array_equal(read_all(second), read_all(Source(path, stream=1).open()))
    for number in (2, 9):
        with pytest.raises(UserError, match=f"there is no video {number}"):
            open_clip(path, stream=number)
    raw = put(tmp_path / "a.raw", bytes(48))
    with pytest.raises(UserError, match="there is no number 1"):
        open_clip(raw, size=(4, 4), stream=1)


def test_videos_of_one_file_share_nothing_that_is_kept(tmp_path):
    path = several(tmp_path / "a.mp4", [(64, 48), (64, 48)], [12, 12], (0,))

    class Nets:
        fingerprint = "x"

    clips = [Source(path, stream=k, allow_damage=d).open() for k in (0, 1) for d in (False, True)]
    names = {Subject.of(Source(path), clip, Nets(), "cpu").clip for clip in clips}
    assert len(names) == 4
    assert Span(clips[2], 0, 4).reading == "video 1"


def test_copy_keeps_only_the_video_that_is_read_by_default(tmp_path):
    path = several(tmp_path / "a.mp4", [(64, 48), (64, 48)], [6, 6], (0,))
    copy = get_codec("copy")
    assert copy.encode(open_clip(path, stream=0), {}, EncodeContext()).num_frames == 6
    with pytest.raises(UserError, match="video 1; choose another codec"):
        copy.encode(open_clip(path, stream=1), {}, EncodeContext())


# Crops.


def test_a_matroska_crop(tmp_path):
    """The muxer leaves a Void behind the video's elements: the crop takes its place."""
    path = make_video(tmp_path / "a.mkv", make_frames(4, 48, 64), "libx264rgb", "rgb24")
    size = bytes.fromhex("B08140 BA8130")
    room = bytes.fromhex("54B28104 55EE8100 EC01000000000000020000")
    crops = bytes.fromhex("54CC8102 54BB8104 54DD8106 54AA8108")
    before, after = b"\xe0\x8a" + size + room, b"\xe0\x96" + size + crops + b"\xec\x81\0"
    data = path.read_bytes()
    assert data.count(before) == 1
    clip = open_clip(put(tmp_path / "b.mkv", data.replace(before, after)))
    assert (clip.width, clip.height) == (56, 36)
    assert np.array_equal(read_all(clip), read_all(open_clip(path))[:, 4:40, 2:58])


@pytest.mark.parametrize(
    ("aperture", "rows", "columns"),
    [
        ((48, 1, 32, 1, 0, 1, 0, 1), slice(8, 40), slice(8, 56)),
        ((64, 1, 40, 1, 0, 1, 4, 1), slice(8, 48), slice(0, 64)),
        ((128, 2, 80, 2, 0, 2, -8, 2), slice(0, 40), slice(0, 64)),
        ((99, 1, 32, 1, 0, 1, 0, 1), slice(0, 48), slice(0, 64)),  # beyond the frame: no crop
        ((48, 0, 32, 1, 0, 1, 0, 1), slice(0, 48), slice(0, 64)),
    ],
)
def test_the_clean_aperture_of_an_mp4(tmp_path, aperture, rows, columns):
    path = make_video(tmp_path / "a.mp4", make_frames(3, 48, 64), "libx264rgb", "rgb24")
    whole = read_all(open_clip(path))
    data = bytearray(path.read_bytes())
    box = struct.pack(">I4sIIIIiIiI", 40, b"clap", *aperture)
    at = data.index(b"avcC") - 4
    for kind in (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd", b"avc1"):
        place = data.index(kind, data.index(b"moov")) - 4
        data[place : place + 4] = (int.from_bytes(data[place : place + 4], "big") + 40).to_bytes(
            4, "big"
        )
    data[at:at] = box
    clip = open_clip(put(tmp_path / "b.mp4", bytes(data)))
    assert np.array_equal(read_all(clip), whole[:, rows, columns])


# Foreign bytes.


@pytest.mark.parametrize("junk", [b"\n", b"GPS 48.1 11.5\r\n" * 30, FOREIGN])
@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts", "avi", "m2ts"])
def test_foreign_bytes_before_and_behind(tmp_path, suffix, junk):
    path = make_video(tmp_path / f"a.{suffix}", make_frames(20), encoder={"bf": "0"})
    expected, data = read_all(open_clip(path)), path.read_bytes()
    for place, content in {"before": junk + data, "behind": data + junk}.items():
        clip = open_clip(put(tmp_path / f"{place}.{suffix}", content))
        assert np.array_equal(read_all(clip), expected), place
        assert clip.oddities == []


def test_foreign_bytes_in_the_middle_of_a_transport_stream(tmp_path):
    path = make_video(tmp_path / "a.ts", make_frames(20, 96, 128), encoder={"qp": "12"})
    data = path.read_bytes()
    assert len(data) > 60 * 188
    mixed = put(tmp_path / "b.ts", data[: 50 * 188] + FOREIGN + data[50 * 188 :])
    assert np.array_equal(read_all(open_clip(mixed)), read_all(open_clip(path)))


@pytest.mark.parametrize("cut", [1, 2, 60, 187])
@pytest.mark.parametrize("suffix", ["ts", "m2ts"])
def test_a_cut_packet_is_no_foreign_byte(tmp_path, suffix, cut):
    data = make_video(tmp_path / f"a.{suffix}", make_frames(20)).read_bytes()
    path = put(tmp_path / f"b.{suffix}", data[:-cut])
    assert ends_in_a_packet(path)
    with pytest.raises(DamagedError, match="truncated"):
        open_clip(path)


def test_a_recording_that_begins_within_a_packet(tmp_path):
    path = make_video(tmp_path / "a.ts", make_frames(30), encoder={"g": "10", "bf": "0"})
    data = path.read_bytes()
    assert np.array_equal(
        read_all(open_clip(put(tmp_path / "b.ts", data[90:]))), read_all(open_clip(path))
    )
    late = open_clip(put(tmp_path / "c.ts", data[188 * 8 + 90 :]))
    assert 10 <= late.num_frames < 30
    assert np.array_equal(read_all(late), read_all(open_clip(path))[-late.num_frames :])
    assert "before the first key frame" in "".join(late.oddities) or late.num_frames in (10, 20)


# Joints.


@pytest.mark.parametrize("codec", ["libx264", "libx265", "mpeg2video"])
def test_joined_recordings_are_sound(tmp_path, codec):
    encoder = {"x265-params": "log-level=0"} if codec == "libx265" else {}
    first, second = (
        make_video(tmp_path / f"{n}.ts", make_frames(n, seed=n), codec, encoder=encoder)
        for n in (17, 23)
    )
    data = first.read_bytes() + second.read_bytes() + FOREIGN + first.read_bytes()
    clip = open_clip(put(tmp_path / "all.ts", data))
    parts = [read_all(open_clip(path)) for path in (first, second, first)]
    assert np.array_equal(read_all(clip), np.concatenate(parts))
    assert clip.fps == 25
    assert clip.times.seconds[-1] - clip.times.seconds[0] == pytest.approx(56 / 25)
    assert len(clip.oddities) == 2


def test_a_loss_beside_a_joint_is_found(tmp_path):
    path = make_video(tmp_path / "a.ts", make_frames(30, 96, 128))
    data = path.read_bytes()
    middle = len(data) // 188 // 2 * 188
    lossy = data + data[:middle] + data[middle + 188 :]
    joined = put(tmp_path / "b.ts", lossy)
    assert only_joints(put(tmp_path / "c.ts", data + data), 256)
    assert not only_joints(joined, 256)
    with pytest.raises(DamagedError, match="damaged"):
        read_all(open_clip(joined))


# Ends.


@pytest.mark.parametrize("suffix", ["mkv", "mp4", "webm"])
def test_a_long_last_frame(tmp_path, suffix):
    def lengthen(packets):
        packets[-1].duration = round(7 / packets[-1].time_base)
        return packets

    codec = "libvpx-vp9" if suffix == "webm" else "libx264"
    whole = make_video(
        tmp_path / f"whole.{'webm' if suffix == 'webm' else 'mp4'}", make_frames(10), codec
    )
    path = remux(whole, tmp_path / f"a.{suffix}", lengthen)
    clip = open_clip(path)
    assert np.array_equal(read_all(clip), read_all(open_clip(whole)))
    assert clip.fps == 25


def test_whole_clusters(tmp_path):
    path = make_video(tmp_path / "a.mkv", make_frames(40))
    data = path.read_bytes()
    assert clusters_whole(path)
    third = len(data) // 3
    for broken in (data[:-100], data[:third] + bytes(third) + data[2 * third :], b"", FOREIGN):
        assert not clusters_whole(put(tmp_path / "b.mkv", broken))


# Names and kinds.


@pytest.mark.parametrize(
    ("name", "codec", "rate"),
    [
        ("a.y4m", "rawvideo", 30),
        ("a.nut", "libx264", 30),
        ("a.mxf", "mpeg2video", 25),
        ("a.mpg", "mpeg2video", 25),
        ("a.vob", "mpeg2video", 25),
        ("a.m2v", "mpeg2video", 30),
        ("a.flv", "libx264", 30),
        ("a.m2ts", "libx264", 30),
    ],
)
def test_further_containers(tmp_path, name, codec, rate):
    frames = make_frames(15)
    encoder = {"bf": "0", "g": "12"} if codec != "rawvideo" else {}
    clip = open_clip(make_video(tmp_path / name, frames, codec, rate=rate, encoder=encoder))
    assert (clip.num_frames, clip.fps) == (15, rate)
    assert np.abs(read_all(clip).astype(int) - frames).mean() < 12
    assert clip.oddities == []
    assert (clip.times is None) == name.endswith("m2v")


@pytest.mark.parametrize("inside", ["mp4", "mkv", "ts", "avi"])
@pytest.mark.parametrize("name", ["a.h264", "a.hevc", "a.dat", "a.mp4"])
def test_the_content_decides_not_the_suffix(tmp_path, inside, name):
    whole = make_video(tmp_path / f"whole.{inside}", make_frames(6))
    clip = open_clip(put(tmp_path / name, whole.read_bytes()))
    assert np.array_equal(read_all(clip), read_all(open_clip(whole)))
    assert clip.fps == 25


def test_other_containers_are_still_not_read(tmp_path):
    path = make_video(tmp_path / "a.gif", make_frames(3), "gif", "rgb8", encoder={})
    with pytest.raises(DamagedError, match="in a container that is not read"):
        open_clip(path)


# Encryption.


def test_an_encrypted_mp4(tmp_path):
    whole = make_video(tmp_path / "whole.mp4", make_frames(6))
    key, kid = "76a6c65c5ea762046bd749a2e632ccbb", "a7e61c373e219033c21091fa607bf3b8"
    path = remux(
        whole,
        tmp_path / "a.mp4",
        encryption_scheme="cenc-aes-ctr",
        encryption_key=key,
        encryption_kid=kid,
    )
    with pytest.raises(UserError, match="the video is encrypted; decrypt it first"):
        open_clip(path)


def test_a_scrambled_transport_stream(tmp_path):
    data = bytearray(make_video(tmp_path / "a.ts", make_frames(6)).read_bytes())
    for at in range(0, len(data), 188):
        if (data[at + 1] & 31) << 8 | data[at + 2] == 256:
            data[at + 3] |= 0x80
    with pytest.raises(UserError, match="encrypted"):
        open_clip(put(tmp_path / "b.ts", bytes(data)))


@pytest.mark.parametrize("seed", range(20))
def test_headers_of_any_bytes(tmp_path, seed):
    rng = np.random.default_rng(seed)
    data = bytearray(make_video(tmp_path / "a.mkv", make_frames(2)).read_bytes())
    for at in rng.integers(0, min(len(data), 600), 12):
        data[at] = rng.integers(0, 256)
    path = put(tmp_path / "b.mkv", bytes(data))
    for name in ("matroska,webm", "mov,mp4"):
        assert isinstance(video_facts(path, name), list)
    assert clusters_whole(path) in (True, False)
