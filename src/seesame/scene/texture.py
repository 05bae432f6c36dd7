"""Tiled noise and textures that are averaged beforehand for every pixel footprint.

A texture is kept as a ripmap: it is halved along each axis on its own, so that a road seen at a
grazing angle is averaged a lot along the road and little across it. (McReynolds and Blythe,
"Advanced Graphics Programming Using OpenGL", 2005, section on anisotropic filtering.)
"""

import math
from functools import cache

import numpy as np

from seesame.scene.config import Array

Generator = np.random.Generator


@cache
def _noise_tile(height: int, width: int, cell_y: int, cell_x: int, variant: int) -> Array:
    """Return one fixed tile of smooth noise, kept since its transforms cost more than the rest."""
    rng = np.random.default_rng([height, width, cell_y, cell_x, variant])
    raw = rng.standard_normal((height, width), dtype=np.float32)
    fy = np.fft.fftfreq(height)[:, None] * cell_y
    fx = np.fft.rfftfreq(width)[None, :] * cell_x
    spectrum = np.fft.rfft2(raw) * np.exp(-4.0 * (fy * fy + fx * fx)).astype(np.float32)
    out = np.fft.irfft2(spectrum, s=(height, width))
    out -= out.mean()
    out /= out.std() + 1e-9
    return np.asarray(out, np.float32)


def smooth_noise(rng: Generator, height: int, width: int, cell_y: int, cell_x: int) -> Array:
    """Return tileable noise with features of ``cell_y x cell_x`` texels: zero mean, unit deviation.

    It is one of a few fixed tiles, moved, mirrored and signed as drawn.
    """
    variant, flip, sign = (int(rng.integers(0, n)) for n in (3, 2, 2))
    tile = _noise_tile(height, width, cell_y, cell_x, variant)
    if flip:
        tile = tile[:, ::-1]
    tile = np.roll(tile, (int(rng.integers(0, height)), int(rng.integers(0, width))), (0, 1))
    return np.negative(tile, out=tile) if sign else tile


def fractal(
    rng: Generator, height: int, width: int, cells: tuple[int, ...], fall: float = 0.6
) -> Array:
    """Return a sum of tileable noises, largest cell first, each ``fall`` weaker; unit deviation."""
    total = np.zeros((height, width), np.float32)
    weight = 1.0
    for cell in cells:
        total += weight * smooth_noise(rng, height, width, cell, cell)
        weight *= fall
    return np.asarray(total / (total.std() + 1e-9), np.float32)


class Ripmap:
    """A texture with all its averaged copies.

    Args:
        data: ``(h, w, C)``, both sides powers of two.
        tile: whether it repeats (else the edge texels are repeated outwards).
    """

    def __init__(self, data: Array, tile: bool = True) -> None:
        self.height, self.width, self.channels = data.shape
        self.tile = tile
        self.levels_y = self.height.bit_length()
        self.levels_x = self.width.bit_length()
        flats, self.offset = [], np.zeros((self.levels_y, self.levels_x), np.int64)
        at = 0
        tall = data.astype(np.float32)
        for ly in range(self.levels_y):
            wide = tall
            for lx in range(self.levels_x):
                self.offset[ly, lx] = at
                flats.append(wide.reshape(-1, self.channels))
                at += wide.shape[0] * wide.shape[1]
                if wide.shape[1] > 1:
                    wide = 0.5 * (wide[:, 0::2] + wide[:, 1::2])
            if tall.shape[0] > 1:
                tall = 0.5 * (tall[0::2] + tall[1::2])
        self.flat = np.concatenate(flats)
        if self.channels == 1:
            self.flat = self.flat[:, 0]

    def grid(self, foot_y: float, foot_x: float) -> Array:
        """Return the averaged copy ``(h, w, C)`` that fits one pixel footprint (in full texels)."""
        ly = min(max(round(math.log2(max(foot_y, 1e-6))), 0), self.levels_y - 1)
        lx = min(max(round(math.log2(max(foot_x, 1e-6))), 0), self.levels_x - 1)
        at = int(self.offset[ly, lx])
        height, width = self.height >> ly, self.width >> lx
        return self.flat[at : at + height * width].reshape(height, width, self.channels)

    def level(self, footprint: Array, axis: int) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
        """Return the level whose texels are as big as ``footprint`` (in full texels)."""
        top = (self.levels_y if axis == 0 else self.levels_x) - 1
        rounded = np.rint(np.log2(np.maximum(footprint, 1e-6))).astype(np.int64)
        return np.clip(rounded, 0, top)

    def look(self, y: Array, x: Array, foot_y: Array, foot_x: Array) -> Array:
        """Return bilinear values at ``(y, x)`` (full-texture texels); all four broadcast together.

        Returns ``(..., C)``, or ``(...)`` for one channel.
        """
        ly = self.level(foot_y, 0)
        lx = self.level(foot_x, 1)
        height = (self.height >> ly).astype(np.int32)
        width = (self.width >> lx).astype(np.int32)
        fy = y * (height / self.height).astype(np.float32) - np.float32(0.5)
        fx = x * (width / self.width).astype(np.float32) - np.float32(0.5)
        y0, x0 = np.floor(fy), np.floor(fx)
        wy, wx = fy - y0, fx - x0
        iy, ix = y0.astype(np.int32), x0.astype(np.int32)
        if self.tile:  # both sides are powers of two
            ya, yb = iy & (height - 1), (iy + 1) & (height - 1)
            xa, xb = ix & (width - 1), (ix + 1) & (width - 1)
        else:
            ya, yb = np.clip(iy, 0, height - 1), np.clip(iy + 1, 0, height - 1)
            xa, xb = np.clip(ix, 0, width - 1), np.clip(ix + 1, 0, width - 1)
        start = self.offset[ly, lx]
        row_a, row_b = start + ya * width, start + yb * width
        if self.channels > 1:
            wy, wx = wy[..., None], wx[..., None]
        flat = self.flat
        top = flat.take(row_a + xa, axis=0)
        top += wx * (flat.take(row_a + xb, axis=0) - top)
        low = flat.take(row_b + xa, axis=0)
        low += wx * (flat.take(row_b + xb, axis=0) - low)
        low -= top
        low *= wy
        top += low
        return np.asarray(top)
