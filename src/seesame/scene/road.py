"""The ground: asphalt, markings and verge, row by row, each pixel looked up in world textures."""

import math

import numpy as np
from numpy.typing import NDArray

from seesame.scene.camera import View
from seesame.scene.config import MARKING, ROAD, UNDRIVABLE, Array, Array64
from seesame.scene.layout import Layout
from seesame.scene.paint import Frame
from seesame.scene.texture import Ripmap, fractal, smooth_noise

PERIOD = 128.0  # metres along the road after which every ground texture repeats


def ramp(x: Array | Array64) -> Array:
    """Clip to 0..1."""
    return np.asarray(np.clip(x, 0, 1), np.float32)


class Ground:
    """The ground's textures of one drive, and its picture from any view."""

    def __init__(self, layout: Layout, seed: int) -> None:
        self.layout = layout
        rng = np.random.default_rng([seed, 21])
        self.coarse = Ripmap(self._asphalt(rng)[..., None])  # 128 m x 32 m in 6.25 cm texels
        self.fine = Ripmap(fractal(rng, 256, 256, (2, 5), 0.7)[..., None])  # 4 m in 1.6 cm texels
        grass = fractal(rng, 512, 512, (24, 8, 4, 2), 0.85)
        self.grass = Ripmap(grass[..., None])  # 32 m in 6.25 cm texels
        shade = smooth_noise(rng, 512, 256, 8, 14) + 0.6 * smooth_noise(rng, 512, 256, 3, 3)
        shade = np.clip(shade * 1.2 + 0.1, 0, 1).astype(np.float32)
        self.shade = Ripmap(shade[..., None])  # 128 m x 64 m

    def _asphalt(self, rng: np.random.Generator) -> Array:
        layout = self.layout
        tex = 0.45 * fractal(rng, 2048, 512, (60, 12, 3), 0.6)
        tex += 0.7 * smooth_noise(rng, 2048, 512, 260, 5)  # streaks along the road
        for _ in range(int(rng.integers(4, 26))):  # patches of newer or older asphalt
            y, x = int(rng.integers(0, 2000)), int(rng.integers(0, 500))
            tall, wide = int(rng.integers(10, 160)), int(rng.integers(6, 50))
            tex[y : y + tall, x : x + wide] += rng.normal(0, 1.1)
        lanes = layout.lane_width / 32 * 512
        for lane in range(-6, 7):  # the darker tracks of oil and the brighter ones of tyres
            centre = (lane + 0.5) * lanes
            across = np.arange(-256, 256) - centre
            tracks = np.exp(-((np.abs(across) - 12.5) ** 2) / 30) * 0.7
            tracks -= np.exp(-(across**2) / 60) * 0.9
            tex += np.roll(tracks, 256).astype(np.float32)
        for _ in range(int(rng.integers(2, 28))):  # cracks and tar lines wander over the road
            n = int(rng.integers(40, 700))
            lengthwise = rng.random() < 0.5
            walk = np.cumsum(rng.normal(0, 0.5, n))
            go = np.arange(n)
            at_y = (rng.integers(0, 2048) + (go if lengthwise else walk)).astype(int) % 2048
            at_x = (rng.integers(0, 512) + (walk if lengthwise else go)).astype(int) % 512
            depth = rng.uniform(1.0, 3.5)
            tex[at_y, at_x] -= depth
            if rng.random() < 0.5:
                tex[at_y, (at_x + 1) % 512] -= depth
        for _ in range(int(rng.integers(0, 30))):  # stains
            y, x, r = int(rng.integers(0, 2048)), int(rng.integers(0, 512)), int(rng.integers(2, 9))
            gy, gx = np.mgrid[-r : r + 1, -r : r + 1]
            spot = np.exp(-2.5 * (gx**2 + gy**2 / 3) / r**2) * rng.uniform(0.5, 2.0)
            tex[np.ix_((y + np.arange(-r, r + 1)) % 2048, (x + np.arange(-r, r + 1)) % 512)] -= spot
        if layout.seams:
            tex[:: int(rng.choice([64, 128]))] -= 2.5
            at = (np.arange(-4, 6) * lanes).astype(int) % 512
            tex[:, at] -= 2.0
            slab = np.repeat(rng.normal(0, 0.5, (32, 1)), 64, axis=0)
            tex += slab.astype(np.float32)
        return np.asarray(tex, np.float32)

    def table(self, view: View) -> tuple[Array, float, float, int]:
        """Return road quantities on a fine ladder of rows, from the highest visible ground down.

        Returns ``(n, 7)``: distance ahead, across the centre, sine and cosine of the road's
        turn, curvature, depth, metres along the road a pixel; then the top row (pixels from the
        image centre, before roll), the ladder's step in pixels, and its length.
        """
        first = 8
        x, z = view.x[first:], view.z[first:]
        depth = x * view.cos_pitch + z * view.sin_pitch
        row = view.focal * (x * view.sin_pitch - z * view.cos_pitch) / np.maximum(depth, 1e-3)
        good = depth > 0.05
        row = np.where(good, row, 1e9)
        lowest = np.minimum.accumulate(row)
        keep = good & (row <= lowest)
        keep[1:] &= row[1:] < lowest[:-1]  # what lies behind a crest is not seen
        k = np.flatnonzero(keep)[::-1]
        rows, ahead = row[k], view.ahead[first:][k]
        step = max(0.05, min(0.5, view.height / 1200))
        top = float(rows[0])
        turned = view.width * abs(view.sin_roll)
        bottom = 0.5 * math.hypot(turned, view.height) + turned
        n = max(2, math.ceil((bottom - top) / step) + 3)
        at = top + step * np.arange(n)
        # Over a flat piece 1/depth is linear in the row, so this is exact between the samples.
        inverse = np.interp(at, rows, 1 / depth[k])
        want = 1 / inverse
        dist = np.interp(want, depth[k][::-1], ahead[::-1])
        table = np.empty((n, 7), np.float32)
        table[:, 0] = dist
        table[:, 1] = np.interp(dist, view.ahead, view.y)
        angle = np.interp(dist, view.ahead, view.angle)
        table[:, 2], table[:, 3] = np.sin(angle), np.cos(angle)
        table[:, 4] = np.interp(dist, view.ahead, view.bend)
        table[:, 5] = want
        table[:, 6] = np.maximum(-np.gradient(dist) / step, 1e-4)
        return table, top, step, n

    def render(self, frame: Frame) -> None:
        """Paint the ground into a frame."""
        layout, view, stop = self.layout, frame.view, frame.stop
        table, top, step, n = self.table(view)
        u = (np.arange(view.width, dtype=np.float32) + 0.5 - view.width / 2)[None, :]
        v = np.arange(view.height, dtype=np.float32) + 0.5 - view.height / 2
        slant = np.float32(view.sin_roll) * u
        first = int(np.floor(top - float(np.abs(slant).max()) + view.height / 2)) - 1
        first = min(max(first, 0), stop)
        if first >= stop:
            return
        level = slant + np.float32(view.cos_roll) * v[first:stop, None]
        at = (level - np.float32(top)) * np.float32(1 / step)
        np.clip(at, 0, n - 1.001, out=at)
        i = at.astype(np.int32)
        w = at
        w -= i
        change = np.diff(table, axis=0, append=table[-1:])
        shape = i.shape
        flat_i, flat_w = i.ravel(), w.ravel()

        def column(c: int) -> Array:
            value = table[:, c].take(flat_i)
            value += flat_w * change[:, c].take(flat_i)
            return value.reshape(shape)

        dist, centre, sine, cosine = column(0), column(1), column(2), column(3)
        far, foot = column(5), table[:, 6].take(flat_i).reshape(shape)
        right = np.float32(view.cos_roll) * u - np.float32(view.sin_roll) * v[first:stop, None]
        foot_d = far * np.float32(1 / view.focal)
        off = right * foot_d
        off -= centre
        a, d = off * sine, off * cosine
        bend = table[:, 4].take(flat_i).reshape(shape)
        s = dist + a * (1 + bend * d)
        d -= 0.5 * bend * a * a
        base = view.pose.along % PERIOD
        s_tile = s + np.float32(base)
        colour, cover = self._surface(s_tile, d, foot, foot_d)
        painted = self._markings(view, s, d, foot, foot_d, colour)
        light = self._shade(s_tile, d, foot, foot_d)
        if layout.light == "night":
            light *= _beam(far, right * foot_d)
            colour *= np.asarray(layout.lamp, np.float32)
        elif layout.light == "dusk":
            light *= np.float32(0.6)
        colour *= light[..., None]
        keep = np.exp(far * np.float32(-1 / layout.haze))[..., None]
        colour *= keep
        colour += (1 - keep) * np.asarray(layout.horizon, np.float32)
        rows = slice(first, stop)
        seen = ramp(level - np.float32(top) + 0.5)
        frame.image[rows] += seen[..., None] * (colour - frame.image[rows])
        kind = np.where(cover > 0.5, ROAD, UNDRIVABLE)
        kind[painted & (cover > 0.5)] = MARKING
        there = seen > 0.5
        frame.mask[rows] = np.where(there, kind, UNDRIVABLE)
        frame.depth[rows] = np.where(there, far, np.float32(1e6))

    def _surface(self, s: Array, d: Array, foot: Array, foot_d: Array) -> tuple[Array, Array]:
        layout = self.layout
        q = np.float32(16.0)
        coarse = self.coarse.look(s * q, d * q, foot * q, foot_d * q)
        q = np.float32(64.0)
        fine = self.fine.look(s * q, d * q, foot * q, foot_d * q)
        tone = np.exp(np.float32(layout.rough) * (coarse + 0.8 * fine))
        q = np.float32(16.0)
        grass = self.grass.look(s * q, d * q, foot * q, foot_d * q)
        wobble = grass * np.float32(layout.ragged)
        cover = np.zeros_like(s)
        sharp = 1 / np.maximum(foot_d, 0.01)
        for low, high in layout.roads:
            part = ramp((d - low + wobble) * sharp + 0.5)
            part *= ramp((high - d + wobble) * sharp + 0.5)
            cover += part
        mix = ramp(0.5 + 0.32 * grass + 0.12 * coarse)
        dark = ramp(1.0 + 0.12 * grass)
        colour = np.empty((*s.shape, 3), np.float32)
        for c in range(3):
            low, high = layout.verge[0][c], layout.verge[1][c]
            verge = (low + np.float32(high - low) * mix) * dark
            colour[..., c] = verge + cover * (np.float32(layout.asphalt[c]) * tone - verge)
        self._coarse = coarse
        return colour, cover

    def _markings(
        self, view: View, s: Array, d: Array, foot: Array, foot_d: Array, colour: Array
    ) -> NDArray[np.bool_]:
        painted = np.zeros(s.shape, bool)
        flat = colour.reshape(-1, 3)
        for line in self.layout.markings:
            near = np.abs(d - np.float32(line.across))
            near -= 0.5 * foot_d
            pick = np.flatnonzero(near < line.width / 2)
            if pick.size == 0:
                continue
            fd = foot_d.ravel()[pick]
            gap = np.abs(d.ravel()[pick] - np.float32(line.across))
            cover = ramp((line.width / 2 - gap) / fd + 0.5) * np.minimum(1, line.width / fd)
            if line.dash:
                fs = np.maximum(foot.ravel()[pick], 0.005)
                start = (view.pose.along + line.phase) % line.period
                cover *= dashes(s.ravel()[pick] + np.float32(start), fs, line.dash, line.period)
            painted.ravel()[pick] |= cover > 0.4
            wear = 0.92 + 0.10 * self._coarse.ravel()[pick]
            cover *= np.clip(wear, 0.25, 1.0)
            paint = np.asarray(line.colour, np.float32)
            flat[pick] += cover[:, None] * (paint - flat[pick])
        return painted

    def _shade(self, s: Array, d: Array, foot: Array, foot_d: Array) -> Array:
        if not self.layout.shade:
            return np.ones_like(s)
        q = np.float32(4.0)
        dark = self.shade.look(s * q, d * q, foot * q, foot_d * q)
        return 1.0 - np.float32(min(0.65, self.layout.shade)) * dark


def _beam(far: Array, aside: Array) -> Array:
    """Return the own headlights on the road: bright close ahead, fading outwards and far away."""
    turn = np.abs(aside + 0.05 * far) / (3.0 + 0.22 * far)
    near = np.clip((far - 3.0) / 5.0, 0.15, 1)
    return np.asarray(0.03 + 1.2 * near * np.exp(-far / 24) * np.exp(-turn * turn), np.float32)


def dashes(s: Array, foot: Array, dash: float, period: float) -> Array:
    """Return the share of ``[s - foot/2, s + foot/2]`` in dashes that start every ``period``."""
    duty = np.float32(dash / period)

    def total(x: Array) -> Array:
        whole = np.floor(x)
        return np.asarray(whole * duty + np.minimum(x - whole, duty))

    scale = np.float32(1 / period)
    wide = foot * scale
    low = s * scale - 0.5 * wide
    return np.asarray(ramp((total(low + wide) - total(low)) / wide))
