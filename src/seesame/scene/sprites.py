"""Pictures of things, drawn by code: trees, bushes, cars, trucks, signs, houses, barriers.

Every picture is ``(h, w, 4)`` premultiplied colour and cover, row 0 at the top.
"""

import numpy as np

from seesame.scene.config import Array
from seesame.scene.layout import Colour
from seesame.scene.texture import Ripmap, fractal, smooth_noise

Generator = np.random.Generator


class Canvas:
    """A small picture painted in unit coordinates (x right, y down, 0..1)."""

    def __init__(self, height: int, width: int) -> None:
        self.rgba = np.zeros((height, width, 4), np.float32)
        y, x = np.mgrid[0:height, 0:width].astype(np.float32)
        self.y, self.x = (y + 0.5) / height, (x + 0.5) / width
        self.size = (height, width)

    def put(self, cover: Array, colour: Colour | Array) -> None:
        """Lay ``colour`` over what is there, ``cover`` 0..1."""
        rgb = np.broadcast_to(np.asarray(colour, np.float32), (*self.size, 3))
        full = np.concatenate([rgb, np.ones((*self.size, 1), np.float32)], axis=2)
        self.rgba += cover[..., None] * (full - self.rgba)

    def box(self, x0: float, y0: float, x1: float, y1: float, round_: float = 0.02) -> Array:
        """Return cover of a rectangle with rounded corners."""
        height, width = self.size
        r = round_ * width
        dx = np.abs(self.x - (x0 + x1) / 2) * width - (x1 - x0) / 2 * width + r
        dy = np.abs(self.y - (y0 + y1) / 2) * height - (y1 - y0) / 2 * height + r
        dist = np.hypot(np.maximum(dx, 0), np.maximum(dy, 0)) + np.minimum(np.maximum(dx, dy), 0)
        return np.asarray(np.clip(0.5 - (dist - r), 0, 1), np.float32)

    def shape(self, points: list[tuple[float, float]]) -> Array:
        """Return cover of a convex polygon, corners clockwise as seen."""
        height, width = self.size
        inside = np.full(self.size, 1e3, np.float32)
        for (xa, ya), (xb, yb) in zip(points, points[1:] + points[:1], strict=True):
            ex, ey = (xb - xa) * width, (yb - ya) * height
            px, py = (self.x - xa) * width, (self.y - ya) * height
            inside = np.minimum(inside, (ex * py - ey * px) / (np.hypot(ex, ey) + 1e-9))
        return np.asarray(np.clip(inside + 0.5, 0, 1), np.float32)

    def disc(self, x: float, y: float, rx: float, ry: float) -> Array:
        """Return cover of an ellipse."""
        height, width = self.size
        dist = np.hypot((self.x - x) / rx, (self.y - y) / ry)
        cover = np.clip((1 - dist) * min(rx * width, ry * height) + 0.5, 0, 1)
        return np.asarray(cover, np.float32)

    def done(self) -> Ripmap:
        """Return the finished texture."""
        return Ripmap(self.rgba, tile=False)


def tree(rng: Generator, leaf: Colour) -> Ripmap:
    """Return a leafy tree, a conifer or a slim one."""
    pic = Canvas(128, 128)
    kind = rng.random()
    rough = fractal(rng, 128, 128, (24, 10, 5, 3), 0.8)
    half = 0.02 if kind > 0.3 else 0.015
    trunk = [(0.5 - half, 0.3), (0.5 + half, 0.3), (0.52 + half, 1), (0.48 - half, 1)]
    pic.put(pic.shape(trunk), (0.16, 0.13, 0.10))
    if kind < 0.3:
        wide = 0.05 + 0.32 * (pic.y / 0.95)
        body = 1 - np.abs(pic.x - 0.5) / wide - np.where(pic.y > 0.93, 3.0, 0.0)
        body = body * 1.2
        height = 1 - np.abs(pic.x - 0.5) * 1.5
    else:
        body = np.full((128, 128), -9.0, np.float32)
        height = np.zeros((128, 128), np.float32)
        for _ in range(int(rng.integers(7, 14))):
            x, y = rng.uniform(0.25, 0.75), rng.uniform(0.2, 0.72)
            r = rng.uniform(0.13, 0.25)
            blob = 1 - np.hypot(pic.x - x, (pic.y - y) * 1.1) / r
            height = np.where(blob > body, (y - pic.y) / r * 0.6 + 0.4, height)
            body = np.maximum(body, blob)
    cover = np.clip((body + 0.22 * rough - 0.05) * 6, 0, 1)
    cover *= (pic.x > 0.01) & (pic.x < 0.99) & (pic.y > 0.01)
    tone = np.clip(0.55 + 0.35 * height + 0.30 * rough, 0.12, 1.9)[..., None]
    pic.put(np.asarray(cover, np.float32), np.asarray(leaf, np.float32) * tone)
    return pic.done()


