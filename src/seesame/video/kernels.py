"""Compiled loops over pixels; :mod:`seesame.video.compiled` says when they are loaded.

Each has a twin in numpy (``colour.yuv420_to_rgb``, ``resize.to_uint8``, ``geometry.enlarged``) that
gives the same bytes: the same operations on the same types, each rounded by itself. Fused
operations, which a compiler may choose only if it is allowed to, would round differently.

The loops run in the calling thread and release Python's lock. They start no threads of their own,
which a process could not take along when it forks.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from numba import njit, types
from numpy.typing import NDArray

F, D = np.float32, np.float64
_MAGIC = F(1.5 * 2**23)
"""Adding it to a float below 2^22 rounds half to even, as there is no room for fractions."""
_Y = F(255.0 / 219.0)
_UV = F(255.0 / 224.0) / F(16.0)

_Loop = TypeVar("_Loop", bound=Callable[..., Any])


def _in(kind: Any, axes: int) -> Any:
    return types.Array(kind, axes, "C", readonly=True)


_BYTES, _FLOATS = types.uint8[:, ::1], types.float32[::1]
_PLANE, _PICTURE = _in(types.uint8, 2), _in(types.float32, 3)
_TAPS = 2 * (_in(types.int64, 1),), 2 * (_in(types.float32, 1),)


def _compiled(*signature: Any) -> Callable[[_Loop], _Loop]:
    """Compile a loop for one signature, or load it where it was compiled before."""

    def decorate(loop: _Loop) -> _Loop:
        options: Any = {"nogil": True, "error_model": "numpy"}
        try:
            done: _Loop = njit(types.void(*signature), cache=True, **options)(loop)
        except (RuntimeError, OSError):  # no folder can be written, or the disk is full
            done = njit(types.void(*signature), **options)(loop)
        return done

    return decorate


@njit(inline="always")
def _byte(value: Any) -> Any:
    """Clamp to 0..255 and round half to even."""
    return np.uint8(np.int32((min(max(value, F(0.0)), F(255.0)) + _MAGIC) - _MAGIC))


@_compiled(_PLANE, _PLANE, _PLANE, _BYTES)
def yuv420_to_rgb(
    y: NDArray[np.uint8], u: NDArray[np.uint8], v: NDArray[np.uint8], out: NDArray[np.uint8]
) -> None:
    """Convert one frame of even size, see :func:`seesame.video.colour.yuv420_to_rgb`.

    Args:
        y: ``(H, W)``.
        u: ``(H/2, W/2)``.
        v: the same.
        out: ``(H, 3 W)``, filled with R, G, B of each pixel.
    """
    width, half, last = y.shape[1], u.shape[1], u.shape[0] - 1
    # Four times a row of chroma with a column repeated at either side, and 16 times the whole row.
    tall_u, tall_v = np.empty(half + 2, F), np.empty(half + 2, F)
    wide_u, wide_v = np.empty(width, F), np.empty(width, F)
    for row in range(y.shape[0]):
        near = row // 2
        far = max(near - 1, 0) if row % 2 == 0 else min(near + 1, last)
        for plane, tall, wide in ((u, tall_u, wide_u), (v, tall_v, wide_v)):
            close, distant = plane[near], plane[far]
            for i in range(half):
                tall[i + 1] = F(3.0) * (F(close[i]) - F(128.0)) + (F(distant[i]) - F(128.0))
            tall[0], tall[half + 1] = tall[1], tall[half]
            for i in range(half):
                wide[2 * i] = F(3.0) * tall[i + 1] + tall[i]
                wide[2 * i + 1] = F(3.0) * tall[i + 1] + tall[i + 2]
        luma, target = y[row], out[row]
        for x in range(width):
            yf = (F(luma[x]) - F(16.0)) * _Y
            uf, vf = wide_u[x] * _UV, wide_v[x] * _UV
            target[3 * x] = _byte(vf * F(1.402) + yf)
            target[3 * x + 1] = _byte((yf - uf * F(0.344136)) - vf * F(0.714136))
            target[3 * x + 2] = _byte(uf * F(1.772) + yf)


@_compiled(_PICTURE, _BYTES)
def to_bytes(picture: NDArray[np.float32], out: NDArray[np.uint8]) -> None:
    """Clamp and round a picture.

    Args:
        picture: ``(3, H, W)``.
        out: ``(H, 3 W)``, filled with R, G, B of each pixel.
    """
    for row in range(picture.shape[1]):
        red, green, blue = picture[0, row], picture[1, row], picture[2, row]
        target = out[row]
        for x in range(picture.shape[2]):
            target[3 * x] = _byte(red[x])
            target[3 * x + 1] = _byte(green[x])
            target[3 * x + 2] = _byte(blue[x])


@_compiled(_in(types.float32, 1), *_TAPS[0], *_TAPS[1], types.int64, _FLOATS)
def _widen(
    row: NDArray[np.float32],
    low: NDArray[np.int64],
    high: NDArray[np.int64],
    near: NDArray[np.float32],
    far: NDArray[np.float32],
    channel: int,
    out: NDArray[np.float32],
) -> None:
    """Enlarge one row of one colour into every third value of ``out``."""
    for x in range(low.size):
        first = near[x] * row[low[x]]
        out[3 * x + channel] = F(D(first) + D(far[x]) * D(row[high[x]]))


@_compiled(_PICTURE, *_TAPS[0], *_TAPS[1], *_TAPS[0], *_TAPS[1], _BYTES)
def enlarge(
    picture: NDArray[np.float32],
    top: NDArray[np.int64],
    bottom: NDArray[np.int64],
    top_share: NDArray[np.float32],
    bottom_share: NDArray[np.float32],
    left: NDArray[np.int64],
    right: NDArray[np.int64],
    left_share: NDArray[np.float32],
    right_share: NDArray[np.float32],
    out: NDArray[np.uint8],
) -> None:
    """Interpolate, clamp, round and interleave a picture in one pass.

    Args:
        picture: ``(3, h, w)``.
        top: for each of the H rows of the result, the upper row that it is made of; never falling.
        bottom: the lower one, the same where there is only one.
        top_share: what the upper one counts.
        bottom_share: what the lower one counts, 0 where it is the same.
        left: the same for the W columns.
        right: the same.
        left_share: the same.
        right_share: the same.
        out: ``(H, 3 W)``, filled with R, G, B of each pixel.
    """
    count = out.shape[1]
    above, below = np.empty(count, F), np.empty(count, F)
    in_above, in_below = -1, -1
    for row in range(top.size):
        if in_above != top[row] and in_below == top[row]:
            above, below = below, above
            in_above, in_below = in_below, in_above
        if in_above != top[row]:
            in_above = top[row]
            for colour in range(3):
                line = picture[colour, in_above]
                _widen(line, left, right, left_share, right_share, colour, above)
        if in_below != bottom[row] and bottom_share[row] != F(0.0):
            in_below = bottom[row]
            for colour in range(3):
                line = picture[colour, in_below]
                _widen(line, left, right, left_share, right_share, colour, below)
        target, first, second = out[row], top_share[row], D(bottom_share[row])
        if second == 0.0:
            for i in range(count):
                target[i] = _byte(first * above[i])
        else:
            for i in range(count):
                target[i] = _byte(F(D(first * above[i]) + second * D(below[i])))


_WEIGHTS = _in(types.float32, 2)


@_compiled(_PICTURE, _in(types.int64, 1), _WEIGHTS, _in(types.int64, 1), _WEIGHTS, _BYTES)
def resize(
    picture: NDArray[np.float32],
    top: NDArray[np.int64],
    row_shares: NDArray[np.float32],
    left: NDArray[np.int64],
    column_shares: NDArray[np.float32],
    out: NDArray[np.uint8],
) -> None:
    """Resize a picture, columns first, clamp, round and interleave it.

    Args:
        picture: ``(3, h, w)``.
        top: for each of the H rows of the result, the first row that it is made of; never falling.
        row_shares: ``(taps, H)``, what each of the rows from there on counts.
        left: the same for the W columns.
        column_shares: ``(taps, W)``.
        out: ``(H, 3 W)``, filled with R, G, B of each pixel.
    """
    taps, count = row_shares.shape[0], out.shape[1]
    ring = np.empty((taps, count), F)  # row y of the picture, as wide as the result, at y % taps
    plane, total, ready = np.empty(left.size, F), np.empty(count, F), 0
    for row in range(top.size):
        while ready < top[row] + taps:
            line = ring[ready % taps]
            for colour in range(3):
                source = picture[colour, ready]
                for x in range(plane.size):
                    plane[x] = column_shares[0, x] * source[left[x]]
                for tap in range(1, column_shares.shape[0]):
                    for x in range(plane.size):
                        plane[x] += column_shares[tap, x] * source[left[x] + tap]
                for x in range(plane.size):
                    line[3 * x + colour] = plane[x]
            ready += 1
        share, line = row_shares[0, row], ring[top[row] % taps]
        for x in range(count):
            total[x] = share * line[x]
        for tap in range(1, taps):
            share, line = row_shares[tap, row], ring[(top[row] + tap) % taps]
            for x in range(count):
                total[x] += share * line[x]
        target = out[row]
        for x in range(count):
            target[x] = _byte(total[x])
