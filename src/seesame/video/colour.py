"""Colour: the metric's exact YUV 4:2:0 to RGB conversion, and the pose net's YUV6 packing.

Both follow the comma video compression challenge (``frame_utils.py``, 2026) to the last digit:
the same float32 operations in the same order, so that the rounded values are the same.
"""

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from seesame.video.clip import Frames

_GRAIN = 32_768
"""Values from which on torch splits an operation over threads. The conversion goes in strips below
that: they stay in the processor's cache, and threads cost more than such small work is worth (a
hundredfold on a busy machine).
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
    chroma = np.stack([u, v])
    step = max(2, ((_GRAIN - 1) // (2 * width) - 4) // 2 * 2)  # both chroma planes, 4 extra rows
    for top in range(0, height, step):
        rows = slice(top, min(top + step, height))
        yf = torch.from_numpy(y[rows].astype(np.float32)).sub_(16.0).mul_(255.0 / 219.0)
        uf, vf = _upsample(chroma, rows, (height, width)).sub_(128.0).mul_(255.0 / 224.0)
        # In place for speed; never torch.add(alpha=...), which fuses the product into the sum
        # and so rounds differently.
        rgb[rows, :, 0] = _byte((vf * 1.402).add_(yf))
        rgb[rows, :, 2] = _byte((uf * 1.772).add_(yf))
        rgb[rows, :, 1] = _byte(yf.sub_(uf.mul_(0.344136)).sub_(vf.mul_(0.714136)))
    return rgb


def _upsample(chroma: NDArray[np.uint8], rows: slice, size: tuple[int, int]) -> Tensor:
    """Some rows of the chroma upsampled to ``size``; ``rows`` starts at an even one.

    Doubling is done on those rows and their neighbours alone: its weights are quarters, so every
    value is exact in float32 and the same as in the whole. Odd sizes have other weights, and are
    upsampled whole.
    """
    height, width = size
    if height % 2 or width % 2:
        whole = torch.from_numpy(chroma.astype(np.float32))[None]
        whole = F.interpolate(whole, size=size, mode="bilinear", align_corners=False)
        return whole[0, :, rows]
    first, last = rows.start // 2, rows.stop // 2
    near = np.arange(first - 1, last + 1).clip(0, height // 2 - 1)  # the edge rows are repeated
    part = torch.from_numpy(chroma[:, near].astype(np.float32))[None]
    part = F.interpolate(part, scale_factor=2.0, mode="bilinear", align_corners=False)
    return part[0, :, 2:-2]


def _byte(plane: Tensor) -> NDArray[np.uint8]:
    """Clamp a float plane and round it half to even, overwriting it."""
    values = plane.clamp_(0.0, 255.0).numpy()
    # Not torch's round, which goes to threads however small the plane.
    rounded: NDArray[np.uint8] = np.rint(values, out=values).astype(np.uint8)
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
    height, width = rgb.shape[-2] // 2 * 2, rgb.shape[-1] // 2 * 2
    red, green, blue = rgb[..., :height, :width].unbind(dim=-3)
    y = (red * 0.299 + green * 0.587 + blue * 0.114).clamp(0.0, 255.0)
    u = ((blue - y) / 1.772 + 128.0).clamp(0.0, 255.0)
    v = ((red - y) / 1.402 + 128.0).clamp(0.0, 255.0)
    y00, y10, y01, y11 = _quarters(y)
    u00, u10, u01, u11 = _quarters(u)
    v00, v10, v01, v11 = _quarters(v)
    half_u = (u00 + u10 + u01 + u11) * 0.25
    half_v = (v00 + v10 + v01 + v11) * 0.25
    return torch.stack([y00, y10, y01, y11, half_u, half_v], dim=-3)


def _quarters(plane: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The four interleaved half-size planes: even/even, odd row, odd column, odd/odd."""
    return (
        plane[..., 0::2, 0::2],
        plane[..., 1::2, 0::2],
        plane[..., 0::2, 1::2],
        plane[..., 1::2, 1::2],
    )


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
    return _byte(y), _byte(chroma[0]), _byte(chroma[1])


def rgb_to_yuv444(
    rgb: Frames,
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]:
    """As :func:`rgb_to_yuv420`, but with chroma for every pixel."""
    y, u, v = _to_yuv(rgb)
    return _byte(y), _byte(u * (224.0 / 255.0) + 128.0), _byte(v * (224.0 / 255.0) + 128.0)


def _to_yuv(rgb: Frames) -> tuple[Tensor, Tensor, Tensor]:
    """Limited-range luma, and the two colour differences in -127.5..127.5."""
    planes = torch.from_numpy(np.ascontiguousarray(rgb.transpose(2, 0, 1))).float()
    red, green, blue = planes
    y = red * 0.299 + green * 0.587 + blue * 0.114
    return y * (219.0 / 255.0) + 16.0, (blue - y) / 1.772, (red - y) / 1.402
