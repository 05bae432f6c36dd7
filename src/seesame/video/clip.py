"""The protocol of a clip: a lazy source of RGB frames."""

from collections.abc import Iterator
from fractions import Fraction
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

Frames = NDArray[np.uint8]
"""RGB frames, ``uint8 (T, H, W, 3)``."""


@runtime_checkable
class Clip(Protocol):
    """One video, decoded lazily; every call of :meth:`batches` starts again at the first frame."""

    @property
    def width(self) -> int:
        """Pixels a row, after any rotation metadata is applied."""

    @property
    def height(self) -> int:
        """Rows a frame, after any rotation metadata is applied."""

    @property
    def fps(self) -> Fraction:
        """Frames a second (the average for a variable frame rate)."""

    @property
    def num_frames(self) -> int:
        """Exact count of decodable frames."""

    @property
    def source_bytes(self) -> int:
        """Bytes of the source on disk: the denominator of the rate."""

    def batches(self, batch_size: int) -> Iterator[Frames]:
        """Yield frames in order, ``uint8 (B, H, W, 3)``; every batch but the last is full.

        Raises:
            DamagedError: the source ends early or cannot be decoded.
        """


class ArrayClip:
    """A clip held in memory, for tests and short renders.

    Args:
        frames: ``uint8 (T, H, W, 3)``.
        fps: frames a second.
        source_bytes: what counts as the source's size; the raw size when None.
    """

    def __init__(
        self, frames: Frames, fps: Fraction | int = 20, source_bytes: int | None = None
    ) -> None:
        if frames.ndim != 4 or frames.shape[3] != 3 or frames.dtype != np.uint8:
            raise ValueError(
                f"frames must be uint8 (T, H, W, 3), not {frames.dtype} {frames.shape}"
            )
        self.frames = frames
        self.num_frames, self.height, self.width = (int(n) for n in frames.shape[:3])
        self.fps = Fraction(fps)
        self.source_bytes = frames.nbytes if source_bytes is None else source_bytes

    def batches(self, batch_size: int) -> Iterator[Frames]:
        """Yield the frames in order."""
        for start in range(0, self.num_frames, batch_size):
            yield self.frames[start : start + batch_size]
