"""The synthetic drive: sky, ground, things, cars and the camera's own marks, put together."""

from collections.abc import Iterator
from fractions import Fraction

import numpy as np

from seesame.scene import layout as layouts
from seesame.scene import sprites
from seesame.scene.camera import Pose, View
from seesame.scene.config import MOVABLE, UNDRIVABLE, Array64, SceneConfig, SceneFrame
from seesame.scene.lens import Lens
from seesame.scene.objects import Stock, Vehicle
from seesame.scene.paint import Frame, glow, shadow, strip, upright
from seesame.scene.road import Ground
from seesame.scene.sky import Sky
from seesame.video.clip import Frames

REACH = 320.0


class Scene:
    """A drive made by code alone: any frame on its own, the same bytes every time.

    Args:
        config: what is asked for.
    """

    def __init__(self, config: SceneConfig) -> None:
        self.config = config
        self.layout, self.drive = layouts.draw(config)
        self.ground = Ground(self.layout, config.seed)
        self.stock = Stock(self.layout, self.drive, config.seed)
        self.sky = Sky(self.layout, config.seed)
        self.lens = Lens(self.layout, config)
        rng = np.random.default_rng([config.seed, 61])
        self.barriers = [
            (sprites.barrier(rng, kind), across, height)
            for kind, across, height in self.layout.barriers
        ]
        self.forests = [
            (sprites.foliage(rng, self.layout.leaf), across, height)
            for across, height in self.layout.forests
        ]
        self.night = self.layout.light == "night"
        self.haze = (np.asarray(self.layout.horizon, np.float32), self.layout.haze)

    def pose(self, index: int) -> Pose:
        """Return the camera at frame ``index``."""
        return self.drive.pose(index / self.config.fps)

    def ego_motion(self, index: int) -> Array64:
        """Return camera motion from frame ``index - 1`` to ``index``: ``float64 (6,)``.

        Forward, right, down in metres and roll, pitch, yaw in radians, in the camera axes of
        frame ``index - 1``; frame 0 moves from a frame -1 that is never shown.
        """
        return self.drive.motion(self.pose(index - 1), self.pose(index))

    def view(self, index: int) -> View:
        """Return the projection of frame ``index``."""
        config, course = self.config, self.drive.course
        return View(course, self.pose(index), config.width, config.height, self.layout.focal)

    def frame(self, index: int) -> SceneFrame:
        """Render frame ``index`` (0 or more)."""
        frame = self.paint(index)
        return SceneFrame(self.lens.digitise(frame.image, index), frame.mask)

    def paint(self, index: int) -> Frame:
        """Return frame ``index`` before exposure and noise, with each pixel's depth in metres."""
        frame = Frame(self.view(index), self.haze, self.lens.stop)
        self.sky.render(frame)
        self.ground.render(frame)
        self._strips(frame)
        self._things(frame, index)
        self.lens.finish(frame)
        return frame

    def _strips(self, frame: Frame) -> None:
        here = frame.view.pose.across
        todo = [(abs(a - here), t, 64.0, a, h) for t, a, h in self.forests]
        todo += [(abs(a - here), t, span, a, h) for (t, span), a, h in self.barriers]
        for away, texture, span, across, height in sorted(todo, key=lambda item: -item[0]):
            strip(frame, across, height, texture, span, self._lit(8 + 4 * away))

    def _things(self, frame: Frame, index: int) -> None:
        view = frame.view
        along = view.pose.along
        things = list(self.stock.things(along, REACH))
        cars = list(self.stock.vehicles(index / self.config.fps, along, REACH))
        ahead = np.array([t.ahead for t in things] + [0.0])
        across = np.array([t.across for t in things] + [0.0])
        x, y, z = (p.tolist() for p in view.place(ahead, across))
        order = [(t.ahead, k, True) for k, t in enumerate(things)]
        order += [(c.ahead, k, False) for k, c in enumerate(cars)]
        for where, k, still in sorted(order, reverse=True):
            if not still:
                self._vehicle(frame, cars[k])
                continue
            thing = things[k]
            if view.focal * thing.high < 1.5 * where:  # about a pixel high
                continue
            half, heights = thing.wide / 2, (thing.low, thing.high)
            feet = (x[k], y[k] - half, z[k]), (x[k], y[k] + half, z[k])
            upright(frame, feet, heights, thing.texture, UNDRIVABLE, self._lit(where))
            if self.night and thing.texture is self.stock.lamp:
                bulb = view.project(np.array(x[k]), np.array(y[k] + 0.9), np.array(z[k] + 8.8))
                u, v, depth = map(float, bulb)
                colour = np.array([1.5, 1.2, 0.8], np.float32)
                glow(frame, (u, v, depth), view.focal * 0.25 / where, colour)
        self._lights(frame, cars)

    def _lit(self, ahead: float) -> float:
        """Return how bright a thing at this distance is: the headlights' reach at night."""
        if self.night:
            return 0.025 + 0.4 / (1 + (ahead / 16) ** 2)
        return 0.55 if self.layout.light == "dusk" else 1.0

    def _vehicle(self, frame: Frame, car: Vehicle) -> None:
        view = frame.view
        long, wide, tall = car.size
        a, b = car.ahead, car.ahead + long
        left, right = car.across - wide / 2, car.across + wide / 2
        x, y, z = view.place(np.array([a, a, b, b]), np.array([left, right, left, right]))
        corner = [(float(x[k]), float(y[k]), float(z[k])) for k in range(4)]
        same = car.direction > 0
        lit, heights = self._lit(max(a, 0.0)), (0.0, tall)
        # Of a car that is far away, neither the shadow nor the side would be seen.
        if view.focal * tall >= 4 * a:
            if a > 1.0:
                u, v, _ = view.project(x, y, z)
                spread = 0.08 * (u[1] - u[0])
                near_right = u[1] + spread, v[1] + spread / 2
                near_left = u[0] - spread, v[0] + spread / 2
                shadow(frame, [(u[2], v[2]), (u[3], v[3]), near_right, near_left], 0.65)
            if left > view.pose.across:  # its left side is seen, its near end to the right
                feet = corner[2], corner[0]
                upright(frame, feet, heights, car.side, MOVABLE, lit * 0.8, mirror=same)
            elif right < view.pose.across:
                feet = corner[1], corner[3]
                upright(frame, feet, heights, car.side, MOVABLE, lit * 0.8, mirror=not same)
        near = car.rear if same else car.front
        upright(frame, (corner[0], corner[1]), heights, near, MOVABLE, lit)

    def _lights(self, frame: Frame, cars: list[Vehicle]) -> None:
        """Paint head and tail lights of the other cars, in the dark."""
        if self.layout.light == "day":
            return
        view = frame.view
        strength = 1.0 if self.night else 0.5
        for car in cars:
            if car.ahead < 2:
                continue
            same = car.direction > 0
            off = 0.38 * car.size[1]
            x, y, z = view.place(np.array([car.ahead] * 2), car.across + np.array([-off, off]))
            lamps = view.project(x, y, z + (0.85 if same else 0.68))
            radius = view.focal * (0.09 if same else 0.16) / car.ahead
            colour = np.array([1.2, 0.14, 0.08] if same else [1.6, 1.5, 1.3], np.float32)
            for u, v, depth in np.stack(lamps, axis=1).tolist():
                glow(frame, (u, v, depth), radius, strength * colour)
                glow(frame, (u, v, depth), 3 * radius, 0.18 * strength * colour)


class SceneClip:
    """A synthetic drive as a clip, rendered lazily.

    Args:
        config: the drive.
        num_frames: how many frames it has.
    """

    def __init__(self, config: SceneConfig, num_frames: int) -> None:
        if num_frames < 1:
            raise ValueError(f"a clip needs 1 frame or more, not {num_frames}")
        self.scene = Scene(config)
        self.width, self.height = config.width, config.height
        self.fps = Fraction(config.fps)
        self.num_frames = num_frames
        self.source_bytes = num_frames * config.width * config.height * 3

    def batches(self, batch_size: int) -> Iterator[Frames]:
        """Yield the frames in order."""
        if batch_size < 1:
            raise ValueError(f"batch_size must be 1 or more, not {batch_size}")
        for start in range(0, self.num_frames, batch_size):
            stop = min(start + batch_size, self.num_frames)
            yield np.stack([self.scene.frame(k).rgb for k in range(start, stop)])
