"""A detector as a judge: which of the boxes in the source it finds again in a file."""

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from seesame.errors import UserError
from seesame.perception.judge import Judge
from seesame.perception.onnx.detector.config import DetectConfig
from seesame.perception.onnx.detector.decode import (
    Boxes,
    Values,
    columns,
    decoded,
    locations,
    matched,
    non_max_suppression,
)
from seesame.perception.onnx.net import OnnxNet, output_of
from seesame.perception.onnx.values import CONFIG_NAME
from seesame.video.clip import Frames

VERSION = b"1"
"""Part of every fingerprint: to be raised with any change of the preprocessing or the matching."""


class Detector(Judge):
    """A detector from a folder with a ``stack.toml``. Make one with :meth:`load`.

    The figures are shares of the boxes of all frames that are looked at. ``recall``: of the
    source's boxes of score ``score`` and more, those that the file has again, by a box of the same
    kind, of score ``match`` and more, that overlaps by ``overlap``. ``precision``: of the file's
    boxes of score ``score`` and more, those that the source has in the same way.
    """

    frames = 1
    quality = "recall"

    def __init__(self, config: DetectConfig, net: OnnxNet) -> None:
        self._config, self._net = config, net
        self.name, self.step = config.name, config.step
        digests = [VERSION, net.digest.encode(), config.source]
        self.fingerprint = hashlib.sha256(b"\n".join(digests)).hexdigest()
        self._rows(net.probe)
        net.probe.clear()

    @classmethod
    def load(cls, folder: Path, config: DetectConfig) -> "Detector":
        """Load the ONNX file that a folder's ``stack.toml`` names.

        Raises:
            UserError: libraries or the file absent, or it does not fit the description.
            DamagedError: not an ONNX file.
        """
        read = (config.output,) if config.output else ()
        feed = config.feed
        return cls(config, OnnxNet(folder / feed.file, feed, 3, feed.size, read, frozen=True))

    def observe(self, frames: Frames) -> Boxes:
        """Return the boxes in one frame ``uint8 (1, H, W, 3)``."""
        image, box = self._fed(frames)
        with torch.inference_mode():
            output = self._rows(self._net.run(image))
        sides, scores = decoded(self._config, output)
        kept = non_max_suppression(self._config, sides, scores)
        left, top, width, height = box
        shift = np.array([left, top] * 2, np.float32)
        sides = ((kept.sides - shift) / np.array([width, height] * 2, np.float32)).clip(0, 1)
        return Boxes(sides, kept.scores, kept.kinds)

    def figures(self, looks: Iterable[tuple[Boxes, Boxes]]) -> dict[str, float | None]:
        """Return ``recall`` and ``precision``, and the number of boxes in source and file."""
        there = found = shown = known = 0
        score, overlap = self._config.score, self._config.overlap
        for source, file in looks:
            there += len(source.over(score).sides)
            found += matched(source.over(score), file, overlap)
            shown += len(file.over(score).sides)
            known += matched(file.over(score), source, overlap)
        return {
            "recall": found / there if there else None,
            "precision": known / shown if shown else None,
            "source_boxes": there,
            "file_boxes": shown,
        }

    def told(self, figures: dict[str, float | None]) -> str:
        """Return the figures in words."""
        recall, precision = figures["recall"], figures["precision"]
        if recall is None:
            return "no detections in the source"
        new = "" if precision is None else f", {1 - precision:.1%} of the file's are new"
        return f"{recall:.1%} of {figures['source_boxes']:.0f} detections found again{new}"

    def _fed(self, frames: Frames) -> tuple[Tensor, tuple[float, float, float, float]]:
        """Return the net's input, and where in it the frame lies: left, top, width, height."""
        config = self._config
        height, width = config.feed.size
        rgb = torch.from_numpy(frames[:1].copy()).permute(0, 3, 1, 2).float()
        high, wide = height, width
        if config.letterbox:
            zoom = min(height / rgb.shape[2], width / rgb.shape[3])
            high, wide = (max(1, round(zoom * side)) for side in rgb.shape[2:])
        small = F.interpolate(
            rgb, (high, wide), mode="bilinear", antialias=True, align_corners=False
        ).clamp(0, 255)
        top, left = (height - high) // 2, (width - wide) // 2
        edges = (left, width - wide - left, top, height - high - top)
        image = F.pad(small, edges, value=config.pad)
        return image.flip(1) if config.feed.bgr else image, (left, top, wide, high)

    def _rows(self, outputs: dict[str, Tensor]) -> Values:
        """Return the output as ``(locations, values)``. Raises UserError for another form."""
        path = self._net.path
        value = output_of(outputs, self._config.output, path)
        wanted, count = columns(self._config), locations(self._config)
        if value.ndim == 3 and not self._config.rows:
            value = value.transpose(1, 2)
        if value.ndim != 3 or value.shape[0] != 1 or value.shape[2] != wanted:
            raise UserError(
                f"{path}: gives {[*value.shape]}, but by {CONFIG_NAME} a location has {wanted} "
                "values; correct classes, decoding, bins or rows"
            )
        if count is not None and value.shape[1] != count:
            raise UserError(
                f"{path}: gives {value.shape[1]} locations, but by {CONFIG_NAME} there are "
                f"{count}; correct strides or size"
            )
        if not bool(torch.isfinite(value).all()):
            raise UserError(f"detector {self.name} gives values that are not finite")
        return cast(Values, value[0].numpy())
