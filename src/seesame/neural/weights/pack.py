"""Symbols to bytes: the WEIGHTS and LATENTS sections of layout 2."""

from collections.abc import Mapping

from seesame.bitstream.entropy import SymbolEncoder
from seesame.neural.weights.arrays import Axes, Ints, encode_array, encode_list
from seesame.neural.weights.choose_coding import fit
from seesame.neural.weights.predict import candidates, missed
from seesame.neural.weights.rows import Rows


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


def pack_latents(latents: Rows) -> bytes:
    """The LATENTS section: a row a latent dimension, each as what a linear prediction misses.

    The prediction of a symbol is a weighted sum of the two before it, the weights a row's own, see
    :mod:`seesame.neural.weights.predict`. Of some choices of weights the one with the fewest bytes
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
