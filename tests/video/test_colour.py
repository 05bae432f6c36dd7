import numpy as np
import pytest
import torch
import torch.nn.functional as F

from seesame.video.colour import rgb_to_yuv6, yuv420_to_rgb


def _literal(y, u, v):
    """The published formula, written plainly."""
    size = y.shape
    yf = torch.from_numpy(y).float()
    uf, vf = (
        F.interpolate(
            torch.from_numpy(c).float()[None, None], size=size, mode="bilinear", align_corners=False
        )[0, 0]
        for c in (u, v)
    )
    yf = (yf - 16.0) * (255.0 / 219.0)
    uf = (uf - 128.0) * (255.0 / 224.0)
    vf = (vf - 128.0) * (255.0 / 224.0)
    red = (yf + 1.402 * vf).clamp(0, 255)
    green = (yf - 0.344136 * uf - 0.714136 * vf).clamp(0, 255)
    blue = (yf + 1.772 * uf).clamp(0, 255)
    return torch.stack([red, green, blue], dim=-1).round().to(torch.uint8).numpy()


def _planes(height, width, seed=0):
    rng = np.random.default_rng(seed)
    chroma = ((height + 1) // 2, (width + 1) // 2)
    return tuple(
        rng.integers(0, 256, shape, dtype=np.uint8) for shape in ((height, width), chroma, chroma)
    )


@pytest.mark.parametrize(
    ("height", "width"), [(874, 1164), (540, 960), (2, 2), (1, 1), (5, 7), (131, 66), (64, 3)]
)
def test_yuv420_equals_the_published_formula(height, width):
    y, u, v = _planes(height, width)
    before = [p.copy() for p in (y, u, v)]
    rgb = yuv420_to_rgb(y, u, v)
    assert rgb.shape == (height, width, 3)
    assert rgb.dtype == np.uint8
    assert np.array_equal(rgb, _literal(y, u, v))
    assert all(np.array_equal(a, b) for a, b in zip(before, (y, u, v), strict=True))


def test_yuv420_takes_read_only_padded_planes():
    y, u, v = _planes(6, 10)
    padded = [np.pad(p, ((0, 0), (0, 5))) for p in (y, u, v)]
    for p in padded:
        p.flags.writeable = False
    views = [p[:, : q.shape[1]] for p, q in zip(padded, (y, u, v), strict=True)]
    assert np.array_equal(yuv420_to_rgb(*views), _literal(y, u, v))


@pytest.mark.parametrize(
    ("yuv", "rgb"),
    [
        ((16, 128, 128), (0, 0, 0)),
        ((235, 128, 128), (255, 255, 255)),
        ((82, 90, 240), (255, 1, 0)),  # BT.601 red
        ((126, 128, 128), (128, 128, 128)),
    ],
)
def test_yuv420_known_colours(yuv, rgb):
    y = np.full((4, 4), yuv[0], np.uint8)
    u, v = (np.full((2, 2), c, np.uint8) for c in yuv[1:])
    assert np.abs(yuv420_to_rgb(y, u, v).astype(int) - np.array(rgb)).max() <= 1


def test_yuv6_order_and_values():
    rgb = torch.rand(2, 3, 6, 8, dtype=torch.float64) * 255
    packed = rgb_to_yuv6(rgb)
    red, green, blue = rgb.unbind(1)
    y = 0.299 * red + 0.587 * green + 0.114 * blue
    u = (blue - y) / 1.772 + 128
    v = (red - y) / 1.402 + 128
    assert packed.shape == (2, 6, 3, 4)
    for row in range(3):
        for column in range(4):
            block = (slice(None), slice(2 * row, 2 * row + 2), slice(2 * column, 2 * column + 2))
            got = packed[:, :, row, column]
            # Down the first column of the block, then down the second.
            assert torch.allclose(got[:, :4], y[block].transpose(1, 2).reshape(2, 4))
            assert torch.allclose(got[:, 4], u[block].clamp(0, 255).mean((1, 2)))
            assert torch.allclose(got[:, 5], v[block].clamp(0, 255).mean((1, 2)))


def test_yuv6_clamps_before_averaging():
    rgb = torch.zeros(3, 2, 2)
    rgb[2, 0, 0] = 255.0  # U = 255.5 there: clamped to 255
    packed = rgb_to_yuv6(rgb)
    assert packed[4, 0, 0].item() == pytest.approx((255.0 + 3 * 128.0) / 4)


def test_yuv6_cuts_odd_edges_and_keeps_leading_dimensions():
    rgb = torch.rand(4, 2, 3, 7, 9) * 255
    packed = rgb_to_yuv6(rgb)
    assert packed.shape == (4, 2, 6, 3, 4)
    assert torch.equal(packed, rgb_to_yuv6(rgb[..., :6, :8]))


def test_yuv6_gradient():
    generator = torch.Generator().manual_seed(0)
    # Greyish colours, so that no value is near a clamp.
    rgb = 100 + 50 * torch.rand(2, 3, 5, 4, generator=generator, dtype=torch.float64)
    rgb.requires_grad_()
    assert torch.autograd.gradcheck(rgb_to_yuv6, (rgb,), eps=1e-3, atol=1e-6)
    rgb_to_yuv6(rgb).sum().backward()
    assert rgb.grad is not None
    assert (rgb.grad[..., :4, :].abs() > 0).all()
    assert (rgb.grad[..., 4, :] == 0).all()  # the cut row


def test_yuv6_leaves_its_input_alone():
    rgb = torch.rand(3, 4, 4) * 600 - 200
    copy = rgb.clone()
    rgb_to_yuv6(rgb)
    assert torch.equal(rgb, copy)
