"""The carrier: the network that draws a pair's first frame so that the pose net sees the pose.

The first frame is a picture that is there already (under the challenge's rule the second frame,
else the first frame's own) plus an addition in grey. The network looks at the pictures, coarsely,
and at a short code, and is trained so that the pose net reads the code's own values off the pair:
a code is the wanted pose, nearly, and what is missing is found by trying
(:mod:`seesame.codecs.semantic.carrier.solve`).
"""

import math
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seesame.neural.weights.tensors import Specs, TensorSpec, bias, convolution, linear

FINE = 4
"""Rows and columns of the grey picture that is drawn to a row or column of the grid."""
COARSE = 4
"""Rows and columns of the grid to one of the coarse grid."""
KERNEL = 3
UNITS = 256
"""Units of a pose value in a design's middles and spreads."""
GREY, CONTRAST = 127.5, 64.0
"""The network sees grey levels less ``GREY`` in units of ``CONTRAST``."""
DRAWN = 16.0
"""Grey levels to a unit of what it draws."""
FREE = 16.0
"""Steps of a leading value to a step of a free one: few pairs need these."""
PATTERN = 8.0
"""Grey levels that a free value of ``1 / FREE`` adds or takes."""


@dataclass(frozen=True)
class CarrierDesign:
    """The shape of a carrier.

    Args:
        height: of the pictures, in pixels.
        width: of the pictures, in pixels.
        middles: of the judged pose values over many drives, in units of 1/256, one each.
        spreads: their standard deviations, in the same units, above zero.
        free: values of a code beyond those: each draws a fixed coarse pattern, a way round where
            the others cannot bring the pose closer.
        rows: of the grid at which the network works.
        columns: of that grid.
        channels: of the network.
        blocks: convolutions between the first and the last.
        mapped: channels of the map that is drawn from the code.
        placed: channels of the learned map that is always there.
        hidden: values between the code and what it steers.

    Raises:
        ValueError: a value is out of its range.
    """

    height: int
    width: int
    middles: tuple[int, ...]
    spreads: tuple[int, ...]
    free: int = 6
    rows: int = 24
    columns: int = 32
    channels: int = 28
    blocks: int = 3
    mapped: int = 8
    placed: int = 6
    hidden: int = 32

    def __post_init__(self) -> None:
        bounds = {
            "height": (1, 4096),
            "width": (1, 4096),
            "free": (0, 32),
            "rows": (1, 256),
            "columns": (1, 256),
            "channels": (1, 128),
            "blocks": (1, 12),
            "mapped": (1, 32),
            "placed": (1, 32),
            "hidden": (1, 256),
        }
        for name, (least, most) in bounds.items():
            value = getattr(self, name)
            if not least <= value <= most:
                raise ValueError(f"{name} is {value}, not {least} to {most}")
        if not 1 <= len(self.spreads) == len(self.middles) <= 64:
            raise ValueError("a carrier has 1 to 64 middles, and as many spreads")
        largest = max(map(abs, self.middles + self.spreads))
        if min(self.spreads) < 1 or largest > 1 << 20:
            raise ValueError("a middle or spread is out of range")

    @property
    def poses(self) -> int:
        """Pose values P that are judged, and as many leading values of a code."""
        return len(self.spreads)

    @property
    def code(self) -> int:
        """Values K of a code."""
        return self.poses + self.free

    @property
    def coarse(self) -> tuple[int, int]:
        """Rows and columns of the coarse grid."""
        return -(-self.rows // COARSE), -(-self.columns // COARSE)

    def specs(self) -> Specs:
        """Return the tensors of the network, in the order of a file."""
        channels, fine, hidden = self.channels, FINE * FINE, self.hidden
        cells = math.prod(self.coarse)
        found: dict[str, TensorSpec] = {}
        for name, inputs, outputs in (
            ("enter", self.poses, hidden),
            ("spread", hidden, self.mapped * cells),
            ("steer", hidden, 2 * channels * self.blocks),
        ):
            found |= linear(name, inputs, outputs) | bias(name, outputs)
        place = (self.placed, self.rows, self.columns)
        found["place"] = TensorSpec(place, self.placed, place)
        inputs = fine + self.mapped + self.placed
        found |= convolution("look", inputs, channels, KERNEL, "normuon")
        found |= convolution("compare", fine, channels, KERNEL, "normuon")
        for block in range(self.blocks):
            found |= convolution(f"body.{block}", channels, channels, KERNEL, "normuon")
        return found | convolution("draw", channels, fine, KERNEL, "normuon")

    def largest_map(self) -> int:
        """Return the values of the largest map between two layers, for one picture."""
        inputs = FINE * FINE + self.mapped + self.placed
        return self.rows * self.columns * max(inputs, self.channels)

    def macs(self) -> int:
        """Return the multiply-accumulates (MACs) for one picture."""
        fine, cells = FINE * FINE, math.prod(self.coarse)
        look = (3 * fine + self.mapped + self.placed + self.blocks * self.channels) * self.channels
        steered = self.poses + self.mapped * cells + 2 * self.channels * self.blocks
        patterns = self.free * cells
        return self.rows * self.columns * KERNEL**2 * look + self.hidden * steered + patterns

    def values(self) -> dict[str, Any]:
        """Return the shape as plain values, for a file."""
        plain = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return plain | {"middles": list(self.middles), "spreads": list(self.spreads)}

    @classmethod
    def of(cls, values: Any) -> Self:
        """Return the design that :meth:`values` gave, from an untrusted source.

        Raises:
            ValueError: they are no such values.
        """
        if not isinstance(values, dict) or set(values) != set(cls.__dataclass_fields__):
            raise ValueError("not the shape of a carrier")
        rest = dict(values)
        middles, spreads = rest.pop("middles"), rest.pop("spreads")
        if not isinstance(middles, list) or not isinstance(spreads, list):
            raise ValueError("not the shape of a carrier")
        if not all(type(value) is int for value in (*middles, *spreads, *rest.values())):
            raise ValueError("not the shape of a carrier")
        return cls(middles=tuple(middles), spreads=tuple(spreads), **rest)


class Carrier(nn.Module):
    """Draws first frames from codes and second frames.

    Args:
        design: its shape.
    """

    middles: Tensor
    spreads: Tensor
    """The design's, in pose units, ``(P,)``."""
    patterns: Tensor
    """What the free values draw: each coarse cell ``PATTERN`` times ``FREE`` grey levels up or
    down, ``(free, cells)``."""

    def __init__(self, design: CarrierDesign) -> None:
        super().__init__()
        self.design = design
        channels, fine, cells = design.channels, FINE * FINE, math.prod(design.coarse)
        self.enter = nn.Linear(design.poses, design.hidden)
        self.spread = nn.Linear(design.hidden, design.mapped * cells)
        self.steer = nn.Linear(design.hidden, 2 * channels * design.blocks)
        self.place = nn.Parameter(torch.randn(design.placed, design.rows, design.columns) / 2)
        self.look = _convolution(fine + design.mapped + design.placed, channels)
        self.compare = _convolution(fine, channels)
        self.body = nn.ModuleList(_convolution(channels, channels) for _ in range(design.blocks))
        self.draw = _convolution(channels, fine)
        for name in ("middles", "spreads"):
            values = torch.tensor(getattr(design, name)) / UNITS
            self.register_buffer(name, values, persistent=False)
        # The stream of numpy's old generator is fixed for good.
        signs = np.random.RandomState(0).randint(0, 2, (design.free, cells)) * 2 - 1
        patterns = torch.from_numpy(signs).float() * PATTERN * FREE
        self.register_buffer("patterns", patterns, persistent=False)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @torch.no_grad()
    def take_over(self, other: "Carrier") -> None:
        """Draw as another carrier of the same shape does, whatever the units of its pose values."""
        self.load_state_dict(other.state_dict())
        scale = self.spreads / other.spreads
        away = (self.middles - other.middles) / other.spreads
        self.enter.bias.add_(self.enter.weight @ away)
        self.enter.weight.mul_(scale)

    def guess(self, poses: Tensor) -> Tensor:
        """Return the codes ``(B, K)`` that the poses ``(B, P)`` ask for; free values are zero."""
        return F.pad((poses - self.middles) / self.spreads, (0, self.design.free))

    def slopes(self) -> Tensor:
        """Return how the pose follows the code where training met its aim, ``(P, K)``."""
        return F.pad(torch.diag(self.spreads), (0, self.design.free))

    def reach(self) -> Tensor:
        """Return how far a search goes along each value, relative to leading ones, ``(K,)``."""
        leading = torch.ones(self.design.poses, device=self.spreads.device)
        return F.pad(leading, (0, self.design.free), value=1 / FREE)

    def forward(self, codes: Tensor, second: Tensor, first: Tensor | None = None) -> Tensor:
        """Return first frames ``(B, 3, h, w)`` in 0..255, neither clamped nor rounded.

        Args:
            codes: float ``(B, K)``.
            second: the pairs' second frames ``(B, 3, h, w)``.
            first: the first frames' own pictures, where they have masks of their own; what is
                added is then such that the segmentation net sees these masks still.
        """
        grey = DRAWN * F.pixel_shuffle(self._drawn(codes, second, first).contiguous(), FINE)
        size = self.design.height, self.design.width
        added = F.interpolate(grey, size, mode="bilinear", align_corners=False)
        free = codes[:, self.design.poses :]
        if free.any():
            patterns = (free @ self.patterns).view(-1, 1, *self.design.coarse)
            added = added + F.interpolate(patterns, size, mode="bilinear", align_corners=False)
        return (second if first is None else first) + added

    def _drawn(self, codes: Tensor, second: Tensor, first: Tensor | None) -> Tensor:
        """Return what the network draws, folded into channels: ``(B, 16, rows, columns)``."""
        design, count = self.design, len(codes)
        hidden = F.gelu(self.enter(codes[:, : design.poses]))
        mapped = self.spread(hidden).view(count, design.mapped, *design.coarse)
        grid = design.rows, design.columns
        mapped = F.interpolate(mapped, grid, mode="bilinear", align_corners=False)
        seen = self._seen(second)
        x = self.look(_last(torch.cat([seen, mapped, self.place.expand(count, -1, -1, -1)], 1)))
        if first is not None:
            x = x + self.compare(_last(self._seen(first) - seen))
        x = F.gelu(x)
        steering = self.steer(hidden).view(count, design.blocks, 2, design.channels, 1, 1)
        for block, convolve in enumerate(self.body):
            x = x + F.gelu(convolve(x) * (1 + steering[:, block, 0]) + steering[:, block, 1])
        drawn: Tensor = self.draw(x)
        return drawn

    def _seen(self, rgb: Tensor) -> Tensor:
        """Return pictures in grey, small and folded into channels: ``(B, 16, rows, columns)``."""
        size = FINE * self.design.rows, FINE * self.design.columns
        small = F.interpolate(rgb.mean(1, keepdim=True), size, mode="area")
        return F.pixel_unshuffle((small - GREY) / CONTRAST, FINE)


def _convolution(inputs: int, outputs: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, KERNEL, padding=KERNEL // 2)


def _last(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last)
