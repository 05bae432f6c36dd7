"""The road's course and the camera's motion along it, as closed forms of distance and time.

Curvature, height, speed and the camera's small motions are sums of sines, so that every frame is
known without the ones before it and the ego-motion is exact.
Axes: x forward (north at distance 0), y right, z up; camera axes are forward, right, down.
"""

import math
from dataclasses import dataclass

import numpy as np

from seesame.scene.config import Array64

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(8)


class Waves:
    """A sum of sines: ``sum a * sin(w * x + p)``."""

    def __init__(self, amplitude: Array64, rate: Array64, phase: Array64) -> None:
        self.amplitude, self.rate, self.phase = amplitude, rate, phase

    @classmethod
    def drawn(
        cls, rng: np.random.Generator, total: float, shortest: float, longest: float, count: int = 4
    ) -> "Waves":
        """Return ``count`` waves with lengths between two bounds; ``total`` is the maximum."""
        share = rng.uniform(0.3, 1.0, count)
        length = np.exp(rng.uniform(math.log(shortest), math.log(longest), count))
        phase = rng.uniform(0, 2 * np.pi, count)
        return cls(total * share / share.sum(), 2 * np.pi / length, phase)

    def _angle(self, x: Array64 | float) -> Array64:
        return np.asarray(np.multiply.outer(np.asarray(x, np.float64), self.rate) + self.phase)

    def value(self, x: Array64 | float) -> Array64:
        """Return the sum at ``x``."""
        return np.asarray(np.sin(self._angle(x)) @ self.amplitude)

    def slope(self, x: Array64 | float) -> Array64:
        """Return the derivative at ``x``."""
        return np.asarray(np.cos(self._angle(x)) @ (self.amplitude * self.rate))

    def integral(self, x: Array64 | float) -> Array64:
        """Return the integral from 0 to ``x``."""
        part = self.amplitude / self.rate
        return np.asarray((np.cos(self.phase) - np.cos(self._angle(x))) @ part)


@dataclass(frozen=True)
class Course:
    """The road's centre line: curvature (1/m, positive to the right) and height (m)."""

    curve: Waves
    hill: Waves

    def step(
        self, start: Array64 | float, end: Array64 | float, heading: float
    ) -> tuple[Array64, Array64]:
        """Return displacement from distance ``start`` to ``end`` in axes turned to ``heading``.

        Gauss-Legendre quadrature of the tangent with eight nodes.
        """
        start, end = np.asarray(start, np.float64), np.asarray(end, np.float64)
        half = (end - start) / 2
        at = (start + end)[..., None] / 2 + half[..., None] * _NODES
        angle = self.curve.integral(at) - heading
        return half * (np.cos(angle) @ _WEIGHTS), half * (np.sin(angle) @ _WEIGHTS)


@dataclass(frozen=True)
class Pose:
    """The camera's place: ``along`` and ``across`` the road (m), ``up`` (m), three angles."""

    along: float
    across: float
    up: float
    roll: float
    pitch: float
    yaw: float

    def matrix(self) -> Array64:
        """Return rotation from camera axes to the world's (north, east, down), ZYX order."""
        (cr, sr), (cp, sp), (cy, sy) = (
            (math.cos(a), math.sin(a)) for a in (self.roll, self.pitch, self.yaw)
        )
        return np.array(
            [
                [cy * cp, cy * sp * sr - sy * cr, cy * sp * cr + sy * sr],
                [sy * cp, sy * sp * sr + cy * cr, sy * sp * cr - cy * sr],
                [-sp, cp * sr, cp * cr],
            ]
        )


