"""A quantised tensor as rows of symbols."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]

EXPONENTS = 8
"""Quantiser steps an octave, as many as the coder's scale index has."""
MAX_EXPONENT = 30 * EXPONENTS


@dataclass(frozen=True)
class Rows:
    """A quantised tensor: ``symbols (R, n)`` and the exponent of each row's step, ``(R,)``."""

    symbols: Ints
    exponents: Ints

    def values(self) -> NDArray[np.float32]:
        """Return the dequantised rows ``(R, n)``: each symbol times its row's step 2^(e/8)."""
        steps = np.exp2(self.exponents / EXPONENTS)
        return (self.symbols * steps[:, None]).astype(np.float32)
