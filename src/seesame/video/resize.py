"""Resizing frames with the kernels that matter to codecs; every one is differentiable."""

import math
from collections.abc import Callable, Iterator
from typing import TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from seesame.bounds import cached_by_size
from seesame.video.clip import Frames
from seesame.video.compiled import loops

KERNELS = ("bilinear", "area", "bicubic", "lanczos", "nearest")
"""Names that :func:`resize` takes."""

_BAND = 32
"""Output pixels of a band; wider ones multiply more zeros, narrower ones call more often."""

_LARGE = 1 << 22
"""Entries of a matrix that is large; few of these are kept."""
_WHOLE_ROWS = 4096
"""Source pixels up to which a window's weights are summed as a whole row."""
_STRIP_VALUES, _LEAST_STRIP = 1 << 21, 16
"""Values of each colour in a strip of a resized picture, and the fewest rows that it has."""

Bands = tuple[tuple[slice, slice, Tensor], ...]
"""Groups of a matrix's rows: which rows, the columns that they take, and their weights."""

_Weights = NDArray[np.float64]
_Float = TypeVar("_Float", np.float32, np.float64)


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
        return down_by_bands(x, _bands(height, x.shape[-2], kernel))
    return resize_matrix(height, x.shape[-2], kernel).to(x) @ x


def _across(x: Tensor, width: int, kernel: str) -> Tensor:
    """Resize the columns."""
    if _by_bands(x):
        return across_by_bands(x, _bands(width, x.shape[-1], kernel))
    return x @ resize_matrix(width, x.shape[-1], kernel).to(x).T


def down_by_bands(x: Tensor, bands: Bands) -> Tensor:
    """Return a matrix in groups of rows times ``(..., h, w)``."""
    out = x.new_empty(*x.shape[:-2], bands[-1][0].stop, x.shape[-1])
    for rows, taken, part in bands:
        out[..., rows, :] = part.to(x) @ x[..., taken, :]
    return out


def across_by_bands(x: Tensor, bands: Bands) -> Tensor:
    """Return ``(..., h, w)`` times the transpose of a matrix in groups of rows."""
    out = x.new_empty(*x.shape[:-1], bands[-1][0].stop)
    for rows, taken, part in bands:
        out[..., rows] = x[..., taken] @ part.to(x).T
    return out


def _by_bands(x: Tensor) -> bool:
    """Return whether leaving out zeros saves time; on a GPU, or with a gradient, it does not."""
    return x.device.type == "cpu" and not (x.requires_grad and torch.is_grad_enabled())


def _is_large(n_out: int, n_in: int, kernel: str) -> bool:
    return n_out * n_in > _LARGE


@cached_by_size(64, 4, _is_large)
def _bands(n_out: int, n_in: int, kernel: str) -> Bands:
    """Return :func:`resize_matrix` by groups of rows, each with the columns that it takes."""
    first, shares = _windows(n_out, n_in, kernel)
    bands = []
    for start in range(0, n_out, _BAND):
        rows = slice(start, min(start + _BAND, n_out))
        left = int(first[rows].min())
        width = int(first[rows].max()) + shares.shape[1] - left
        part = torch.from_numpy(_scattered(first[rows] - left, shares[rows], width))
        columns = part.any(dim=0).nonzero()
        taken = slice(int(columns[0]), int(columns[-1]) + 1)
        columns_of_all = slice(left + taken.start, left + taken.stop)
        bands.append((rows, columns_of_all, part[:, taken].contiguous()))
    return tuple(bands)


@cached_by_size(64, 4, _is_large)
def resize_matrix(n_out: int, n_in: int, kernel: str) -> Tensor:
    """Return the matrix that resizes one axis: ``float32 (n_out, n_in)``, each row summing to 1.

    The result is cached: do not change it in place.

    Raises:
        ValueError: unknown kernel, or a length below 1.
    """
    return torch.from_numpy(_scattered(*_windows(n_out, n_in, kernel), n_in))


