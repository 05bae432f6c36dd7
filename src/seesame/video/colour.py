"""Colour: the metric's exact YUV 4:2:0 to RGB conversion, and the pose net's YUV6 packing.

Both follow the comma video compression challenge (``frame_utils.py``, 2026) to the last digit:
the same float32 operations in the same order, so that the rounded values are the same.
"""

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor
from torch.autograd.function import once_differentiable

from seesame.video.clip import Frames
from seesame.video.compiled import loops

_STRIP = 32_000
"""Values converted at a time: the planes of a strip stay in the processor's cache, and torch does
not split work that is so small over threads, which would cost more than it is worth.
"""


def yuv420_to_rgb(y: NDArray[np.uint8], u: NDArray[np.uint8], v: NDArray[np.uint8]) -> Frames:
    """Convert one 8-bit limited-range BT.601 frame to RGB with bilinear chroma.

    Chroma is upsampled to the luma size by bilinear interpolation (``align_corners=False``); then::

        y' = (Y - 16) * 255/219      u' = (U - 128) * 255/224      v' = (V - 128) * 255/224
        R = y' + 1.402 v'
        G = y' - 0.344136 u' - 0.714136 v'
        B = y' + 1.772 u'

    clamped to 0..255 and rounded half to even, in float32. The two factors of G are those of
    0.114 * 1.772 / 0.587 and 0.299 * 1.402 / 0.587 cut to six digits, as in the challenge.

    Args:
        y: ``uint8 (H, W)``.
        u: ``uint8 (ceil(H/2), ceil(W/2))``.
        v: the same shape as ``u``.

    Returns:
        ``uint8 (H, W, 3)``.
    """
    height, width = y.shape
    rgb = np.empty((height, width, 3), dtype=np.uint8)
    if height % 2 or width % 2:
        wide_u, wide_v = (_upsampled(plane, (height, width)) for plane in (u, v))
        step = max(1, _STRIP // width)
        for top in range(0, height, step):
            rows = slice(top, top + step)
            _convert(y[rows], wide_u[rows], wide_v[rows], rgb[rows])
        return rgb
    compiled = loops()
    if compiled is not None:
        planes = [np.ascontiguousarray(plane) for plane in (y, u, v)]
        compiled.yuv420_to_rgb(*planes, rgb.reshape(height, 3 * width))
        return rgb
    tall_u, tall_v = _doubled_rows(u), _doubled_rows(v)
    step = max(1, _STRIP // (width // 2))
    for top in range(0, height, step):
        rows = slice(top, top + step)
        near_u, near_v = (tall[rows, 1:-1] * np.int16(3) for tall in (tall_u, tall_v))
        # Even columns lie nearer to the chroma sample on their left, odd ones to the right.
        for odd, far in ((0, slice(None, -2)), (1, slice(2, None))):
            sixteenths = near_u + tall_u[rows, far], near_v + tall_v[rows, far]
            _convert(y[rows, odd::2], *sixteenths, rgb[rows, odd::2])
    return rgb


def _upsampled(plane: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.float32]:
    """Return a chroma plane of odd size at ``size``, less 128; by torch, as in the metric."""
    whole = torch.from_numpy(plane.astype(np.float32))[None, None]
    wide = F.interpolate(whole, size=size, mode="bilinear", align_corners=False)
    found: NDArray[np.float32] = wide[0, 0].sub_(128.0).numpy()
    return found


def _doubled_rows(plane: NDArray[np.uint8]) -> NDArray[np.int16]:
    """Return four times (chroma - 128), its rows doubled, with a column repeated at either side.

    Doubling by bilinear interpolation weighs the nearer sample 3/4 and the farther one 1/4 along
    each axis, so that whole sixteenths hold the result exactly, as float32 does.
    """
    height, width = plane.shape
    padded = np.pad(plane.astype(np.int16) - np.int16(128), 1, mode="edge")
    tall = np.empty((2 * height, width + 2), dtype=np.int16)
    near = padded[1:-1] * np.int16(3)
    np.add(near, padded[:-2], out=tall[0::2])
    np.add(near, padded[2:], out=tall[1::2])
    return tall


def _convert(
    y: NDArray[np.uint8], u: NDArray[Any], v: NDArray[Any], out: NDArray[np.uint8]
) -> None:
    """Convert some pixels to RGB; ``u`` and ``v`` are less 128, float32 or int16 sixteenths."""
    yf = y.astype(np.float32)
    yf -= np.float32(16.0)
    yf *= np.float32(255.0 / 219.0)
    # A power of two in the factor changes no rounding.
    factor = np.float32(255.0 / 224.0) / np.float32(16.0 if u.dtype == np.int16 else 1.0)
    uf, vf = u.astype(np.float32), v.astype(np.float32)
    uf *= factor
    vf *= factor
    # One operation after the other, each rounded to float32: fused ones round differently.
    product = vf * np.float32(1.402)
    product += yf
    out[..., 0] = _byte(product)
    np.multiply(uf, np.float32(1.772), out=product)
    product += yf
    out[..., 2] = _byte(product)
    uf *= np.float32(0.344136)
    yf -= uf
    vf *= np.float32(0.714136)
    yf -= vf
    out[..., 1] = _byte(yf)


def _byte(plane: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Clamp a float plane and round it half to even, overwriting it."""
    torch.from_numpy(plane).clamp_(0.0, 255.0)  # numpy's clip takes four times as long
    rounded: NDArray[np.uint8] = np.rint(plane, out=plane).astype(np.uint8)
    return rounded


def rgb_to_yuv6(rgb: Tensor) -> Tensor:
    """Pack RGB into the six half-size planes that comma's pose net reads, differentiably.

    Full-range BT.601::

        Y = 0.299 R + 0.587 G + 0.114 B     U = (B - Y) / 1.772 + 128     V = (R - Y) / 1.402 + 128

    each clamped to 0..255; U and V are averaged over 2x2 pixels. An odd trailing row or column is
    cut. The order of the planes (rows first) is that of the challenge's ``rgb_to_yuv6``:
    ``Y[0::2, 0::2], Y[1::2, 0::2], Y[0::2, 1::2], Y[1::2, 1::2], U, V``.

    Args:
        rgb: ``(..., 3, H, W)``, float in 0..255.

    Returns:
        ``(..., 6, H // 2, W // 2)`` in 0..255.
    """
    planes: Tensor = _Yuv6.apply(rgb)  # type: ignore[no-untyped-call]
    return planes


class _Yuv6(torch.autograd.Function):
    """:func:`rgb_to_yuv6` with its gradient written out, which takes less time than autograd."""

    @staticmethod
    def forward(ctx: Any, rgb: Tensor) -> Tensor:
        height, width = rgb.shape[-2] // 2 * 2, rgb.shape[-1] // 2 * 2
        red, green, blue = rgb[..., :height, :width].unbind(dim=-3)
        # Products are rounded before they are added, as in the challenge's own expression.
        y = (red * 0.299).add_(green * 0.587).add_(blue * 0.114)
        inside_y = _clamp_bytes(y)
        u = (blue - y).div_(1.772).add_(128.0)
        inside_u = _clamp_bytes(u)
        v = (red - y).div_(1.402).add_(128.0)
        inside_v = _clamp_bytes(v)
        ctx.save_for_backward(inside_y, inside_u, inside_v)
        ctx.shape = rgb.shape
        planes = rgb.new_empty((*rgb.shape[:-3], 6, height // 2, width // 2))
        for index, (row, column) in enumerate(_QUARTERS):
            planes[..., index, :, :] = y[..., row::2, column::2]
        for index, chroma in ((4, u), (5, v)):
            total = planes[..., index, :, :]
            total.copy_(chroma[..., 0::2, 0::2])
            for row, column in _QUARTERS[1:]:
                total.add_(chroma[..., row::2, column::2])
            total.mul_(0.25)
        return planes

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        inside_y, inside_u, inside_v = ctx.saved_tensors
        height, width = inside_y.shape[-2:]
        of_y = grad.new_empty(inside_y.shape)
        for index, (row, column) in enumerate(_QUARTERS):
            of_y[..., row::2, column::2] = grad[..., index, :, :]
        of_u = _spread(grad[..., 4, :, :], 0.25 / 1.772, inside_u)
        of_v = _spread(grad[..., 5, :, :], 0.25 / 1.402, inside_v)
        of_y.sub_(of_u).sub_(of_v).mul_(inside_y)
        of_rgb = grad.new_zeros(ctx.shape)
        red, green, blue = of_rgb[..., :height, :width].unbind(dim=-3)
        torch.add(of_v, of_y, alpha=0.299, out=red)
        torch.mul(of_y, 0.587, out=green)
        torch.add(of_u, of_y, alpha=0.114, out=blue)
        return of_rgb


_QUARTERS = ((0, 0), (1, 0), (0, 1), (1, 1))
"""Rows and columns of the four luma planes: even/even, odd row, odd column, odd/odd."""


def _clamp_bytes(plane: Tensor) -> Tensor:
    """Clamp to 0..255 in place; where the plane was inside, which is where gradient passes."""
    inside = (plane >= 0.0) & (plane <= 255.0)
    plane.clamp_(0.0, 255.0)
    return inside


def _spread(grad: Tensor, factor: float, inside: Tensor) -> Tensor:
    """Return the gradient of the 2x2 pixels that a half-size plane averaged, where inside."""
    whole = grad.new_empty(inside.shape)
    scaled = grad * factor
    for row, column in _QUARTERS:
        whole[..., row::2, column::2] = scaled
    return whole.mul_(inside)


def rgb_to_yuv420(
    rgb: Frames,
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]:
    """Convert one RGB frame to 8-bit limited-range BT.601 4:2:0, for an encoder.

    The inverse of :func:`yuv420_to_rgb` as far as 4:2:0 has one: chroma is the mean over 2x2
    pixels, sited in their middle, as the bilinear upsampling takes it. At an odd edge the last row
    or column is repeated.

    Args:
        rgb: ``uint8 (H, W, 3)``.

    Returns:
        ``Y (H, W)`` and ``U``, ``V`` ``(ceil(H/2), ceil(W/2))``, uint8.
    """
    y, u, v = _to_yuv(rgb)
    height, width = y.shape
    odd = (0, width % 2, 0, height % 2)
    chroma = F.pad(torch.stack([u, v])[None], odd, mode="replicate")
    chroma = F.avg_pool2d(chroma, 2)[0] * (224.0 / 255.0) + 128.0
    return _byte(y.numpy()), _byte(chroma[0].numpy()), _byte(chroma[1].numpy())


def rgb_to_yuv444(
    rgb: Frames,
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]:
    """Convert like :func:`rgb_to_yuv420`, but with chroma for every pixel."""
    y, u, v = _to_yuv(rgb)
    u, v = (plane * (224.0 / 255.0) + 128.0 for plane in (u, v))
    return _byte(y.numpy()), _byte(u.numpy()), _byte(v.numpy())


def _to_yuv(rgb: Frames) -> tuple[Tensor, Tensor, Tensor]:
    """Return limited-range luma, and the two colour differences in -127.5..127.5."""
    planes = torch.from_numpy(np.ascontiguousarray(rgb.transpose(2, 0, 1))).float()
    red, green, blue = planes
    y = red * 0.299 + green * 0.587 + blue * 0.114
    return y * (219.0 / 255.0) + 16.0, (blue - y) / 1.772, (red - y) / 1.402
