"""The hybrid codec's sections: which base, its stream, and the network over it."""

from dataclasses import dataclass, replace
from typing import cast

import torch
from torch import Tensor

from seesame.bitstream.container import Container, Section
from seesame.bitstream.varint import Reader, pack_varint
from seesame.codecs.av.codec import AvClip, AvCodec
from seesame.codecs.av.settings import FAMILY
from seesame.codecs.hybrid.model import Design, PostNetwork, unpack_design
from seesame.errors import DamagedError
from seesame.neural.render.clip import MAX_LATENT_SYMBOLS, check_render, num_pairs
from seesame.neural.weights.dequantise import dequantised
from seesame.neural.weights.quantizer import as_axes, as_rows
from seesame.neural.weights.rows import Rows
from seesame.neural.weights.unpack import unpack_latents, unpack_weights

CODEC_ID = 17


def tensor_axes(design: Design) -> dict[str, tuple[int, int, int]]:
    """The axes of the network's tensors along which their symbols' scales may vary."""
    named = PostNetwork(design, meta=True).named_parameters()
    return {name: as_axes(name, p, 1) for name, p in named}


def row_shapes(design: Design) -> dict[str, tuple[int, int]]:
    """Shapes of the network's tensors as rows, in the order of the WEIGHTS section."""
    named = PostNetwork(design, meta=True).named_parameters()
    return {name: cast(tuple[int, int], tuple(as_rows(name, p, 1).shape)) for name, p in named}


def with_base(base: Container, config: bytes) -> Container:
    """A hybrid file of a base's file and no more."""
    stream = pack_varint(base.codec_id) + base.sections[Section.STREAM]
    sections = {Section.CONFIG: config, Section.STREAM: stream}
    return replace(base, codec_id=CODEC_ID, sections=sections)


def unpack_base(container: Container) -> AvClip:
    """The base's clip. Raises DamagedError when its stream is missing or its head is damaged."""
    if Section.STREAM not in container.sections:
        raise DamagedError("the file holds no video stream")
    reader = Reader(container.sections[Section.STREAM], "the hybrid stream")
    codec_id = reader.varint("the base codec", 255)
    members = [member.name for member in FAMILY.values() if member.codec_id == codec_id]
    if not members:
        raise reader.fail(f"codec {codec_id} is no base")
    rest = {Section.STREAM: reader.take(reader.left, "the base's stream")}
    return AvCodec(members[0]).open(replace(container, codec_id=codec_id, sections=rest))


@dataclass(frozen=True, eq=False)
class Network:
    """What a file has between base and corrections.

    Args:
        design: its shape.
        network: None where the file has none.
        codes: ``(code, N)`` symbols; a row of zeros where there is no network.
    """

    design: Design
    network: PostNetwork | None
    codes: Rows


def unpack_network(
    container: Container, name: str = "the file", sizes: dict[str, int] | None = None
) -> Network | None:
    """The network of a file; None where the file is only its base.

    ``sizes``, where given, gets the bytes of each tensor of the network.

    Raises:
        DamagedError: sections that do not fit together, or do not decode.
    """
    sections = container.sections
    if Section.MODEL not in sections:
        if sections.keys() & {Section.WEIGHTS, Section.LATENTS, Section.SIDECAR}:
            raise DamagedError(f"{name} is damaged: its MODEL section is missing")
        return None
    design = unpack_design(sections[Section.MODEL], name)
    check_render(design.render, container, name)
    pairs = num_pairs(container)
    trained = {Section.WEIGHTS, Section.LATENTS}
    if sections.keys() & trained != (trained if design.network else set()):
        raise DamagedError(f"{name} is damaged: its network's sections do not fit its MODEL")
    if pairs * max(1, design.code) > MAX_LATENT_SYMBOLS:
        raise DamagedError(f"{name} is damaged: it declares {container.num_frames:,} frames")
    if not design.network:
        return Network(design, None, no_codes(pairs))
    weights = unpack_weights(
        sections[Section.WEIGHTS], row_shapes(design), tensor_axes(design), name, sizes=sizes
    )
    codes = unpack_latents(sections[Section.LATENTS], (design.code, pairs), name)
    return Network(design, dequantised(PostNetwork(design), weights), codes)


def no_codes(pairs: int) -> Rows:
    """Codes of pairs where no network reads them."""
    zeros = torch.zeros(1, pairs, dtype=torch.int64).numpy()
    return Rows(zeros, zeros[:, 0])


def code_values(codes: Rows) -> Tensor:
    """Codes ``(N, code)`` of their symbols."""
    return torch.from_numpy(codes.values().T.copy())
