"""Bytes to symbols: the WEIGHTS and LATENTS sections of layouts 1 and 2."""

from collections.abc import Mapping

import numpy as np

from seesame.bitstream.entropy import SymbolDecoder
from seesame.bitstream.varint import Reader
from seesame.neural.weights import layout1
from seesame.neural.weights.arrays import Axes, Ints, decode_array, decode_list
from seesame.neural.weights.predict import MAX_COEFFICIENT, restored
from seesame.neural.weights.rows import MAX_EXPONENT, Rows

LAYOUT = 2
"""The layout that the encoder writes."""


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
