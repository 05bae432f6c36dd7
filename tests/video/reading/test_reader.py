import contextlib
import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.video.reformatter import ColorRange
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from videos import make_frames, make_video, read_all

from seesame.errors import DamagedError, UserError
from seesame.video.clip import Clip
from seesame.video.pixels import frame_to_rgb
from seesame.video.reading import reader
from seesame.video.reading.complete import check_complete
from seesame.video.reading.reader import open_clip

COLOURS = [(200, 60, 30), (30, 180, 90), (20, 40, 220), (128, 128, 128)]


@pytest.fixture(autouse=True)
def _forget_counts():
    reader._passes.clear()


@pytest.mark.parametrize(
    ("name", "codec", "fps"),
    [
        ("a.mp4", "libx264", 25),
        ("a.mov", "libx264", 25),
        ("a.mkv", "libx264", 25),
        ("a.webm", "libvpx-vp9", 25),
        ("a.avi", "mpeg4", 25),
        ("a.ts", "libx264", 25),
        ("a.hevc", "libx265", 20),
        ("a.h264", "libx264", 20),
    ],
)
@pytest.mark.parametrize("count", [1, 7])
def test_containers(tmp_path, name, codec, fps, count):
    frames = make_frames(count)
    path = make_video(tmp_path / name, frames, codec)
    clip = open_clip(path)
    assert isinstance(clip, Clip)
    assert (clip.width, clip.height, clip.num_frames) == (64, 48, count)
    assert clip.source_bytes == path.stat().st_size
    if count > 1 or name.endswith(("hevc", "h264")):
        assert clip.fps == fps
    batches = list(clip.batches(4))
    assert [len(b) for b in batches] == ([1] if count == 1 else [4, 3])
    got = np.concatenate(batches)
    assert np.abs(got.astype(int) - frames).mean() < 12
    assert np.array_equal(got, read_all(clip, 3))  # starts again at the first frame
    assert open_clip(path, fps=Fraction(7, 2)).fps == Fraction(7, 2)


def test_count_is_kept_after_reading(tmp_path):
    clip = open_clip(make_video(tmp_path / "a.mkv", make_frames(5)))
    next(clip.batches(2))
    assert not reader._passes  # a part of the clip counts for nothing
    read_all(clip)
    assert [one.count for one in reader._passes.values()] == [5]
    assert clip.num_frames == 5


@pytest.mark.parametrize("size", [(2, 2), (6, 2), (46, 62)])
def test_small_sizes(tmp_path, size):
    clip = open_clip(make_video(tmp_path / "a.mp4", make_frames(3, *size)))
    assert read_all(clip).shape == (3, *size, 3)


def test_the_metric_conversion_whatever_the_tag(tmp_path):
    """8-bit 4:2:0 tagged BT.709 is still read as BT.601, as the challenge does."""
    from seesame.video.colour import yuv420_to_rgb

    path = make_video(tmp_path / "a.mkv", make_frames(1))
    frame = next(av.open(str(path)).decode(video=0))
    planes = [np.frombuffer(p, np.uint8).reshape(p.height, p.line_size) for p in frame.planes]
    planes = [p[:, : q.width] for p, q in zip(planes, frame.planes, strict=True)]
    expected = yuv420_to_rgb(*planes)
    assert np.array_equal(read_all(open_clip(path))[0], expected)
    frame.colorspace = 1
    assert np.array_equal(frame_to_rgb(frame), expected)


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("matrix", [1, 5, 9])
@pytest.mark.parametrize(
    "pix",
    [
        *("yuv422p", "yuv444p", "yuv440p", "yuv411p", "yuvj420p", "nv16", "uyvy422"),
        *("yuv420p10le", "yuv422p10le", "yuv444p12le", "yuv420p10be", "p010le"),
        *("gray", "gray10le", "gray16be", "ya8"),
        *("gbrp10le", "gbrap12le", "rgb48be", "x2rgb10le"),
    ],
)
def test_known_colours(pix, matrix, full):
    grey = pix.startswith(("gray", "ya"))
    for rgb in COLOURS[-1:] if grey else COLOURS:
        source = av.VideoFrame.from_ndarray(np.full((5, 7, 3), rgb, np.uint8), format="rgb24")
        colour_range = 2 if full or pix.startswith("yuvj") else 1
        frame = source.reformat(
            format=pix, dst_colorspace=matrix, dst_color_range=colour_range, threads=1
        )
        frame.colorspace, frame.color_range = matrix, colour_range
        got = frame_to_rgb(frame)
        assert got.shape == (5, 7, 3)
        assert got.dtype == np.uint8
        assert np.abs(got.astype(int) - rgb).max() <= (3 if not pix.startswith("gbr") else 1)


