"""A clip that a file's network renders lazily, pair by pair."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from fractions import Fraction

import torch
from torch import Tensor, nn

from seesame.bitstream.container import Container
from seesame.neural.corrections.apply import apply
from seesame.neural.corrections.sidecar import read_sidecar
from seesame.neural.render.bounds import DECODE_PAIRS
from seesame.neural.render.geometry import enlarged
from seesame.video.clip import Frames
from seesame.video.compiled import expect
from seesame.video.span import rebatched


class RenderedClip(ABC):
    """A clip whose pairs are rendered at the size that the stack reads, lazily.

    Args:
        container: the file.
        device: where networks run.
        pairs: of a batch, which are rendered at once.
    """

    def __init__(self, container: Container, device: str, pairs: int = DECODE_PAIRS) -> None:
        self._at_once = pairs
        self.width, self.height = container.width, container.height
        self.num_frames, self.source_bytes = container.num_frames, container.source_bytes
        self.fps: Fraction = container.fps
        self.device = torch.device(device)
        self._corrections = read_sidecar(container)

    @abstractmethod
    def render_pairs(self, first: int) -> Iterator[Tensor]:
        """Yield frames ``(B, 2, 3, h, w)`` before correction, the pairs of a batch at a time.

        Nothing may be yielded inside inference mode: a generator left unfinished would leave it
        switched on.

        Args:
            first: the first pair, a multiple of the pairs rendered at once.
        """

    def batches(self, batch_size: int) -> Iterator[Frames]:
        """Yield frames in order, ``uint8 (B, H, W, 3)``."""
        expect(self.num_frames)
        return self.batches_from(0, batch_size)

    def entry(self, number: int) -> int:
        """Return the first frame of those that are rendered together with a frame."""
        return number - number % (2 * self._at_once)

    def batches_from(self, start: int, batch_size: int) -> Iterator[Frames]:
        """Yield frames in order from a number on; no pair before :meth:`entry` is rendered."""
        return rebatched(self._rendered(start), batch_size)

    def _rendered(self, start: int) -> Iterator[Frames]:
        place = self.entry(start)
        for pairs in self.render_pairs(place // 2):
            with torch.inference_mode():
                frames = self._corrected(pairs, place // 2).flatten(0, 1).clamp(0, 255)
            wanted = frames[max(0, start - place) : self.num_frames - place]
            # One frame at a time: at source size a batch of floats would be large.
            for frame in wanted[:, None]:
                with torch.inference_mode():
                    whole = enlarged(frame, (self.height, self.width))
                yield whole
            place += len(frames)

    def _corrected(self, frames: Tensor, start: int) -> Tensor:
        """Return pairs from number ``start`` on, with the sidecar's corrections."""
        if self._corrections is None:
            return frames
        values = self._corrections.values[start : start + len(frames)]
        return apply(frames, torch.from_numpy(values))


class NetworkClip(RenderedClip):
    """A clip that a network renders from one stream of values for each pair.

    Args:
        container: the file.
        device: where the network runs; it is moved there.
        network: from values ``(B, d)`` to frames ``(B, 2, 3, h, w)``, not clamped.
        values: of all pairs, ``(N, d)``.
        pairs: of a batch, which are rendered at once.
    """

    def __init__(
        self,
        container: Container,
        device: str,
        network: nn.Module,
        values: Tensor,
        pairs: int = DECODE_PAIRS,
    ) -> None:
        super().__init__(container, device, pairs)
        self._network, self._values = network.to(self.device), values

    def render_pairs(self, first: int) -> Iterator[Tensor]:
        """See :class:`RenderedClip`."""
        for part in torch.split(self._values[first:], self._at_once):
            with torch.inference_mode():
                frames = self._network(part.to(self.device))
            yield frames
