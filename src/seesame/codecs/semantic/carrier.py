"""The carrier: the network that draws a pair's first frame so that the pose net sees the pose.

The first frame is a picture that is there already (under the challenge's rule the second frame,
else the first frame's own) plus an addition in grey. The network looks at the pictures, coarsely,
and at a short code, and is trained so that the pose net reads the code's own values off the pair:
a code is the wanted pose, nearly, and what is missing is found by trying
(:mod:`seesame.codecs.semantic.solve`).
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seesame.neural.weights.tensors import Specs, TensorSpec, bias, convolution, linear

FINE = 4
"""Rows and columns of the grey picture to a row or column of the grid."""
COARSE = 4
"""Rows and columns of the grid to one of the coarse grid."""
KERNEL = 3
GREY = 64.0
"""Grey levels to a unit of what the network sees."""
DRAWN = 16.0
"""Grey levels to a unit of what it draws."""
FREE = 16.0
"""How much further a unit of a free value reaches than a unit of the others: it is quantised as
much more coarsely, as few pairs need free values at all."""
PATTERN = 8.0
"""Root mean square of a free value's pattern as it starts, in grey levels and steps of a pose value."""


@dataclass(frozen=True)
class CarrierDesign:
    """The shape of a carrier.

    Args:
        poses: P, the judged pose values; so many values lead the code.
        size: ``(h, w)`` of the pictures.
        free: values of the code beyond those: each draws a fixed coarse pattern, a way round where
            the others cannot bring the pose closer.
        grid: ``(rows, columns)`` at which the network works.
        width: channels.
        blocks: convolutions between the first and the last.
        mapped: channels of the map that is drawn from the code.
        placed: channels of the learned map that is always there.
        hidden: values between the code and what it steers.
    """

    poses: int
    size: tuple[int, int]
    free: int = 6
    grid: tuple[int, int] = (24, 32)
    width: int = 28
    blocks: int = 3
    mapped: int = 8
    placed: int = 6
    hidden: int = 32

    @property
    def codes(self) -> int:
        """Values K of a code."""
        return self.poses + self.free

    @property
    def coarse(self) -> tuple[int, int]:
        """Rows and columns of the coarse grid."""
        rows, columns = self.grid
        return -(-rows // COARSE), -(-columns // COARSE)

    @property
    def cells(self) -> int:
        """Cells of the coarse grid."""
        return self.coarse[0] * self.coarse[1]

    def tensors(self) -> Specs:
        """Return how each of the network's tensors is quantised and coded, in the file's order."""
        width, fine, hidden = self.width, FINE * FINE, self.hidden
        found = dict[str, TensorSpec]()
        for name, inputs, outputs in (
            ("to_code", self.poses, self.poses),
            ("code", self.poses, hidden),
            ("spread", hidden, self.mapped * self.cells),
            ("modulate", hidden, 2 * width * self.blocks),
        ):
            found |= linear(name, inputs, outputs) | bias(name, outputs)
        place = (self.placed, *self.grid)
        found["place"] = TensorSpec(place, self.placed, place)
        patterns = (self.free, *self.coarse)
        found["patterns"] = TensorSpec(patterns, 1, patterns)
        found |= convolution("look", fine + self.mapped + self.placed, width, KERNEL)
        found |= convolution("look_own", fine, width, KERNEL)
        for block in range(self.blocks):
            found |= convolution(f"blocks.{block}", width, width, KERNEL)
        return found | convolution("draw", width, fine, KERNEL)


class Carrier(nn.Module):
    """The carrier's network.

    Args:
        design: its shape.
    """

    def __init__(self, design: CarrierDesign) -> None:
        super().__init__()
        self.design = design
        width, fine = design.width, FINE * FINE
        self.to_code = nn.Linear(design.poses, design.poses)
        self.code = nn.Linear(design.poses, design.hidden)
        self.spread = nn.Linear(design.hidden, design.mapped * design.cells)
        self.modulate = nn.Linear(design.hidden, 2 * width * design.blocks)
        self.place = nn.Parameter(torch.randn(design.placed, *design.grid) / 2)
        self.patterns = nn.Parameter(torch.randn(design.free, *design.coarse))
        inputs = fine + design.mapped + design.placed
        self.look = nn.Conv2d(inputs, width, KERNEL, padding=KERNEL // 2)
        self.look_own = nn.Conv2d(fine, width, KERNEL, padding=KERNEL // 2)
        self.blocks = nn.ModuleList(
            nn.Conv2d(width, width, KERNEL, padding=KERNEL // 2) for _ in range(design.blocks)
        )
        self.draw = nn.Conv2d(width, fine, KERNEL, padding=KERNEL // 2)

    @torch.no_grad()
    def set_units(self, middles: Tensor, spreads: Tensor) -> None:
        """Make a code's leading values count the pose's distance ``(P,)`` from its middle.

        In units of its spread over many drives; :meth:`guess` and the training go by them.
        """
        self.to_code.weight.copy_(torch.diag(1 / spreads))
        self.to_code.bias.copy_(-middles / spreads)

    def guess(self, poses: Tensor) -> Tensor:
        """Return the codes ``(B, K)`` that the poses ``(B, P)`` ask for, free values zero."""
        return F.pad(self.to_code(poses), (0, self.design.free))

    def slopes(self) -> Tensor:
        """Return ``(P, K)``: how the pose follows the code where the training met its aim."""
        return F.pad(torch.linalg.inv(self.to_code.weight), (0, self.design.free))

    def forward(self, codes: Tensor, second: Tensor, first: Tensor | None = None) -> Tensor:
        """Return first frames ``(B, 3, h, w)`` in 0..255, neither clamped nor rounded.

        Args:
            codes: float ``(B, K)``.
            second: the pairs' second frames ``(B, 3, h, w)``, whole numbers in 0..255.
            first: the first frames' own pictures, where they have any; the addition then has to be
                such that the segmentation net sees the same in them.
        """
        added = self._addition(codes, second, first)
        return (second if first is None else first) + added

    def _addition(self, codes: Tensor, second: Tensor, first: Tensor | None) -> Tensor:
        design, count = self.design, len(codes)
        hidden = F.gelu(self.code(codes[:, : design.poses]))
        mapped = self.spread(hidden).view(count, design.mapped, *design.coarse)
        mapped = F.interpolate(mapped, design.grid, mode="bilinear", align_corners=False)
        seen = self._seen(second)
        x = torch.cat([seen, mapped, self.place.expand(count, -1, -1, -1)], 1)
        x = self.look(x.contiguous(memory_format=torch.channels_last))
        if first is not None:
            own = self._seen(first) - seen
            x = x + self.look_own(own.contiguous(memory_format=torch.channels_last))
        x = F.gelu(x)
        steering = self.modulate(hidden).view(count, design.blocks, 2, design.width, 1, 1)
        for block, convolve in enumerate(self.blocks):
            x = x + F.gelu(convolve(x) * (1 + steering[:, block, 0]) + steering[:, block, 1])
        grey = DRAWN * F.pixel_shuffle(self.draw(x).contiguous(), FINE)
        added = F.interpolate(grey, design.size, mode="bilinear", align_corners=False)
        free = codes[:, design.poses :]
        if free.any():
            patterns = FREE * PATTERN * (free @ self.patterns.flatten(1))
            patterns = patterns.view(count, 1, *design.coarse)
            added = added + F.interpolate(patterns, design.size, mode="bilinear")
        return added

    def _seen(self, rgb: Tensor) -> Tensor:
        """Return a picture's grey, small, ``(B, 16, rows, columns)``."""
        rows, columns = self.design.grid
        grey = rgb.mean(1, keepdim=True)
        small = F.interpolate(grey, (FINE * rows, FINE * columns), mode="area")
        return F.pixel_unshuffle((small - 127.5) / GREY, FINE)


def reach(design: CarrierDesign) -> Tensor:
    """Return how far a search should go along each value of a code ``(K,)``, relative to poses."""
    return torch.tensor([1.0] * design.poses + [1 / FREE] * design.free)