def _scattered(first: NDArray[np.int64], shares: NDArray[_Float], width: int) -> NDArray[_Float]:
    """Return windows of weights as the rows of a matrix ``(len(first), width)``."""
    matrix = np.zeros((len(first), width), shares.dtype)
    places = first[:, None] + np.arange(shares.shape[1])
    np.put_along_axis(matrix, places, shares, axis=1)
    return matrix


def _windows(n_out: int, n_in: int, kernel: str) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return for each pixel of a resized axis the first source pixel of its window, and weights.

    Returns:
        ``(n_out,)``, and ``(n_out, window)``, each row summing to 1. No more memory is used than
        these take a few times, however long the axes are.

    Raises:
        ValueError: unknown kernel, or a length below 1.
    """
    _check(kernel)
    if n_out < 1 or n_in < 1:
        raise ValueError(f"cannot resize {n_in} pixels to {n_out}")
    scale = n_in / n_out
    if kernel == "nearest":
        source = ((2 * np.arange(n_out) + 1) * n_in) // (2 * n_out)
        return source, np.ones((n_out, 1), np.float32)
    if kernel == "area":
        edges = np.arange(n_out)[:, None] * scale
        first, pixels = _window(np.floor(edges[:, 0]), math.ceil(scale) + 2, n_in)
        overlap = np.minimum(edges + scale, pixels + 1) - np.maximum(edges, pixels)
        weights: _Weights = overlap.clip(min=0.0)
    elif kernel == "bilinear":
        first, weights = _bilinear(n_out, n_in)
    elif kernel == "bicubic":
        first, weights = _sampled(n_out, n_in, _cubic, 2.0)
    else:
        first, weights = _sampled(n_out, n_in, _lanczos, 3.0)
    weights /= _sums(first, weights, n_in)[:, None]
    return first, weights.astype(np.float32)


def _window(start: _Weights, size: int, n_in: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the first pixels of windows of a size, moved inside an axis, and all their pixels."""
    size = min(size, n_in)
    first = start.astype(np.int64).clip(0, n_in - size)
    return first, first[:, None] + np.arange(size)


