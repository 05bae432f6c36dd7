import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from seesame.video.resize import (
    KERNELS,
    resize,
    resize_frames,
    resize_matrix,
    to_float,
    to_uint8,
)

SIZES = [(5, 7), (13, 11), (23, 40), (2, 2), (1, 1)]


def _picture(height=17, width=23, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(2, 3, height, width, generator=generator) * 255


@pytest.mark.parametrize("size", SIZES)
def test_bilinear_is_interpolate(size):
    x = _picture()
    expected = F.interpolate(x, size=size, mode="bilinear", align_corners=False)
    assert torch.equal(resize(x, size, "bilinear"), expected)
    down, across = resize_matrix(size[0], 17, "bilinear"), resize_matrix(size[1], 23, "bilinear")
    assert torch.allclose(down @ x @ across.T, expected, atol=1e-3)


@pytest.mark.parametrize("size", SIZES)
def test_bicubic_is_antialiased_interpolate(size):
    x = _picture()
    expected = F.interpolate(x, size=size, mode="bicubic", antialias=True, align_corners=False)
    assert torch.allclose(resize(x, size, "bicubic"), expected, atol=1e-2)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    ("kernel", "pillow"), [("lanczos", Image.Resampling.LANCZOS), ("area", Image.Resampling.BOX)]
)
def test_lanczos_and_area_as_pillow(size, kernel, pillow):
    x = _picture()
    if kernel == "area":  # Pillow's box takes whole pixels: the same where the sizes divide
        x = x[..., :16, :20]
        size = (4, 5)
    got = resize(x, size, kernel)
    plane = Image.fromarray(x[0, 0].numpy())
    expected = np.asarray(plane.resize(size[::-1], pillow))
    assert np.abs(got[0, 0].numpy() - expected).max() < 1e-2


def test_area_takes_parts_of_pixels():
    x = torch.tensor([[[[0.0, 30.0, 60.0]]]])
    assert torch.allclose(resize(x, (1, 2), "area"), torch.tensor([[[[10.0, 50.0]]]]))


@pytest.mark.parametrize("size", SIZES)
def test_nearest_is_nearest_exact(size):
    x = _picture()
    assert torch.equal(resize(x, size, "nearest"), F.interpolate(x, size, mode="nearest-exact"))


@pytest.mark.parametrize("kernel", KERNELS)
def test_gradient_constant_and_identity(kernel):
    x = _picture(6, 5).double().requires_grad_()
    for size in ((3, 4), (9, 11), (3, 11)):
        assert torch.autograd.gradcheck(lambda t, s=size: resize(t, s, kernel), (x,), atol=1e-5)
        flat = resize(torch.full((1, 1, 6, 5), 77.0), size, kernel)
        assert torch.allclose(flat, torch.full_like(flat, 77.0), atol=1e-3)
    assert torch.equal(resize(x, (6, 5), kernel), x)


def test_matrix_is_cached_float32():
    matrix = resize_matrix(4, 9, "lanczos")
    assert matrix is resize_matrix(4, 9, "lanczos")
    assert matrix.dtype == torch.float32
    assert matrix.shape == (4, 9)


def test_unknown_kernel():
    with pytest.raises(ValueError, match="sinc"):
        resize(_picture(), (4, 4), "sinc")
    with pytest.raises(ValueError, match="0"):
        resize_matrix(0, 4, "area")


def test_uint8_and_float_are_inverse():
    frames = np.random.default_rng(0).integers(0, 256, (3, 5, 7, 3), dtype=np.uint8)
    frames.flags.writeable = False
    x = to_float(frames)
    assert x.shape == (3, 3, 5, 7)
    assert x.dtype == torch.float32
    assert x.is_contiguous()
    assert x[1, 2, 3, 4] == frames[1, 3, 4, 2]
    assert np.array_equal(to_uint8(x), frames)


def test_uint8_clamps_and_rounds_to_even():
    x = torch.tensor([-5.0, 0.5, 1.5, 2.5, 254.6, 300.0]).reshape(1, 1, 1, 6).expand(1, 3, 1, 6)
    assert to_uint8(x)[0, 0, :, 1].tolist() == [0, 0, 2, 2, 255, 255]


def test_resize_frames():
    frames = np.random.default_rng(0).integers(0, 256, (2, 8, 6, 3), dtype=np.uint8)
    small = resize_frames(frames, (4, 3), "area")
    assert small.shape == (2, 4, 3, 3)
    blocks = frames.reshape(2, 4, 2, 3, 2, 3).mean((2, 4))
    assert np.abs(small - blocks).max() <= 0.5
    assert resize_frames(frames, (8, 6)) is frames
