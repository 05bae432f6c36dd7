"""The entropy coding of the carrier's codes.

A code's values are poses, nearly: each has a middle of its own, about which it moves more or less
smoothly. The middles are coded apart; the rest is predicted from the two pairs before, by the
predictor and the coder that latents of trained codecs have.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from seesame.bitstream.entropy import SymbolDecoder, SymbolEncoder
from seesame.errors import DamagedError
from seesame.neural.weights.arrays import (
    LARGEST,
    Ints,
    decode_array,
    decode_list,
    encode_array,
    encode_list,
    middle_of,
)
from seesame.neural.weights.predict import MAX_COEFFICIENT, candidates, missed, restored

MAX_SYMBOL = LARGEST // 2
"""Largest magnitude of a symbol; with the middle taken away it still fits the coder."""


def encode_codes(symbols: ArrayLike) -> bytes:
    """Return the bytes of the codes of a clip's pairs.

    Args:
        symbols: integers ``(N, K)`` in ±16383, K values for each of N pairs.

    Raises:
        ValueError: they have another shape or range.
    """
    codes = np.asarray(symbols)
    if codes.ndim != 2 or codes.dtype.kind not in "iu":
        raise ValueError(f"codes are integers (N, K), not {codes.dtype} {codes.shape}")
    if not codes.size:
        return b""
    if np.abs(codes.astype(np.int64)).max() > MAX_SYMBOL:
        raise ValueError(f"codes reach {np.abs(codes).max()}, more than {MAX_SYMBOL}")
    rows = codes.T.astype(np.int64)
    middles = np.array([middle_of(row) for row in rows])
    around = rows - middles[:, None]
    return min((_encoded(around, middles, weights) for weights in candidates(around)), key=len)


def _encoded(around: Ints, middles: Ints, weights: Ints) -> bytes:
    from seesame.neural.weights.choose_coding import fit

    coder = SymbolEncoder()
    for values in (middles, weights[:, 0], weights[:, 1]):
        encode_list(coder, values)
    rest = missed(around, weights)[:, :, None]
    encode_array(coder, rest, fit(rest))
    return coder.to_bytes()


def decode_codes(data: bytes, shape: tuple[int, int], name: str = "the file") -> NDArray[np.int32]:
    """Return the codes int32 ``(N, K)`` that :func:`encode_codes` coded.

    Args:
        data: the bytes.
        shape: N pairs and K values.
        name: what errors call the data.

    Raises:
        DamagedError: the data cannot have come from the encoder.
    """
    pairs, values = shape
    if not pairs * values:
        if data:
            raise DamagedError(f"{name} is damaged: it has codes for no pairs")
        return np.zeros(shape, np.int32)
    coder = SymbolDecoder(data, name)
    middles = decode_list(coder, values)
    weights = np.stack([decode_list(coder, values), decode_list(coder, values)], axis=1)
    if np.abs(weights).max() > MAX_COEFFICIENT:
        raise DamagedError(
            f"{name} is damaged: a code is predicted by more than four times another"
        )
    rest = decode_array(coder, (values, pairs, 1), name)[:, :, 0]
    coder.finish()
    codes = restored(rest, weights, name) + middles[:, None]
    if np.abs(codes).max() > MAX_SYMBOL:
        raise DamagedError(f"{name} is damaged: a code is out of range")
    return np.ascontiguousarray(codes.T, np.int32)
