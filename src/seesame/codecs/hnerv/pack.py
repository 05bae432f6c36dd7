"""Symbols to bytes and back: the MODEL, WEIGHTS and LATENTS sections."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from seesame.bitstream.entropy import SymbolDecoder, SymbolEncoder, scale_for
from seesame.bitstream.varint import Reader, pack_varint
from seesame.codecs.hnerv.model import Architecture
from seesame.codecs.hnerv.quantize import EXPONENTS

Ints = NDArray[np.int64]

BIAS = 1 << 15
MAX_EXPONENT = 30 * EXPONENTS


@dataclass(frozen=True)
class Rows:
    """A quantised tensor: ``symbols (R, n)`` and the exponent of each row's step, ``(R,)``."""

    symbols: Ints
    exponents: Ints

    def values(self) -> NDArray[np.float32]:
        """The dequantised rows ``(R, n)``."""
        steps = np.exp2(self.exponents / EXPONENTS)
        return (self.symbols * steps[:, None]).astype(np.float32)


def pack_architecture(architecture: Architecture) -> bytes:
    """The MODEL section: render height and width, latent size, channel counts."""
    numbers = (*architecture.render, architecture.latent, *architecture.channels)
    return b"".join(pack_varint(n) for n in numbers)


def unpack_architecture(payload: bytes, name: str) -> Architecture:
    """Read the MODEL section. Raises DamagedError for shapes out of bounds."""
    reader = Reader(payload, name)
    render = (reader.varint(), reader.varint())
    latent = reader.varint()
    channels = []
    while reader.left:
        channels.append(reader.varint())
    architecture = Architecture(render, latent, tuple(channels))
    if not architecture.valid():
        raise reader.fail("a decoder of impossible shape")
    return architecture


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


def _decode_small(coder: SymbolDecoder, count: int) -> Ints:
    middle = int(coder.uniform(1, 2 * BIAS)[0]) - BIAS
    limit = int(coder.uniform(1, BIAS)[0])
    if not limit:
        return np.full(count, middle, np.int64)
    scale = int(coder.uniform(1, 256)[0])
    return middle + coder.gaussian(count, scale, limit).astype(np.int64)


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


def _decode_rows(coder: SymbolDecoder, shape: tuple[int, int], name: str) -> Rows:
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


def pack_weights(tensors: Mapping[str, Rows]) -> bytes:
    """The WEIGHTS section: the tensors in the decoder's own order."""
    coder = SymbolEncoder()
    for rows in tensors.values():
        _encode_rows(coder, rows)
    return coder.to_bytes()


def unpack_weights(
    payload: bytes, shapes: Mapping[str, tuple[int, int]], name: str
) -> dict[str, Rows]:
    """Read the WEIGHTS section; ``shapes`` are the row shapes in the decoder's own order."""
    coder = SymbolDecoder(payload, name)
    tensors = {key: _decode_rows(coder, shape, name) for key, shape in shapes.items()}
    coder.finish()
    return tensors


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


def unpack_latents(payload: bytes, shape: tuple[int, int], name: str) -> Rows:
    """Read the LATENTS section into rows ``(latent, pairs)``."""
    coder = SymbolDecoder(payload, name)
    use = coder.uniform(shape[0], 2).astype(bool)
    coded = _decode_rows(coder, shape, name)
    coder.finish()
    whole = np.cumsum(coded.symbols, axis=1)
    return Rows(np.where(use[:, None], whole, coded.symbols), coded.exponents)
