"""Reader of layout 1 of the WEIGHTS and LATENTS sections: what version 0.1 wrote."""

from collections.abc import Mapping

import numpy as np

from seesame.bitstream.entropy import SymbolDecoder
from seesame.bitstream.varint import Reader
from seesame.neural.weights.rows import MAX_EXPONENT, Ints, Rows

BIAS = 1 << 15


def unpack_weights(
    payload: bytes, shapes: Mapping[str, tuple[int, int]], name: str
) -> dict[str, Rows]:
    """Read the WEIGHTS section; ``shapes`` are the row shapes in the decoder's own order."""
    coder = SymbolDecoder(payload, name)
    tensors = {key: _decode_rows(coder, shape, name) for key, shape in shapes.items()}
    coder.finish()
    return tensors


def unpack_latents(payload: bytes, shape: tuple[int, int], name: str) -> Rows:
    """Read the LATENTS section into rows ``(latent, pairs)``."""
    coder = SymbolDecoder(payload, name)
    use = coder.uniform(shape[0], 2).astype(bool)
    coded = _decode_rows(coder, shape, name)
    coder.finish()
    whole = np.cumsum(coded.symbols, axis=1)
    return Rows(np.where(use[:, None], whole, coded.symbols), coded.exponents)


def _decode_rows(coder: SymbolDecoder, shape: tuple[int, int], name: str) -> Rows:
    """Exponents and scales of the rows, one bound for all, then row by row its symbols."""
    exponents = _decode_small(coder, shape[0])
    limit = int(coder.uniform(1, BIAS)[0])
    symbols = np.zeros(shape, np.int64)
    if limit:
        scales = _decode_small(coder, shape[0])
        for i, scale in enumerate(scales):
            symbols[i] = coder.gaussian(shape[1], int(scale), limit)
    if np.abs(exponents).max(initial=0) > MAX_EXPONENT:
        raise Reader(b"", name).fail("a quantiser step out of range")
    return Rows(symbols, exponents)


def _decode_small(coder: SymbolDecoder, count: int) -> Ints:
    """A list of like numbers in ±2^15: their median, bound and scale, then the differences."""
    middle = int(coder.uniform(1, 2 * BIAS)[0]) - BIAS
    limit = int(coder.uniform(1, BIAS)[0])
    if not limit:
        return np.full(count, middle, np.int64)
    scale = int(coder.uniform(1, 256)[0])
    return middle + coder.gaussian(count, scale, limit).astype(np.int64)
