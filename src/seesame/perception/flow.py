"""A judge without weights: dense optical flow, and the camera's motion from its essential matrix.

It needs OpenCV, the ``judges`` extra.
"""

import hashlib
import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seesame.errors import MissingExtraError
from seesame.perception.judge import Judge
from seesame.video.clip import Frames

Values = NDArray[np.float32]


@dataclass(frozen=True)
class FlowTuning:
    """The numbers of the judge ``flow``.

    Attributes:
        width: pixels a row at which flow is computed; all frames are scaled to it, so that a scaled
            file is compared at the size of its source.
        grid: rows and columns of the points at which two flows are compared.
        cell: side in pixels of the squares each of which gives its most textured pixel to the
            search for the camera's motion.
        texture: least strength of such a pixel's corner, as a share of the strongest one's (Shi and
            Tomasi 1994).
        focal: the camera's focal length as a share of the frame's width. It is the same for source
            and file, so that a wrong value changes both motions alike.
        inlier: pixels by which a point may miss the epipolar line of a motion.
        least: fewest points that must agree for a motion to count as found.
        still: median flow in pixels of the textured points below which the camera counts as
            standing.
        block: side in pixels of the square over which a corner's strength is taken.
        sure: probability with which RANSAC shall find the motion that most points follow.
        agree: degrees by which the directions of source and file may differ and still agree.
    """

    width: int = 640
    grid: tuple[int, int] = (24, 40)
    cell: int = 16
    texture: float = 0.005
    focal: float = 0.9
    inlier: float = 0.5
    least: int = 24
    still: float = 0.3
    block: int = 5
    sure: float = 0.999
    agree: float = 5.0


TUNING = FlowTuning()
LEAST_FLOW = 1e-3
"""The difference of flows in pixels that a smaller one counts as, since its logarithm is taken."""


def flow_quality(pixels: float) -> float:
    """Return a mean difference of flows in pixels as a quality in dB, higher is better."""
    return -20 * math.log10(max(pixels, LEAST_FLOW))


@dataclass(frozen=True, eq=False)
class Motion:
    """The motion from one frame of a pair to the other.

    Args:
        flow: at the points of the grid, in pixels, ``(N, 2)``.
        moves: the camera moves.
        rotation: of the camera, ``(3, 3)``; None where no motion was found.
        direction: of its translation, a unit vector ``(3,)``; None as above.
    """

    flow: Values
    moves: bool
    rotation: NDArray[np.float64] | None
    direction: NDArray[np.float64] | None


