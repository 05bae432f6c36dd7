"""The sections of an hnerv file as symbols; torch is not needed to read them."""

from dataclasses import dataclass

from seesame.bitstream.container import Container, Section
from seesame.codecs.hnerv.architecture import Architecture, unpack_architecture
from seesame.neural.render.bounds import (
    check_macs,
    check_render,
    check_stream,
    num_pairs,
    section,
)
from seesame.neural.weights.rows import Rows
from seesame.neural.weights.unpack import unpack_stream, unpack_weights

CODEC_ID = 16


@dataclass(frozen=True, eq=False)
class Symbols:
    """Everything that a file holds, before it is dequantised.

    Args:
        architecture: the decoder's shape.
        layout: of the sections, 1 or 2.
        weights: the decoder's tensors.
        latents: ``(latent, N)``.
    """

    architecture: Architecture
    layout: int
    weights: dict[str, Rows]
    latents: Rows


def unpack_symbols(
    container: Container, name: str = "the file", sizes: dict[str, int] | None = None
) -> Symbols:
    """Read a file's sections.

    Args:
        container: the file.
        name: of the file, for messages.
        sizes: gets the bytes of each tensor of the decoder, where given.

    Raises:
        DamagedError: a section is missing, impossible or does not decode.
    """
    model, packed, stream = (
        section(container, which, name)
        for which in (Section.MODEL, Section.WEIGHTS, Section.LATENTS)
    )
    architecture, layout = unpack_architecture(model, name)
    check_render(architecture.render, container, name)
    check_macs(architecture.macs() // 2, container, name)
    check_stream(container, architecture.latent, name)
    weights = unpack_weights(packed, architecture.tensors(), name, layout, sizes)
    shape = (architecture.latent, num_pairs(container))
    latents = unpack_stream(stream, shape, name, layout)
    return Symbols(architecture, layout, weights, latents)
