"""Symbols to bytes: the WEIGHTS and LATENTS sections of layout 2."""

from collections.abc import Mapping

from seesame.bitstream.entropy import SymbolEncoder
from seesame.neural.weights.arrays import Ints, encode_array, encode_list
from seesame.neural.weights.choose_coding import fit
from seesame.neural.weights.predict import candidates, missed
from seesame.neural.weights.rows import Rows
from seesame.neural.weights.tensors import Specs


def pack_weights(tensors: Mapping[str, Rows], specs: Specs) -> bytes:
    """Return the WEIGHTS section: the rows of each tensor, in the order of the declaration."""
    coder = SymbolEncoder()
    for key, spec in specs.items():
        encode_list(coder, tensors[key].exponents)
        array = tensors[key].symbols.reshape(spec.axes)
        encode_array(coder, array, fit(array))
    return coder.to_bytes()


def pack_stream(stream: Rows) -> bytes:
    """Return the section of a stream ``(d, N)``: each row as what a linear prediction misses.

    The prediction of a symbol is a weighted sum of the two before it, the weights a row's own, see
    :mod:`seesame.neural.weights.predict`. Of some choices of weights the one with the fewest bytes
    is written.
    """
    return min((_packed(stream, weights) for weights in candidates(stream.symbols)), key=len)


def _packed(stream: Rows, weights: Ints) -> bytes:
    rest = missed(stream.symbols, weights)
    coder = SymbolEncoder()
    for values in (stream.exponents, weights[:, 0], weights[:, 1], rest[:, 0]):
        encode_list(coder, values)
    if rest.shape[1] > 1:
        array = rest[:, 1:, None]
        encode_array(coder, array, fit(array))
    return coder.to_bytes()
