"""The renderer: a network that draws the picture in which a segmentation network sees a mask.

It works at two scales. The trunk sees the mask at a quarter of its size, with every 4x4 block of
pixels folded into channels (sub-pixel convolution, Shi et al. 2016), and widens what it sees by
dilated convolutions (Yu and Koltun 2016). The fine part sees the trunk's answer and the mask at
half size, and draws the pixels. No layer works at full size, so that a picture is cheap.
"""

from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seesame.neural.weights.tensors import Specs, TensorSpec, convolution

BLOCK = 4
"""Side in pixels of the blocks that the trunk sees; sizes are padded to a multiple of it."""
KERNEL = 3
PLANES = 4
"""Input channels of the trunk beside the mask: each block's row and column, and the two shares of
``Shown``."""
Shown = tuple[float, float]
"""The share of a picture's rows and columns that are shown, 0..1: a clip may have fewer pixels than
the network reads."""
GREY, CONTRAST = 127.5, 64.0
"""A picture is ``GREY`` plus ``CONTRAST`` times what the last layer gives."""


@dataclass(frozen=True)
class RendererDesign:
    """The shape of a renderer.

    Args:
        classes: of the masks, 1 to 256.
        height: of the pictures, in pixels.
        width: of the pictures, in pixels.
        symbols: values that stand for a class; 0 for one value a class, up to eight.
        trunk: channels at a quarter of the size.
        dilations: of the trunk's residual convolutions, one each.
        lifted: channels that the trunk hands to the fine part.
        fine: channels at half the size.

    Raises:
        ValueError: a value is out of its range.
    """

    classes: int
    height: int
    width: int
    symbols: int = 0
    trunk: int = 48
    dilations: tuple[int, ...] = (1, 2, 4, 8)
    lifted: int = 8
    fine: int = 16

    def __post_init__(self) -> None:
        bounds = {
            "classes": (1, 256),
            "height": (1, 4096),
            "width": (1, 4096),
            "symbols": (0, 32),
            "trunk": (1, 256),
            "lifted": (1, 64),
            "fine": (1, 128),
        }
        for name, (least, most) in bounds.items():
            value = getattr(self, name)
            if not least <= value <= most:
                raise ValueError(f"{name} is {value}, not {least} to {most}")
        if len(self.dilations) > 12 or not all(1 <= d <= 64 for d in self.dilations):
            raise ValueError("dilations are at most 12 numbers of 1 to 64")

    @property
    def code(self) -> int:
        """Values that stand for a class."""
        return self.symbols or min(self.classes, 8)

    def specs(self) -> Specs:
        """Return the tensors of the network, in the order of a file."""
        quarter = self.code * BLOCK**2 + PLANES
        found: dict[str, TensorSpec] = {}
        if self.code != self.classes:
            shape = (self.classes, self.code)
            found["code"] = TensorSpec(shape, self.classes, (*shape, 1))
        found |= convolution("stem", quarter, self.trunk, 1, "normuon")
        for index in range(len(self.dilations)):
            found |= convolution(f"body.{index}", self.trunk, self.trunk, KERNEL, "normuon")
        found |= convolution("lift", self.trunk, 4 * self.lifted, 1, "normuon")
        found |= convolution("join", self.lifted + 4 * self.code, self.fine, KERNEL, "normuon")
        return found | convolution("draw", self.fine, 12, KERNEL, "normuon")

    def largest_map(self) -> int:
        """Return the values of the largest map between two layers, for one picture."""
        quarter = max(self.code * BLOCK**2 + PLANES, self.trunk, 4 * self.lifted)
        half = max(self.lifted + 4 * self.code, self.fine, 12)
        return self._blocks() * max(quarter, 4 * half)

    def macs(self) -> int:
        """Return the multiply-accumulates (MACs) for one picture."""
        quarter = (self.code * BLOCK**2 + PLANES + 4 * self.lifted) * self.trunk
        quarter += len(self.dilations) * KERNEL**2 * self.trunk**2
        half = KERNEL**2 * self.fine * (self.lifted + 4 * self.code + 12)
        return self._blocks() * (quarter + 4 * half)

    def _blocks(self) -> int:
        return -(-self.height // BLOCK) * -(-self.width // BLOCK)

    def values(self) -> dict[str, Any]:
        """Return the shape as plain values, for a file."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__} | {
            "dilations": list(self.dilations)
        }

    @classmethod
    def of(cls, values: Any) -> Self:
        """Return the design that :meth:`values` gave, from an untrusted source.

        Raises:
            ValueError: they are no such values.
        """
        if not isinstance(values, dict) or set(values) != set(cls.__dataclass_fields__):
            raise ValueError("not the shape of a renderer")
        dilations = values["dilations"]
        rest = {name: value for name, value in values.items() if name != "dilations"}
        if not isinstance(dilations, list) or not all(
            type(value) is int for value in (*dilations, *rest.values())
        ):
            raise ValueError("not the shape of a renderer")
        return cls(dilations=tuple(dilations), **rest)


class Renderer(nn.Module):
    """Draws pictures from masks.

    Args:
        design: its shape.
    """

    code: Tensor
    """What stands for each class, ``(classes, code)``: one value each, or learned ones where
    classes are many."""
    place: Tensor
    """Every block's row and column in -1..1, ``(1, 2, h/4, w/4)``."""

    def __init__(self, design: RendererDesign) -> None:
        super().__init__()
        self.design = design
        code, trunk, fine = design.code, design.trunk, design.fine
        if code == design.classes:
            self.register_buffer("code", torch.eye(code), persistent=False)
        else:
            self.code = nn.Parameter(torch.randn(design.classes, code))
        self.stem = nn.Conv2d(code * BLOCK**2 + PLANES, trunk, 1)
        self.body = nn.ModuleList(
            nn.Conv2d(trunk, trunk, KERNEL, padding=d, dilation=d) for d in design.dilations
        )
        self.lift = nn.Conv2d(trunk, 4 * design.lifted, 1)
        self.join = nn.Conv2d(design.lifted + 4 * code, fine, KERNEL, padding=1)
        self.draw = nn.Conv2d(fine, 12, KERNEL, padding=1)
        down, right = (-(-side // BLOCK) for side in (design.height, design.width))
        rows, columns = torch.linspace(-1, 1, down), torch.linspace(-1, 1, right)
        place = torch.stack(torch.meshgrid(rows, columns, indexing="ij"))[None]
        self.register_buffer("place", place, persistent=False)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, masks: Tensor, shown: Shown = (1.0, 1.0)) -> Tensor:
        """Return pictures ``(B, 3, h, w)`` of masks ``uint8 (B, h, w)``.

        Grey levels are about 0..255, neither clamped nor rounded. Masks of another size are first
        resized to that of the pictures, each pixel taking its nearest one's class.

        Args:
            masks: the masks.
            shown: what will be left of the pictures' rows and columns.
        """
        height, width = self.design.height, self.design.width
        blocks = self._coded(_padded(masks, height, width))
        folded = F.pixel_unshuffle(blocks, 2)
        place = self.place.expand(len(masks), -1, -1, -1)
        planes = [torch.full_like(place[:, :1], 1 - share) for share in shown]
        x = F.gelu(self.stem(_last(torch.cat([folded, place, *planes], 1))))
        for layer in self.body:
            x = x + F.gelu(layer(x))
        x = F.pixel_shuffle(self.lift(x), 2)
        x = F.gelu(self.join(_last(torch.cat([x, blocks], 1))))
        picture = GREY + CONTRAST * F.pixel_shuffle(self.draw(x), 2)
        return picture[..., :height, :width]

    def _coded(self, masks: Tensor) -> Tensor:
        """Return the classes' codes, 2x2 pixels folded into channels: ``(B, 4 code, h/2, w/2)``."""
        count, height, width = masks.shape
        grouped = masks.view(count, height // 2, 2, width // 2, 2).permute(0, 1, 3, 2, 4)
        # Looking up is far cheaper than making and folding one-hot maps.
        coded = F.embedding(grouped.reshape(-1).int(), self.code)
        return coded.view(count, height // 2, width // 2, -1).permute(0, 3, 1, 2)


def _padded(masks: Tensor, height: int, width: int) -> Tensor:
    """Return masks at a picture's size, their last row and column repeated to whole blocks."""
    if masks.shape[1:] != (height, width):
        masks = F.interpolate(masks[:, None], (height, width), mode="nearest")[:, 0]
    below, right = -height % BLOCK, -width % BLOCK
    if below:
        masks = torch.cat([masks, masks[:, -1:].expand(-1, below, -1)], 1)
    if right:
        masks = torch.cat([masks, masks[:, :, -1:].expand(-1, -1, right)], 2)
    return masks.contiguous()


def _last(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last)