def bush(rng: Generator, leaf: Colour) -> Ripmap:
    """Return a low round bush."""
    pic = Canvas(64, 128)
    rough = fractal(rng, 64, 128, (16, 6, 3), 0.8)
    body = 1 - np.hypot((pic.x - 0.5) / 0.46, (pic.y - 1.0) / 0.85)
    tone = np.clip(0.7 + 0.3 * rough + 0.5 * (0.6 - pic.y), 0.2, 1.8)[..., None]
    cover = np.clip((body + 0.15 * rough) * 8, 0, 1)
    pic.put(np.asarray(cover, np.float32), np.asarray(leaf, np.float32) * tone)
    return pic.done()


def foliage(rng: Generator, leaf: Colour) -> Ripmap:
    """Return a closed wall of trees, repeating along its length: 64 m by its height."""
    rough = np.zeros((128, 1024), np.float32)
    for cell, weight in ((18, 1.0), (8, 0.8), (4, 0.6), (2, 0.4)):
        rough += weight * smooth_noise(rng, 128, 1024, cell, 2 * cell)
    rough /= rough.std()
    crowns = smooth_noise(rng, 1, 1024, 1, 110) + 0.4 * smooth_noise(rng, 1, 1024, 1, 40)
    y = ((np.arange(128) + 0.5) / 128)[:, None]
    top = 0.30 + 0.10 * crowns
    cover = np.clip((y - top) * 20 + 0.8 * rough, 0, 1)
    lift = smooth_noise(rng, 128, 1024, 26, 60)
    tone = np.clip(0.80 + 0.26 * rough + 0.22 * lift - 0.45 * (y - 0.45), 0.10, 1.9)[..., None]
    rgb = np.asarray(leaf, np.float32) * tone
    rgba = np.concatenate([rgb * cover[..., None], cover[..., None]], axis=2)
    return Ripmap(np.asarray(rgba, np.float32))