@pytest.mark.parametrize("pix", ["yuv420p", "yuva420p", "nv12", "nv21"])
def test_full_range_420_is_not_the_metric_case(pix):
    rgb = (200, 60, 30)
    source = av.VideoFrame.from_ndarray(np.full((6, 8, 3), rgb, np.uint8), format="rgb24")
    for colour_range in (ColorRange.MPEG, ColorRange.JPEG):
        frame = source.reformat(
            format=pix, dst_colorspace=5, dst_color_range=colour_range, threads=1
        )
        frame.color_range = colour_range
        assert np.abs(frame_to_rgb(frame).astype(int) - rgb).max() <= 2


@pytest.mark.parametrize("pix", ["gbrp", "rgb24", "bgr24", "rgba", "bgr0", "0rgb", "gbrap"])
def test_rgb_is_exact(pix):
    rgb = make_frames(1, 13, 37)[0]
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24")
    assert np.array_equal(frame_to_rgb(frame.reformat(format=pix, threads=1)), rgb)


def test_palette():
    indices = np.array([[0, 1], [2, 1]], np.uint8)
    palette = np.zeros((256, 4), np.uint8)
    palette[:3] = [[255, 10, 20, 30], [255, 40, 50, 60], [255, 70, 80, 90]]  # ARGB
    frame = av.VideoFrame.from_ndarray((indices, palette), format="pal8")
    assert np.array_equal(frame_to_rgb(frame), palette[indices][..., 1:])


def test_untagged_and_limited_grey():
    frame = av.VideoFrame.from_ndarray(np.full((2, 2), 235, np.uint8), format="gray")
    assert frame_to_rgb(frame).max() == 235
    frame.color_range = ColorRange.MPEG
    assert frame_to_rgb(frame).min() == 255


@pytest.mark.parametrize("pix", ["yuvj420p", "yuv422p", "yuv420p10le", "nv16"])
def test_subsampled_chroma_tagged_rgb_is_read_as_untagged(pix):
    rgb = make_frames(1, 16, 24)[0]
    source = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24")
    frame = source.reformat(format=pix, dst_colorspace=5, threads=1)
    frame.colorspace = 2
    untagged = frame_to_rgb(frame)
    frame.colorspace = 0
    assert np.array_equal(frame_to_rgb(frame), untagged)


def test_whole_chroma_tagged_rgb_is_refused():
    frame = av.VideoFrame(4, 4, "yuv444p")
    frame.colorspace = 0
    with pytest.raises(UserError, match="matrix 0"):
        frame_to_rgb(frame)


def test_unknown_matrix_is_refused():
    frame = av.VideoFrame(4, 4, "yuv444p")
    frame.colorspace = 8  # YCgCo
    with pytest.raises(UserError, match="matrix 8"):
        frame_to_rgb(frame)


@pytest.mark.parametrize(
    ("codec", "pix", "name"),
    [("ffv1", "bgr0", "a.mkv"), ("libx264rgb", "rgb24", "a.mp4"), ("png", "rgb24", "a.mov")],
)
def test_lossless_rgb_files_are_exact(tmp_path, codec, pix, name):
    frames = make_frames(3, 47, 63)
    assert np.array_equal(
        read_all(open_clip(make_video(tmp_path / name, frames, codec, pix))), frames
    )


