"""Enlargement from render size to source size that the stack's own resize undoes exactly.

The stack samples a source of height ``n`` bilinearly, without antialiasing, at ``m`` rows: each
row reads two neighbouring source rows. Writing the rendered value to both of them makes the
stack see exactly what the decoder rendered, rounding to uint8 included; the rows between are
interpolated for the eye. Where the source has fewer than two rows for each of the stack's, the
bilinear enlargement is corrected by the pseudo-inverse of the stack's resize; where it has fewer
than the stack reads, the decoder renders at source size.
"""

from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seesame.bounds import BOUNDS, cached_by_size
from seesame.video.compiled import loops
from seesame.video.resize import (
    Bands,
    across_by_bands,
    down_by_bands,
    resize_matrix,
    to_uint8,
)

if TYPE_CHECKING:
    from seesame.perception.stack import Stack
    from seesame.video.clip import Clip, Frames

MIDDLE, SPREAD = 127.5, 64.0
"""Grey levels of a network's output of 0, and of a step of 1."""


def render_size(clip: "Clip", stack: "Stack") -> tuple[int, int]:
    """Return the ``(height, width)`` to render for a clip: the stack's, or the source's if less."""
    height, width = stack.input_size
    return min(clip.height, height), min(clip.width, width)


_STRIP = 64
"""Rows that numpy enlarges at a time, so that they stay in the processor's cache."""
_LARGE = 1 << 21
"""Entries of a matrix above which it is multiplied by groups of rows, without what is nearly zero,
and above which an inverse is found by elimination, not by singular values."""
_NEARLY_ZERO = 2.0**-40
"""Weights that are left out of a large matrix: all of them together are no rounding step."""
_BAND = 64
"""Rows of such a group."""

_Taps = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32], NDArray[np.float32]]
"""For each pixel of an enlarged axis: two rendered ones, and what each of them counts."""


def _is_large(source: int, rendered: int) -> bool:
    return source * rendered > _LARGE


@cached_by_size(32, 2, _is_large)
@torch.inference_mode(False)  # whoever asks first, training can use it
def enlarge_matrix(source: int, rendered: int) -> Tensor:
    """Return the matrix ``float32 (source, rendered)`` that enlarges one axis.

    Its product with the stack's resize matrix is the identity.
    """
    if source == rendered:
        return torch.eye(source)
    if source < 2 * rendered:
        up = resize_matrix(source, rendered, "bilinear").double()
        down = resize_matrix(rendered, source, "bilinear").double()
        if _is_large(source, rendered):
            return _large_corrected(up, down).float()
        inverse = torch.linalg.pinv(down)
        missing = torch.eye(rendered, dtype=torch.float64) - down @ up
        corrected: Tensor = up + inverse @ missing
        return corrected.float()
    low, high, near, far = _knots(source, rendered)
    matrix = np.zeros((source, rendered), np.float32)
    rows = np.arange(source)
    matrix[rows, high] = far
    matrix[rows, low] = near  # where there is one value, low is high and far is 0
    return torch.from_numpy(matrix)


def _large_corrected(up: Tensor, down: Tensor) -> Tensor:
    """Return ``up`` plus the inverse of ``down`` times what their product lacks, by elimination."""
    sparse = down.to_sparse()
    missing = torch.eye(len(down), dtype=torch.float64) - sparse @ up
    corrected: Tensor = up + sparse.t() @ _solved(down, missing)
    return corrected


def _solved(wide: Tensor, right: Tensor) -> Tensor:
    """Return ``(W W^T)^-1 R`` of ``wide (m, n)``, whose rows overlap with the next one alone.

    ``W W^T`` is tridiagonal then, and positive definite: elimination needs no pivots (Golub and Van
    Loan, "Matrix Computations", section 4.3.6).
    """
    diagonal = wide.square().sum(1).numpy().copy()
    beside = (wide[:-1] * wide[1:]).sum(1).numpy()
    found: NDArray[np.float64] = right.numpy().copy()
    for row in range(1, len(found)):
        factor = beside[row - 1] / diagonal[row - 1]
        diagonal[row] -= factor * beside[row - 1]
        found[row] -= factor * found[row - 1]
    found[-1] /= diagonal[-1]
    for row in range(len(found) - 2, -1, -1):
        found[row] = (found[row] - beside[row] * found[row + 1]) / diagonal[row]
    return torch.from_numpy(found)


