"""Resizing frames with the kernels that matter to codecs; every one is differentiable."""

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from seesame.video.clip import Frames
from seesame.video.compiled import loops

KERNELS = ("bilinear", "area", "bicubic", "lanczos", "nearest")
"""Names that :func:`resize` takes."""

_BAND = 32
"""Output pixels of a band; wider ones multiply more zeros, narrower ones call more often."""

_Weights = NDArray[np.float64]


def resize(x: Tensor, size: tuple[int, int], kernel: str = "bilinear") -> Tensor:
    """Resize a batch of pictures.

    ``bilinear`` is ``F.interpolate(mode="bilinear", align_corners=False)``, without antialiasing:
    what every stack does to its input. ``area`` averages the source pixels under each output
    pixel, in part where they lie in part under it. ``bicubic`` (a = -0.5, as Pillow) and
    ``lanczos`` (three lobes) are widened when shrinking, so that they do not alias. ``nearest``
    takes the source pixel under the output pixel's centre. A picture of that size already passes
    unchanged.

    Args:
        x: ``(B, C, H, W)``, float.
        size: ``(height, width)`` of the result.
        kernel: one of :data:`KERNELS`.

    Returns:
        ``(B, C, height, width)``, not clamped: ``bicubic`` and ``lanczos`` overshoot.

    Raises:
        ValueError: unknown kernel.
    """
    _check(kernel)
    height, width = size
    if tuple(x.shape[-2:]) == (height, width):
        return x
    if kernel == "bilinear":
        return F.interpolate(x, size=(height, width), mode="bilinear", align_corners=False)
    # The cheaper order: the pass that leaves fewer values to the other one comes first.
    if height * x.shape[-1] <= x.shape[-2] * width:
        return _across(_down(x, height, kernel), width, kernel)
    return _down(_across(x, width, kernel), height, kernel)


def _down(x: Tensor, height: int, kernel: str) -> Tensor:
    """Resize the rows."""
    if _by_bands(x):
        bands = _bands(height, x.shape[-2], kernel)
        return torch.cat([part.to(x) @ x[..., taken, :] for taken, part in bands], dim=-2)
    return resize_matrix(height, x.shape[-2], kernel).to(x) @ x


def _across(x: Tensor, width: int, kernel: str) -> Tensor:
    """Resize the columns."""
    if _by_bands(x):
        bands = _bands(width, x.shape[-1], kernel)
        return torch.cat([x[..., taken] @ part.to(x).T for taken, part in bands], dim=-1)
    return x @ resize_matrix(width, x.shape[-1], kernel).to(x).T


def _by_bands(x: Tensor) -> bool:
    """Return whether leaving out zeros saves time; on a GPU, or with a gradient, it does not."""
    return x.device.type == "cpu" and not (x.requires_grad and torch.is_grad_enabled())


@lru_cache(maxsize=64)
def _bands(n_out: int, n_in: int, kernel: str) -> tuple[tuple[slice, Tensor], ...]:
    """Return :func:`resize_matrix` by groups of rows, each with the columns that it takes."""
    bands = []
    for part in torch.split(resize_matrix(n_out, n_in, kernel), _BAND):
        columns = part.any(dim=0).nonzero()
        taken = slice(int(columns[0]), int(columns[-1]) + 1)
        bands.append((taken, part[:, taken].contiguous()))
    return tuple(bands)


@lru_cache(maxsize=64)
def resize_matrix(n_out: int, n_in: int, kernel: str) -> Tensor:
    """Return the matrix that resizes one axis: ``float32 (n_out, n_in)``, each row summing to 1.

    The result is cached: do not change it in place.

    Raises:
        ValueError: unknown kernel, or a length below 1.
    """
    _check(kernel)
    if n_out < 1 or n_in < 1:
        raise ValueError(f"cannot resize {n_in} pixels to {n_out}")
    scale = n_in / n_out
    if kernel == "nearest":
        source = ((2 * np.arange(n_out) + 1) * n_in) // (2 * n_out)
        weights = np.zeros((n_out, n_in))
        weights[np.arange(n_out), source] = 1.0
    elif kernel == "area":
        edges = np.arange(n_out)[:, None] * scale
        pixels = np.arange(n_in)[None, :]
        overlap = np.minimum(edges + scale, pixels + 1) - np.maximum(edges, pixels)
        weights = overlap.clip(min=0.0)
    elif kernel == "bilinear":
        weights = _bilinear(n_out, n_in)
    elif kernel == "bicubic":
        weights = _sampled(n_out, n_in, _cubic, 2.0)
    else:
        weights = _sampled(n_out, n_in, _lanczos, 3.0)
    weights /= weights.sum(axis=1, keepdims=True)
    return torch.from_numpy(weights.astype(np.float32))


def resize_frames(frames: Frames, size: tuple[int, int], kernel: str = "bilinear") -> Frames:
    """Resize ``uint8 (B, H, W, 3)`` to ``(height, width)``, clamped and rounded to uint8."""
    if frames.shape[1:3] == tuple(size):
        return frames
    with torch.no_grad():
        return to_uint8(resize(to_float(frames), size, kernel))


_Taps = tuple[NDArray[np.int64], NDArray[np.float32]]
"""For each pixel of a resized axis: the first of those it is made of, and what each counts."""


