"""Parts of a clip, reading from a later frame on, and frames put into batches of another size."""

from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import Protocol, runtime_checkable

import numpy as np

from seesame.video.clip import Clip, Frames


@runtime_checkable
class Seekable(Protocol):
    """A clip that can be read from a later frame on without decoding all frames before it."""

    def entry(self, number: int) -> int:
        """Return the frame from which on frames have to be decoded to get to a frame."""

    def batches_from(self, start: int, batch_size: int) -> Iterator[Frames]:
        """Yield the same frames as ``batches`` from number ``start`` on."""


def entry(clip: Clip, number: int) -> int:
    """Return the frame from which on a clip decodes to get to a frame; 0 where it cannot seek."""
    return clip.entry(number) if isinstance(clip, Seekable) else 0


def batches_from(clip: Clip, start: int, batch_size: int) -> Iterator[Frames]:
    """Yield a clip's frames from number ``start`` on, decoding as few of those before it as it can.

    The first batch may be smaller than the others.

    Raises:
        DamagedError: the clip ends early or cannot be decoded.
    """
    if isinstance(clip, Seekable):
        return clip.batches_from(start, batch_size)
    return _after(clip.batches(batch_size), start)


def _after(batches: Iterator[Frames], start: int) -> Iterator[Frames]:
    """Yield batches without their first ``start`` frames."""
    for batch in batches:
        if start < len(batch):
            yield batch[start:]
        start = max(0, start - len(batch))


class Span:
    """Some consecutive frames of a clip, as a clip.

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
        left = self.num_frames
        for batch in batches_from(self._clip, self.start, min(batch_size, left)):
            yield batch[:left]
            left -= len(batch)
            if left <= 0:
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
