"""Parts of a clip as lossless files of their own, for searches on less than the whole."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from seesame.errors import DamagedError
from seesame.video.clip import Clip, Frames
from seesame.video.writing.writer import write_clip

Span = tuple[int, int]
"""The first frame, and the one after the last."""


@dataclass(frozen=True)
class Piece:
    """A part of a clip, in a lossless file of its own.

    Args:
        frames: how many frames it has.
        path: the file.
        source_bytes: its share of the source's bytes.
    """

    frames: int
    path: Path
    source_bytes: int


def even_cuts(num_frames: int, length: int) -> list[int]:
    """Return cuts after every ``length`` frames, in whole pairs; the last part has half or more."""
    step = max(2, length // 2 * 2)
    return [cut for cut in range(step, num_frames, step) if num_frames - cut >= step / 2]


def windows(clip: Clip, seconds: float, each: float = 4.0) -> list[Span]:
    """Return windows of a clip, spread evenly over it.

    They begin and end with whole pairs. A clip that is no longer than ``seconds`` is one window.

    Args:
        clip: the whole.
        seconds: length of all windows together.
        each: length of one, about.
    """
    frames = round(seconds * clip.fps)
    if frames >= clip.num_frames:
        return [(0, clip.num_frames)]
    count = max(1, round(seconds / each))
    length = max(2, frames // count // 2 * 2)
    free = clip.num_frames - count * length
    starts = [round((i + 0.5) * free / count) // 2 * 2 + i * length for i in range(count)]
    return [(start, start + length) for start in starts]


def cut_out(clip: Clip, cuts: Sequence[int], folder: Path) -> Iterator[Piece]:
    """Yield a clip's parts as files, reading it once; a file is removed when the next is asked for.

    Args:
        clip: the whole.
        cuts: numbers of the frames that begin a part, without the first; rising.
        folder: where the files are written.

    Raises:
        DamagedError: the clip ends early.
    """
    spans = list(itertools.pairwise([0, *cuts, clip.num_frames]))
    frames = _frames(clip, spans)
    for start, end in spans:
        piece = _written(clip, itertools.islice(frames, end - start), end - start, folder)
        yield piece
        piece.path.unlink()


def sample(clip: Clip, spans: Sequence[Span], folder: Path) -> Piece:
    """Write some windows of a clip, one after the other, as one file.

    Raises:
        DamagedError: the clip ends early.
    """
    count = sum(end - start for start, end in spans)
    return _written(clip, _frames(clip, spans), count, folder)


def _written(clip: Clip, frames: Iterator[Frames], count: int, folder: Path) -> Piece:
    path = folder / "part.mkv"
    made = write_clip(
        path, frames, fps=clip.fps, width=clip.width, height=clip.height, overwrite=True
    )
    if made != count:
        raise DamagedError(f"the clip promises {clip.num_frames} frames, but has fewer")
    return Piece(count, path, max(1, round(clip.source_bytes * count / clip.num_frames)))


def _frames(clip: Clip, spans: Sequence[Span]) -> Iterator[Frames]:
    """Yield the frames of rising spans, each in a batch of its own."""
    left = list(spans)[::-1]
    for number, frame in enumerate(frame for batch in clip.batches(16) for frame in batch):
        while left and number >= left[-1][1]:
            left.pop()
        if not left:
            return
        if number >= left[-1][0]:
            yield frame[None]