def barrier(rng: Generator, kind: str) -> tuple[Ripmap, float]:
    """Return a barrier's repeating picture and how many metres it spans."""
    if kind == "rail":
        pic = Canvas(64, 128)
        pic.put(pic.box(0.45, 0.2, 0.50, 1.0, 0.0), (0.30, 0.28, 0.26))
        grey = np.asarray([rng.uniform(0.45, 0.66)] * 3, np.float32)
        beam = 0.75 + 0.35 * np.sin((pic.y - 0.02) * 2 * np.pi / 0.21)
        pic.put(pic.box(-0.5, 0.02, 1.5, 0.46, 0.0), grey * beam[..., None])
        span = 4.0
    elif kind == "fence":
        pic = Canvas(64, 128)
        for k in range(16):
            pic.put(0.45 * pic.box(k / 16, 0.1, k / 16 + 0.012, 1.0, 0.0), (0.35, 0.35, 0.34))
        for k in range(8):
            pic.put(0.45 * pic.box(-1, 0.1 + k / 9, 2, 0.12 + k / 9, 0.0), (0.35, 0.35, 0.34))
        pic.put(pic.box(0.49, 0.0, 0.515, 1.0, 0.0), (0.28, 0.27, 0.26))
        span = 3.0
    elif kind == "houses":
        pic = Canvas(128, 512)
        for start, wide in ((0, 150), (170, 128), (330, 160)):
            front = house(rng).grid(1.0, 1.0)
            drop = int(rng.integers(0, 50))
            columns = np.arange(wide) * 128 // wide
            rows = np.arange(128 - drop) * 128 // (128 - drop)
            pic.rgba[drop:, start : start + wide] = front[np.ix_(rows, columns)]
        span = 50.0
    else:
        pic = Canvas(64, 256)
        base = rng.uniform(0.38, 0.64)
        colour = (base, base * rng.uniform(0.93, 1.0), base * rng.uniform(0.82, 0.97))
        rough = fractal(rng, 64, 256, (20, 8, 3), 0.7)
        drip = smooth_noise(rng, 64, 256, 40, 4)
        tone = (1 + 0.05 * rough + 0.06 * drip - 0.10 * (pic.y - 0.5))[..., None]
        pic.put(np.ones((64, 256), np.float32), np.asarray(colour, np.float32) * tone)
        if kind == "wall":
            for k in range(6):
                pic.put(0.25 * pic.box(-1, k / 6, 2, k / 6 + 0.02, 0.0), (0.1, 0.1, 0.1))
            pic.put(0.7 * pic.box(0.47, 0, 0.53, 1, 0.0), (base * 0.8, base * 0.78, base * 0.74))
            span = 5.0
        else:
            pic.put(0.6 * pic.box(-1, -0.5, 2, 0.10, 0.0), (base * 1.2,) * 3)
            pic.put(0.5 * pic.box(0.5, 0, 0.505, 1, 0.0), (0.1, 0.1, 0.1))
            span = 8.0
    return Ripmap(pic.rgba), span


def car(rng: Generator, truck: bool) -> tuple[Ripmap, Ripmap, Ripmap, tuple[float, float, float]]:
    """Return a vehicle's rear, front and side pictures, and its length, width and height in m."""
    paints: list[Colour] = [
        (0.75, 0.75, 0.74),
        (0.48, 0.49, 0.50),
        (0.06, 0.06, 0.07),
        (0.20, 0.21, 0.23),
        (0.42, 0.07, 0.06),
        (0.08, 0.13, 0.28),
        (0.30, 0.29, 0.25),
        (0.62, 0.61, 0.58),
    ]
    paint = np.asarray(paints[int(rng.integers(0, len(paints)))], np.float32)
    paint = paint * rng.uniform(0.8, 1.15)
    if truck:
        size = (rng.uniform(8, 15), 2.5, rng.uniform(3.3, 4.0))
        return _truck(rng, paint, True), _truck(rng, paint, False), _truck_side(rng, paint), size
    tall = rng.random() < 0.45
    long, wide = rng.uniform(4.2, 5.0), rng.uniform(1.75, 1.95)
    size = (long, wide, rng.uniform(1.65, 1.85) if tall else 1.45)
    return _face(paint, tall, True), _face(paint, tall, False), _side(paint, tall), size


def _body(pic: Canvas, cover: Array, paint: Array) -> None:
    tone = (1.10 - 0.55 * pic.y)[..., None]
    pic.put(cover, paint * tone + 0.03)


def _face(paint: Array, tall: bool, rear: bool) -> Ripmap:
    pic = Canvas(64, 64)
    waist = 0.44 if tall else 0.46
    pic.put(pic.box(0.06, 0.70, 0.24, 1.0, 0.03), (0.03, 0.03, 0.03))
    pic.put(pic.box(0.76, 0.70, 0.94, 1.0, 0.03), (0.03, 0.03, 0.03))
    narrow = 0.09 if tall else 0.13
    _body(pic, pic.shape([(narrow, 0.03), (1 - narrow, 0.03), (0.97, waist), (0.03, waist)]), paint)
    _body(pic, pic.box(0.02, waist - 0.04, 0.98, 0.86, 0.07), paint)
    glass = (0.10, 0.12, 0.14) if rear else (0.16, 0.20, 0.24)
    top = [(narrow + 0.06, 0.08), (0.94 - narrow, 0.08)]
    pic.put(pic.shape([*top, (0.87, waist - 0.03), (0.13, waist - 0.03)]), glass)
    pic.put(pic.box(0.05, 0.80, 0.95, 0.90, 0.03), (0.07, 0.07, 0.07))
    if rear:
        for x in (0.04, 0.78):
            pic.put(pic.box(x, 0.46, x + 0.18, 0.58, 0.03), (0.62, 0.06, 0.05))
        pic.put(pic.box(0.38, 0.62, 0.62, 0.70, 0.01), (0.72, 0.72, 0.70))
    else:
        for x in (0.05, 0.75):
            pic.put(pic.box(x, 0.50, x + 0.20, 0.60, 0.04), (0.85, 0.86, 0.88))
        pic.put(pic.box(0.30, 0.52, 0.70, 0.70, 0.03), (0.06, 0.06, 0.07))
    return pic.done()