@pytest.mark.parametrize(
    ("name", "codec", "pix"),
    [("a.mkv", "ffv1", "bgr0"), ("a.mp4", "libx264rgb", "rgb24"), ("a.mov", "png", "rgb24")],
)
def test_variable_frame_rate(tmp_path, name, codec, pix):
    frames = make_frames(6)
    path = make_video(tmp_path / name, frames, codec, pix, pts=[0, 1, 2, 9, 10, 30])
    clip = open_clip(path)
    assert clip.num_frames == 6
    assert np.array_equal(read_all(clip), frames)  # as they come: none repeated, none left out
    assert clip.fps == 25  # by the median interval
    assert np.abs(clip.times.seconds - np.array([0, 1, 2, 9, 10, 30]) / 25).max() < 1e-3
    assert clip.oddities == []


@pytest.mark.parametrize(
    ("matrix", "expected"),
    [
        ((0, 1, -1, 0), lambda f: np.rot90(f, -1, (1, 2))),
        ((0, -1, 1, 0), lambda f: np.rot90(f, 1, (1, 2))),
        ((-1, 0, 0, -1), lambda f: f[:, ::-1, ::-1]),
        ((-1, 0, 0, 1), lambda f: f[:, :, ::-1]),
        ((0, 1, 1, 0), lambda f: f.transpose(0, 2, 1, 3)),
    ],
)
def test_rotation_metadata(tmp_path, matrix, expected):
    frames = make_frames(3, 46, 64)
    path = make_video(tmp_path / "a.mp4", frames, "libx264rgb", "rgb24")
    data = bytearray(path.read_bytes())
    a, b, c, d = (65536 * value for value in matrix)
    identity = struct.pack(">9i", 65536, 0, 0, 0, 65536, 0, 0, 0, 1 << 30)
    at = data.index(identity, data.index(b"tkhd"))
    data[at : at + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    clip = open_clip(path)
    upright = expected(frames)
    assert (clip.height, clip.width) == upright.shape[1:3]
    assert np.array_equal(read_all(clip), upright)


def test_edit_list_that_drops_frames_is_no_damage(tmp_path):
    path = make_video(tmp_path / "a.mp4", make_frames(36))
    whole = open_clip(path).num_frames
    data = bytearray(path.read_bytes())
    at = data.index(b"elst") + 8 + 4 + 4  # version and flags, count, then the duration
    scale = struct.unpack_from(">I", data, data.index(b"mdhd") + 4 + 12)[0]
    start = struct.unpack_from(">i", data, at)[0]
    struct.pack_into(">i", data, at, start + 24 * scale // 25)
    path.write_bytes(data)
    assert whole == 36
    assert open_clip(path).num_frames == 12


def test_change_of_size_is_refused(tmp_path):
    first = make_video(tmp_path / "1.h264", make_frames(3, 48, 64))
    second = make_video(tmp_path / "2.h264", make_frames(3, 32, 64))
    both = tmp_path / "both.h264"
    both.write_bytes(first.read_bytes() + second.read_bytes())
    clip = open_clip(both)
    with pytest.raises(UserError, match=r"64x48 yuv420p to 64x32 yuv420p at frame 3"):
        read_all(clip)


def test_name_that_looks_like_an_address(tmp_path):
    path = make_video(tmp_path / "a.mp4", make_frames(2))
    odd = path.rename(tmp_path / "concat:a|b.mp4")
    assert open_clip(odd).num_frames == 2


# Raw and pictures.


def test_raw(tmp_path):
    frames = make_frames(5, 7, 9)
    path = tmp_path / "a.raw"
    path.write_bytes(frames.tobytes())
    clip = open_clip(path, size=(7, 9))
    assert (clip.width, clip.height, clip.num_frames, clip.fps) == (9, 7, 5, 20)
    assert clip.source_bytes == frames.nbytes
    assert np.array_equal(read_all(clip, 2), frames)
    with pytest.raises(DamagedError, match="1164x874"):
        open_clip(path)
    path.write_bytes(frames.tobytes()[:-1])
    with pytest.raises(DamagedError, match="whole"):
        open_clip(path, size=(7, 9))
    with pytest.raises(UserError, match="0x7"):
        open_clip(path, size=(7, 0))


def test_raw_that_shrinks_while_read(tmp_path):
    path = tmp_path / "a.raw"
    path.write_bytes(bytes(300))
    clip = open_clip(path, size=(5, 10))
    path.write_bytes(bytes(200))
    with pytest.raises(DamagedError, match="shorter"):
        read_all(clip)


def test_picture_folder(tmp_path):
    frames = make_frames(12, 9, 11)
    for t, frame in enumerate(frames):
        Image.fromarray(frame).save(tmp_path / f"frame{t}.{'PNG' if t % 2 else 'png'}")
    (tmp_path / "notes.txt").write_text("no picture")
    (tmp_path / ".hidden.png").write_text("no picture")
    clip = open_clip(tmp_path, fps=10)
    assert (clip.num_frames, clip.fps) == (12, 10)
    assert np.array_equal(read_all(clip), frames)  # frame10 after frame9
    assert clip.source_bytes == sum(p.stat().st_size for p in tmp_path.glob("frame*"))
    assert open_clip(tmp_path).fps == 20


def test_picture_modes(tmp_path):
    grey = np.arange(12, dtype=np.uint8).reshape(3, 4) * 20
    Image.fromarray(grey).save(tmp_path / "0.png")
    Image.fromarray(grey.astype(np.uint16) * 257).save(tmp_path / "1.png")
    Image.fromarray(np.dstack([grey, grey, grey, grey])).save(tmp_path / "2.png")
    Image.fromarray(np.dstack([grey] * 3)).quantize(12).save(tmp_path / "3.png")
    for frame in read_all(open_clip(tmp_path)):
        assert np.array_equal(frame, np.dstack([grey] * 3))


def test_exif_orientation(tmp_path):
    frame = make_frames(1, 16, 24)[0]
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise
    Image.fromarray(np.ascontiguousarray(frame)).save(
        tmp_path / "0.jpg", exif=exif, quality=98, subsampling=0
    )
    clip = open_clip(tmp_path)
    assert (clip.height, clip.width) == (24, 16)
    assert np.abs(read_all(clip)[0].astype(int) - np.rot90(frame, -1)).mean() < 3


# Bad input: one line with the file's name.


def check_refused(path, error, match, **options):
    with pytest.raises(UserError, match=match) as caught:
        read_all(open_clip(path, **options))
    assert type(caught.value) is error
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_missing_empty_text(tmp_path):
    check_refused(tmp_path / "no.mp4", UserError, "not found")
    for name in ("a.mp4", "a.hevc", "a.raw", "a.ssm"):
        path = tmp_path / name
        path.touch()
        check_refused(path, DamagedError, "empty")
    for name in ("a.mp4", "a.mkv", "a.hevc", "a.ts", "a.txt"):
        path = tmp_path / name
        path.write_text("This is a text, not a video.\n" * 50)
        check_refused(path, DamagedError, "not a video|no decodable")


def test_playlists_are_not_followed(tmp_path):
    video = make_video(tmp_path / "a.ts", make_frames(3))
    path = tmp_path / "a.m3u8"
    path.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{video.name}\n#EXT-X-ENDLIST\n")
    check_refused(path, DamagedError, "not a video")


def test_audio_only(tmp_path):
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=8000)
        stream.layout = "mono"
        frame = av.AudioFrame.from_ndarray(
            np.zeros((1, 1024), np.float32), format="fltp", layout="mono"
        )
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    check_refused(path, UserError, "no video")


def test_bad_folders(tmp_path):
    check_refused(tmp_path, UserError, "no pictures")
    Image.new("RGB", (4, 4)).save(tmp_path / "0.png")
    check_refused(tmp_path / "0.png", UserError, "folder")
    Image.new("RGB", (4, 5)).save(tmp_path / "1.png")
    with pytest.raises(UserError, match=r"1\.png: 4x5, but 0\.png is 4x4"):
        open_clip(tmp_path)
    Image.fromarray(make_frames(1, 40, 40)[0]).save(tmp_path / "0.png")
    Image.fromarray(make_frames(1, 40, 40)[0]).save(tmp_path / "1.png")
    data = (tmp_path / "1.png").read_bytes()
    (tmp_path / "1.png").write_bytes(data[: len(data) // 2])
    with pytest.raises(DamagedError, match=r"1\.png: damaged picture"):
        read_all(open_clip(tmp_path))
    (tmp_path / "1.png").write_text("text")
    with pytest.raises(DamagedError, match=r"1\.png: damaged picture"):
        open_clip(tmp_path)


def test_bad_fps(tmp_path):
    path = make_video(tmp_path / "a.mp4", make_frames(2))
    check_refused(path, UserError, "above 0", fps=0)


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9, 0.999])
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.mp4", {}),
        ("a.mp4", {"movflags": "faststart"}),
        ("a.mp4", {"movflags": "frag_keyframe+empty_moov"}),
        ("a.mkv", {}),
        ("a.avi", {}),
        ("a.ts", {}),
    ],
)
def test_truncated(tmp_path, name, options, share):
    path = make_video(tmp_path / name, make_frames(30), **options)
    data = path.read_bytes()
    keep = int(len(data) * share)
    path.write_bytes(data[: keep - (keep % 188 == 0)])
    check_refused(path, DamagedError, "truncated|not a video")


