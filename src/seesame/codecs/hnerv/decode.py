"""The decoder's side: from a file's sections to a clip that is rendered lazily."""

import torch
from torch import Tensor

from seesame.bitstream.container import Container
from seesame.codecs.hnerv.model import Decoder
from seesame.codecs.hnerv.sections import unpack_symbols
from seesame.neural.render.bounds import pairs_at_once
from seesame.neural.render.clip import NetworkClip
from seesame.neural.weights.dequantise import dequantised


def open_file(container: Container, device: str) -> NetworkClip:
    """Return the decoded clip, rendered lazily. Raises DamagedError, see :func:`unpack`."""
    decoder, latents = unpack(container)
    shape = decoder.architecture
    pairs = pairs_at_once(shape.largest_map(), shape.macs())
    return NetworkClip(container, device, decoder, latents, pairs)


def unpack(container: Container, name: str = "the file") -> tuple[Decoder, Tensor]:
    """Return the decoder and the latents ``(N, latent)`` of a file.

    Raises:
        DamagedError: a section is missing, impossible or does not decode.
    """
    found = unpack_symbols(container, name)
    decoder = dequantised(Decoder(found.architecture), found.weights)
    return decoder, torch.from_numpy(found.latents.values().T.copy())
