"""A clip as a decoder and latents, while they are trained."""

from typing import cast

import torch
from torch import Tensor
from torch.func import functional_call

from seesame.codecs.hnerv.model import Architecture, Decoder
from seesame.neural.weights.network import Parameters, QuantisedNetwork
from seesame.neural.weights.quantizer import as_axes, as_rows


def row_shapes(architecture: Architecture) -> dict[str, tuple[int, int]]:
    """Shapes of the decoder's tensors as rows, in the order of the WEIGHTS section."""
    cells = architecture.grid[0] * architecture.grid[1]
    named = Decoder(architecture, meta=True).named_parameters()
    return {name: cast(tuple[int, int], tuple(as_rows(name, p, cells).shape)) for name, p in named}


def tensor_axes(architecture: Architecture) -> dict[str, tuple[int, int, int]]:
    """The axes of the decoder's tensors along which their symbols' scales may vary."""
    cells = architecture.grid[0] * architecture.grid[1]
    named = Decoder(architecture, meta=True).named_parameters()
    return {name: as_axes(name, p, cells) for name, p in named}


class Representation(QuantisedNetwork):
    """A clip as a decoder, a latent for each pair, and the quantisers of both.

    Args:
        architecture: the decoder's shape.
        num_pairs: latents.
    """

    def __init__(self, architecture: Architecture, num_pairs: int) -> None:
        network = Decoder(architecture)
        # Neighbouring pairs look alike: a random walk starts closer than noise, and codes better.
        walk = torch.randn(num_pairs, architecture.latent).cumsum(0)
        walk = walk - walk.mean(0)
        spread = walk.square().mean().sqrt()
        cells = architecture.grid[0] * architecture.grid[1]
        super().__init__(network, walk / spread.clamp(min=1e-3), cells)
        self.architecture = architecture
        # Only its form, with parameters always handed in; the tuple keeps it out of this module.
        self._form = (Decoder(architecture, meta=True),)

    def decode(self, parameters: Parameters, latents: Tensor, pairs: Tensor) -> Tensor:
        """Frames ``(B, 2, 3, h, w)`` of some pairs under given parameters."""
        frames: Tensor = functional_call(self._form[0], parameters, (latents[pairs],))
        return frames
