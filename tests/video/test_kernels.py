"""The compiled loops give the bytes of their twins in numpy, and are loaded for enough work."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from seesame.neural.render.geometry import enlarge, enlarged
from seesame.video import compiled
from seesame.video.colour import yuv420_to_rgb
from seesame.video.resize import KERNELS, resize, resized, to_uint8


@pytest.fixture(params=["plain", "compiled"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(compiled, "_seen", 0 if request.param == "plain" else 10**6)
    assert (compiled.loops() is None) == (request.param == "plain")
    return str(request.param)


def both(monkeypatch: pytest.MonkeyPatch, work) -> list[np.ndarray]:  # type: ignore[no-untyped-def]
    found = []
    for seen in (-100, 10**6):
        monkeypatch.setattr(compiled, "_seen", seen)
        found.append(work())
    return found


@pytest.mark.parametrize("size", [(2, 2), (4, 6), (64, 96), (874, 1164), (38, 2), (2, 50)])
def test_yuv(size: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    height, width = size
    rng = np.random.default_rng(height)
    wide = rng.integers(0, 256, (height, width + 13), dtype=np.uint8)
    wide.setflags(write=False)
    u, v = rng.integers(0, 256, (2, height // 2, width // 2), dtype=np.uint8)
    plain, fast = both(monkeypatch, lambda: yuv420_to_rgb(wide[:, :width], u, v))
    assert np.array_equal(plain, fast)
    assert plain.shape == (height, width, 3)


def test_rounding_half_to_even(way: str) -> None:
    values = torch.tensor([-1e9, -0.5, 0.5, 1.5, 2.5, 254.5, 255.0, 255.5, 1e9])
    picture = values.expand(1, 3, 2, 9)
    assert to_uint8(picture)[0, 1, :, 2].tolist() == [0, 0, 0, 2, 2, 254, 255, 255, 255]


def test_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    pictures = torch.randn(2, 3, 31, 57, generator=torch.Generator().manual_seed(0)) * 200
    for turned in (pictures, pictures.transpose(2, 3), pictures.double()):
        plain, fast = both(monkeypatch, lambda turned=turned: to_uint8(turned))
        assert np.array_equal(plain, fast)


@pytest.mark.parametrize(
    ("source", "rendered"),
    [
        ((874, 1164), (192, 256)),
        ((96, 400), (40, 50)),
        ((80, 100), (40, 50)),
        ((40, 50), (40, 50)),
        ((40, 131), (40, 50)),
        ((65, 131), (40, 50)),
        ((7, 9), (1, 1)),
    ],
)
def test_enlarging(
    source: tuple[int, int], rendered: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    generator = torch.Generator().manual_seed(source[0])
    frames = (torch.randn(2, 3, *rendered, generator=generator) * 70 + 127).clamp(0, 255)
    plain, fast = both(monkeypatch, lambda: enlarged(frames, source))
    assert np.array_equal(plain, fast)
    wanted = enlarge(frames, source).clamp(0, 255)
    assert np.abs(plain.transpose(0, 3, 1, 2) - wanted.numpy()).max() < 0.501
    assert (plain != to_uint8(wanted)).mean() < 1e-4


def test_few_frames_do_not_load_the_loops() -> None:
    code = """
import sys, numpy as np
from seesame.video import colour, compiled
planes = [np.zeros((4, 4), np.uint8), *np.zeros((2, 2, 2), np.uint8)]
for _ in range(compiled.PLAIN_FRAMES):
    colour.yuv420_to_rgb(*planes)
print("numba" in sys.modules)
colour.yuv420_to_rgb(*planes)
print("numba" in sys.modules)
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["False", "True"]


def test_without_numba(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a packed contest decoder."""
    monkeypatch.setattr(compiled, "_seen", 10**6)
    monkeypatch.setattr(compiled, "_absent", False)
    monkeypatch.setitem(sys.modules, "seesame.video.kernels", None)
    monkeypatch.delattr("seesame.video.kernels", raising=False)
    planes = [np.full((4, 4), 120, np.uint8), *np.full((2, 2, 2), 128, np.uint8)]
    assert (yuv420_to_rgb(*planes) == 121).all()
    assert compiled._absent


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize(
    ("size", "source"),
    [((874, 1164), (394, 524)), ((31, 57), (31, 20)), ((9, 7), (1, 1)), ((40, 30), (90, 31))],
)
def test_resizing(
    size: tuple[int, int], source: tuple[int, int], kernel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = torch.Generator().manual_seed(size[0])
    picture = torch.rand(1, 3, *source, generator=rng) * 300 - 20
    plain, fast = both(monkeypatch, lambda: resized(picture, size, kernel))
    assert np.array_equal(plain, fast)
    matrices = to_uint8(resize(picture, size, kernel))
    apart = np.abs(matrices.astype(int) - fast)
    assert plain.shape == (1, *size, 3)
    assert apart.max() <= 1
    assert (apart > 0).mean() < 1e-3
