"""Context mixing in integers: tables, and the bytes around the compiled loops.

A bit is coded with a probability mixed from many predictions in the logistic domain, by weights
that learn on the way (M. Mahoney, "Adaptive Weighing of Context Models for Lossless Data
Compression", 2005; "Data Compression Explained", 2013, section 4.3). What the predictions are made
from is up to the user of this module.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from seesame.bitstream.mixing_loops import (
    HIGH,
    LARGEST,
    LOW,
    ONE,
    PLACE,
    PROBABILITY_BITS,
    STRETCH_BITS,
    VALUE,
)
from seesame.errors import DamagedError

Words = NDArray[np.int32]

_FINE = 80
"""Fractional bits in which the logistic function is made."""


@lru_cache(maxsize=1)
def squash_table() -> Words:
    """Return ``1 / (1 + exp(-x))`` in 22 bits for every x of the stretch domain, int32.

    It is made in whole numbers alone, so that it is the same everywhere.
    """
    one = 1 << _FINE
    step, term = 0, one
    for i in range(1, 20):  # the series of exp(-1 / 1024)
        step += term
        term = -term // (i << STRETCH_BITS)
    table = np.zeros(2 * LARGEST + 1, np.int32)
    power = one
    for x in range(LARGEST + 1):
        chance = min(max((ONE * one) // (one + power), 1), ONE - 1)
        table[LARGEST + x], table[LARGEST - x] = chance, ONE - chance
        power = power * step >> _FINE
    table.setflags(write=False)
    return table


@lru_cache(maxsize=1)
def stretch_table() -> Words:
    """Return the inverse of :func:`squash_table` for the upper 16 bits of a probability, int32."""
    shift = PROBABILITY_BITS - 16
    middles = (np.arange(1 << 16) << shift) + (1 << shift - 1)
    places = np.searchsorted(squash_table(), middles)
    table = np.clip(places - LARGEST, -LARGEST, LARGEST).astype(np.int32)
    table.setflags(write=False)
    return table


def encoder_state() -> NDArray[np.int64]:
    """Return the state of a coder that has written nothing, int64 ``(4,)``."""
    state = np.zeros(4, np.int64)
    state[HIGH] = 0xFFFFFFFF
    return state


def decoder_state(data: bytes) -> NDArray[np.int64]:
    """Return the state of a coder that reads these bytes, int64 ``(4,)``."""
    state = encoder_state()
    state[VALUE], state[PLACE] = int.from_bytes(data[:4].ljust(4, b"\0"), "big"), 4
    return state


def last_bytes(state: NDArray[np.int64]) -> bytes:
    """Return the shortest bytes that end a stream: it reads as followed by zeros."""
    low, high = int(state[LOW]), int(state[HIGH])
    for kept in range(5):
        unit = 8 * (4 - kept)
        shortest = -(-low >> unit)
        if shortest << unit <= high:
            return shortest.to_bytes(kept, "big")
    raise AssertionError("a 32-bit word lies in any interval of 32-bit words")


def check_place(state: NDArray[np.int64], data: bytes, name: str) -> None:
    """Raise DamagedError when a decoder has settled more bytes than there are."""
    if state[PLACE] - 4 > len(data):
        raise DamagedError(f"{name} is damaged: its data end too early")


def check_end(state: NDArray[np.int64], data: bytes, name: str) -> None:
    """Raise DamagedError unless the data end just where an encoder would have ended them."""
    settled = int(state[PLACE]) - 4
    if data[settled:] != last_bytes(state) or settled > len(data):
        raise DamagedError(f"{name} is damaged: its data do not end where they should")
