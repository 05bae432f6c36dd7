"""Parts of a clip, and frames put into batches of another size."""

from collections.abc import Iterable, Iterator
from fractions import Fraction

import numpy as np

from seesame.video.clip import Clip, Frames


class Span:
    """Some consecutive frames of a clip, as a clip; those before them are decoded all the same.

    Args:
        clip: the whole.
        start: the first frame.
        count: how many frames; 1 or more.
        source_bytes: of the source; the frames' even share of the whole's when None.

    Raises:
        ValueError: the clip does not have these frames.
    """

    def __init__(self, clip: Clip, start: int, count: int, source_bytes: int | None = None) -> None:
        if start < 0 or count < 1 or start + count > clip.num_frames:
            raise ValueError(f"frames {start} to {start + count} of {clip.num_frames}")
        self._clip, self.start, self.num_frames = clip, start, count
        self.width, self.height = clip.width, clip.height
        self.fps: Fraction = clip.fps
        self.reading: str = getattr(clip, "reading", "")
        share = max(1, round(clip.source_bytes * count / clip.num_frames))
        self.source_bytes = share if source_bytes is None else source_bytes

    def batches(self, batch_size: int) -> Iterator[Frames]:
        """Yield the frames in order.

        Raises:
            DamagedError: the source ends early or cannot be decoded.
        """
        return rebatched(self._frames(batch_size), batch_size)

    def _frames(self, batch_size: int) -> Iterator[Frames]:
        end, seen = self.start + self.num_frames, 0
        for batch in self._clip.batches(batch_size):
            inside = batch[max(0, self.start - seen) : end - seen]
            if len(inside):
                yield inside
            seen += len(batch)
            if seen >= end:
                return


def rebatched(parts: Iterable[Frames], batch_size: int) -> Iterator[Frames]:
    """Yield frames in batches of one size, the last one smaller; parts may have any length."""
    waiting: list[Frames] = []
    count = 0
    for part in parts:
        waiting.append(part)
        count += len(part)
        if count >= batch_size:
            whole = waiting[0] if len(waiting) == 1 else np.concatenate(waiting)
            full = count // batch_size * batch_size
            for first in range(0, full, batch_size):
                yield whole[first : first + batch_size]
            waiting = [whole[full:]] if full < count else []
            count -= full
    if waiting:
        yield waiting[0] if len(waiting) == 1 else np.concatenate(waiting)
