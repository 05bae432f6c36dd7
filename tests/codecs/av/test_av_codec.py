import subprocess
import sys
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch

from seesame.bitstream.container import Container, Section
from seesame.bounds import BOUNDS
from seesame.codecs.av.codec import AvCodec
from seesame.codecs.av.encoding.encode import scaled_size
from seesame.codecs.av.planes import rgb_to_yuv420
from seesame.context import EncodeContext
from seesame.errors import DamagedError, UserError
from seesame.video.clip import ArrayClip, Clip, Frames
from seesame.video.colour import yuv420_to_rgb

FAST = {
    "x264": {"preset": "veryfast", "crf": 15},
    "x265": {"preset": "ultrafast", "crf": 15},
    "svtav1": {"preset": 10, "crf": 20},
    "vp9": {"preset": 8, "crf": 15},
}
every_codec = pytest.mark.parametrize("name", FAST)


def drive(num_frames: int, height: int = 48, width: int = 64) -> Frames:
    """Smooth pictures that grow brighter, so that every frame is known by its level."""
    down, across = np.mgrid[:height, :width]
    base = 60 + 40 * np.sin(across / 9)[..., None] + 20 * np.cos(down / 7)[..., None]
    levels = 4.0 * np.arange(num_frames)[:, None, None, None]
    tint = np.array([10.0, 0.0, -10.0])
    return (base + levels + tint).clip(0, 255).astype(np.uint8)


def frames(clip: Clip, batch_size: int = 4) -> Frames:
    return np.concatenate(list(clip.batches(batch_size)))


def encode(name: str, source: Frames, **settings: Any) -> Container:
    clip = ArrayClip(source, fps=Fraction(30000, 1001), source_bytes=10**6)
    chosen = {"scale": 1, **FAST[name], **settings}
    return AvCodec(name).encode(clip, chosen, EncodeContext())


@every_codec
def test_frames_come_back_in_order_over_several_groups(name: str) -> None:
    source = drive(27)
    container = Container.from_bytes(encode(name, source, gop=10).to_bytes())
    decoded = AvCodec(name).decode(container)
    assert (decoded.width, decoded.height, decoded.num_frames) == (64, 48, 27)
    assert (decoded.fps, decoded.source_bytes) == (Fraction(30000, 1001), 10**6)
    shown = frames(decoded)
    assert shown.shape == source.shape
    error = np.abs(shown.astype(float) - source).mean(axis=(1, 2, 3))
    assert error.max() < 1.9  # a neighbour frame is 4 levels away
    assert container.config()["gop"] == 10


@every_codec
def test_decoding_does_not_depend_on_time_or_batch_size(name: str) -> None:
    container = encode(name, drive(9), scale=0.6)
    clip = AvCodec(name).decode(container)
    first = frames(clip, 1)
    np.testing.assert_array_equal(frames(clip, 4), first)
    np.testing.assert_array_equal(frames(AvCodec(name).decode(container), 9), first)


@every_codec
def test_encoding_twice_gives_the_same_bytes(name: str) -> None:
    assert encode(name, drive(12)).to_bytes() == encode(name, drive(12)).to_bytes()


@every_codec
@pytest.mark.parametrize(
    ("height", "width", "num_frames", "scale"),
    [(2, 2, 3, 1), (2, 2, 1, 0.05), (1, 1, 2, 0.5), (49, 67, 2, 1), (67, 131, 2, 0.5)],
)
def test_small_odd_and_short_clips(
    name: str, height: int, width: int, num_frames: int, scale: float
) -> None:
    source = drive(num_frames, height, width)
    shown = frames(AvCodec(name).decode(encode(name, source, scale=scale)))
    assert shown.shape == source.shape
    assert np.abs(shown.astype(float) - source).mean() < 3


def test_lower_quality_is_smaller() -> None:
    source = np.random.default_rng(0).integers(0, 256, (6, 48, 64, 3), dtype=np.uint8)
    good, bad = (len(encode("svtav1", source, crf=crf).to_bytes()) for crf in (20, 60))
    assert bad < good / 2


def test_film_grain_is_put_back() -> None:
    source = drive(6) + np.random.default_rng(0).integers(0, 20, (6, 48, 64, 1), dtype=np.uint8)
    plain = frames(AvCodec("svtav1").decode(encode("svtav1", source, crf=55)))
    grainy = frames(AvCodec("svtav1").decode(encode("svtav1", source, crf=55, grain=30)))
    assert np.diff(grainy.astype(float), axis=2).std() > np.diff(plain.astype(float), axis=2).std()


def test_the_up_kernel_is_in_the_file() -> None:
    shown = {
        up: frames(AvCodec("x264").decode(encode("x264", drive(2), scale=0.25, up=up)))
        for up in ("nearest", "bicubic")
    }
    assert (shown["nearest"][:, 0, 0] == shown["nearest"][:, 3, 3]).all()
    assert (shown["bicubic"] != shown["nearest"]).any()


