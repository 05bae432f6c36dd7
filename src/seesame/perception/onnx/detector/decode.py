"""From a detector's output to boxes, and from two sets of boxes to those found again.

A box is ``(left, top, right, bottom)``. Overlaps are intersections over unions, which do not change
when both boxes are stretched alike.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from seesame.perception.onnx.detector.config import DetectConfig

MOST = 1000
"""Boxes of a frame that are kept before boxes of one thing are joined: those of highest score."""

Values = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Boxes:
    """The boxes of one frame, by falling score.

    Args:
        sides: ``(N, 4)``, as shares of the frame's width and height.
        scores: ``(N,)``, 0..1.
        kinds: numbers of their kinds, ``(N,)``.
    """

    sides: Values
    scores: Values
    kinds: NDArray[np.int64]

    def over(self, score: float) -> "Boxes":
        """Return the boxes of a score and more."""
        kept = self.scores >= score
        return Boxes(self.sides[kept], self.scores[kept], self.kinds[kept])


def columns(config: DetectConfig) -> int:
    """Return how many values a location of the output has."""
    box = {"bins": 4 * config.bins, "offsets": 5, "pixels": 4}[config.decoding]
    return box + len(config.classes)


def locations(config: DetectConfig) -> int | None:
    """Return how many locations the output has; None where any number is right."""
    if config.decoding == "pixels":
        return None
    height, width = config.feed.size
    return sum(-(-height // stride) * -(-width // stride) for stride in config.strides)


def decoded(config: DetectConfig, output: Values) -> tuple[Values, Values]:
    """Return boxes ``(P, 4)`` in pixels of the net's input, and scores ``(P, C)``, 0..1.

    Args:
        config: of the detector. ``bins`` is the decoding of Generalized Focal Loss (Li et al.
            2020) and NanoDet: class scores, then the distances from the location's middle to left,
            top, right and bottom, each the mean of a distribution over 0, 1, 2, … strides.
            ``offsets`` is that of YOLOX (Ge et al. 2021): the middle's offset from the location's
            corner in strides, the logarithms of width and height in strides, a score that
            something is there, class scores. ``pixels`` is middle, width and height in pixels,
            then class scores, as the YOLO nets that decode by themselves give them.
        output: ``(P, columns)``.
    """
    if config.decoding == "bins":
        scores, rest = np.split(output, [len(config.classes)], axis=1)
        middles, strides = _grid(config, 0.5)
        parts = rest.reshape(len(rest), 4, config.bins)
        parts = np.exp(parts - parts.max(2, keepdims=True))
        far = parts / parts.sum(2, keepdims=True) @ np.arange(config.bins, dtype=np.float32)
        far *= strides
        sides = np.concatenate([middles - far[:, :2], middles + far[:, 2:]], 1)
        return sides, _probability(config, scores)
    if config.decoding == "offsets":
        box, there, scores = np.split(output, [4, 5], axis=1)
        corners, strides = _grid(config, 0.0)
        middles = corners + box[:, :2] * strides
        halves = np.exp(np.minimum(box[:, 2:], 20)) * strides / 2
        found = _probability(config, scores) * _probability(config, there)
        return np.concatenate([middles - halves, middles + halves], 1), found
    box, scores = np.split(output, [4], axis=1)
    middles, halves = box[:, :2], box[:, 2:] / 2
    return np.concatenate([middles - halves, middles + halves], 1), _probability(config, scores)


def _probability(config: DetectConfig, scores: Values) -> Values:
    return 1 / (1 + np.exp(-scores.clip(-80, 80))) if config.logits else scores


def _grid(config: DetectConfig, offset: float) -> tuple[Values, Values]:
    """Return the points of all locations ``(P, 2)`` and their strides ``(P, 1)``, in pixels."""
    height, width = config.feed.size
    points, strides = [], []
    for stride in config.strides:
        rows, cols = -(-height // stride), -(-width // stride)
        y, x = np.mgrid[:rows, :cols].astype(np.float32)
        points.append((np.stack([x.ravel(), y.ravel()], 1) + offset) * stride)
        strides.append(np.full((rows * cols, 1), stride, np.float32))
    return np.concatenate(points), np.concatenate(strides)


def non_max_suppression(config: DetectConfig, sides: Values, scores: Values) -> Boxes:
    """Return the boxes that are judged, one for each thing, by falling score.

    Of boxes of one kind that overlap by more than ``config.nms`` the one with the highest score
    stays.
    """
    location, number = np.nonzero(scores >= config.match)
    kinds = np.array(config.kinds)[number]
    judged = kinds >= 0
    location, kinds = location[judged], kinds[judged]
    values = scores[location, number[judged]]
    order = np.argsort(-values, kind="stable")[:MOST]
    location, kinds, values = location[order], kinds[order], values[order]
    boxes = sides[location]
    free = np.ones(len(boxes), bool)
    kept = []
    for index in range(len(boxes)):
        if free[index]:
            kept.append(index)
            same = kinds == kinds[index]
            free &= ~(same & (iou(boxes[index], boxes) > config.nms))
    return Boxes(boxes[kept], values[kept], kinds[kept])


def iou(box: Values, boxes: Values) -> Values:
    """Return the intersection over union of a box ``(4,)`` with each of others ``(N, 4)``."""
    sides = np.minimum(box[2:], boxes[:, 2:]) - np.maximum(box[:2], boxes[:, :2])
    both = sides.clip(0).prod(1)
    areas = (boxes[:, 2:] - boxes[:, :2]).clip(0).prod(1) + (box[2:] - box[:2]).clip(0).prod()
    either = areas - both
    found: Values = np.divide(both, either, out=np.zeros_like(both), where=either > 0)
    return found


def matched(boxes: Boxes, others: Boxes, overlap: float) -> int:
    """Return how many boxes have one of the same kind among others, each of which serves once.

    Boxes choose by falling score, each the one that overlaps it most, as in COCO's evaluation.
    """
    free = np.ones(len(others.sides), bool)
    found = 0
    for box, kind in zip(boxes.sides, boxes.kinds, strict=True):
        values = np.where(free & (others.kinds == kind), iou(box, others.sides), -1.0)
        if len(values) and values.max() >= overlap:
            free[values.argmax()] = False
            found += 1
    return found