@lru_cache(maxsize=64)
def _taps(n_out: int, n_in: int, kernel: str) -> _Taps:
    """Return :func:`resize_matrix` as as many neighbouring pixels for each as any of them needs."""
    matrix = resize_matrix(n_out, n_in, kernel).numpy()
    first = (matrix != 0).argmax(axis=1)
    first = np.minimum.accumulate(first[::-1])[::-1]  # a kernel's zero may hide a pixel before it
    last = n_in - 1 - (matrix[:, ::-1] != 0).argmax(axis=1)
    taps = int((last - first).max()) + 1
    first = np.minimum(first, n_in - taps)
    shares = np.take_along_axis(matrix, first[:, None] + np.arange(taps), axis=1)
    return first, np.ascontiguousarray(shares.T)


def resized(picture: Tensor, size: tuple[int, int], kernel: str = "bilinear") -> Frames:
    """Resize one picture ``float32 (1, 3, h, w)``, clamp and round it: ``uint8 (1, H, W, 3)``.

    On the CPU, every product and every sum is rounded to float32 by itself, in the order of the
    pixels, columns first: the bytes are the same on every machine. :func:`resize` multiplies
    matrices, whose sums may be rounded in another order.

    Raises:
        ValueError: unknown kernel.
    """
    _check(kernel)
    if picture.device.type != "cpu":
        return to_uint8(resize(picture, size, kernel))
    height, width = picture.shape[2:]
    rows, columns = _taps(size[0], height, kernel), _taps(size[1], width, kernel)
    source = picture[0].contiguous().numpy()
    compiled = loops()
    if compiled is None:
        planes = _summed(_summed(source, columns, -1), rows, -2).clip(0.0, 255.0)
        plain: Frames = np.rint(planes).astype(np.uint8).transpose(1, 2, 0)[None]
        return plain
    out: Frames = np.empty((1, *size, 3), dtype=np.uint8)
    compiled.resize(source, *rows, *columns, out.reshape(size[0], -1))
    return out


def _summed(x: NDArray[np.float32], taps: _Taps, axis: int) -> NDArray[np.float32]:
    """Return an axis of ``(3, h, w)`` resized, tap after tap."""
    first, shares = taps
    found: NDArray[np.float32] | None = None
    for tap, share in enumerate(shares):
        factor = share[:, None] if axis == -2 else share
        part: NDArray[np.float32] = factor * x.take(first + tap, axis=axis)
        found = part if found is None else found + part
    assert found is not None
    return found


def to_uint8(x: Tensor) -> Frames:
    """Convert ``(B, 3, H, W)`` to frames ``uint8 (B, H, W, 3)``, rounding half to even."""
    x = x.detach()
    if x.device.type != "cpu":  # there, so that bytes are moved and not floats
        turned = x.clamp(0.0, 255.0).round_().to(torch.uint8).permute(0, 2, 3, 1).contiguous()
        moved: Frames = turned.cpu().numpy()
        return moved
    frames: Frames = np.empty((len(x), *x.shape[2:], 3), dtype=np.uint8)
    for picture, out in zip(x, frames, strict=True):
        compiled = loops() if x.dtype == torch.float32 else None
        if compiled is None:
            planes = picture.clamp(0.0, 255.0).round_().numpy()
            for channel in range(3):  # torch's own turning of the axes takes up to five times
                out[..., channel] = planes[channel]
        else:
            compiled.to_bytes(picture.contiguous().numpy(), out.reshape(len(out), -1))
    return frames


def to_float(frames: Frames) -> Tensor:
    """Convert frames ``uint8 (B, H, W, 3)`` to ``float32 (B, 3, H, W)`` in 0..255, a copy."""
    planes = np.empty((len(frames), 3, *frames.shape[1:3]), dtype=np.float32)
    for channel in range(3):
        planes[:, channel] = frames[..., channel]
    return torch.from_numpy(planes)


def _check(kernel: str) -> None:
    if kernel not in KERNELS:
        raise ValueError(f"unknown resize kernel {kernel!r}; one of {', '.join(KERNELS)}")


def _bilinear(n_out: int, n_in: int) -> _Weights:
    """Return bilinear weights, ``align_corners=False``: two taps a row, edges repeated."""
    position = ((np.arange(n_out) + 0.5) * n_in / n_out - 0.5).clip(0.0, n_in - 1.0)
    low = np.floor(position).astype(np.int64)
    high = np.minimum(low + 1, n_in - 1)
    weights = np.zeros((n_out, n_in))
    rows = np.arange(n_out)
    np.add.at(weights, (rows, low), 1.0 - (position - low))
    np.add.at(weights, (rows, high), position - low)
    return weights


def _sampled(
    n_out: int, n_in: int, function: Callable[[_Weights], _Weights], support: float
) -> _Weights:
    """Sample a kernel at the source pixels, stretched by the scale when shrinking.

    Pixels beyond the edge are left out and the row is made to sum to 1 again (as Pillow does).
    """
    scale = n_in / n_out
    stretch = max(scale, 1.0)
    centres = (np.arange(n_out)[:, None] + 0.5) * scale
    distance = (np.arange(n_in)[None, :] + 0.5 - centres) / stretch
    return np.where(np.abs(distance) < support, function(distance), 0.0)


def _cubic(x: _Weights) -> _Weights:
    """Return the weights of Keys' cubic convolution with a = -0.5 (Keys 1981, eq. 4)."""
    x = np.abs(x)
    near = (1.5 * x - 2.5) * x * x + 1.0
    far = ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0
    return np.where(x < 1.0, near, np.where(x < 2.0, far, 0.0))


def _lanczos(x: _Weights) -> _Weights:
    """Return the sinc windowed by a sinc three times as wide (Duchon 1979)."""
    return np.where(np.abs(x) < 3.0, np.sinc(x) * np.sinc(x / 3.0), 0.0)
