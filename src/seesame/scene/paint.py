"""Standing pictures put into the frame: upright rectangles and long strips along the road."""

import math

import numpy as np

from seesame.scene.camera import View
from seesame.scene.config import UNDRIVABLE, Array
from seesame.scene.texture import Ripmap

NEAR = 0.8  # metres before the camera where pictures are cut off
FAR = 1200.0  # metres ahead where strips end

Point = tuple[float, float, float]


class Frame:
    """A frame being painted: colours, classes and depths.

    Args:
        view: the camera.
        haze: the haze's colour and its length in metres.
        stop: rows from here on are not painted.
    """

    def __init__(self, view: View, haze: tuple[Array, float], stop: int) -> None:
        self.view, self.haze, self.stop = view, haze, stop
        self.width, self.height = view.width, view.height
        self.image = np.zeros((self.height, self.width, 3), np.float32)
        self.mask = np.full((self.height, self.width), UNDRIVABLE, np.uint8)
        self.depth = np.full((self.height, self.width), 1e6, np.float32)


def _blend(frame: Frame, rows: slice, cols: slice, rgba: Array, depth: Array, kind: int) -> None:
    """Blend premultiplied ``rgba`` where nothing nearer stands; ``depth`` is one per column."""
    behind = frame.depth[rows, cols]
    seen = depth < behind * np.float32(1.02) + np.float32(0.6)
    rgba *= seen[..., None]
    cover = rgba[..., 3]
    image = frame.image[rows, cols]
    image *= (1 - cover)[..., None]
    image += rgba[..., :3]
    solid = cover > 0.5
    np.copyto(frame.mask[rows, cols], kind, where=solid)
    np.copyto(behind, depth, where=solid)


def _lerp(grid: Array, at: Array, axis: int) -> Array:
    """Return ``grid``'s linear values along one axis at texel places ``at`` (centres at halves)."""
    size = grid.shape[axis]
    at = np.minimum(np.maximum(at - 0.5, 0), size - 1)
    low = at.astype(np.intp)
    part = (at - low).astype(np.float32)
    part = part[:, None, None] if axis == 0 else part[None, :, None]
    first = grid.take(low, axis=axis)
    first += part * (grid.take(np.minimum(low + 1, size - 1), axis=axis) - first)
    return first


def upright(
    frame: Frame,
    corners: tuple[Point, Point],
    heights: tuple[float, float],
    texture: Ripmap,
    kind: int,
    tone: float,
    mirror: bool = False,
) -> None:
    """Paint ``texture`` on the upright rectangle between two foot points.

    Args:
        frame: what is painted.
        corners: the left and the right foot as ``(x, y, z)``, see :meth:`View.place`.
        heights: metres of the lower and upper edge above the feet.
        texture: a picture that does not tile.
        kind: its class in the mask.
        tone: what the colours are multiplied with.
        mirror: whether the picture is turned left to right.
    """
    ends = [_foot(frame.view, corner, heights) for corner in corners]
    share = [1.0, 0.0] if mirror else [0.0, 1.0]
    for k in (0, 1):
        if ends[k][3] >= NEAR:
            continue
        if ends[1 - k][3] < NEAR:
            return
        # Cut off what is beside or behind the camera.
        cut = (NEAR - ends[k][3]) / (ends[1 - k][3] - ends[k][3]) + 1e-6
        here, there = corners[k], corners[1 - k]
        x, y, z = (h + cut * (o - h) for h, o in zip(here, there, strict=True))
        ends[k] = _foot(frame.view, (x, y, z), heights)
        share[k] += cut * (share[1 - k] - share[k])
    (u0, high0, low0, near0), (u1, high1, low1, near1) = ends
    if u1 - u0 < 0.05 or max(low0 - high0, low1 - high1) < 0.7:
        return
    c0, c1 = max(0, math.floor(u0)), min(frame.width, math.ceil(u1))
    r0 = max(0, math.floor(min(high0, high1)))
    r1 = min(frame.stop, math.ceil(max(low0, low1)))
    if c0 >= c1 or r0 >= r1:
        return
    tall = max(low0 - high0, low1 - high1)
    grid = texture.grid(texture.height / tall, texture.width * abs(share[1] - share[0]) / (u1 - u0))
    col = np.arange(c0, c1) + 0.5
    row = np.arange(r0, r1) + 0.5
    at = np.minimum(np.maximum((col - u0) / (u1 - u0), 0), 1)
    edge = np.minimum(np.minimum(col + 0.5, u1) - np.maximum(col - 0.5, u0), 1)
    if abs(near0 - near1) < 0.01 * near0 and abs(high0 - high1) < 0.3:
        along = share[0] + at * (share[1] - share[0])
        top, down = (high0 + high1) / 2, (low0 + low1) / 2
        rgba = _lerp(grid, (row - top) * (grid.shape[0] / (down - top)), 0)
        rgba = _lerp(rgba, along * grid.shape[1], 1)
        cover = np.minimum(np.minimum(row + 0.5, down) - np.maximum(row - 0.5, top), 1)
        both = cover[:, None] * edge
        far = np.full(1, (near0 + near1) / 2, np.float32)
    else:
        inverse = (1 - at) / near0 + at / near1
        along = ((1 - at) * share[0] / near0 + at * share[1] / near1) / inverse
        tops = high0 + at * (high1 - high0)
        downs = low0 + at * (low1 - low0)
        strips = _lerp(grid, along * grid.shape[1], 1)
        v = (row[:, None] - tops) * (grid.shape[0] / (downs - tops)) - 0.5
        np.clip(v, 0, grid.shape[0] - 1, out=v)
        i = v.astype(np.intp)
        part = (v - i).astype(np.float32)[..., None]
        k_col = np.arange(len(col))
        rgba = strips[i, k_col]
        rgba += part * (strips[np.minimum(i + 1, grid.shape[0] - 1), k_col] - rgba)
        cover = np.minimum(row[:, None] + 0.5, downs) - np.maximum(row[:, None] - 0.5, tops)
        both = np.clip(cover, 0, 1) * edge
        far = (1 / inverse).astype(np.float32)
    rgba *= both.astype(np.float32)[..., None]
    _tint(rgba, tone, far, frame.haze)
    _blend(frame, slice(r0, r1), slice(c0, c1), rgba, far, kind)


