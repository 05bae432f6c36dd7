"""Decoded frames of any pixel format to RGB.

8-bit limited-range 4:2:0 is the metric's own case and takes the exact conversion of
:func:`seesame.video.colour.yuv420_to_rgb` whatever matrix the file is tagged with, because the
challenge does so. Every other format is converted by its own tags. See docs/video.md.
"""

import re
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from av import VideoFrame
from av.video.plane import VideoPlane
from numpy.typing import NDArray

from seesame.errors import UserError
from seesame.video.clip import Frames
from seesame.video.colour import yuv420_to_rgb

SWSCALE_THREADS = 1
"""With more, swscale was seen to leave rows of small frames unwritten on a busy machine."""

_FULL_RANGE = 2
"""AVCOL_RANGE_JPEG."""

_GBR, _UNTAGGED = 0, 2
"""Values of AVColorSpace."""

LUMA_WEIGHTS = {
    1: (0.2126, 0.0722),  # BT.709
    2: (0.299, 0.114),  # untagged: BT.601, as the metric takes it
    4: (0.30, 0.11),  # FCC
    5: (0.299, 0.114),  # BT.601, 625 lines
    6: (0.299, 0.114),  # BT.601, 525 lines
    7: (0.212, 0.087),  # SMPTE 240M
    9: (0.2627, 0.0593),  # BT.2020
}
"""(Kr, Kb) by AVColorSpace (ITU-T H.273, table 4)."""

_PLANAR_YUV = re.compile(r"yuv[aj]?(420|422|444|440|411|410)p((?P<bits>\d+)le)?")
_GREY = re.compile(r"gray((?P<bits>\d+)le)?")
_DEEP_GBR = re.compile(r"gbra?p(?P<bits>\d+)le")


