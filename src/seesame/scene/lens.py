"""The camera's own part: hood, lens, sensor and colours."""

import numpy as np
from numpy.typing import NDArray

from seesame.scene.config import OWN_CAR, Array, SceneConfig
from seesame.scene.layout import Layout
from seesame.scene.paint import Frame
from seesame.scene.texture import smooth_noise


class Lens:
    """The properties of the camera that are fixed over one drive."""

    def __init__(self, layout: Layout, config: SceneConfig) -> None:
        self.layout, self.config = layout, config
        rng = np.random.default_rng([config.seed, 81])
        width, height = config.width, config.height
        x = ((np.arange(width) + 0.5) / width * 2 - 1).astype(np.float32)[None, :]
        y = ((np.arange(height) + 0.5) / height).astype(np.float32)[:, None]
        self.stop = height
        self.first = height
        if layout.hood:
            bow = rng.uniform(0.01, 0.07)
            lean = rng.uniform(-0.015, 0.015)
            edge = (layout.hood_top + bow * x * x + lean * x).astype(np.float32)
            self.cover = np.clip((y - edge) * height + 0.5, 0, 1)
            rows = np.flatnonzero(self.cover.any(axis=1))
            self.first = int(rows[0]) if rows.size else height
            full = np.flatnonzero((self.cover >= 1).all(axis=1))
            self.stop = int(full[0]) if full.size else height
            self.hood = self._hood(rng, y - edge, x)
        radius = x * x + ((y - 0.5) * 2 * height / width) ** 2
        self.shade = (1 - layout.vignette * np.clip(radius / 1.7, 0, 1.2))[..., None]
        self.shade = self.shade * np.asarray(layout.gain, np.float32)
        self.grain: Array | None = None
        if config.noise:
            raw = rng.standard_normal((height + 61, width + 67, 1)).astype(np.float32)
            tint = rng.standard_normal((height + 61, width + 67, 3)).astype(np.float32)
            self.grain = (0.8 * raw + 0.5 * tint) * np.float32(layout.noise * 255)

    def _hood(self, rng: np.random.Generator, below: Array, x: Array) -> Array:
        layout = self.layout
        light = {"day": 1.0, "dusk": 0.5, "night": 0.12}[layout.light]
        base = np.asarray(layout.hood_colour, np.float32)
        tone = np.full((*np.broadcast_shapes(below.shape, x.shape), 1), 1.0, np.float32)
        out = tone * base
        sky = np.asarray(layout.horizon, np.float32)
        # The hood proper shines with the sky; below it the dashboard is dark.
        deep = rng.uniform(0.03, 0.13) if rng.random() < 0.75 else 0.4
        metal = rng.uniform(0.03, 0.30) * (1 + 0.5 * np.exp(-below / 0.012)) + (
            layout.hood_shine * 0.5 * np.exp(-below / rng.uniform(0.008, 0.04))
        )
        bend = rng.normal(0, 0.03)
        cut = np.clip((below - deep - bend * x * x) * 60, 0, 1)[..., None]
        out = (1 - cut) * (out + metal[..., None] * sky) + cut * out * rng.uniform(0.3, 1.0)
        for _ in range(int(rng.integers(2, 6))):  # edges of the dashboard, wipers, reflections
            at, wide = rng.uniform(0.005, 0.16), rng.uniform(0.0015, 0.008)
            tilt, middle = rng.normal(0, 0.012), rng.uniform(-1, 1)
            line = np.exp(-(((below - at - tilt * x + 0.02 * (x - middle) ** 2) / wide) ** 2))
            line = line * np.clip(1.4 - np.abs(x - middle) * rng.uniform(0.3, 2.0), 0, 1)
            out += line[..., None] * float(rng.normal(0.0, 0.16)) * (0.3 + sky)
        noise = smooth_noise(rng, 64, 64, 8, 24)
        rows = (np.clip(below, 0, 0.3) / 0.3 * 63).astype(int)
        cols = ((x + 1) / 2 * 63).astype(int)
        out *= (1 + 0.15 * noise[rows, cols])[..., None]
        return np.asarray(np.clip(out, 0.004, 1) * light, np.float32)

    def finish(self, frame: Frame) -> None:
        """Lay the own car over the frame."""
        if self.layout.hood and self.first < frame.height:
            rows = slice(self.first, frame.height)
            cover = self.cover[rows]
            image = frame.image[rows]
            hood = self.hood[rows]
            image += cover[..., None] * (hood - image)
            frame.mask[rows][cover > 0.5] = OWN_CAR

    def digitise(self, image: Array, index: int) -> NDArray[np.uint8]:
        """Return ``uint8 (H, W, 3)`` after exposure, contrast, saturation, lens blur and noise."""
        layout = self.layout
        image *= self.shade
        if layout.blur > 0.1 and image.shape[0] > 500:
            side = np.float32(0.25 * layout.blur)
            for axis in (0, 1):
                a = image if axis == 0 else image.transpose(1, 0, 2)
                mid = a[1:-1] * (1 - 2 * side)
                mid += side * a[:-2]
                mid += side * a[2:]
                a[1:-1] = mid
        grey = image @ np.asarray([0.3, 0.59, 0.11], np.float32)
        image *= np.float32(layout.saturation * layout.contrast * 255)
        image += (grey * np.float32((1 - layout.saturation) * layout.contrast * 255))[..., None]
        if layout.light != "night":
            image -= np.float32(0.35 * (layout.contrast - 1) * 255)
        if self.grain is not None:
            rng = np.random.default_rng([self.config.seed, 91, index + 1])
            y, x = int(rng.integers(0, 61)), int(rng.integers(0, 67))
            image += self.grain[y : y + image.shape[0], x : x + image.shape[1]]
        image += 0.5
        return np.clip(image, 0, 255, out=image).astype(np.uint8)
