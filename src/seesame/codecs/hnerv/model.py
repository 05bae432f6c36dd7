"""The decoder: from a pair's latent to its two frames.

After HNeRV (Chen et al. 2023, "HNeRV: A Hybrid Neural Representation for Videos"): a stem turns
the latent into a small grid, stages of convolution and pixel shuffle double it up to the render
size. Here the latents are free parameters of the file, with no encoder network, and one latent
gives both frames of a pair, because the stack judges pairs.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seesame.codecs.hnerv.architecture import KERNEL, PICTURES, Architecture
from seesame.neural.render.geometry import MIDDLE, SPREAD


class Decoder(nn.Module):
    """The decoder: latents ``(B, latent)`` to frames ``(B, 2, 3, height, width)``, not clamped.

    Args:
        architecture: its shape.
        meta: make its form only, with no memory for the parameters.
    """

    activation: Callable[[Tensor], Tensor] = staticmethod(F.gelu)

    def __init__(self, architecture: Architecture, meta: bool = False) -> None:
        super().__init__()
        self.architecture = architecture
        device = "meta" if meta else "cpu"
        height, width = architecture.grid
        first = architecture.channels[0]
        self.stem = nn.Linear(architecture.latent, first * height * width, device=device)
        widths = architecture.channels
        self.stages = nn.ModuleList(
            nn.Conv2d(a, 4 * b, KERNEL, padding=KERNEL // 2, device=device)
            for a, b in zip(widths, (*widths[1:], PICTURES), strict=True)
        )
        if not meta:
            self._initialise()

    def _initialise(self) -> None:
        """Start with about unit variance through the stages and a grey first picture."""
        nn.init.normal_(self.stem.weight, std=self.architecture.latent**-0.5)
        nn.init.zeros_(self.stem.bias)
        for layer in self.stages.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.normal_(layer.weight, std=layer.weight[0].numel() ** -0.5 * 1.3)
                nn.init.zeros_(layer.bias)  # type: ignore[arg-type]

    def forward(self, latents: Tensor) -> Tensor:
        """Return frames ``(B, 2, 3, height, width)`` in 0..255 of latents ``(B, latent)``."""
        height, width = self.architecture.grid
        x = self.activation(self.stem(latents)).view(
            -1, self.architecture.channels[0], height, width
        )
        x = x.contiguous(memory_format=torch.channels_last)
        last = len(self.stages) - 1
        for i, stage in enumerate(self.stages):
            # oneDNN is several times slower on the layout that pixel_shuffle leaves behind.
            x = F.pixel_shuffle(stage(x), 2).contiguous(memory_format=torch.channels_last)
            if i != last:
                x = self.activation(x)
        top, left = self.architecture.render
        frames = MIDDLE + SPREAD * x[:, :, :top, :left].float()
        return frames.reshape(-1, 2, 3, top, left)