def _foot(
    view: View, place: Point, heights: tuple[float, float]
) -> tuple[float, float, float, float]:
    """Return column, upper and lower row and depth of one upright edge."""
    x, y, z = place
    depth = x * view.cos_pitch + z * view.sin_pitch
    safe = max(depth, 1e-3)
    u = view.focal * y / safe
    low = view.focal * (x * view.sin_pitch - (z + heights[0]) * view.cos_pitch) / safe
    top_depth = max(x * view.cos_pitch + (z + heights[1]) * view.sin_pitch, 1e-3)
    high = view.focal * (x * view.sin_pitch - (z + heights[1]) * view.cos_pitch) / top_depth
    column = view.cos_roll * u + view.sin_roll * low + view.width / 2
    turn = view.height / 2 - view.sin_roll * u
    return column, view.cos_roll * high + turn, view.cos_roll * low + turn, depth


def shadow(frame: Frame, corners: list[tuple[float, float]], dark: float) -> None:
    """Darken the road inside a convex polygon of pixel corners (clockwise), softly."""
    xs, ys = [c[0] for c in corners], [c[1] for c in corners]
    c0, c1 = max(0, math.floor(min(xs))), min(frame.width, math.ceil(max(xs)) + 1)
    r0, r1 = max(0, math.floor(min(ys))), min(frame.stop, math.ceil(max(ys)) + 1)
    if c0 >= c1 or r0 >= r1 or max(ys) - min(ys) < 0.5:
        return
    x = np.arange(c0, c1, dtype=np.float32)[None, :] + 0.5
    y = np.arange(r0, r1, dtype=np.float32)[:, None] + 0.5
    soft = max(1.0, 0.12 * (max(ys) - min(ys)))
    inside: Array = np.full((r1 - r0, c1 - c0), soft, np.float32)
    for (xa, ya), (xb, yb) in zip(corners, corners[1:] + corners[:1], strict=True):
        ex, ey = xb - xa, yb - ya
        long = math.hypot(ex, ey) + 1e-9
        edge = (ex / long) * (y - ya) - (ey / long) * (x - xa) + soft / 2
        inside = np.asarray(np.minimum(inside, edge), np.float32)
    frame.image[r0:r1, c0:c1] *= (1 - dark * np.clip(inside / soft, 0, 1))[..., None]


