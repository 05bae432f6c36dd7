"""Sky, clouds and far hills: a panorama at infinity that turns with the camera."""

import math

import numpy as np

from seesame.scene.layout import Layout
from seesame.scene.paint import Frame
from seesame.scene.texture import Ripmap, smooth_noise

HIGH = math.radians(64)  # the panorama's upper end
LOW = math.radians(-6)


class Sky:
    """The panorama of one drive, 360 degrees by ``LOW..HIGH``."""

    ROWS, COLUMNS = 512, 1024

    def __init__(self, layout: Layout, seed: int) -> None:
        rng = np.random.default_rng([seed, 71])
        rise = LOW + (HIGH - LOW) * (np.arange(self.ROWS)[::-1] + 0.5) / self.ROWS
        rise = rise[:, None].astype(np.float32)
        up = np.clip(rise / math.radians(40), 0, 1) ** 0.55
        low = np.asarray(layout.horizon, np.float32)
        zenith = np.asarray(layout.zenith, np.float32)
        fade = low + up[..., None] * (zenith - low)
        sky = np.empty((self.ROWS, self.COLUMNS, 3), np.float32)
        sky[:] = fade
        soft = rng.uniform(0.1, 1.0)  # from broad soft cover to small torn clouds
        noise = 0.8 * smooth_noise(rng, self.ROWS, self.COLUMNS, 18, 40)
        noise += 0.6 * soft * smooth_noise(rng, self.ROWS, self.COLUMNS, 7, 11)
        noise += 0.3 * soft * smooth_noise(rng, self.ROWS, self.COLUMNS, 3, 4)
        cloud = np.clip(noise * 0.7 - 0.75 + 1.3 * layout.cloud, 0, 1) * np.clip(rise * 12, 0, 1)
        level = {"day": 0.95, "dusk": 0.45, "night": 0.03}[layout.light]
        white = np.asarray([level, level, level], np.float32)
        if layout.light == "dusk":
            white = np.asarray(0.5 * white + 0.5 * low, np.float32)
        bright = white * (0.86 + 0.1 * noise[..., None].clip(-1.5, 1.5))
        sky += (0.75 * cloud[..., None]) * (bright - sky)
        for k in (2, 1):  # two ridges, the nearer one darker
            crest = 0.5 + 0.25 * smooth_noise(rng, 1, self.COLUMNS, 1, 30 * k)
            crest += 0.06 * smooth_noise(rng, 1, self.COLUMNS, 1, 4)
            crest = np.maximum(crest, 0.02) * layout.hills * (1.0 if k == 2 else 0.55) + 0.004
            cover = np.clip((crest - rise) * (self.ROWS / (HIGH - LOW)) + 0.5, 0, 1)
            dim = {"day": 1.0, "dusk": 0.5, "night": 0.02}[layout.light]
            green = np.asarray(layout.leaf, np.float32) * 1.2 * dim
            colour = green + (0.7 if k == 2 else 0.4) * (low - green)
            sky += cover[..., None] * (colour - sky)
        self.texture = Ripmap(sky)

    def render(self, frame: Frame) -> None:
        """Paint the sky into the rows above the ground (and a little below the horizon)."""
        view = frame.view
        u = (np.arange(view.width, dtype=np.float32) + 0.5 - view.width / 2)[None, :]
        v = np.arange(view.height, dtype=np.float32) + 0.5 - view.height / 2
        reach = view.focal * math.tan(view.pose.pitch + math.radians(4)) + view.height / 2
        reach += abs(view.sin_roll) * view.width
        stop = int(min(max(0, reach + 2), frame.stop))
        if stop == 0:
            return
        right = np.float32(view.cos_roll) * u - np.float32(view.sin_roll) * v[:stop, None]
        down = np.float32(view.sin_roll) * u + np.float32(view.cos_roll) * v[:stop, None]
        focal = np.float32(view.focal)
        ahead = focal * np.float32(view.cos_pitch) + down * np.float32(view.sin_pitch)
        climb = focal * np.float32(view.sin_pitch) - down * np.float32(view.cos_pitch)
        rise = np.arctan2(climb, np.hypot(ahead, right))
        turn = np.arctan2(right, ahead) + np.float32(view.pose.yaw % (2 * math.pi))
        y = (np.float32(HIGH) - rise) * np.float32(self.ROWS / (HIGH - LOW))
        np.clip(y, 0.5, self.ROWS - 0.5, out=y)
        x = turn * np.float32(self.COLUMNS / (2 * math.pi))
        foot = np.full((1, 1), self.ROWS / (HIGH - LOW) / view.focal, np.float32)
        wide = np.full((1, 1), self.COLUMNS / (2 * math.pi) / view.focal, np.float32)
        frame.image[:stop] = self.texture.look(y, x, foot, wide)