def _side(paint: Array, tall: bool) -> Ripmap:
    """Return the side, front end to the right."""
    pic = Canvas(64, 128)
    waist, sill = 0.45, 0.43
    back = 0.03 if tall else 0.14
    _body(pic, pic.shape([(back + 0.05, 0.03), (0.62, 0.03), (0.76, waist), (back, waist)]), paint)
    _body(pic, pic.box(0.005, waist - 0.03, 0.995, 0.84, 0.05), paint)
    glass = (0.11, 0.13, 0.15)
    rear_window = [(back + 0.09, 0.10), (0.38, 0.10), (0.38, sill), (back + 0.05, sill)]
    pic.put(pic.shape(rear_window), glass)
    pic.put(pic.shape([(0.41, 0.10), (0.60, 0.10), (0.71, sill), (0.41, sill)]), glass)
    for x in (0.19, 0.81):
        pic.put(pic.disc(x, 0.79, 0.085, 0.21), (0.03, 0.03, 0.03))
        pic.put(pic.disc(x, 0.79, 0.05, 0.12), (0.32, 0.32, 0.33))
    pic.put(pic.box(0.0, 0.48, 0.03, 0.58, 0.0), (0.6, 0.06, 0.05))
    return pic.done()


def _truck(rng: Generator, paint: Array, rear: bool) -> Ripmap:
    pic = Canvas(128, 64)
    for x in (0.06, 0.72):
        pic.put(pic.box(x, 0.80, x + 0.22, 1.0, 0.03), (0.03, 0.03, 0.03))
    if rear:
        box = np.asarray([rng.uniform(0.45, 0.8)] * 3, np.float32)
        _body(pic, pic.box(0.01, 0.01, 0.99, 0.80, 0.02), box)
        pic.put(pic.box(0.495, 0.04, 0.505, 0.78, 0.0), (0.2, 0.2, 0.2))
        pic.put(pic.box(0.02, 0.80, 0.98, 0.87, 0.01), (0.12, 0.12, 0.12))
        for x in (0.05, 0.83):
            pic.put(pic.box(x, 0.81, x + 0.12, 0.85, 0.01), (0.6, 0.06, 0.05))
    else:
        _body(pic, pic.box(0.03, 0.12, 0.97, 0.88, 0.05), paint)
        pic.put(pic.box(0.10, 0.24, 0.90, 0.50, 0.05), (0.10, 0.12, 0.15))
        pic.put(pic.box(0.25, 0.58, 0.75, 0.78, 0.02), (0.08, 0.08, 0.08))
        for x in (0.06, 0.78):
            pic.put(pic.box(x, 0.76, x + 0.16, 0.83, 0.02), (0.85, 0.86, 0.88))
    return pic.done()


def _truck_side(rng: Generator, paint: Array) -> Ripmap:
    pic = Canvas(64, 256)
    box = np.asarray([rng.uniform(0.45, 0.8)] * 3, np.float32)
    _body(pic, pic.box(0.0, 0.01, 0.80, 0.80, 0.005), box)
    _body(pic, pic.box(0.83, 0.15, 0.998, 0.86, 0.02), paint)
    pic.put(pic.box(0.91, 0.25, 0.985, 0.48, 0.01), (0.1, 0.12, 0.14))
    pic.put(pic.box(0.0, 0.80, 0.98, 0.88, 0.0), (0.1, 0.1, 0.1))
    for x in (0.08, 0.16, 0.24, 0.74, 0.92):
        pic.put(pic.disc(x, 0.88, 0.036, 0.125), (0.03, 0.03, 0.03))
        pic.put(pic.disc(x, 0.88, 0.018, 0.06), (0.3, 0.3, 0.3))
    return pic.done()


