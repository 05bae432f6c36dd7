"""Enlargement from render size to source size that the stack's own resize undoes exactly.

The stack samples a source of height ``n`` bilinearly, without antialiasing, at ``m`` rows: each
row reads two neighbouring source rows. Writing the rendered value to both of them makes the
stack see exactly what the decoder rendered, rounding to uint8 included; the rows between are
interpolated for the eye. Where the source has fewer than two rows for each of the stack's, the
bilinear enlargement is corrected by the pseudo-inverse of the stack's resize; where it has fewer
than the stack reads, the decoder renders at source size.
"""

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seesame.video.compiled import loops
from seesame.video.resize import resize_matrix, to_uint8

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

_Taps = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32], NDArray[np.float32]]
"""For each pixel of an enlarged axis: two rendered ones, and what each of them counts."""


@lru_cache(maxsize=32)
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
        inverse = torch.linalg.pinv(down)
        missing = torch.eye(rendered, dtype=torch.float64) - down @ up
        corrected: Tensor = up + inverse @ missing
        return corrected.float()
    position = ((np.arange(rendered) + 0.5) * source / rendered - 0.5).clip(0, source - 1)
    low = np.floor(position).astype(int)
    high = np.minimum(low + 1, source - 1)
    knots = np.concatenate([low, high])
    owner = np.concatenate([np.arange(rendered)] * 2)
    order = np.argsort(knots, kind="stable")
    matrix = np.zeros((source, rendered))
    rows = np.arange(source)
    for column in range(rendered):
        values = (owner[order] == column).astype(float)
        matrix[:, column] = np.interp(rows, knots[order], values)
    return torch.from_numpy(matrix).float()


def enlarge(frames: Tensor, size: tuple[int, int]) -> Tensor:
    """Return ``(..., h, w)`` enlarged to ``(..., height, width)``; the caller clamps and rounds."""
    rows = enlarge_matrix(size[0], frames.shape[-2]).to(frames.device)
    columns = enlarge_matrix(size[1], frames.shape[-1]).to(frames.device)
    enlarged: Tensor = rows @ (frames @ columns.T)
    return enlarged


@lru_cache(maxsize=64)
@torch.inference_mode(False)
def _shrink_matrix(rendered: int, drawn: int) -> Tensor:
    """Return the matrix ``float32 (rendered, drawn)`` that :func:`shrink` multiplies an axis by."""
    whole: Tensor = torch.linalg.pinv(resize_matrix(drawn, rendered, "bilinear").double())
    return whole.float()


def shrink(pictures: Tensor, size: tuple[int, int]) -> Tensor:
    """Return pictures ``(..., h, w)`` with fewer rows or columns.

    They are those that a stack's own enlargement to ``(h, w)`` takes nearest to ``pictures``, by
    least squares. An axis that keeps its length is left as it is.
    """
    found = pictures
    if size[0] != pictures.shape[-2]:
        found = _shrink_matrix(size[0], pictures.shape[-2]).to(found.device) @ found
    if size[1] != pictures.shape[-1]:
        found = found @ _shrink_matrix(size[1], pictures.shape[-1]).to(found.device).T
    return found


def enlarged(frames: Tensor, size: tuple[int, int]) -> "Frames":
    """Return frames ``float32 (B, 3, h, w)`` enlarged, clamped and rounded: ``(B, H, W, 3)``.

    On the CPU, an axis of twice the rendered side or more is interpolated between two values by
    ``fl(fl(s a) + t b)``: the first product is rounded to float32, the rest is rounded once, by way
    of float64. So the bytes are the same on every machine.
    """
    taps = _taps(size[0], frames.shape[-2]), _taps(size[1], frames.shape[-1])
    rows, columns = taps
    if rows is None or columns is None or frames.device.type != "cpu":
        return np.concatenate([to_uint8(enlarge(frame, size)) for frame in frames[:, None]])
    found = np.empty((len(frames), *size, 3), dtype=np.uint8)
    for picture, out in zip(frames.contiguous().numpy(), found, strict=True):
        compiled = loops()
        if compiled is None:
            _enlarged(picture, rows, columns, out)
        else:
            compiled.enlarge(picture, *rows, *columns, out.reshape(len(out), -1))
    return found


@lru_cache(maxsize=32)
def _taps(source: int, rendered: int) -> _Taps | None:
    """Return an axis of :func:`enlarge_matrix` as two values a pixel; None where it has more."""
    if rendered < source < 2 * rendered:
        return None
    matrix = enlarge_matrix(source, rendered).numpy()
    low = (matrix != 0).argmax(axis=1)
    high = rendered - 1 - (matrix[:, ::-1] != 0).argmax(axis=1)
    pixels = np.arange(source)
    far = np.where(high > low, matrix[pixels, high], np.float32(0.0))
    return low, high, matrix[pixels, low], far


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
