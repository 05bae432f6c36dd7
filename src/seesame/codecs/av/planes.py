"""RGB to the planes that encoders of the av family take, and back from those that decoders give."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from av.video.frame import VideoFrame
from numpy.typing import NDArray
from torch import Tensor

from seesame.bounds import BOUNDS
from seesame.video.clip import Frames
from seesame.video.colour import yuv420_to_rgb
from seesame.video.resize import strips, to_float

FORMATS = {8: "yuv420p", 10: "yuv420p10le"}
"""FFmpeg's names of the pictures, by the bits of a sample."""

_LEAST_SIDE = 64
"""The smallest width and height that all four encoders take."""

Plane = NDArray[Any]
"""``uint8``, or ``uint16`` for ten bits."""


def padded(side: int) -> int:
    """The side of the coded picture, which is cut to the scaled size after decoding."""
    return max(_LEAST_SIDE, side + side % 2)


@dataclass(frozen=True)
class Colour:
    """The conversion of RGB to YUV; BT.601 in limited range by default.

    Args:
        red: the weight of R in luma.
        blue: that of B.
        full: True for full range.
    """

    red: float = 0.299
    blue: float = 0.114
    full: bool = False


BT601 = Colour()


def rgb_to_yuv420(
    rgb: Tensor, depth: int = 8, colour: Colour = BT601
) -> tuple[Plane, Plane, Plane]:
    """Convert RGB to YUV with chroma averaged over 2x2 pixels.

    By default the inverse of :func:`seesame.video.colour.yuv420_to_rgb` (ITU-R BT.601-7, 2.5)::

        y' = 0.299 R + 0.587 G + 0.114 B      Y = 16 + y' * 219/255
        U = 128 + (B - y') / 1.772 * 224/255  V = 128 + (R - y') / 1.402 * 224/255

    in 8 bits, and four times that in 10. In full range ``Y = y'``, the factors of U and V are 1,
    and 10 bits have 1023/255 times the luma and chroma of 8.

    Args:
        rgb: float ``(B, 3, H, W)`` in 0..255, ``H`` and ``W`` even.
        depth: 8 or 10 bits.
        colour: the weights and the range.

    Returns:
        Y ``(B, H, W)``, U and V ``(B, H/2, W/2)``: ``uint8``, or ``uint16`` for 10 bits.
    """
    red, green, blue = rgb.clamp(0.0, 255.0).unbind(dim=1)
    kr, kb = colour.red, colour.blue
    luma = red * kr + green * (1 - kr - kb) + blue * kb
    chroma = torch.stack([(blue - luma) / (2 * (1 - kb)), (red - luma) / (2 * (1 - kr))], dim=1)
    chroma = F.avg_pool2d(chroma, 2)
    if colour.full:
        step = (2**depth - 1) / 255 / 2 ** (depth - 8)  # _whole brings the power of two
        y, chroma = luma * step, chroma * step + 128.0
    else:
        y, chroma = luma * (219.0 / 255.0) + 16.0, chroma * (224.0 / 255.0) + 128.0
    u, v = chroma.unbind(dim=1)
    return _whole(y, depth), _whole(u, depth), _whole(v, depth)


def _whole(plane: Tensor, depth: int) -> Plane:
    if depth == 8:
        return plane.round().clamp(0, 255).to(torch.uint8).numpy()
    return (4 * plane).round().clamp(0, 1023).to(torch.int16).numpy().view(np.uint16)


def pictures(rgb: Tensor, depth: int, colour: Colour = BT601) -> Iterator[VideoFrame]:
    """Pictures for the encoder, padded by repeating the last row and column."""
    height, width = rgb.shape[-2:]
    padding = (0, padded(width) - width, 0, padded(height) - height)
    y, u, v = rgb_to_yuv420(F.pad(rgb, padding, mode="replicate"), depth, colour)
    for i in range(len(y)):
        planes = [y[i].reshape(-1), u[i].reshape(-1), v[i].reshape(-1)]
        stacked = np.concatenate(planes).reshape(-1, y.shape[2])
        yield VideoFrame.from_ndarray(stacked, format=FORMATS[depth])


def decoded_rgb(picture: VideoFrame, height: int, width: int, depth: int) -> Tensor:
    """Cut a decoded picture to the scaled size and convert it: float ``(1, 3, height, width)``.

    Eight bits take the reader's own conversion, which rounds to whole numbers in 0..255. Ten are
    clamped to 0..255 but not rounded.
    """
    if depth == 8:
        return to_float(decoded_bytes(picture, height, width)[None])
    y, *chroma = _cut(picture, height, width, np.dtype("<u2"))
    if height * width <= BOUNDS.whole_pixels:
        planes = (torch.from_numpy(plane.astype(np.float32)) for plane in (y, *chroma))
        return _ten_bits_to_rgb(*planes)
    out = torch.empty(1, 3, height, width)
    small = np.stack([plane.astype(np.float32) for plane in chroma])
    for rows, colour in strips(small, (height, width), "bilinear"):
        luma = torch.from_numpy(y[rows].astype(np.float32))
        out[:, :, rows] = _ten_bits_to_rgb(luma, *torch.from_numpy(colour))
    return out


def decoded_bytes(picture: VideoFrame, height: int, width: int) -> Frames:
    """Return :func:`decoded_rgb` of an 8-bit picture as ``uint8 (height, width, 3)``."""
    return yuv420_to_rgb(*_cut(picture, height, width, np.dtype(np.uint8)))


def _cut(picture: VideoFrame, height: int, width: int, kind: Any) -> list[Plane]:
    """Return the planes of a picture without its padding."""
    sizes = [(height, width), *[((height + 1) // 2, (width + 1) // 2)] * 2]
    planes: list[Plane] = []
    for plane, (rows, columns) in zip(picture.planes, sizes, strict=True):
        whole = np.frombuffer(memoryview(plane), kind)
        planes.append(whole.reshape(-1, plane.line_size // kind.itemsize)[:rows, :columns])
    return planes


def _ten_bits_to_rgb(y: Tensor, u: Tensor, v: Tensor) -> Tensor:
    """:func:`seesame.video.colour.yuv420_to_rgb` of planes four times as large, not rounded."""
    colour = torch.stack([u, v])[None]
    if colour.shape[-2:] != y.shape:
        colour = F.interpolate(colour, size=y.shape, mode="bilinear", align_corners=False)
    luma = (y / 4 - 16.0) * (255.0 / 219.0)
    blue, red = ((colour[0] / 4 - 128.0) * (255.0 / 224.0)).unbind(0)
    green = luma - 0.344136 * blue - 0.714136 * red
    rgb = torch.stack([luma + 1.402 * red, green, luma + 1.772 * blue])
    return rgb.clamp(0.0, 255.0)[None]
