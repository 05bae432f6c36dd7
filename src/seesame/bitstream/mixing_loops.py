"""Compiled parts of context mixing in integers, see :mod:`seesame.bitstream.mixing`.

Probabilities have 22 bits and say how likely a 1 is. The logistic domain ("stretch") has 10
fractional bits and reaches from -12 to 12. Nothing here rounds as a float would, so that every
machine decodes the same.
"""

import hashlib
from contextlib import suppress
from pathlib import Path
from typing import Any

import numba
import numpy as np
from numba import njit
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Words = NDArray[np.int32]
Reals = NDArray[np.float64]

PROBABILITY_BITS = 22
ONE = 1 << PROBABILITY_BITS
STRETCH_BITS = 10
LARGEST = 12 * (1 << STRETCH_BITS) - 1

ENCODE, DECODE, PRICE = 0, 1, 2
"""What :func:`code_bit` does: write a bit, read one, or only add up what it would cost."""

LOW, HIGH, VALUE, PLACE = 0, 1, 2, 3
"""Fields of the coder's state: its interval, the word that is read, the next byte's place."""

_WORD = 0xFFFFFFFF


def compiled(function: Any) -> Any:
    """Compile a function at its first call, or load it where it was compiled before."""
    return _compile(function)


def inlined(function: Any) -> Any:
    """Compile a function into those that call it: arrays in tuples are dear to hand over."""
    return _compile(function, forceinline=True)


_SOURCES: dict[str, bytes] = {}
"""The files of the functions that were compiled, or are to be, and their contents."""


def _compile(function: Any, **options: Any) -> Any:
    """Compile a function and keep it for other runs, in a folder named by the sources so far.

    Numba itself looks at the file of a function, but not at those whose functions are compiled into
    it: a kept function would go on with what these were.
    """
    file = function.__code__.co_filename
    _SOURCES.setdefault(file, Path(file).read_bytes())
    digest = hashlib.sha256(b"".join(_SOURCES[name] for name in sorted(_SOURCES))).hexdigest()[:16]
    options = {"nogil": True, "error_model": "numpy", **options}
    config: Any = numba.config
    usual = config.CACHE_DIR
    config.CACHE_DIR = str(Path(usual or Path(__file__).parent / "__pycache__") / digest)
    try:
        return _saved_if_possible(njit(cache=True, **options)(function))
    except RuntimeError:  # neither the package's folder nor the user's cache can be written
        return njit(**options)(function)
    finally:
        config.CACHE_DIR = usual


def _saved_if_possible(function: Any) -> Any:
    """Let a compiled function be used where it cannot be kept, as on a full disk."""
    cache = function._cache  # numba has no public way to it
    save = cache.save_overload

    def save_overload(*arguments: Any) -> None:
        with suppress(OSError):
            save(*arguments)

    cache.save_overload = save_overload
    return function


@inlined
def clamp(value: int, limit: int) -> Any:
    """Return a value brought into -limit..limit."""
    return max(min(value, limit), -limit)


@inlined
def code_bit(
    mode: int, coder: Ints, data: NDArray[np.uint8], price: Reals, bit: int, chance: int
) -> Any:
    """Code one bit and return it.

    The coder narrows an interval of 32-bit words in proportion and shifts out the bytes on which
    its ends agree (a carry-less range coder, as in M. Mahoney, "Data Compression Explained", 2013,
    section 3.2).

    Args:
        mode: ``ENCODE``, ``DECODE`` or ``PRICE``.
        coder: the state, int64 ``(4,)``.
        data: the bytes that are written or read; those past the end read as zeros.
        price: float64 ``(1,)``, to which ``PRICE`` adds the ideal bits; no symbol depends on it.
        bit: what to code; not used when decoding.
        chance: 22 bits, the probability of a 1, 1..2**22-1.
    """
    if mode == 2:
        price[0] -= np.log2((chance if bit else ONE - chance) / ONE)
        return bit
    low, high = coder[LOW], coder[HIGH]
    middle = low + (((high - low) * chance) >> PROBABILITY_BITS)
    if mode == 1:
        bit = 1 if coder[VALUE] <= middle else 0
    if bit:
        high = middle
    else:
        low = middle + 1
    while (low ^ high) & 0xFF000000 == 0:
        place = coder[PLACE]
        if mode == 0:
            data[place] = high >> 24
        else:
            follows = np.int64(data[place]) if place < data.shape[0] else np.int64(0)
            coder[VALUE] = ((coder[VALUE] << 8) & _WORD) | follows
        coder[PLACE] = place + 1
        low = (low << 8) & _WORD
        high = ((high << 8) & _WORD) | 255
    coder[LOW], coder[HIGH] = low, high
    return bit


@inlined
def mixed(inputs: Words, weights: Words) -> Any:
    """Return the weighted sum of inputs in the stretch domain; weights have 16 fractional bits."""
    total = np.int64(0)
    for i in range(inputs.shape[0]):
        total += np.int64(inputs[i]) * np.int64(weights[i])
    return clamp(total >> 16, LARGEST)


@inlined
def train(inputs: Words, weights: Words, step: int) -> None:
    """Move weights along their inputs by ``step``, the error times the rate (16 bits more)."""
    factor = np.int32(step)
    for i in range(inputs.shape[0]):
        weights[i] += (inputs[i] * factor + np.int32(32768)) >> 16