def frame_to_rgb(frame: VideoFrame) -> Frames:
    """Convert one decoded frame to RGB, ``uint8 (H, W, 3)``; alpha is dropped.

    Raises:
        UserError: a colour matrix or pixel format that is not supported.
    """
    name = frame.format.name
    full = _is_full_range(frame)
    if not full and name in ("yuv420p", "yuva420p"):
        y, u, v = (_samples(plane) for plane in frame.planes[:3])
        return yuv420_to_rgb(y, u, v)
    if not full and name in ("nv12", "nv21"):
        y, interleaved = _samples(frame.planes[0]), _bytes(frame.planes[1])
        width = 2 * ((frame.width + 1) // 2)
        first, second = interleaved[:, 0:width:2], interleaved[:, 1:width:2]
        u, v = (first, second) if name == "nv12" else (second, first)
        return yuv420_to_rgb(y, u, v)
    if frame.format.is_rgb or frame.format.has_palette or name in ("monow", "monob"):
        return _from_rgb(frame)
    return _from_yuv(frame, full)


def _is_full_range(frame: VideoFrame) -> bool:
    """Return whether black is 0; grey without a tag is full range, as all its writers mean it."""
    if frame.format.name.startswith("yuvj"):
        return True
    if frame.format.name.startswith(("gray", "ya")):
        return int(frame.color_range) != 1
    return int(frame.color_range) == _FULL_RANGE


def _bytes(plane: VideoPlane) -> NDArray[np.uint8]:
    """Return a plane as bytes, ``(rows, line size)``: padding included."""
    if plane.line_size <= 0:
        raise UserError("frames stored bottom-up in this pixel format are not supported")
    return np.frombuffer(memoryview(plane), dtype=np.uint8).reshape(plane.height, plane.line_size)


def _samples(plane: VideoPlane, wide: bool = False) -> NDArray[Any]:
    """Return a plane of one sample a pixel, without padding; ``wide`` samples have two bytes."""
    rows = _bytes(plane)
    if wide:
        return rows[:, : 2 * plane.width].view(np.dtype("<u2"))
    return rows[:, : plane.width]


def _from_rgb(frame: VideoFrame) -> Frames:
    """Convert RGB, GBR and palette formats; 8-bit ones are exact, deeper ones are rounded."""
    if max(c.bits for c in frame.format.components) <= 8:
        packed = frame.reformat(format="rgb24", threads=SWSCALE_THREADS)
        pixels = _bytes(packed.planes[0])[:, : 3 * frame.width]
        return pixels.reshape(frame.height, frame.width, 3).copy()
    deep = _DEEP_GBR.fullmatch(frame.format.name)
    if deep is None:
        frame = frame.reformat(format="gbrp16le", threads=SWSCALE_THREADS)
        deep = _DEEP_GBR.fullmatch("gbrp16le")
    assert deep is not None
    peak = 2 ** int(deep["bits"]) - 1
    green, blue, red = (_samples(plane, wide=True) for plane in frame.planes[:3])
    rgb = np.stack([red, green, blue], axis=-1).astype(np.float32)
    shallow: Frames = np.rint(rgb * np.float32(255.0 / peak)).astype(np.uint8)
    return shallow


def _from_yuv(frame: VideoFrame, full: bool) -> Frames:
    """Convert YUV and grey formats of any depth, by the frame's own matrix and range tags."""
    name, stored = frame.format.name, frame
    match = _PLANAR_YUV.fullmatch(name) or _GREY.fullmatch(name)
    if match is None:
        # Packed, semi-planar or big-endian: only the layout is left to swscale.
        name = "gray16le" if name.startswith(("gray", "ya")) else "yuv444p16le"
        tag = int(frame.color_range)
        frame = frame.reformat(
            format=name, src_color_range=tag, dst_color_range=tag, threads=SWSCALE_THREADS
        )
        match = _PLANAR_YUV.fullmatch(name) or _GREY.fullmatch(name)
        assert match is not None
    bits = int(match["bits"] or 8)
    planes = [
        torch.from_numpy(_samples(plane, wide=bits > 8).astype(np.float32))
        for plane in frame.planes[:3]
    ]
    step = 2.0 ** (bits - 8)
    peak = 2.0**bits - 1
    luma = planes[0] * (255.0 / peak) if full else (planes[0] - 16 * step) * (255 / 219 / step)
    if len(planes) < 3 or name.startswith("gray"):
        return _rounded(luma[..., None].expand(-1, -1, 3))
    chroma = torch.stack(planes[1:])[None]
    chroma = F.interpolate(chroma, size=luma.shape, mode="bilinear", align_corners=False)[0]
    u, v = (chroma - 128 * step) * (255.0 / peak if full else 255 / 224 / step)
    kr, kb = _luma_weights(stored)
    red = luma + 2 * (1 - kr) * v
    blue = luma + 2 * (1 - kb) * u
    green = (luma - kr * red - kb * blue) / (1 - kr - kb)
    return _rounded(torch.stack([red, green, blue], dim=-1))


def _rounded(rgb: torch.Tensor) -> Frames:
    frame: Frames = rgb.clamp(0.0, 255.0).round().to(torch.uint8).contiguous().numpy()
    return frame


def _luma_weights(frame: VideoFrame) -> tuple[float, float]:
    matrix = int(frame.colorspace)
    if matrix == _GBR and not frame.format.name.startswith("yuv444"):
        matrix = _UNTAGGED  # chroma of fewer samples cannot be green, blue and red
    if matrix not in LUMA_WEIGHTS:
        raise UserError(f"colour matrix {matrix} (AVColorSpace) is not supported")
    return LUMA_WEIGHTS[matrix]


def upright(rgb: Frames, matrix: tuple[int, int, int, int] | None) -> Frames:
    """Turn and mirror a frame ``(H, W, 3)`` as its display matrix ``(a, b, c, d)`` says.

    The matrix maps a pixel to the screen: ``x' = a x + c y``, ``y' = b x + d y`` (ISO/IEC
    14496-12, 6.2.2). Quarter turns and mirrorings are exact; any other angle is left alone.
    """
    if matrix is None:
        return rgb
    a, b, c, d = matrix
    if a and d and not b and not c:
        rgb = rgb[:: 1 if d > 0 else -1, :: 1 if a > 0 else -1]
    elif b and c and not a and not d:
        # Across the screen runs what ran down the frame, and the other way round.
        rgb = rgb.transpose(1, 0, 2)[:: 1 if b > 0 else -1, :: 1 if c > 0 else -1]
    return rgb
