"""A quantised tensor as rows of symbols."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from seesame.neural.weights.quantizer import EXPONENTS

Ints = NDArray[np.int64]

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
