"""Every setting of the family does something, the same each time, and old files stay readable."""

from dataclasses import asdict
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from seesame.bitstream.container import Container, Section
from seesame.codecs.av.codec import AvCodec
from seesame.codecs.av.filters import sharpen
from seesame.codecs.av.planes import decoded_rgb, pictures
from seesame.codecs.av.settings import FAMILY, noteworthy, parse_settings
from seesame.context import EncodeContext
from seesame.errors import DamagedError
from seesame.video.clip import ArrayClip, Frames
from seesame.video.resize import to_uint8

GOLDEN = Path(__file__).parents[2] / "golden" / "av"
FAST = {
    "x264": {"preset": "fast", "crf": 24},
    "x265": {"preset": "superfast", "crf": 24},
    "svtav1": {"preset": 8, "crf": 30},
    "vp9": {"preset": 6, "crf": 24},
}


def moving(num_frames: int = 12, height: int = 64, width: int = 96, cut: int = 0) -> Frames:
    """Textured pictures that drift; from frame ``cut`` on upside down and inverted."""
    noise = np.random.default_rng(3).integers(
        0, 90, ((height + num_frames) // 4 + 1, width // 4 + num_frames, 3)
    )
    texture = noise.repeat(4, axis=0).repeat(4, axis=1)
    rows, columns = np.mgrid[:height, :width]
    wave = 60 + 40 * np.sin(columns / 9)[..., None] + 20 * np.cos(rows / 7)[..., None]
    frames = [wave + texture[t : height + t, 2 * t : width + 2 * t] for t in range(num_frames)]
    shown = np.stack(frames).clip(0, 255).astype(np.uint8)
    if cut:
        shown[cut:] = 255 - shown[cut:, ::-1]
    return shown


def encode(name: str, source: Frames, **settings: Any) -> Container:
    clip = ArrayClip(source, fps=Fraction(25), source_bytes=10**6)
    return AvCodec(name).encode(clip, {"scale": 1, **FAST[name], **settings}, EncodeContext())


def shown(name: str, container: Container, batch_size: int = 4) -> Frames:
    return np.concatenate(list(AvCodec(name).decode(container).batches(batch_size)))


def error(found: Frames, source: Frames) -> np.ndarray:
    """Mean squared error of each frame."""
    return np.square(found.astype(float) - source).mean(axis=(1, 2, 3))


@pytest.mark.parametrize(
    ("name", "base", "settings"),
    [
        ("x264", {}, {"kbps": 60}),
        ("x264", {}, {"depth": 10}),
        ("x264", {}, {"bframes": 0}),
        ("x264", {}, {"scenecut": False}),
        ("x264", {"gop": 5}, {"open_gop": True}),
        ("x264", {}, {"first_qp": 6}),
        *[("x264", {}, {"tune": tune}) for tune in FAMILY["x264"].own["tune"][1:]],
        ("x265", {}, {"kbps": 60}),
        ("x265", {}, {"depth": 10}),
        ("x265", {}, {"bframes": 0}),
        ("x265", {}, {"scenecut": False}),
        ("x265", {"gop": 5}, {"open_gop": False}),
        ("x265", {}, {"tune": "ssim"}),
        ("x265", {}, {"tune": "grain"}),
        ("svtav1", {"threads": 1}, {"kbps": 60}),
        ("svtav1", {}, {"depth": 10}),
        ("svtav1", {"gop": 5}, {"open_gop": True}),
        ("svtav1", {}, {"sharpness": 5}),
        ("svtav1", {}, {"qm": True}),
        ("svtav1", {"grain": 30}, {"denoise": True}),
        *[("svtav1", {}, {"tune": tune}) for tune in FAMILY["svtav1"].own["tune"][1:]],
        ("vp9", {}, {"kbps": 60}),
        ("vp9", {}, {"sharpness": 5}),
        *[("vp9", {}, {"tune": tune}) for tune in FAMILY["vp9"].own["tune"][1:]],
        *[
            (name, {}, settings)
            for name in ("x264", "svtav1")
            for settings in (
                {"blur": 0.7},
                {"chroma": 0.4},
                {"presharpen": 0.5},
                {"sharpen": 0.5},
            )
        ],
    ],
)
def test_a_setting_changes_the_bytes_the_same_each_time(
    name: str, base: dict[str, Any], settings: dict[str, Any]
) -> None:
    source = moving(cut=7)
    plain = encode(name, source, **base).sections[Section.STREAM]
    container = encode(name, source, **base, **settings)
    stream = container.sections[Section.STREAM]
    assert stream != plain
    assert stream == encode(name, source, **base, **settings).sections[Section.STREAM]
    found = shown(name, container)
    assert found.shape == source.shape
    assert error(found, source).max() < 600
    assert container.config().items() >= settings.items()


@pytest.mark.parametrize("name", FAST)
def test_rates_are_obeyed(name: str) -> None:
    source = moving(25)
    sizes = [
        len(encode(name, source, kbps=kbps, threads=1).sections[Section.STREAM])
        for kbps in (30, 240)
    ]
    assert sizes[0] < sizes[1]


@pytest.mark.parametrize("bframes", [0, 3])
@pytest.mark.parametrize("settings", [{"first_qp": 12}])
def test_first_frames_may_be_worse(settings: dict[str, Any], bframes: int) -> None:
    source = moving(24)
    plain, worse = (
        error(shown("x264", encode("x264", source, bframes=bframes, **one)), source)
        for one in ({}, settings)
    )
    ratio = worse / plain
    assert ratio[0::2].mean() > 1.3 * ratio[1::2].mean()


def test_ten_bits_keep_more_than_eight() -> None:
    """A ramp so faint that eight bits cannot hold it, before anything is rounded."""
    ramp = torch.linspace(100.0, 103.0, 64).expand(1, 3, 64, 64).contiguous()
    off = {}
    for depth in (8, 10):
        (picture,) = pictures(ramp, depth)
        off[depth] = (decoded_rgb(picture, 64, 64, depth) - ramp).abs()
    assert off[8].max() > 0.4
    assert off[10].max() < 0.4
    assert off[10].mean() < off[8].mean() / 2


def test_ten_bits_that_hold_eight_decode_alike() -> None:
    rgb = torch.from_numpy(moving(1).astype(np.float32)).permute(0, 3, 1, 2)
    (eight,), (ten,) = pictures(rgb, 8), pictures(rgb, 10)
    wide = eight.reformat(format="yuv420p10le").to_ndarray()
    planes = np.frombuffer(memoryview(ten.planes[0]), np.uint16).reshape(64, -1)[:, :96]
    assert np.abs(planes.astype(int) - wide[:64]).max() <= 2
    exact = decoded_rgb(type(ten).from_ndarray(wide, format="yuv420p10le"), 64, 96, 10)
    reader = decoded_rgb(eight, 64, 96, 8)
    assert (exact - reader).abs().max() <= 0.5001


@pytest.mark.parametrize("name", ["x264", "x265", "svtav1"])
def test_odd_sizes_in_ten_bits(name: str) -> None:
    source = moving(3, 49, 67)
    container = encode(name, source, depth=10, crf=10)
    found = shown(name, Container.from_bytes(container.to_bytes()))
    assert found.shape == source.shape
    assert np.abs(found.astype(float) - source).mean() < 8


def test_sharpening_is_that_of_the_filter_and_of_no_batch() -> None:
    source = moving(5)
    plain = shown("x264", encode("x264", source))
    container = encode("x264", source, sharpen=0.35, sharpen_size=5)
    found = shown("x264", container, 1)
    np.testing.assert_array_equal(found, shown("x264", container, 5))
    rgb = torch.from_numpy(plain.astype(np.float32)).permute(0, 3, 1, 2)
    np.testing.assert_array_equal(found, to_uint8(sharpen(rgb, 7 * 0.05, 5)))


def test_a_head_says_what_comes_after_decoding() -> None:
    head = encode("x264", moving(2), depth=10, sharpen=0.5, sharpen_size=7)
    assert head.sections[Section.STREAM][:5] == bytes([24, 96, 64, 10, 7])
    plain = encode("x264", moving(2), up="area")
    assert plain.sections[Section.STREAM][:3] == bytes([3, 96, 64])


@pytest.mark.parametrize(
    ("head", "message"),
    [
        ([5, 96, 64], "no resize kernel 5"),
        ([15, 96, 64, 1, 9], "no resize kernel 7"),
        ([32, 96, 64], "the resize kernel is 32"),
        ([8, 96, 64, 0, 9], "sharpened by 0"),
        ([8, 96, 64, 101, 9], "the sharpening is 101"),
        ([8, 96, 64, 10, 4], "over 4 pixels"),
        ([8, 96, 64, 10, 1], "over 1 pixels"),
        ([8, 96, 64, 10, 17], "the sharpening's size is 17"),
        ([16, 96, 64], "96x64 yuv420p, not 96x64 yuv420p10le"),
    ],
)
def test_damaged_heads(head: list[int], message: str) -> None:
    container = encode("x264", moving(2))
    stream = container.sections[Section.STREAM]
    container.sections[Section.STREAM] = bytes(head) + stream[3:]
    with pytest.raises(DamagedError, match=message):
        shown("x264", container)


def test_a_file_keeps_what_is_not_default() -> None:
    member = FAMILY["x265"]
    assert noteworthy(member, member.defaults) == {"crf": 32, "preset": "medium", "scale": 0.4}
    given = {"open_gop": False, "blur": 1, "crf": 20}
    kept = noteworthy(member, parse_settings(member, given))
    assert kept == {"crf": 20, "preset": "medium", "scale": 0.4, "open_gop": False, "blur": 1.0}
    assert parse_settings(member, kept) == parse_settings(member, given)


@pytest.mark.parametrize("name", FAMILY)
def test_the_defaults_are_allowed(name: str) -> None:
    member = FAMILY[name]
    assert parse_settings(member, asdict(member.defaults)) == member.defaults


@pytest.mark.parametrize(
    ("name", "levels"),
    [
        ("x264", [62.84418, 66.28733, 70.92795, 74.42014, 79.08040, 82.57205]),
        ("svtav1", [62.86730, 66.30838, 70.94781, 74.44141, 79.10037, 83.10514]),
    ],
)
def test_files_of_the_first_version_decode_as_before(name: str, levels: list[float]) -> None:
    container = Container.read(GOLDEN / f"{name}.ssm")
    found = shown(name, container)
    assert found.shape == (6, 48, 64, 3)
    np.testing.assert_allclose(found.mean(axis=(1, 2, 3)), levels, atol=0.02)
    assert container.config()["threads"] == 2
