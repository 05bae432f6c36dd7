"""The sections of a hybrid file; torch is not needed to read them."""

from dataclasses import dataclass, replace

import numpy as np

from seesame.bitstream.container import Container, Section
from seesame.bitstream.varint import Reader, pack_varint
from seesame.codecs.av.settings import FAMILY, Member
from seesame.codecs.hybrid.design import Design, unpack_design
from seesame.errors import DamagedError
from seesame.neural.render.bounds import check_macs, check_render, check_stream, num_pairs
from seesame.neural.weights.rows import Rows
from seesame.neural.weights.unpack import unpack_stream, unpack_weights

CODEC_ID = 17


def with_base(base: Container, config: bytes) -> Container:
    """Return a hybrid file that holds a base's file and no more."""
    stream = pack_varint(base.codec_id) + base.sections[Section.STREAM]
    sections = {Section.CONFIG: config, Section.STREAM: stream}
    return replace(base, codec_id=CODEC_ID, sections=sections)


def base_of(container: Container) -> tuple[Member, Container]:
    """Return the base's codec and its own file.

    Raises:
        DamagedError: the stream is missing, or no codec could have made it.
    """
    if Section.STREAM not in container.sections:
        raise DamagedError("the file holds no video stream")
    reader = Reader(container.sections[Section.STREAM], "the hybrid stream")
    codec_id = reader.varint("the base codec", 255)
    members = [member for member in FAMILY.values() if member.codec_id == codec_id]
    if not members:
        raise reader.fail(f"codec {codec_id} is no base")
    rest = {Section.STREAM: reader.take(reader.left, "the base's stream")}
    return members[0], replace(container, codec_id=codec_id, sections=rest)


@dataclass(frozen=True, eq=False)
class Symbols:
    """Everything that a file has between base and corrections, before it is dequantised.

    Args:
        design: the network's shape.
        weights: the network's tensors; none where the file has no network.
        codes: ``(code, N)``; a row of zeros where there is no network.
    """

    design: Design
    weights: dict[str, Rows]
    codes: Rows


def unpack_symbols(
    container: Container, name: str = "the file", sizes: dict[str, int] | None = None
) -> Symbols | None:
    """Read the network's sections; None where the file is only its base.

    Args:
        container: the file.
        name: of the file, for messages.
        sizes: gets the bytes of each tensor of the network, where given.

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
    check_macs(design.macs() // 2, container, name)
    pairs = num_pairs(container)
    trained = {Section.WEIGHTS, Section.LATENTS}
    if sections.keys() & trained != (trained if design.network else set()):
        raise DamagedError(f"{name} is damaged: its network's sections do not fit its MODEL")
    check_stream(container, max(1, design.code), name)
    if not design.network:
        return Symbols(design, {}, Rows(np.zeros((1, pairs), np.int64), np.zeros(1, np.int64)))
    weights = unpack_weights(sections[Section.WEIGHTS], design.tensors(), name, sizes=sizes)
    codes = unpack_stream(sections[Section.LATENTS], (design.code, pairs), name)
    return Symbols(design, weights, codes)