@pytest.mark.parametrize(
    ("name", "codec"),
    [("a.mkv", "libx264"), ("a.mkv", "libx265"), ("a.webm", "libvpx-vp9"), ("a.mp4", "libx264")],
)
def test_hole_in_the_middle(tmp_path, name, codec):
    path = make_video(tmp_path / name, make_frames(40), codec)
    data = bytearray(path.read_bytes())
    third = len(data) // 3
    data[third : 2 * third] = bytes(third)
    path.write_bytes(data)
    check_refused(path, DamagedError, "damaged|truncated")


def test_lost_packets_of_a_transport_stream(tmp_path):
    path = make_video(tmp_path / "a.ts", make_frames(30))
    data = path.read_bytes()
    at = len(data) // 188 // 2 * 188
    path.write_bytes(data[:at] + data[at + 3 * 188 :])
    check_refused(path, DamagedError, "damaged")


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data(), name=st.sampled_from(["a.mp4", "a.mkv", "a.ts"]))
def test_any_flipped_byte_is_read_or_refused(tmp_path_factory, data, name):
    folder = Path(tmp_path_factory.getbasetemp())
    whole = folder / f"whole{name}"
    if not whole.exists():
        make_video(whole, make_frames(3, 32, 32))
    content = bytearray(whole.read_bytes())
    at = data.draw(st.integers(0, len(content) - 1))
    content[at] ^= data.draw(st.integers(1, 255))
    path = folder / f"flipped{name}"
    path.write_bytes(content)
    try:
        frames = read_all(open_clip(path))
    except UserError:
        return  # refused; any other exception fails the test
    assert frames.dtype == np.uint8


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    content=st.binary(min_size=1, max_size=200),
    head=st.sampled_from([b"", b"\x1a\x45\xdf\xa3", b"RIFF", b"\0\0\0\x0cmdat"]),
    name=st.sampled_from(["mov,mp4", "matroska,webm", "avi", "mpegts", "hevc"]),
)
def test_container_sizes_of_any_bytes(tmp_path_factory, content, head, name):
    path = Path(tmp_path_factory.getbasetemp()) / "any"
    path.write_bytes(head + content)
    with contextlib.suppress(DamagedError):  # any other exception fails the test
        check_complete(path, name)
