"""The challenge's headerless ``.raw``: RGB bytes, ``(T, H, W, 3)``, nothing else."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np

from seesame.errors import DamagedError, UserError
from seesame.video.clip import Frames

CAMERA_SIZE = (874, 1164)
"""``(height, width)`` of comma's camera, what a ``.raw`` holds unless told otherwise."""


class RawClip:
    """A headerless clip; the frames are read from the disk batch by batch.

    Args:
        path: the file.
        size: ``(height, width)``.
        fps: frames a second.

    Raises:
        DamagedError: empty, or not a whole number of frames.
    """

    def __init__(self, path: Path, size: tuple[int, int], fps: Fraction) -> None:
        self.path = path
        self.height, self.width = size
        self.fps = fps
        if min(size) < 1:
            raise UserError(f"{path}: {self.width}x{self.height} is no frame size")
        self.source_bytes = path.stat().st_size
        self.num_frames, rest = divmod(self.source_bytes, self.width * self.height * 3)
        if rest or not self.num_frames:
            raise DamagedError(
                f"{path}: {self.source_bytes} bytes are no whole number of RGB frames of "
                f"{self.width}x{self.height}; give the right size, or get a whole copy"
            )

    def batches(self, batch_size: int) -> Iterator[Frames]:
        """Yield the frames in order."""
        return self.batches_from(0, batch_size)

    def entry(self, number: int) -> int:
        """Return the number itself: every frame is read by itself."""
        return number

    def batches_from(self, start: int, batch_size: int) -> Iterator[Frames]:
        """Yield the frames from a number on."""
        frame_bytes = self.width * self.height * 3
        with self.path.open("rb") as file:
            file.seek(start * frame_bytes)
            for first in range(start, self.num_frames, batch_size):
                count = min(batch_size, self.num_frames - first)
                pixels = np.fromfile(file, dtype=np.uint8, count=count * frame_bytes)
                if pixels.size < count * frame_bytes:
                    raise DamagedError(f"{self.path}: became shorter while it was read")
                yield pixels.reshape(count, self.height, self.width, 3)
