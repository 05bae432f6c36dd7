"""Bytes to symbols: the WEIGHTS and LATENTS sections of layouts 1 and 2."""

import numpy as np

from seesame.bitstream.entropy import SymbolDecoder
from seesame.bitstream.varint import Reader
from seesame.neural.weights.arrays import Ints, decode_array, decode_list
from seesame.neural.weights.predict import MAX_COEFFICIENT, restored
from seesame.neural.weights.rows import MAX_EXPONENT, Rows
from seesame.neural.weights.tensors import Specs

LAYOUT = 2
"""The layout that the encoder writes."""


def unpack_weights(
    payload: bytes,
    specs: Specs,
    name: str,
    layout: int = LAYOUT,
    sizes: dict[str, int] | None = None,
) -> dict[str, Rows]:
    """Read the WEIGHTS section: the symbols of each tensor that the network declares.

    Args:
        payload: the section.
        specs: the network's tensors.
        name: of the file, for messages.
        layout: of the section, 1 or 2.
        sizes: gets the bytes of each tensor, where given; layout 1 does not tell them.

    Raises:
        DamagedError: the data cannot have come from the encoder.
    """
    if layout == 1:
        from seesame.neural.weights import layout1

        shapes = {key: spec.row_shape for key, spec in specs.items()}
        return layout1.unpack_weights(payload, shapes, name)
    coder = SymbolDecoder(payload, name)
    tensors = {}
    for key, spec in specs.items():
        exponents = _decode_exponents(coder, spec.rows, name)
        symbols = decode_array(coder, spec.axes, name).reshape(spec.row_shape)
        tensors[key] = Rows(symbols, exponents)
        if sizes is not None:
            sizes[key] = coder.used() - sum(sizes.values())
    coder.finish()
    return tensors


def _decode_exponents(coder: SymbolDecoder, count: int, name: str) -> Ints:
    exponents = decode_list(coder, count)
    if np.abs(exponents).max(initial=0) > MAX_EXPONENT:
        raise Reader(b"", name).fail("a quantiser step out of range")
    return exponents


def unpack_stream(payload: bytes, shape: tuple[int, int], name: str, layout: int = LAYOUT) -> Rows:
    """Read a section that holds a stream: rows ``(d, N)``, a symbol for each of N pairs.

    Raises:
        DamagedError: the data cannot have come from the encoder.
    """
    if layout == 1:
        from seesame.neural.weights import layout1

        return layout1.unpack_latents(payload, shape, name)
    coder = SymbolDecoder(payload, name)
    exponents = _decode_exponents(coder, shape[0], name)
    weights = np.stack([decode_list(coder, shape[0]) for _ in range(2)], axis=1)
    if np.abs(weights).max() > MAX_COEFFICIENT:
        raise Reader(b"", name).fail("a latent's prediction is out of range")
    rest = decode_list(coder, shape[0])[:, None]
    if shape[1] > 1:
        later = decode_array(coder, (shape[0], shape[1] - 1, 1), name)[:, :, 0]
        rest = np.concatenate([rest, later], axis=1)
    coder.finish()
    return Rows(restored(rest, weights, name), exponents)
