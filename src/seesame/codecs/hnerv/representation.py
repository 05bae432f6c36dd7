"""A clip as a decoder and latents, while they are trained."""

import torch
from torch import Tensor
from torch.func import functional_call

from seesame.codecs.hnerv.architecture import Architecture
from seesame.codecs.hnerv.model import Decoder
from seesame.neural.weights.network import Parameters, QuantisedNetwork, Streams

LATENTS = "latents"
"""The one stream of hnerv."""


class Representation(QuantisedNetwork):
    """A clip as a decoder and a latent for each pair.

    Args:
        architecture: the decoder's shape.
        num_pairs: how many latents.
    """

    def __init__(self, architecture: Architecture, num_pairs: int) -> None:
        network = Decoder(architecture)
        # Neighbouring pairs look alike: a random walk starts closer than noise, and codes better.
        walk = torch.randn(num_pairs, architecture.latent).cumsum(0)
        walk = walk - walk.mean(0)
        spread = walk.square().mean().sqrt()
        latents = walk / spread.clamp(min=1e-3)
        super().__init__(network, architecture.tensors(), {LATENTS: latents})
        self.architecture = architecture
        # Only its form, with parameters always handed in; the tuple keeps it out of this module.
        self._form = (Decoder(architecture, meta=True),)

    @property
    def latents(self) -> Tensor:
        """The latents of all pairs, ``(N, latent)``."""
        latents: Tensor = self.streams[LATENTS]
        return latents

    def decode(self, parameters: Parameters, streams: Streams, pairs: Tensor) -> Tensor:
        """See :class:`~seesame.neural.weights.network.QuantisedNetwork`."""
        frames: Tensor = functional_call(self._form[0], parameters, (streams[LATENTS][pairs],))
        return frames
