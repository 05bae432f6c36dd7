"""The decoder: from a pair's latent to its two frames.

After HNeRV (Chen et al. 2023, "HNeRV: A Hybrid Neural Representation for Videos"): a stem turns
the latent into a small grid, stages of convolution and pixel shuffle double it up to the render
size. Here the latents are free parameters of the file, with no encoder network, and one latent
gives both frames of a pair, because the stack judges pairs.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seesame.bitstream.varint import Reader, pack_varint
from seesame.neural.render.geometry import MAX_SIDE, MIDDLE, SPREAD
from seesame.neural.weights.unpack import LAYOUT

STAGES = 5
MAX_CHANNELS = 256
MAX_PARAMETERS = 1 << 24
MAX_MAP = 1 << 25
"""Values of the largest map between two layers, for one pair."""


@dataclass(frozen=True)
class Architecture:
    """All that fixes the decoder's shape; stored in the file.

    Args:
        render: ``(height, width)`` of the pictures the decoder makes.
        latent: values a pair.
        channels: width of the stem grid and after each of the first ``STAGES - 1`` stages.
    """

    render: tuple[int, int]
    latent: int
    channels: tuple[int, ...]

    @property
    def grid(self) -> tuple[int, int]:
        """Size of the stem's grid: the render size halved ``STAGES`` times, rounded up."""
        step = 2**STAGES
        return -(-self.render[0] // step), -(-self.render[1] // step)

    def valid(self) -> bool:
        """Whether a decoder of this shape may be built (bounds on memory)."""
        return (
            len(self.channels) == STAGES
            and all(1 <= c <= MAX_CHANNELS for c in self.channels)
            and 1 <= self.latent <= MAX_CHANNELS
            and all(1 <= side <= MAX_SIDE for side in self.render)
            and self._largest_map() <= MAX_MAP
            and self.parameters() <= MAX_PARAMETERS
        )

    def _largest_map(self) -> int:
        cells = self.grid[0] * self.grid[1]
        sizes: list[int] = [4 ** (i + 1) * cells * c for i, c in enumerate((*self.channels[1:], 6))]
        return max(sizes)

    def parameters(self) -> int:
        """Number of weights and biases."""
        return sum(p.numel() for p in Decoder(self, meta=True).parameters())


def pack_architecture(architecture: Architecture) -> bytes:
    """The MODEL section: 0 and the layout, then render size, latent size, channel counts."""
    numbers = (0, LAYOUT, *architecture.render, architecture.latent, *architecture.channels)
    return b"".join(pack_varint(n) for n in numbers)


def unpack_architecture(payload: bytes, name: str) -> tuple[Architecture, int]:
    """Read the MODEL section: the decoder's shape, and the layout (1 or 2) of all three sections.

    Raises:
        DamagedError: a shape out of bounds, or an unknown layout.
    """
    reader = Reader(payload, name)
    layout = 1
    first = reader.varint()
    if not first:  # no layout-1 file has a render height of 0
        layout = reader.varint()
        if layout != LAYOUT:
            raise reader.fail(f"layout {layout} of the hnerv codec is unknown to this version")
        first = reader.varint()
    render = (first, reader.varint())
    latent = reader.varint()
    channels = []
    while reader.left:
        channels.append(reader.varint())
    architecture = Architecture(render, latent, tuple(channels))
    if not architecture.valid():
        raise reader.fail("a decoder of impossible shape")
    return architecture, layout


class Decoder(nn.Module):
    """Latents ``(B, latent)`` to frames ``(B, 2, 3, height, width)`` in 0..255 (not clamped)."""

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
            self.stage(i, a, 4 * b, device)
            for i, (a, b) in enumerate(zip(widths, (*widths[1:], 6), strict=True))
        )
        if not meta:
            self._initialise()

    @staticmethod
    def stage(index: int, inputs: int, outputs: int, device: str) -> nn.Module:
        """The convolution of a stage."""
        return nn.Conv2d(inputs, outputs, 3, padding=1, device=device)

    def _initialise(self) -> None:
        """About unit variance through the stages and a grey first picture."""
        nn.init.normal_(self.stem.weight, std=self.architecture.latent**-0.5)
        nn.init.zeros_(self.stem.bias)
        for layer in self.stages.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.normal_(layer.weight, std=layer.weight[0].numel() ** -0.5 * 1.3)
                nn.init.zeros_(layer.bias)  # type: ignore[arg-type]

    def forward(self, latents: Tensor) -> Tensor:
        """``(B, latent)`` to ``(B, 2, 3, height, width)``."""
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
