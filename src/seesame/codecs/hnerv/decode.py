"""The decoder's side: from a file's sections to a clip that is rendered lazily."""

from collections.abc import Iterator

import torch
from torch import Tensor

from seesame.bitstream.container import Container
from seesame.codecs.hnerv.model import Decoder
from seesame.codecs.hnerv.sections import unpack_symbols
from seesame.neural.render.clip import DECODE_PAIRS, RenderedClip
from seesame.neural.weights.dequantise import dequantised


class HnervClip(RenderedClip):
    """The decoded clip, rendered lazily from a file's decoder and latents."""

    def __init__(self, container: Container, device: str) -> None:
        super().__init__(container, device)
        self._decoder, self._latents = unpack(container)
        self._decoder.to(self._device)

    def _pairs(self) -> Iterator[Tensor]:
        for start in range(0, len(self._latents), DECODE_PAIRS):
            part = self._latents[start : start + DECODE_PAIRS].to(self._device)
            with torch.inference_mode():
                frames = self._decoder(part)
            yield frames


def unpack(container: Container, name: str = "the file") -> tuple[Decoder, Tensor]:
    """Return the decoder and the latents ``(N, latent)`` of a file.

    Raises:
        DamagedError: a section is missing, impossible or does not decode.
    """
    found = unpack_symbols(container, name)
    decoder = dequantised(Decoder(found.architecture), found.weights)
    return decoder, torch.from_numpy(found.latents.values().T.copy())
