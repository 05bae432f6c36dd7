"""The encoder of layout 1 as it was: nothing else writes it any more, and it must stay readable."""

from collections.abc import Mapping

import numpy as np

from seesame.bitstream.entropy import SymbolEncoder, scale_for
from seesame.bitstream.varint import pack_varint
from seesame.codecs.hnerv.architecture import Architecture
from seesame.neural.weights.layout1 import BIAS
from seesame.neural.weights.rows import Ints, Rows


def pack_architecture(architecture: Architecture) -> bytes:
    """The MODEL section: render height and width, latent size, channel counts."""
    numbers = (*architecture.render, architecture.latent, *architecture.channels)
    return b"".join(pack_varint(n) for n in numbers)


def _encode_small(coder: SymbolEncoder, values: Ints) -> None:
    """A list of like numbers in ±2^15: their median, bound and scale, then the differences."""
    middle = int(np.median(values))
    rest = values - middle
    limit = int(np.abs(rest).max(initial=0))
    scale = scale_for(rest, limit)
    coder.uniform([middle + BIAS], 2 * BIAS)
    coder.uniform([limit], BIAS)
    if limit:
        coder.uniform([scale], 256)
        coder.gaussian(rest, scale, limit)


def _encode_rows(coder: SymbolEncoder, rows: Rows) -> None:
    """Exponents and scales of the rows, one bound for all, then row by row its symbols."""
    limit = int(np.abs(rows.symbols).max(initial=0))
    scales = np.array([scale_for(row, limit) for row in rows.symbols])
    _encode_small(coder, rows.exponents)
    coder.uniform([limit], BIAS)
    if limit:
        _encode_small(coder, scales)
        for row, scale in zip(rows.symbols, scales, strict=True):
            coder.gaussian(row, int(scale), limit)


def pack_weights(tensors: Mapping[str, Rows]) -> bytes:
    """The WEIGHTS section: the tensors in the decoder's own order."""
    coder = SymbolEncoder()
    for rows in tensors.values():
        _encode_rows(coder, rows)
    return coder.to_bytes()


def difference(symbols: Ints) -> Ints:
    """Each latent symbol minus the one of the pair before, along the last axis."""
    return np.diff(symbols, axis=1, prepend=0)


def pack_latents(latents: Rows) -> bytes:
    """The LATENTS section: a row a latent dimension, plain or as differences in time.

    The choice is made row by row, whichever takes fewer bits, and costs one bit.
    """
    moved = difference(latents.symbols)
    use = np.array(
        [_row_bits(d) < _row_bits(s) for s, d in zip(latents.symbols, moved, strict=True)]
    )
    coder = SymbolEncoder()
    coder.uniform(use.astype(np.int64), 2)
    _encode_rows(coder, Rows(np.where(use[:, None], moved, latents.symbols), latents.exponents))
    return coder.to_bytes()


def _row_bits(row: Ints) -> float:
    power = max(float(np.square(row).mean()), 1e-3)
    return float(np.log2(power))
