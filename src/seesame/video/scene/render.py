"""The synthetic drive: sky, ground, things, cars and the camera's own marks, put together."""

import math
from collections.abc import Iterator
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from seesame.video.clip import Frames
from seesame.video.scene import layout as layouts
from seesame.video.scene import sprites
from seesame.video.scene.camera import Pose, View
from seesame.video.scene.config import MOVABLE, UNDRIVABLE, Array, Array64, SceneConfig, SceneFrame
from seesame.video.scene.lens import Lens
from seesame.video.scene.objects import Stock, Vehicle
from seesame.video.scene.paint import Frame, strip, upright
from seesame.video.scene.road import Ground
from seesame.video.scene.sky import Sky

REACH = 320.0


class Scene:
    """A drive made by code alone: any frame on its own, the same bytes every time.

    Args:
        config: what is asked for.
    """

    def __init__(self, config: SceneConfig) -> None:
        self.config = config
        self.layout, self.course, self.drive = layouts.draw(config)
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
            for across, height, _ in self.layout.forests
        ]
        self.haze = (np.asarray(self.layout.horizon, np.float32), self.layout.haze)

    def pose(self, index: int) -> Pose:
        """The camera at frame ``index``."""
        return self.drive.pose(index / self.config.fps)

    def ego_motion(self, index: int) -> Array64:
        """Camera motion from frame ``index - 1`` to ``index``: ``float64 (6,)``.

        Forward, right, down in metres and roll, pitch, yaw in radians, in the camera axes of
        frame ``index - 1``; frame 0 moves from a frame -1 that is never shown.
        """
        return self.drive.motion(self.pose(index - 1), self.pose(index))

    def view(self, index: int) -> View:
        """The projection of frame ``index``."""
        config = self.config
        return View(self.course, self.pose(index), config.width, config.height, self.layout.focal)

    def frame(self, index: int) -> SceneFrame:
        """Render frame ``index`` (0 or more)."""
        view = self.view(index)
        frame = Frame(view.width, view.height)
        stop = self.lens.stop
        self.sky.render(view, frame.image, stop)
        self.ground.render(view, frame.image, frame.mask, frame.depth, stop)
        self._strips(frame, view, stop)
        self._things(frame, view, index, stop)
        self.lens.finish(frame, index)
        rgb = self.lens.digitise(frame.image, index)
        return SceneFrame(rgb, frame.mask)

    def _strips(self, frame: Frame, view: View, stop: int) -> None:
        here = view.pose.across
        night = self.layout.light == "night"
        tone = 0.04 if night else 1.0
        todo = [(abs(a - here), t, 64.0, a, h) for t, a, h in self.forests]
        todo += [(abs(a - here), t, span, a, h) for (t, span), a, h in self.barriers]
        for _, texture, span, across, height in sorted(todo, key=lambda item: -item[0]):
            strip(frame, view, across, (0.0, height), texture, span, UNDRIVABLE, self.haze, tone,
                  stop)

    def _things(self, frame: Frame, view: View, index: int, stop: int) -> None:
        along = view.pose.along
        todo: list[tuple[float, object]] = [
            (t.ahead, t) for t in self.stock.things(along, REACH)
        ]
        time = index / self.config.fps
        todo += [(v.ahead, v) for v in self.stock.vehicles(time, along, REACH)]
        todo.sort(key=lambda item: -item[0])
        for ahead, thing in todo:
            if isinstance(thing, Vehicle):
                self._vehicle(frame, view, thing, stop)
                continue
            half = thing.wide / 2  # type: ignore[attr-defined]
            centre = view.place(np.array(ahead), np.array(thing.across))  # type: ignore[attr-defined]
            left = (centre[0], centre[1] - half, centre[2])
            right = (centre[0], centre[1] + half, centre[2])
            upright(frame, view, (left, right), (thing.low, thing.high), thing.texture, UNDRIVABLE,  # type: ignore[attr-defined]
                    self.haze, self._lit(ahead), stop)

    def _lit(self, ahead: float) -> float:
        """How bright a thing at this distance is: the headlights' reach at night."""
        if self.layout.light == "night":
            return 0.03 + 0.5 / (1 + (ahead / 14) ** 2)
        return 0.6 if self.layout.light == "dusk" else 1.0

    def _vehicle(self, frame: Frame, view: View, car: Vehicle, stop: int) -> None:
        long, wide, tall = car.size
        a, b = car.ahead, car.ahead + long
        left, right = car.across - wide / 2, car.across + wide / 2
        ends = np.array([a, a, b, b])
        x, y, z = view.place(ends, np.array([left, right, left, right]))
        corner = [(x[k], y[k], z[k]) for k in range(4)]
        same = car.direction > 0
        lit = self._lit(a)
        near = car.rear if same else car.front
        if left > view.pose.across:  # its left side is seen
            side = (corner[2], corner[0])
        elif right < view.pose.across:
            side = (corner[1], corner[3])
        else:
            side = None
        if side is not None:
            upright(frame, view, side, (0.0, tall), car.side, MOVABLE, self.haze, lit * 0.8, stop)
        upright(frame, view, (corner[0], corner[1]), (0.0, tall), near, MOVABLE, self.haze, lit,
                stop)


class SceneClip:
    """A synthetic drive as a clip, rendered lazily.

    Args:
        config: the drive.
        num_frames: how many frames it has.
        source_bytes: what counts as the source's size; the raw size when None.
    """

    def __init__(
        self, config: SceneConfig, num_frames: int, source_bytes: int | None = None
    ) -> None:
        if num_frames < 1:
            raise ValueError(f"a clip needs 1 frame or more, not {num_frames}")
        self.scene = Scene(config)
        self.width, self.height = config.width, config.height
        self.fps = Fraction(config.fps)
        self.num_frames = num_frames
        raw = num_frames * config.width * config.height * 3
        self.source_bytes = raw if source_bytes is None else source_bytes

    def batches(self, batch_size: int) -> Iterator[Frames]:
        """Yield the frames in order."""
        if batch_size < 1:
            raise ValueError(f"batch_size must be 1 or more, not {batch_size}")
        for start in range(0, self.num_frames, batch_size):
            stop = min(start + batch_size, self.num_frames)
            yield np.stack([self.scene.frame(k).rgb for k in range(start, stop)])

    def masks(self, batch_size: int) -> Iterator[NDArray[np.uint8]]:
        """Yield the exact masks in order, ``uint8 (B, H, W)``."""
        for start in range(0, self.num_frames, batch_size):
            stop = min(start + batch_size, self.num_frames)
            yield np.stack([self.scene.frame(k).mask for k in range(start, stop)])


__all__ = ["Scene", "SceneClip"]
_ = (math, Array)
