"""A clip that a file's network renders lazily, pair by pair."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from fractions import Fraction

import numpy as np
import torch
from torch import Tensor

from seesame.bitstream.container import Container, Section
from seesame.errors import DamagedError
from seesame.neural.corrections.sidecar import Corrections, apply, unpack_sidecar
from seesame.neural.render.geometry import enlarge
from seesame.video.clip import Frames
from seesame.video.resize import to_uint8

MAX_LATENT_SYMBOLS = 1 << 24
DECODE_PAIRS = 4
"""Pairs decoded at once: fixed, so that the pixels do not depend on the reader's batch size."""
MAX_ENLARGEMENT = 64
"""A file that asks for more was not made by the encoder; it would only cost memory."""


class RenderedClip(ABC):
    """A clip whose pairs are rendered at the size that the stack reads, lazily."""

    def __init__(self, container: Container, device: str) -> None:
        self.width, self.height = container.width, container.height
        self.num_frames, self.source_bytes = container.num_frames, container.source_bytes
        self.fps: Fraction = container.fps
        self._device = torch.device(device)
        self._corrections = unpack_corrections(container)

    @abstractmethod
    def _pairs(self) -> Iterator[Tensor]:
        """Frames ``(B, 2, 3, h, w)`` before correction, batch after batch.

        Nothing may be yielded inside inference mode: a generator left unfinished would leave it
        switched on.
        """

    def batches(self, batch_size: int) -> Iterator[Frames]:
        """Frames in order, ``uint8 (B, H, W, 3)``."""
        waiting: list[Frames] = []
        held = 0
        for batch in self._rendered():
            waiting.append(batch)
            held += len(batch)
            if held >= batch_size:
                joined = np.concatenate(waiting)
                full = held - held % batch_size
                for start in range(0, full, batch_size):
                    yield joined[start : start + batch_size]
                waiting, held = [joined[full:]], held - full
        if held:
            yield np.concatenate(waiting)

    def _rendered(self) -> Iterator[Frames]:
        left, done = self.num_frames, 0
        for pairs in self._pairs():
            with torch.inference_mode():
                frames = self._corrected(pairs, done).flatten(0, 1).clamp(0, 255)
            # One frame at a time: at source size a batch of floats would be large.
            for frame in frames[:left, None]:
                with torch.inference_mode():
                    whole = to_uint8(enlarge(frame, (self.height, self.width)))
                yield whole
            left -= 2 * len(pairs)
            done += len(pairs)

    def _corrected(self, frames: Tensor, start: int) -> Tensor:
        """Pairs ``(B, 2, 3, h, w)`` from number ``start`` on, with the sidecar's corrections."""
        if self._corrections is None:
            return frames
        values = self._corrections.values[start : start + len(frames)]
        return apply(frames, torch.from_numpy(values))


def check_render(render: tuple[int, int], container: Container, name: str) -> None:
    """Raise DamagedError for a render size that no encoder chooses for the file's frames."""
    size = (container.height, container.width)
    for rendered, side in zip(render, size, strict=True):
        if not rendered <= side <= MAX_ENLARGEMENT * rendered:
            raise DamagedError(f"{name} is damaged: it renders {rendered} pixels for {side}")


def num_pairs(container: Container) -> int:
    """Pairs of a file, an odd last frame counted as one."""
    return -(-container.num_frames // 2)


def unpack_corrections(container: Container) -> Corrections | None:
    """The sidecar of a file, or None. Raises DamagedError when it does not decode."""
    payload = container.sections.get(Section.SIDECAR)
    if payload is None:
        return None
    return unpack_sidecar(payload, num_pairs(container), "the file")
