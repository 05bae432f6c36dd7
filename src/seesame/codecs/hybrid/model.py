"""The post-network: from a pair's decoded base pictures to the pair that the stack is to see.

A residual network of some ten thousand weights at a quarter of the render size, after the in-loop
filters of learned video coding (e.g. Dong et al. 2015, "Compression artifacts reduction by a deep
convolutional network"). It sees both pictures of a pair at once, and a code of a few numbers, the
pair's own, shifts its first layer: what one pair needs and another does not. The layers between
look further and further around (dilations 1, 2, 4 …: Yu and Koltun 2016, "Multi-scale context
aggregation by dilated convolutions"). The last one starts at zero, so that it begins as the base.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seesame.codecs.hybrid.design import CHANNELS, FOLD, Design
from seesame.neural.render.geometry import MIDDLE, SPREAD


class PostNetwork(nn.Module):
    """The network: codes ``(B, code)`` and base pairs ``(B, 2, 3, h, w)`` to frames of that shape.

    Args:
        design: its shape.
        meta: make its form only, with no memory for the parameters.
    """

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
        """Return frames ``(B, 2, 3, h, w)``, not clamped, of pictures in 0..255."""
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