def glow(frame: Frame, place: Point, radius: float, colour: Array) -> None:
    """Add a round light at column, row, depth, hidden by what stands before it."""
    u, v, depth = place
    reach = 3 * radius + 1
    c0, c1 = max(0, math.floor(u - reach)), min(frame.width, math.ceil(u + reach))
    r0, r1 = max(0, math.floor(v - reach)), min(frame.stop, math.ceil(v + reach))
    if c0 >= c1 or r0 >= r1 or depth < NEAR:
        return
    i, k = min(max(int(v), 0), frame.height - 1), min(max(int(u), 0), frame.width - 1)
    if frame.depth[i, k] < depth * 0.9 - 1:
        return
    size = max(radius, 0.6)
    gain = min(1.0, (radius / size) ** 2 + 0.15)
    x = np.exp(-((np.arange(c0, c1) + 0.5 - u) ** 2) / (2 * size * size))
    y = np.exp(-((np.arange(r0, r1) + 0.5 - v) ** 2) / (2 * size * size))
    light = (gain * y[:, None] * x[None, :]).astype(np.float32)
    frame.image[r0:r1, c0:c1] += light[..., None] * colour


def _tint(rgba: Array, tone: float, far: Array, haze: tuple[Array, float]) -> None:
    """Shade the colours and mix the haze in, by each column's distance."""
    keep = np.exp(-far / np.float32(haze[1]))[None, :, None]
    rgba[..., :3] *= np.float32(tone) * keep
    rgba[..., :3] += rgba[..., 3:] * (1 - keep) * haze[0]


def strip(
    frame: Frame, across: float, height: float, texture: Ripmap, span: float, tone: float
) -> None:
    """Paint a tiled picture along the whole road at one distance ``across`` it.

    Args:
        frame: what is painted.
        across: metres from the road's zero line.
        height: metres of the upper edge above the ground.
        texture: a picture that tiles along its width.
        span: metres after which the picture repeats.
        tone: what the colours are multiplied with.
    """
    view = frame.view
    ahead = view.ahead[view.ahead < FAR]
    x, y, z = view.place(ahead, np.full(ahead.shape, across))
    u, low, depth = view.project(x, y, z)
    _, high, _ = view.project(x, y, z + height)
    good = depth > 0.4
    side = 1.0 if across > view.pose.across else -1.0
    out = np.where(good, u * side, np.inf)
    seen = good & (out < np.minimum.accumulate(np.concatenate([[np.inf], out[:-1]])))
    # Only the part before the first bend back: beyond it the strip hides behind itself.
    first = int(np.argmax(good)) if good.any() else 0
    broken = np.flatnonzero(~seen[first:])
    last = first + int(broken[0]) if broken.size else len(ahead)
    if last - first < 2:
        return
    k = np.arange(first, last)
    if side > 0:
        k = k[::-1]
    u, low, high, depth, far_s = u[k], low[k], high[k], depth[k], ahead[k]
    c0, c1 = max(0, math.ceil(u[0] - 0.5)), min(frame.width, math.floor(u[-1] + 0.5))
    if c0 >= c1:
        return
    col = np.arange(c0, c1) + 0.5
    top, base = np.interp(col, u, high), np.interp(col, u, low)
    inverse = np.interp(col, u, 1 / depth)
    far = 1 / inverse
    rising = slice(None, None, -1 if depth[0] > depth[-1] else 1)
    s = np.interp(far, depth[rising], far_s[rising])
    r0, r1 = max(0, math.floor(top.min())), min(frame.stop, math.ceil(base.max()))
    if r0 >= r1:
        return
    start = view.pose.along % span
    tex_x = ((s + start) * (texture.width / span)).astype(np.float32)[None, :]
    foot = np.abs(np.gradient(s)) if c1 - c0 > 1 else np.full(1, 1.0)
    foot_x = (np.maximum(foot, 1e-4) * (texture.width / span)).astype(np.float32)[None, :]
    tall = np.maximum(base - top, 1e-3).astype(np.float32)[None, :]
    top32 = top.astype(np.float32)[None, :]
    row = np.arange(r0, r1, dtype=np.float32)[:, None] + 0.5
    v = np.clip((row - top32) / tall, 0.5 / texture.height, 1 - 0.5 / texture.height)
    rgba = texture.look(
        np.asarray(v * texture.height, np.float32), tex_x, np.float32(texture.height) / tall, foot_x
    )
    cover = np.minimum(row + 0.5, top32 + tall) - np.maximum(row - 0.5, top32)
    rgba *= np.clip(cover, 0, 1)[..., None]
    far32 = far.astype(np.float32)
    _tint(rgba, tone, far32, frame.haze)
    _blend(frame, slice(r0, r1), slice(c0, c1), rgba, far32, UNDRIVABLE)
