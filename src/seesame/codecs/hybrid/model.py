"""The post-network: from a pair's decoded base pictures to the pair that the stack is to see.

A residual network of some ten thousand weights at a quarter of the render size, after the in-loop
filters of learned video coding (e.g. Dong et al. 2015, "Compression artifacts reduction by a deep
convolutional network"). It sees both pictures of a pair at once, and a code of a few numbers, the
pair's own, shifts its first layer: what one pair needs and another does not. The layers between
look further and further around (dilations 1, 2, 4 …: Yu and Koltun 2016, "Multi-scale context
aggregation by dilated convolutions"). The last one starts at zero, so that it begins as the base.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seesame.bitstream.varint import Reader, pack_varint
from seesame.neural.render.geometry import MAX_SIDE, MIDDLE, SPREAD

LAYOUT = 1
MAX_WIDTH = 128
MAX_DEPTH = 6
MAX_CODE = 64
FOLD = 4
"""Pixels a side that are folded into channels."""
CHANNELS = 6 * FOLD * FOLD


@dataclass(frozen=True)
class Design:
    """All that fixes what stands between base and corrections; stored in the file.

    Args:
        render: ``(height, width)`` of the pictures before they are enlarged to the source's size.
        code: numbers a pair; 0 means no network at all.
        width: channels of the layers; 0 with no network.
        depth: layers between the first and the last.
    """

    render: tuple[int, int]
    code: int = 0
    width: int = 0
    depth: int = 0

    @property
    def network(self) -> bool:
        """Whether there is a network."""
        return self.code > 0

    def pack(self) -> bytes:
        """The MODEL section."""
        numbers = (LAYOUT, *self.render, self.code, self.width, self.depth)
        return b"".join(pack_varint(n) for n in numbers)


def unpack_design(payload: bytes, name: str) -> Design:
    """Read the MODEL section.

    Raises:
        DamagedError: a shape out of bounds, or an unknown layout.
    """
    reader = Reader(payload, name)
    layout = reader.varint()
    if layout != LAYOUT:
        raise reader.fail(f"layout {layout} of the hybrid codec is unknown to this version")
    height, width = (reader.varint("the render size", MAX_SIDE) for _ in range(2))
    code = reader.varint("the codes' size", MAX_CODE)
    channels = reader.varint("the network's width", MAX_WIDTH)
    depth = reader.varint("the network's depth", MAX_DEPTH)
    if reader.left or not height or not width or bool(code) != bool(channels):
        raise reader.fail("a network of impossible shape")
    return Design((height, width), code, channels, depth)


class PostNetwork(nn.Module):
    """Codes ``(B, code)`` and base pairs ``(B, 2, 3, h, w)`` in 0..255 to frames of that shape."""

    def __init__(self, design: Design, meta: bool = False) -> None:
        super().__init__()
        device = "meta" if meta else "cpu"
        wide = design.width
        self.first = nn.Conv2d(CHANNELS, wide, 1, device=device)
        self.code = nn.Linear(design.code, wide, bias=False, device=device)
        self.stages = nn.ModuleList(
            nn.Conv2d(wide, wide, 3, padding=1 << i, dilation=1 << i, device=device)
            for i in range(design.depth)
        )
        self.last = nn.Conv2d(wide, CHANNELS, 1, device=device)
        if not meta:
            nn.init.normal_(self.code.weight, std=0.3)
            nn.init.zeros_(self.last.weight)
            for layer in self.modules():
                if isinstance(layer, nn.Conv2d) and layer.bias is not None:
                    nn.init.zeros_(layer.bias)

    def forward(self, codes: Tensor, base: Tensor) -> Tensor:
        """Frames ``(B, 2, 3, h, w)``, not clamped."""
        height, width = base.shape[-2:]
        x = (base.flatten(1, 2) - MIDDLE) / SPREAD
        x = F.pad(x, (0, -width % FOLD, 0, -height % FOLD), mode="replicate")
        x = F.pixel_unshuffle(x, FOLD).contiguous(memory_format=torch.channels_last)
        x = F.gelu(self.first(x) + self.code(codes)[..., None, None])
        for stage in self.stages:
            x = F.gelu(stage(x))
        change = F.pixel_shuffle(self.last(x), FOLD)[..., :height, :width]
        frames: Tensor = base + SPREAD * change.float().reshape(base.shape)
        return frames