def _knots(source: int, rendered: int) -> _Taps:
    """Return the taps of an axis with two pixels or more for each rendered one, or as many."""
    if source == rendered:
        every, ones = np.arange(source), np.ones(source, np.float32)
        return every, every, ones, np.zeros_like(ones)
    position = ((np.arange(rendered) + 0.5) * source / rendered - 0.5).clip(0, source - 1)
    low = np.floor(position).astype(int)
    knots = np.concatenate([low, np.minimum(low + 1, source - 1)])
    order = np.argsort(knots, kind="stable")
    knots, owner = knots[order], np.concatenate([np.arange(rendered)] * 2)[order]
    pixels = np.arange(source)
    left = (np.searchsorted(knots, pixels, side="right") - 1).clip(0, len(knots) - 1)
    right = np.where(pixels > knots[left], np.minimum(left + 1, len(knots) - 1), left)
    # The quotient first, as numpy's interp has it.
    slope = 1.0 / np.maximum(knots[right] - knots[left], 1)
    away = pixels - knots[left]
    one = owner[left] == owner[right]
    near = np.where(one, 1.0, -slope * away + 1.0).astype(np.float32)
    far = np.where(one, 0.0, slope * away).astype(np.float32)
    return owner[left], owner[right], near, far


@cached_by_size(32, 2, _is_large)
@torch.inference_mode(False)
def _enlarge_bands(source: int, rendered: int) -> Bands:
    """Return :func:`enlarge_matrix` by groups of rows; the whole is only made where it is full."""
    if rendered < source < 2 * rendered:
        return _bands(enlarge_matrix(source, rendered))
    low, high, near, far = _knots(source, rendered)
    found = []
    for start in range(0, source, _BAND):
        rows = slice(start, min(start + _BAND, source))
        left, right = int(low[rows].min()), int(high[rows].max()) + 1
        part, pixels = np.zeros((rows.stop - start, right - left), np.float32), low[rows] - left
        every = np.arange(len(part))
        part[every, high[rows] - left] = far[rows]
        part[every, pixels] = near[rows]
        found.append((rows, slice(left, right), torch.from_numpy(part)))
    return tuple(found)


def _bands(matrix: Tensor) -> Bands:
    """Return a matrix by groups of rows, without columns in which a group is nearly zero."""
    found = []
    for start in range(0, len(matrix), _BAND):
        part = matrix[start : start + _BAND]
        columns = (part.abs() > _NEARLY_ZERO).any(dim=0).nonzero()
        taken = slice(int(columns[0]), int(columns[-1]) + 1)
        found.append((slice(start, start + len(part)), taken, part[:, taken].contiguous()))
    return tuple(found)


def enlarge(frames: Tensor, size: tuple[int, int]) -> Tensor:
    """Return ``(..., h, w)`` enlarged to ``(..., height, width)``; the caller clamps and rounds."""
    rows = enlarge_matrix(size[0], frames.shape[-2]).to(frames.device)
    columns = enlarge_matrix(size[1], frames.shape[-1]).to(frames.device)
    enlarged: Tensor = rows @ (frames @ columns.T)
    return enlarged


@cached_by_size(64, 2, _is_large)
@torch.inference_mode(False)
def _shrink_matrix(rendered: int, drawn: int) -> Tensor:
    """Return the matrix ``float32 (rendered, drawn)`` that :func:`shrink` multiplies an axis by."""
    up = resize_matrix(drawn, rendered, "bilinear").double()
    if _is_large(rendered, drawn):
        return _solved(up.T, up.T).float()
    whole: Tensor = torch.linalg.pinv(up)
    return whole.float()


@cached_by_size(64, 2, _is_large)
@torch.inference_mode(False)
def _shrink_bands(rendered: int, drawn: int) -> Bands:
    return _bands(_shrink_matrix(rendered, drawn))