def sign(rng: Generator) -> Ripmap:
    """Return a road sign on its post."""
    pic = Canvas(128, 64)
    pic.put(pic.box(0.47, 0.2, 0.53, 1.0, 0.0), (0.42, 0.42, 0.42))
    kind = int(rng.integers(0, 5))
    colours: list[Colour] = [
        (0.80, 0.80, 0.78),
        (0.80, 0.58, 0.08),
        (0.05, 0.36, 0.20),
        (0.62, 0.08, 0.08),
        (0.08, 0.20, 0.50),
    ]
    if kind == 1:
        pic.put(pic.shape([(0.5, 0.0), (0.98, 0.2), (0.5, 0.4), (0.02, 0.2)]), colours[1])
    elif kind == 3:
        pic.put(pic.disc(0.5, 0.2, 0.45, 0.19), colours[3])
        pic.put(pic.disc(0.5, 0.2, 0.33, 0.14), (0.82, 0.82, 0.8))
    else:
        pic.put(pic.box(0.08, 0.0, 0.92, 0.42, 0.05), colours[kind])
    ink = (0.08, 0.08, 0.08) if kind < 2 or kind == 3 else (0.85, 0.85, 0.85)
    for y in (0.13, 0.22):
        pic.put(0.8 * pic.box(0.28, y, 0.28 + 0.44 * rng.uniform(0.5, 1), y + 0.045, 0.01), ink)
    return pic.done()


def post(lamp: bool) -> Ripmap:
    """Return a delineator post, or a lamp post with its arm."""
    pic = Canvas(256, 64) if lamp else Canvas(64, 16)
    if lamp:
        pic.put(pic.box(0.12, 0.02, 0.155, 1.0, 0.0), (0.34, 0.34, 0.34))
        pic.put(pic.box(0.12, 0.015, 0.85, 0.03, 0.0), (0.34, 0.34, 0.34))
        pic.put(pic.box(0.72, 0.012, 0.95, 0.038, 0.0), (0.55, 0.55, 0.52))
    else:
        pic.put(pic.box(0.25, 0.0, 0.75, 1.0, 0.1), (0.72, 0.72, 0.70))
        pic.put(pic.box(0.25, 0.15, 0.75, 0.32, 0.0), (0.12, 0.12, 0.12))
    return pic.done()


def house(rng: Generator) -> Ripmap:
    """Return a house front with rows of windows."""
    pic = Canvas(128, 128)
    walls: list[Colour] = [
        (0.62, 0.58, 0.50),
        (0.50, 0.32, 0.25),
        (0.66, 0.66, 0.64),
        (0.55, 0.50, 0.38),
    ]
    rough = fractal(rng, 128, 128, (30, 10, 4), 0.7)
    wall = np.asarray(walls[int(rng.integers(0, 4))], np.float32) * rng.uniform(0.7, 1.1)
    pic.put(np.ones((128, 128), np.float32), wall * (1 + 0.04 * rough)[..., None])
    rows, cols = int(rng.integers(2, 5)), int(rng.integers(3, 7))
    for r in range(rows):
        for c in range(cols):
            x, y = (c + 0.25) / cols, (r + 0.25) / rows
            pic.put(pic.box(x, y, x + 0.5 / cols, y + 0.55 / rows, 0.0), (0.14, 0.16, 0.19))
    pic.put(pic.box(-0.5, -0.5, 1.5, 0.04, 0.0), (0.25, 0.2, 0.18))
    return pic.done()


def deck(dark: bool) -> Ripmap:
    """Return the side of a bridge across the road, or the shade below it."""
    pic = Canvas(16, 64)
    tone = 0.05 if dark else 0.50
    pic.put(np.ones((16, 64), np.float32), (tone, tone * 0.98, tone * 0.93))
    if not dark:
        pic.put(0.6 * pic.box(-0.5, 0.30, 1.5, 0.40, 0.0), (0.2, 0.2, 0.2))
    return pic.done()