def _sums(first: NDArray[np.int64], weights: _Weights, n_in: int) -> _Weights:
    """Return the sum of each window, ``(n_out,)``.

    Up to 4096 source pixels the windows are summed as whole rows of the matrix: numpy adds in an
    order that depends on a value's place, and the last bit with it.
    """
    if n_in > _WHOLE_ROWS:
        plain: _Weights = weights.sum(axis=1)
        return plain
    step = max(1, _LARGE // n_in)
    starts = range(0, len(first), step)
    parts = (slice(start, start + step) for start in starts)
    return np.concatenate([_scattered(first[p], weights[p], n_in).sum(axis=1) for p in parts])


def resize_frames(frames: Frames, size: tuple[int, int], kernel: str = "bilinear") -> Frames:
    """Resize ``uint8 (B, H, W, 3)`` to ``(height, width)``, clamped and rounded to uint8."""
    if frames.shape[1:3] == tuple(size):
        return frames
    with torch.no_grad():
        return to_uint8(resize(to_float(frames), size, kernel))


_Taps = tuple[NDArray[np.int64], NDArray[np.float32]]
"""For each pixel of a resized axis: the first of those it is made of, and what each counts."""


@cached_by_size(64, 4, _is_large)
def _taps(n_out: int, n_in: int, kernel: str) -> _Taps:
    """Return :func:`resize_matrix` as as many neighbouring pixels for each as any of them needs."""
    first, shares = _windows(n_out, n_in, kernel)
    used = shares != 0
    begin = first + used.argmax(axis=1)
    begin = np.minimum.accumulate(begin[::-1])[::-1]  # a kernel's zero may hide a pixel before it
    last = first + shares.shape[1] - 1 - used[:, ::-1].argmax(axis=1)
    taps = int((last - begin).max()) + 1
    begin = np.minimum(begin, n_in - taps)
    places = begin[:, None] + np.arange(taps) - first[:, None]
    inside = (places >= 0) & (places < shares.shape[1])
    chosen = np.take_along_axis(shares, places.clip(0, shares.shape[1] - 1), axis=1)
    return begin, np.ascontiguousarray(np.where(inside, chosen, np.float32(0.0)).T)


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
    out: Frames = np.empty((1, *size, 3), dtype=np.uint8)
    compiled = loops()
    if compiled is None:
        for part, strip in _strips(source, rows, columns):
            np.clip(strip, 0.0, 255.0, out=strip)
            out[0, part] = np.rint(strip, out=strip).transpose(1, 2, 0)
    else:
        compiled.resize(source, *rows, *columns, out.reshape(size[0], -1))
    return out


def strips(
    source: NDArray[np.float32], size: tuple[int, int], kernel: str, halo: int = 0
) -> Iterator[tuple[slice, NDArray[np.float32]]]:
    """Yield a picture ``(C, h, w)`` resized to ``(height, width)``, some rows at a time.

    Args:
        source: the picture.
        size: of the result.
        kernel: one of :data:`KERNELS`.
        halo: rows that a strip has more above and below, where the picture goes on there.

    Yields:
        which rows, and these rows with those of the halo: ``float32 (C, rows, width)``.

    Raises:
        ValueError: unknown kernel.
    """
    rows, columns = _taps(size[0], source.shape[1], kernel), _taps(size[1], source.shape[2], kernel)
    yield from _strips(source, rows, columns, halo)


def _strips(
    source: NDArray[np.float32], rows: _Taps, columns: _Taps, halo: int = 0
) -> Iterator[tuple[slice, NDArray[np.float32]]]:
    """Yield the strips of :func:`strips`, by the taps of the rows and the columns."""
    first, shares = rows
    step = max(_LEAST_STRIP, _STRIP_VALUES // columns[0].size)
    for start in range(0, first.size, step):
        end = min(start + step, first.size)
        wanted = slice(max(0, start - halo), min(end + halo, first.size))
        top, bottom = first[wanted.start], first[wanted.stop - 1] + len(shares)
        wide = _summed(source[:, top:bottom], columns, -1)
        yield slice(start, end), _summed(wide, (first[wanted] - top, shares[:, wanted]), -2)


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


def _bilinear(n_out: int, n_in: int) -> tuple[NDArray[np.int64], _Weights]:
    """Return bilinear windows, ``align_corners=False``: two taps a row, edges repeated."""
    position = ((np.arange(n_out) + 0.5) * n_in / n_out - 0.5).clip(0.0, n_in - 1.0)
    low = np.floor(position)
    first, pixels = _window(low, 2, n_in)
    near = (pixels == low[:, None]) * (1.0 - (position - low))[:, None]
    far = (pixels == low[:, None] + 1) * (position - low)[:, None]
    return first, near + far


def _sampled(
    n_out: int, n_in: int, function: Callable[[_Weights], _Weights], support: float
) -> tuple[NDArray[np.int64], _Weights]:
    """Sample a kernel at the source pixels, stretched by the scale when shrinking.

    Pixels beyond the edge are left out and the row is made to sum to 1 again (as Pillow does).
    """
    scale = n_in / n_out
    stretch = max(scale, 1.0)
    centres = (np.arange(n_out)[:, None] + 0.5) * scale
    reach = support * stretch
    first, pixels = _window(np.floor(centres[:, 0] - reach - 0.5), math.ceil(2 * reach) + 2, n_in)
    distance = (pixels + 0.5 - centres) / stretch
    return first, np.where(np.abs(distance) < support, function(distance), 0.0)


def _cubic(x: _Weights) -> _Weights:
    """Return the weights of Keys' cubic convolution with a = -0.5 (Keys 1981, eq. 4)."""
    x = np.abs(x)
    near = (1.5 * x - 2.5) * x * x + 1.0
    far = ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0
    return np.where(x < 1.0, near, np.where(x < 2.0, far, 0.0))


def _lanczos(x: _Weights) -> _Weights:
    """Return the sinc windowed by a sinc three times as wide (Duchon 1979)."""
    return np.where(np.abs(x) < 3.0, np.sinc(x) * np.sinc(x / 3.0), 0.0)
