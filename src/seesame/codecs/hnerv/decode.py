"""The decoder's side: from a file's sections to a clip that is rendered lazily."""

from collections.abc import Iterator

import torch
from torch import Tensor

from seesame.bitstream.container import Container, Section
from seesame.codecs.hnerv.model import Architecture, Decoder, unpack_architecture
from seesame.codecs.hnerv.representation import row_shapes, tensor_axes
from seesame.errors import DamagedError
from seesame.neural.render.clip import (
    DECODE_PAIRS,
    MAX_LATENT_SYMBOLS,
    RenderedClip,
    check_render,
    num_pairs,
)
from seesame.neural.weights.dequantise import dequantised
from seesame.neural.weights.rows import Rows
from seesame.neural.weights.unpack import unpack_latents, unpack_weights


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


def unpack(
    container: Container, name: str = "the file", sizes: dict[str, int] | None = None
) -> tuple[Decoder, Tensor]:
    """The decoder and the latents ``(N, latent)`` of a file.

    ``sizes``, where given, gets the bytes of each tensor of the decoder.

    Raises:
        DamagedError: a section is missing, impossible or does not decode.
    """
    for section in (Section.MODEL, Section.WEIGHTS, Section.LATENTS):
        if section not in container.sections:
            raise DamagedError(f"{name} is damaged: its {section.name} section is missing")
    architecture, layout = unpack_architecture(container.sections[Section.MODEL], name)
    check_render(architecture.render, container, name)
    if num_pairs(container) * architecture.latent > MAX_LATENT_SYMBOLS:
        raise DamagedError(f"{name} is damaged: it declares {container.num_frames:,} frames")
    weights = unpack_weights(
        container.sections[Section.WEIGHTS],
        row_shapes(architecture),
        tensor_axes(architecture),
        name,
        layout,
        sizes,
    )
    latents = unpack_latent_rows(container, architecture, layout, name)
    return dequantised(Decoder(architecture), weights), torch.from_numpy(latents.values().T.copy())


def unpack_latent_rows(
    container: Container, architecture: Architecture, layout: int, name: str = "the file"
) -> Rows:
    """The latents' symbols ``(latent, N)``. Raises DamagedError when they do not decode."""
    shape = (architecture.latent, num_pairs(container))
    return unpack_latents(container.sections[Section.LATENTS], shape, name, layout)
