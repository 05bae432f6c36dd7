"""Standing pictures put into the frame: upright rectangles and long strips along the road."""

import math

import numpy as np
from numpy.typing import NDArray

from seesame.video.scene.camera import View
from seesame.video.scene.config import Array, Array64
from seesame.video.scene.texture import Ripmap


class Frame:
    """A frame being painted: colours, classes and depths."""

    def __init__(self, width: int, height: int) -> None:
        self.image = np.zeros((height, width, 3), np.float32)
        self.mask = np.full((height, width), 2, np.uint8)
        self.depth = np.full((height, width), 1e6, np.float32)
        self.width, self.height = width, height


def _blend(
    frame: Frame, rows: slice, cols: slice, rgba: Array, depth: Array, kind: int, write: bool
) -> None:
    """Blend premultiplied ``rgba`` where nothing nearer stands; ``depth`` is one per column."""
    behind = frame.depth[rows, cols]
    cover = rgba[..., 3] * (depth[None, :] < behind * np.float32(1.02) + np.float32(0.6))
    share = np.where(rgba[..., 3] > 1e-6, cover / np.maximum(rgba[..., 3], 1e-6), 0)
    image = frame.image[rows, cols]
    image *= (1 - cover)[..., None]
    image += rgba[..., :3] * share[..., None]
    solid = cover > 0.5
    frame.mask[rows, cols][solid] = kind
    if write:
        behind[solid] = np.broadcast_to(depth[None, :], solid.shape)[solid]


def upright(
    frame: Frame,
    view: View,
    corners: tuple[Array64, Array64],
    heights: tuple[float, float],
    texture: Ripmap,
    kind: int,
    haze: tuple[Array, float],
    tone: Array | float = 1.0,
    stop: int | None = None,
) -> None:
    """Paint ``texture`` on the upright rectangle between two foot points.

    Args:
        frame: what is painted.
        view: the camera.
        corners: the left and the right foot as ``(x, y, z)``, see :meth:`View.place`.
        heights: metres of the lower and upper edge above the feet.
        texture: a picture that does not tile.
        kind: its class in the mask.
        haze: the haze's colour and its length in metres.
        tone: what the colours are multiplied with.
        stop: rows from here on are not painted.
    """
    left, right = corners
    x = np.array([left[0], right[0]])
    y = np.array([left[1], right[1]])
    z = np.array([left[2], right[2]])
    depth = x * view.cos_pitch + z * view.sin_pitch
    near = 0.8
    if (depth < near).all():
        return
    share = np.array([0.0, 1.0])
    if (depth < near).any():  # cut off what is beside or behind the camera
        cut = (near - depth[0]) / (depth[1] - depth[0])
        k = int(depth[1] < near)
        for value in (x, y, z, share):
            value[k] = value[0] + cut * (value[1] - value[0])
        depth[k] = near
    u, low, depth = view.project(x, y, z + heights[0])
    u_top, high, _ = view.project(x, y, z + heights[1])
    u = (u + u_top) / 2
    if u[1] - u[0] < 0.05:
        return
    bottom = frame.height if stop is None else stop
    c0, c1 = max(0, math.floor(u[0])), min(frame.width, math.ceil(u[1]))
    r0 = max(0, math.floor(high.min()))
    r1 = min(bottom, math.ceil(low.max()))
    if c0 >= c1 or r0 >= r1:
        return
    col = np.arange(c0, c1) + 0.5
    at = np.clip((col - u[0]) / (u[1] - u[0]), 0, 1)
    inverse = (1 - at) / depth[0] + at / depth[1]
    along = ((1 - at) * share[0] / depth[0] + at * share[1] / depth[1]) / inverse
    top = high[0] + at * (high[1] - high[0])
    tall = np.maximum(low[0] + at * (low[1] - low[0]) - top, 1e-3)
    edge = np.clip(np.minimum(col + 0.5, u[1]) - np.maximum(col - 0.5, u[0]), 0, 1)
    row = np.arange(r0, r1, dtype=np.float32)[:, None] + 0.5
    top32, tall32 = top.astype(np.float32)[None, :], tall.astype(np.float32)[None, :]
    v = (row - top32) / tall32
    foot_y = np.float32(texture.height) / tall32.mean(keepdims=True)
    foot_x = np.full((1, 1), texture.width * abs(share[1] - share[0]) / (u[1] - u[0]), np.float32)
    tex_x = (along * texture.width).astype(np.float32)[None, :]
    rgba = texture.look(v * np.float32(texture.height), tex_x, foot_y, foot_x)
    cover = np.minimum(row + 0.5, top32 + tall32) - np.maximum(row - 0.5, top32)
    rgba *= (np.clip(cover, 0, 1) * edge.astype(np.float32))[..., None]
    far = (1 / inverse).astype(np.float32)
    _tint(rgba, tone, far, haze)
    _blend(frame, slice(r0, r1), slice(c0, c1), rgba, far, kind, True)


def _tint(rgba: Array, tone: Array | float, far: Array, haze: tuple[Array, float]) -> None:
    """Shade the colours and mix the haze in, by each column's distance."""
    keep = np.exp(-far / np.float32(haze[1]))[None, :, None]
    rgba[..., :3] *= np.asarray(tone, np.float32) * keep
    rgba[..., :3] += rgba[..., 3:] * (1 - keep) * haze[0]


def strip(
    frame: Frame,
    view: View,
    across: float,
    heights: tuple[float, float],
    texture: Ripmap,
    span: float,
    kind: int,
    haze: tuple[Array, float],
    tone: Array | float = 1.0,
    stop: int | None = None,
    reach: float = 1200.0,
) -> None:
    """Paint a tiled picture along the whole road at one distance ``across`` it.

    Args:
        across: metres from the road's zero line.
        heights: metres of the lower and upper edge above the ground.
        span: metres after which the picture repeats.
        reach: metres ahead where it ends.

    The other arguments are those of :func:`upright`.
    """
    ahead = view.ahead[view.ahead < reach]
    x, y, z = view.place(ahead, np.full(ahead.shape, across))
    u, low, depth = view.project(x, y, z + heights[0])
    _, high, _ = view.project(x, y, z + heights[1])
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
    s = np.interp(far, depth[:: -1 if depth[0] > depth[-1] else 1],
                  far_s[:: -1 if depth[0] > depth[-1] else 1])
    bottom = frame.height if stop is None else stop
    r0, r1 = max(0, math.floor(top.min())), min(bottom, math.ceil(base.max()))
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
        v * np.float32(texture.height), tex_x, np.float32(texture.height) / tall, foot_x
    )
    cover = np.minimum(row + 0.5, top32 + tall) - np.maximum(row - 0.5, top32)
    rgba *= np.clip(cover, 0, 1)[..., None]
    far32 = far.astype(np.float32)
    _tint(rgba, tone, far32, haze)
    _blend(frame, slice(r0, r1), slice(c0, c1), rgba, far32, kind, True)


Mask = NDArray[np.uint8]
