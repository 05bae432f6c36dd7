"""A clip that keeps its frames at render size as they pass: the frames that training reads."""

from collections.abc import Iterator

import torch
from torch import Tensor

from seesame.video.clip import Clip, Frames
from seesame.video.resize import resize, to_float


class SourcePairs:
    """A clip whose frames are kept, at render size, while something else reads it.

    Args:
        clip: the source.
        size: ``(height, width)`` at which frames are kept.
    """

    def __init__(self, clip: Clip, size: tuple[int, int]) -> None:
        self.width, self.height, self.fps = clip.width, clip.height, clip.fps
        self.num_frames, self.source_bytes = clip.num_frames, clip.source_bytes
        self._clip, self._size = clip, size
        # The whole clip at once, at render size: training reads pairs at random.
        self._small = torch.empty(-(-clip.num_frames // 2) * 2, 3, *size, dtype=torch.uint8)

    def batches(self, batch_size: int) -> Iterator[Frames]:
        """Yield the clip's batches, and keep each frame at render size."""
        done = 0
        for batch in self._clip.batches(batch_size):
            small = resize(to_float(batch), self._size, "area").round()
            room = self._small[done : done + len(batch)]  # shorter if the clip gives too many
            room.copy_(small[: len(room)])
            done += len(batch)
            yield batch
        if done % 2:
            self._small[-1] = self._small[-2]

    def pairs(self) -> Tensor:
        """Return all frames as pairs ``uint8 (N, 2, 3, h, w)``; an odd last one stands twice."""
        return self._small.view(-1, 2, *self._small.shape[1:])
