"""Symbols to bytes and back: the MODEL, WEIGHTS and LATENTS sections.

The encoder writes layout 2; :mod:`seesame.codecs.hnerv.layout1` reads the one before it.
"""

from collections.abc import Mapping

import numpy as np

from seesame.bitstream.entropy import SymbolDecoder, SymbolEncoder
from seesame.bitstream.varint import Reader, pack_varint
from seesame.codecs.hnerv import layout1
from seesame.codecs.hnerv.arrays import (
    Axes,
    Ints,
    decode_array,
    decode_list,
    encode_array,
    encode_list,
)
from seesame.codecs.hnerv.fit import fit
from seesame.codecs.hnerv.model import Architecture
from seesame.codecs.hnerv.predict import MAX_COEFFICIENT, candidates, missed, restored
from seesame.codecs.hnerv.rows import MAX_EXPONENT, Rows

LAYOUT = 2
"""The layout that the encoder writes."""


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


def pack_weights(tensors: Mapping[str, Rows], axes: Mapping[str, Axes]) -> bytes:
    """The WEIGHTS section: the tensors in the decoder's own order.

    Args:
        tensors: the rows of each.
        axes: the three axes along which each tensor's scales may vary; as many values.
    """
    coder = SymbolEncoder()
    for key, rows in tensors.items():
        encode_list(coder, rows.exponents)
        array = rows.symbols.reshape(axes[key])
        encode_array(coder, array, fit(array))
    return coder.to_bytes()


def unpack_weights(
    payload: bytes,
    shapes: Mapping[str, tuple[int, int]],
    axes: Mapping[str, Axes],
    name: str,
    layout: int = LAYOUT,
    sizes: dict[str, int] | None = None,
) -> dict[str, Rows]:
    """Read the WEIGHTS section; ``shapes`` are the row shapes in the decoder's own order.

    ``sizes``, where given, gets the bytes of each tensor; layout 1 does not tell them.

    Raises:
        DamagedError: the data cannot have come from the encoder.
    """
    if layout == 1:
        return layout1.unpack_weights(payload, shapes, name)
    coder = SymbolDecoder(payload, name)
    tensors = {}
    for key, shape in shapes.items():
        exponents = _decode_exponents(coder, shape[0], name)
        tensors[key] = Rows(decode_array(coder, axes[key], name).reshape(shape), exponents)
        if sizes is not None:
            sizes[key] = coder.used() - sum(sizes.values())
    coder.finish()
    return tensors


def _decode_exponents(coder: SymbolDecoder, count: int, name: str) -> Ints:
    exponents = decode_list(coder, count)
    if np.abs(exponents).max(initial=0) > MAX_EXPONENT:
        raise Reader(b"", name).fail("a quantiser step out of range")
    return exponents


def pack_latents(latents: Rows) -> bytes:
    """The LATENTS section: a row a latent dimension, each as what a linear prediction misses.

    The prediction of a symbol is a weighted sum of the two before it, the weights a row's own, see
    :mod:`seesame.codecs.hnerv.predict`. Of some choices of weights the one with the fewest bytes
    is written.
    """
    made = (_pack_latents(latents, weights) for weights in candidates(latents.symbols))
    return min(made, key=len)


def _pack_latents(latents: Rows, weights: Ints) -> bytes:
    rest = missed(latents.symbols, weights)
    coder = SymbolEncoder()
    for values in (latents.exponents, weights[:, 0], weights[:, 1], rest[:, 0]):
        encode_list(coder, values)
    if rest.shape[1] > 1:
        array = rest[:, 1:, None]
        encode_array(coder, array, fit(array))
    return coder.to_bytes()


def unpack_latents(payload: bytes, shape: tuple[int, int], name: str, layout: int = LAYOUT) -> Rows:
    """Read the LATENTS section into rows ``(latent, pairs)``, at least one pair.

    Raises:
        DamagedError: the data cannot have come from the encoder.
    """
    if layout == 1:
        return layout1.unpack_latents(payload, shape, name)
    coder = SymbolDecoder(payload, name)
    exponents = _decode_exponents(coder, shape[0], name)
    weights = np.stack([decode_list(coder, shape[0]) for _ in range(2)], axis=1)
    if np.abs(weights).max() > MAX_COEFFICIENT:
        raise Reader(b"", name).fail("a latent's prediction is out of range")
    rest = decode_list(coder, shape[0])[:, None]
    if shape[1] > 1:
        rest = np.concatenate(
            [rest, decode_array(coder, (shape[0], shape[1] - 1, 1), name)[:, :, 0]], axis=1
        )
    coder.finish()
    return Rows(restored(rest, weights, name), exponents)