def test_colour_goes_there_and_back() -> None:
    levels = np.random.default_rng(0).integers(0, 256, (1, 24, 32, 3), dtype=np.uint8)
    source = levels.repeat(8, axis=1).repeat(8, axis=2)  # flat blocks: chroma is not averaged
    y, u, v = rgb_to_yuv420(torch.from_numpy(source).permute(0, 3, 1, 2).float())
    assert y.shape == (1, 192, 256)
    assert u.shape == v.shape == (1, 96, 128)
    back = yuv420_to_rgb(y[0], u[0], v[0])[4::8, 4::8].astype(int)
    assert np.abs(back - levels[0]).max() <= 3  # rounding of Y, U and V


def test_known_colours() -> None:
    """BT.601 limited range: white, black, and pure blue, red."""
    rgb = torch.tensor([[255, 255, 255], [0, 0, 0], [0, 0, 255], [255, 0, 0]]).float()
    y, u, v = rgb_to_yuv420(rgb[:, :, None, None].expand(4, 3, 2, 2))
    assert y[:, 0, 0].tolist() == [235, 16, 41, 81]
    assert u[:, 0, 0].tolist() == [128, 128, 240, 90]
    assert v[:, 0, 0].tolist() == [128, 128, 110, 240]


def test_scaled_sizes_are_even_and_never_larger() -> None:
    assert scaled_size(960, 540, 0.4) == (384, 216)
    assert scaled_size(1164, 874, 0.45) == (524, 394)
    assert scaled_size(641, 361, 1) == (641, 361)
    assert scaled_size(1, 3, 0.05) == (1, 2)


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("x264", {"quality": 3}, "no setting 'quality'; its settings: crf, preset, scale"),
        ("x264", {"crf": 52}, "crf must be a whole number from 0 to 51, not 52"),
        ("svtav1", {"crf": 30.5}, "crf must be a whole number from 0 to 63"),
        ("svtav1", {"crf": "30"}, "crf must be a whole number"),
        ("svtav1", {"crf": True}, "crf must be a whole number"),
        ("svtav1", {"preset": 14}, "preset must be one of 0, 1,"),
        ("x265", {"preset": "hasty"}, "preset must be one of ultrafast,"),
        ("vp9", {"scale": 0.01}, "scale must be a number from 0.05 to 1.0"),
        ("vp9", {"scale": float("nan")}, "scale must be a number"),
        ("vp9", {"scale": 1.5}, "scale must be a number"),
        ("vp9", {"gop": 0}, "gop must be a whole number from 1 to 9999"),
        ("vp9", {"threads": 0}, "threads must be"),
        ("vp9", {"grain": 8}, "no film grain synthesis: grain must be 0"),
        ("svtav1", {"grain": 51}, "grain must be a whole number from 0 to 50"),
        ("vp9", {"depth": 10}, "no 10-bit coding: depth must be 8"),
        ("x264", {"depth": 12}, "depth must be one of 8, 10, not 12"),
        ("svtav1", {"bframes": 3}, "bframes must be a whole number from -1 to 0, not 3"),
        ("x265", {"bframes": 17}, "bframes must be a whole number from -1 to 16"),
        ("vp9", {"scenecut": True}, "no scene cut detection: scenecut must be false"),
        ("x264", {"scenecut": 0}, "scenecut must be one of false, true, not 0"),
        ("vp9", {"open_gop": True}, "no open groups of pictures"),
        ("x265", {"tune": "film"}, "tune must be one of default, psnr, ssim, grain"),
        ("x264", {"denoise": True}, "no denoiser: denoise must be false"),
        ("svtav1", {"denoise": True}, "denoise goes with grain, which is 0"),
        ("x264", {"sharpness": 2}, "no sharpness: sharpness must be 0"),
        ("vp9", {"sharpness": -1}, "sharpness must be a whole number from 0 to 7"),
        ("x265", {"qm": True}, "no quantisation matrices"),
        ("x265", {"first_qp": 2}, "no quantiser for single frames"),
        ("x264", {"kbps": -1}, "kbps must be a whole number from 0"),
        ("svtav1", {"kbps": 100}, "kbps needs threads=1"),
        ("vp9", {"blur": -0.5}, "blur must be a number from 0.0 to 20.0"),
        ("vp9", {"chroma": 1.5}, "chroma must be a number from 0.0 to 1.0"),
        ("vp9", {"presharpen": "1"}, "presharpen must be a number"),
        ("vp9", {"sharpen": 0.33}, "sharpen must be a multiple of 0.05, not 0.33"),
        ("vp9", {"sharpen_size": 8}, "sharpen_size must be one of 3, 5, 7"),
        ("x264", {"roi_qp": 2}, "roi_qp asks a perception stack"),
        ("x264", {"down": "sinc"}, "down must be one of bicubic, lanczos"),
        ("x264", {"up": None}, "up must be one of bicubic, lanczos"),
        ("x264", {"up": ["area"]}, "up must be one of bicubic, lanczos"),
    ],
)
def test_bad_settings_are_refused(name: str, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        encode(name, drive(2), **settings)


@every_codec
def test_a_size_other_than_declared_is_refused(name: str) -> None:
    """A stream that claims a huge picture must not get the memory for it."""
    container = encode(name, drive(2, 480, 640))
    head = bytes([0, 40, 30])  # bicubic, 40x30
    stream = container.sections[Section.STREAM]
    assert stream[:5] == b"\x00\x80\x05\xe0\x03"
    container.sections[Section.STREAM] = head + stream[5:]
    with pytest.raises(DamagedError, match=f"the {name} stream is damaged"):
        frames(AvCodec(name).decode(container))


@every_codec
def test_a_slightly_wrong_size_is_refused(name: str) -> None:
    container = encode(name, drive(2, 66, 70))
    stream = container.sections[Section.STREAM]
    container.sections[Section.STREAM] = bytes([0, 68, 66]) + stream[3:]
    with pytest.raises(DamagedError, match="70x66 yuv420p, not 68x66"):
        frames(AvCodec(name).decode(container))


@every_codec
@pytest.mark.parametrize(("promised", "said"), [(5, "more frames"), (7, "only 6")])
def test_the_frame_count_is_exact(name: str, promised: int, said: str) -> None:
    container = encode(name, drive(6))
    container.num_frames = promised
    with pytest.raises(DamagedError, match=said):
        frames(AvCodec(name).decode(container))


@every_codec
def test_a_truncated_stream_is_refused_at_every_byte(name: str) -> None:
    container = encode(name, drive(3))
    stream = container.sections[Section.STREAM]
    for size in [*range(12), *range(12, len(stream), 29), len(stream) - 1]:
        container.sections[Section.STREAM] = stream[:size]
        with pytest.raises(DamagedError):
            frames(AvCodec(name).decode(container))


@every_codec
def test_noise_in_the_stream_breaks_nothing(name: str) -> None:
    """Damage that the container's checksums would catch: refused here, or frames of the size."""
    container = encode(name, drive(4))
    stream = container.sections[Section.STREAM]
    generator = np.random.default_rng(0)
    for _ in range(25):
        noisy = bytearray(stream)
        noisy[int(generator.integers(len(noisy)))] ^= 1 << int(generator.integers(8))
        container.sections[Section.STREAM] = bytes(noisy)
        try:
            assert frames(AvCodec(name).decode(container)).shape == (4, 48, 64, 3)
        except DamagedError as error:
            assert "\n" not in str(error)  # noqa: PT017


def test_a_missing_stream_is_damage() -> None:
    container = encode("x264", drive(2))
    container.sections = {}
    with pytest.raises(DamagedError, match="no video stream"):
        AvCodec("x264").decode(container)


def test_a_clip_that_ends_early_is_refused() -> None:
    clip = ArrayClip(drive(4))
    clip.num_frames = 6
    with pytest.raises(DamagedError, match="promises 6 frames, but gave 4"):
        AvCodec("x264").encode(clip, {}, EncodeContext())


def test_progress_ends_at_one() -> None:
    shares: list[float] = []
    context = EncodeContext(progress=lambda share, _: shares.append(share))
    AvCodec("x264").encode(ArrayClip(drive(20)), FAST["x264"], context)
    assert shares == [0.8, 1.0]


def test_the_encoders_keep_quiet() -> None:
    code = (
        "import numpy as np\n"
        "from seesame.context import EncodeContext\n"
        "from seesame.codecs.registry import get_codec\n"
        "from seesame.video.clip import ArrayClip\n"
        "clip = ArrayClip(np.zeros((2, 64, 64, 3), np.uint8))\n"
        "for name in ('x264', 'x265', 'svtav1', 'vp9'):\n"
        "    codec = get_codec(name)\n"
        "    list(codec.decode(codec.encode(clip, {}, EncodeContext())).batches(2))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")


def test_an_empty_packet_is_refused() -> None:
    container = encode("vp9", drive(2))
    container.sections[Section.STREAM] += b"\0"
    with pytest.raises(DamagedError, match="packet 2 is empty"):
        AvCodec("vp9").decode(container)


def test_more_frames_than_a_file_may_have_packets_are_not_encoded() -> None:
    clip = ArrayClip(drive(1))
    clip.num_frames = BOUNDS.packets + 1
    with pytest.raises(UserError, match="cannot encode 4,194,305 frames"):
        AvCodec("vp9").encode(clip, {}, EncodeContext())
