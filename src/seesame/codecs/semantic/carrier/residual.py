"""Coarse grey pictures that are added to the first frames of a few pairs.

The carrier draws nearly every pose, but not those of cuts and of shaken cameras. Such a pair has a
residual: a grid of grey levels, enlarged to the picture. The encoder finds it by
:mod:`seesame.codecs.semantic.carrier.solve_residual`.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from seesame.bitstream.entropy import SymbolDecoder, SymbolEncoder
from seesame.bitstream.varint import Reader, pack_varint
from seesame.bounds import BOUNDS
from seesame.neural.weights.arrays import decode_array, encode_array

GRID = (12, 16)
"""Rows and columns of a residual."""
MAX_STEP = 64
"""The largest step of a residual's values, in grey levels."""


@dataclass(frozen=True)
class Residuals:
    """The residuals of a clip.

    Args:
        pairs: which have one, rising, int64 ``(R,)``.
        symbols: int32 ``(R, 12, 16)`` in ±32767, in steps.
        step: of the symbols, in grey levels.
    """

    pairs: NDArray[np.int64]
    symbols: NDArray[np.int32]
    step: int

    @classmethod
    def none(cls) -> "Residuals":
        """Return those of a clip that needs none."""
        return cls(np.zeros(0, np.int64), np.zeros((0, *GRID), np.int32), 1)

    def grids(self, pairs: int) -> Tensor:
        """Return the grey levels of all pairs' grids, ``float32 (N, 12, 16)``."""
        found = torch.zeros(pairs, *GRID)
        found[torch.from_numpy(self.pairs)] = torch.from_numpy(self.symbols).float() * self.step
        return found

    def to_bytes(self) -> bytes:
        """Return the bytes of the residuals; none for no residual."""
        from seesame.neural.weights.choose_coding import fit

        count = len(self.pairs)
        if not count:
            return b""
        gaps = np.diff(self.pairs, prepend=-1) - 1
        head = b"".join(map(pack_varint, (count - 1, self.step - 1, *gaps.tolist())))
        coder, values = SymbolEncoder(), self.symbols.astype(np.int64)
        encode_array(coder, values, fit(values))
        return head + coder.to_bytes()

    @classmethod
    def from_bytes(cls, data: bytes, pairs: int, name: str = "the file") -> "Residuals":
        """Return the residuals of :meth:`to_bytes`.

        Raises:
            DamagedError: the data cannot have come from it.
        """
        if not data:
            return cls.none()
        reader = Reader(data, name)
        most = min(pairs, BOUNDS.stream_symbols // (GRID[0] * GRID[1]))
        count = reader.varint("the number of residuals", max(0, most - 1)) + 1
        step = reader.varint("the step of the residuals", MAX_STEP - 1) + 1
        gaps = [reader.varint("the place of a residual", pairs) for _ in range(count)]
        places = np.cumsum(np.array(gaps, np.int64) + 1) - 1
        if places[-1] >= pairs:
            raise reader.fail("is damaged: a residual is of no pair")
        coder = SymbolDecoder(reader.take(reader.left, "the residuals"), name)
        symbols = decode_array(coder, (count, *GRID), name)
        coder.finish()
        return cls(places, symbols.astype(np.int32), step)


def added(grids: Tensor, size: tuple[int, int]) -> Tensor:
    """Return what grids ``(B, 12, 16)`` add to pictures of a size: ``(B, 1, h, w)``."""
    return F.interpolate(grids[:, None], size, mode="bilinear", align_corners=False)