class Drive:
    """The camera's motion over time.

    Args:
        rng: where it is drawn from.
        course: the road.
        speed: mean speed in m/s.
        stop_and_go: whether it halts from time to time.
        across: where in the road's width the car keeps to (m).
        room: how far it may wander to each side (m).
        up: the camera's height (m).
        pitch: the camera's tilt against the road (radians, up positive).
    """

    def __init__(
        self,
        rng: np.random.Generator,
        course: Course,
        speed: float,
        stop_and_go: bool,
        across: float,
        room: float,
        up: float,
        pitch: float,
    ) -> None:
        self.course, self.speed, self.across, self.up, self.pitch = course, speed, across, up, pitch
        self.start = float(rng.uniform(0, 5000))
        if stop_and_go:  # ((1 - cos)/2)^2 over its mean, written out as two harmonics
            rate = 2 * np.pi / rng.uniform(18, 45)
            phase = rng.uniform(0, 2 * np.pi)
            phases = np.array([phase + np.pi / 2, 2 * phase + np.pi / 2])
            self.change = Waves(np.array([-4 / 3, 1 / 3]), np.array([rate, 2 * rate]), phases)
        else:
            self.change = Waves.drawn(rng, float(rng.uniform(0.05, 0.45)), 8, 60)
        self.wander = Waves.drawn(rng, room, 6, 40)
        shake = float(rng.uniform(0.4, 1.6))
        self.bounce = Waves.drawn(rng, 0.012 * shake, 0.25, 2.0, 6)
        self.roll = Waves.drawn(rng, 0.006 * shake, 0.4, 6.0, 6)
        self.nod = Waves.drawn(rng, 0.004 * shake, 0.3, 4.0, 6)
        self.sway = Waves.drawn(rng, 0.004 * shake, 1.0, 9.0, 6)
        self.skew = float(rng.normal(0, 0.012))
        self.tilt = float(rng.normal(0, 0.006))

    def travelled(self, time: Array64 | float) -> Array64:
        """Return distance along the road at ``time`` (s), in m."""
        return np.asarray(self.start + self.speed * (np.asarray(time) + self.change.integral(time)))

    def pace(self, time: float) -> float:
        """Return speed in m/s at ``time``."""
        return max(0.0, self.speed * (1.0 + float(self.change.value(time))))

    def pose(self, time: float) -> Pose:
        """Return the camera at ``time`` (s)."""
        along = float(self.travelled(time))
        live = min(1.0, self.pace(time) / 6.0)  # a standing car does not shake or wander
        # The wander follows the distance, so that a standing car stands.
        ahead = along / max(self.speed, 4.0)
        heading = float(self.course.curve.integral(along))
        drift = float(self.wander.slope(ahead)) / max(self.speed, 4.0)
        return Pose(
            along=along,
            across=self.across + float(self.wander.value(ahead)),
            up=self.up + live * float(self.bounce.value(time)),
            roll=self.tilt + live * float(self.roll.value(time)),
            pitch=self.pitch
            + math.atan(float(self.course.hill.slope(along)))
            + live * float(self.nod.value(time)),
            yaw=heading + self.skew + drift + live * float(self.sway.value(time)),
        )

    def motion(self, before: Pose, after: Pose) -> Array64:
        """Return six values from ``before`` to ``after``, in the camera axes of ``before``.

        Forward, right, down in metres; roll, pitch, yaw in radians (ZYX order).
        """
        course = self.course
        north, east = course.step(before.along, after.along, 0.0)
        turn_a = float(course.curve.integral(before.along))
        turn_b = float(course.curve.integral(after.along))
        north += before.across * math.sin(turn_a) - after.across * math.sin(turn_b)
        east += after.across * math.cos(turn_b) - before.across * math.cos(turn_a)
        rise = float(course.hill.value(after.along) - course.hill.value(before.along))
        rise += after.up - before.up
        frame = before.matrix()
        move = frame.T @ np.array([float(north), float(east), -rise])
        turn = frame.T @ after.matrix()
        roll = math.atan2(turn[2, 1], turn[2, 2])
        pitch = -math.asin(min(1.0, max(-1.0, turn[2, 0])))
        return np.array([*move, roll, pitch, math.atan2(turn[1, 0], turn[0, 0])])


class View:
    """One camera looking along the road: what projects where.

    Args:
        course: the road.
        pose: the camera.
        width: pixels a row.
        height: rows.
        focal: focal length in pixels.
    """

    NEAR, FAR, SAMPLES = 0.7, 2500.0, 256

    def __init__(self, course: Course, pose: Pose, width: int, height: int, focal: float) -> None:
        self.course, self.pose, self.focal = course, pose, focal
        self.width, self.height = width, height
        self.cos_roll, self.sin_roll = math.cos(pose.roll), math.sin(pose.roll)
        self.cos_pitch, self.sin_pitch = math.cos(pose.pitch), math.sin(pose.pitch)
        ahead = np.geomspace(self.NEAR, self.FAR, self.SAMPLES)
        # A few samples behind the camera serve walls and cars beside it.
        ahead = np.concatenate([[-30.0, -20.0, -12.0, -8.0, -5.0, -3.0, -1.5, 0.0], ahead])
        along = pose.along + ahead
        x, y = course.step(along[:-1], along[1:], pose.yaw)
        x, y = np.concatenate([[0.0], np.cumsum(x)]), np.concatenate([[0.0], np.cumsum(y)])
        x, y = x - x[7], y - y[7]
        here = float(course.curve.integral(pose.along)) - pose.yaw
        self.ahead = ahead
        self.x = x + pose.across * math.sin(here)
        self.y = y - pose.across * math.cos(here)
        self.angle = course.curve.integral(along) - pose.yaw
        self.z = course.hill.value(along) - float(course.hill.value(pose.along)) - pose.up
        self.bend = course.curve.value(along)

    def place(self, ahead: Array64, across: Array64) -> tuple[Array64, Array64, Array64]:
        """Return points of the road in axes turned by the camera's yaw: forward, right, up."""
        angle = np.interp(ahead, self.ahead, self.angle)
        x = np.interp(ahead, self.ahead, self.x) - across * np.sin(angle)
        y = np.interp(ahead, self.ahead, self.y) + across * np.cos(angle)
        return x, y, np.interp(ahead, self.ahead, self.z)

    def project(self, x: Array64, y: Array64, z: Array64) -> tuple[Array64, Array64, Array64]:
        """Return column, row (corners are whole numbers) and depth of :meth:`place`'s points."""
        depth = x * self.cos_pitch + z * self.sin_pitch
        safe = np.maximum(depth, 1e-3)
        u = self.focal * y / safe
        v = self.focal * (x * self.sin_pitch - z * self.cos_pitch) / safe
        column = self.cos_roll * u + self.sin_roll * v + self.width / 2
        row = -self.sin_roll * u + self.cos_roll * v + self.height / 2
        return column, row, depth