class FlowJudge(Judge):
    """Optical flow by DIS (Kroeger et al. 2016); motion by the five-point method (Nistér 2004).

    Figures, over the pairs: ``flow_px``, the mean distance of the file's flow from the source's, in
    pixels at a width of 640, and the same as a quality, ``flow_db``; ``rotation_deg`` and
    ``direction_deg``, the median angle between the two rotations of the camera, and between the two
    directions in which it moves; ``agree``, of the pairs whose motion is found in the source, the
    share in which it is found in the file with a direction within ``TUNING.agree`` degrees. Pairs
    in which the source's camera stands count for the flow alone.
    """

    name = "flow"
    frames = 2
    step = 2
    quality = "flow_db"

    def __init__(self) -> None:
        self._cv = _opencv()
        self._dis = self._cv.DISOpticalFlow_create(self._cv.DISOPTICAL_FLOW_PRESET_MEDIUM)
        numbers = repr((1, self._cv.__version__, asdict(TUNING)))
        self.fingerprint = hashlib.sha256(numbers.encode()).hexdigest()

    def observe(self, frames: Frames) -> Motion:
        """Return the motion between two frames ``uint8 (2, H, W, 3)``."""
        first, second = (self._grey(frame) for frame in frames)
        flow: Values = self._dis.calc(first, second, None)
        places = zip(TUNING.grid, first.shape, strict=True)
        rows, cols = (((np.arange(n) + 0.5) / n * side).astype(int) for n, side in places)
        regular = flow[np.ix_(rows, cols)].reshape(-1, 2)
        points = self._textured(first)
        there = flow[points[:, 1], points[:, 0]].astype(np.float64)
        moves = float(np.median(np.hypot(*there.T))) >= TUNING.still
        rotation, direction = self._motion(points.astype(np.float64), there, first.shape)
        return Motion(regular, moves, rotation, direction)

    def figures(self, looks: Iterable[tuple[Motion, Motion]]) -> dict[str, float | None]:
        """Return the figures that the class describes, and ``pairs``, those with a motion."""
        apart, turns, ways, agree, pairs = [], [], [], 0, 0
        for source, file in looks:
            apart.append(float(np.hypot(*(source.flow - file.flow).T).mean()))
            if not source.moves or source.rotation is None or source.direction is None:
                continue
            pairs += 1
            if file.rotation is None or file.direction is None:
                continue
            turns.append(_turn(source.rotation, file.rotation))
            ways.append(_angle(float(source.direction @ file.direction)))
            agree += ways[-1] <= TUNING.agree
        mean = float(np.mean(apart)) if apart else None
        return {
            "flow_px": mean,
            "flow_db": None if mean is None else flow_quality(mean),
            "rotation_deg": float(np.median(turns)) if turns else None,
            "direction_deg": float(np.median(ways)) if ways else None,
            "agree": agree / pairs if pairs else None,
            "pairs": pairs,
        }

    def told(self, figures: dict[str, float | None]) -> str:
        """Return the figures in words."""
        parts = [f"flow differs by {figures['flow_px'] or 0:.2f} pixels"]
        if figures["agree"] is not None:
            parts.append(
                f"the camera's motion agrees in {figures['agree']:.1%} of {figures['pairs']:.0f} "
                "pairs"
            )
        if figures["rotation_deg"] is not None:
            parts.append(
                f"median differences of rotation {figures['rotation_deg']:.3f} and of direction "
                f"{figures['direction_deg']:.2f} degrees"
            )
        return ", ".join(parts)

    def _grey(self, frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
        height, width = frame.shape[:2]
        size = TUNING.width, max(TUNING.cell, round(TUNING.width / width * height))
        grey = self._cv.cvtColor(np.ascontiguousarray(frame), self._cv.COLOR_RGB2GRAY)
        how = self._cv.INTER_AREA if width > TUNING.width else self._cv.INTER_LINEAR
        found: NDArray[np.uint8] = self._cv.resize(grey, size, interpolation=how)
        return found

    def _textured(self, grey: NDArray[np.uint8]) -> NDArray[np.int64]:
        """Return the strongest corner of each cell that has one, ``(N, 2)`` as x and y."""
        cell = TUNING.cell
        height, width = (side // cell * cell for side in grey.shape)
        strength = self._cv.cornerMinEigenVal(grey, TUNING.block)[:height, :width]
        cells = strength.reshape(height // cell, cell, width // cell, cell).swapaxes(1, 2)
        best = cells.reshape(*cells.shape[:2], -1).argmax(2)
        rows, cols = np.mgrid[: cells.shape[0], : cells.shape[1]]
        x, y = cols * cell + best % cell, rows * cell + best // cell
        found: NDArray[np.int64] = np.stack([x.ravel(), y.ravel()], 1)
        kept = strength[found[:, 1], found[:, 0]] >= TUNING.texture * strength.max()
        textured: NDArray[np.int64] = found[kept]
        return textured

    def _motion(
        self, points: NDArray[np.float64], flow: NDArray[np.float64], shape: tuple[int, ...]
    ) -> tuple[NDArray[np.float64] | None, NDArray[np.float64] | None]:
        """Return rotation and direction; None for both where too few points agree on any."""
        cv, focal = self._cv, TUNING.focal * shape[1]
        camera = np.array([[focal, 0, shape[1] / 2], [0, focal, shape[0] / 2], [0, 0, 1.0]])
        if len(points) < TUNING.least:
            return None, None
        # OpenCV's RANSAC begins with the same seed each time.
        essential, inside = cv.findEssentialMat(
            points, points + flow, camera, cv.RANSAC, TUNING.sure, TUNING.inlier
        )
        if essential is None or essential.shape != (3, 3) or int(inside.sum()) < TUNING.least:
            return None, None
        count, rotation, direction, _ = cv.recoverPose(
            essential, points, points + flow, camera, mask=inside
        )
        return (rotation, direction.ravel()) if count >= TUNING.least else (None, None)


def _turn(rotation: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Return the angle between two rotations in degrees."""
    return _angle((float(np.trace(rotation.T @ other)) - 1) / 2)


def _angle(cosine: float) -> float:
    return math.degrees(math.acos(max(-1.0, min(1.0, cosine))))


def _opencv() -> Any:
    try:
        import cv2
    except ImportError as error:
        raise MissingExtraError(
            "the judge flow needs OpenCV; run: pip install 'seesame[judges]'"
        ) from error
    return cv2