def shrink(pictures: Tensor, size: tuple[int, int]) -> Tensor:
    """Return pictures ``(..., h, w)`` with fewer rows or columns.

    They are those that a stack's own enlargement to ``(h, w)`` takes nearest to ``pictures``, by
    least squares. An axis that keeps its length is left as it is.
    """
    found, (height, width) = pictures, pictures.shape[-2:]
    if size[0] != height:
        if _is_large(size[0], height):
            found = down_by_bands(found, _shrink_bands(size[0], height))
        else:
            found = _shrink_matrix(size[0], height).to(found.device) @ found
    if size[1] != width:
        if _is_large(size[1], width):
            found = across_by_bands(found, _shrink_bands(size[1], width))
        else:
            found = found @ _shrink_matrix(size[1], width).to(found.device).T
    return found


def enlarged(frames: Tensor, size: tuple[int, int]) -> "Frames":
    """Return frames ``float32 (B, 3, h, w)`` enlarged, clamped and rounded: ``(B, H, W, 3)``.

    On the CPU, an axis of twice the rendered side or more is interpolated between two values by
    ``fl(fl(s a) + t b)``: the first product is rounded to float32, the rest is rounded once, by way
    of float64. So the bytes are the same on every machine.
    """
    sides = frames.shape[-2:]
    taps = [_taps(side, rendered) for side, rendered in zip(size, sides, strict=True)]
    rows, columns = taps
    if rows is None or columns is None or frames.device.type != "cpu":
        large = any(map(_is_large, size, sides)) or size[0] * size[1] > BOUNDS.whole_pixels
        way = _enlarged_by_bands if large else _enlarged_whole
        return np.concatenate([way(frame, size) for frame in frames[:, None]])
    found = np.empty((len(frames), *size, 3), dtype=np.uint8)
    for picture, out in zip(frames.contiguous().numpy(), found, strict=True):
        compiled = loops()
        if compiled is None:
            _enlarged(picture, rows, columns, out)
        else:
            compiled.enlarge(picture, *rows, *columns, out.reshape(len(out), -1))
    return found


@cached_by_size(32, 2, _is_large)
def _taps(source: int, rendered: int) -> _Taps | None:
    """Return an axis of :func:`enlarge_matrix` as two values a pixel; None where it has more."""
    return None if rendered < source < 2 * rendered else _knots(source, rendered)


def _enlarged_whole(frame: Tensor, size: tuple[int, int]) -> "Frames":
    """Enlarge one picture ``(1, 3, h, w)`` by the two matrices."""
    return to_uint8(enlarge(frame, size))


def _enlarged_by_bands(frame: Tensor, size: tuple[int, int]) -> "Frames":
    """Do the same some rows at a time, with what is nearly zero left out of the matrices."""
    wide = across_by_bands(frame, _enlarge_bands(size[1], frame.shape[-1]))
    found = np.empty((1, *size, 3), dtype=np.uint8)
    for rows, taken, part in _enlarge_bands(size[0], frame.shape[-2]):
        found[:, rows] = to_uint8(part.to(wide) @ wide[..., taken, :])
    return found


def _enlarged(
    picture: NDArray[np.float32], rows: _Taps, columns: _Taps, out: NDArray[np.uint8]
) -> None:
    """Enlarge one picture ``(3, h, w)`` into ``uint8 (H, W, 3)``, by numpy."""
    left, right, near, far = columns
    wide = _between(picture[:, :, left], picture[:, :, right], near, far)
    for start in range(0, len(out), _STRIP):
        part = slice(start, start + _STRIP)
        top, bottom, near, far = rows[0][part], rows[1][part], rows[2][part], rows[3][part]
        tall = _between(wide[:, top], wide[:, bottom], near[:, None], far[:, None])
        rounded = np.rint(tall.clip(0.0, 255.0, out=tall), out=tall)
        out[start : start + _STRIP] = rounded.transpose(1, 2, 0)


def _between(
    a: NDArray[np.float32], b: NDArray[np.float32], s: NDArray[np.float32], t: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return ``s a + t b`` as :func:`enlarged` rounds it."""
    total = (s * a).astype(np.float64)
    total += t.astype(np.float64) * b
    return total.astype(np.float32)
