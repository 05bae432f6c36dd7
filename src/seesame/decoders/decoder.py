"""Random access to frames under torchcodec's names."""

import os
from collections.abc import Iterator, Sequence
from fractions import Fraction
from functools import cached_property, partial
from operator import index as as_index
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal

import numpy as np
from numpy.typing import NDArray

from seesame.context import Progress, no_progress
from seesame.decoders.frames import Frame, FrameBatch, VideoStreamMetadata
from seesame.decoders.opening import (
    batch_frames,
    counted,
    open_bytes,
    open_clip,
    resolve_device,
)
from seesame.errors import DamagedError, UserError
from seesame.video.clip import Clip, Frames
from seesame.video.reading.reader import VideoClip
from seesame.video.reading.seek import Index
from seesame.video.span import batches_from, entry
from seesame.video.times import Times, clip_times
from seesame.video.writing.writer import write_clip

if TYPE_CHECKING:
    from torch import Tensor

Source = str | Path | bytes | BinaryIO
"""A path, the bytes of a file, or a binary file object."""
Order = Literal["NCHW", "NHWC"]

_abandoned: list[Iterator[Frames]] = []
"""Decoders of a process that this one was forked from. Their threads are not here, so that closing
them would wait forever.
"""


def open(source: Source, *, dimension_order: Order = "NCHW", **options: Any) -> "VideoDecoder":
    """Open a file for random access; the arguments are those of :class:`VideoDecoder`.

    Raises:
        UserError: missing, not readable, or no video in it.
        DamagedError: empty, not a video, truncated, or not decodable.
    """
    return VideoDecoder(source, dimension_order=dimension_order, **options)


class VideoDecoder:
    """The frames of a file by their numbers or times; it is a clip as well.

    ``len(video)`` is the number of frames. ``video[10]`` is a frame and ``video[10:20]``,
    ``video[::5]`` are batches, as tensors; negative numbers count from the end; ``for frame in
    video`` yields all frames in order. Frames are those that decoding from the first frame on
    gives, byte for byte. docs/decoding.md says what each kind of file costs.

    An object is for one thread. It may be used in a process that was forked, and it can be pickled
    unless it was opened from a file object: the copy opens the source again.

    Args:
        source: a path as :func:`open_clip` takes it, the bytes of a file, or a binary file object
            with ``read`` and ``seek``.
        dimension_order: of the tensors: ``NCHW``, or ``NHWC`` as they lie in memory.
        device: where the frames are put, and where the networks of an .ssm file run: a torch
            device, or ``auto``.
        options: the other arguments of :func:`open_clip`, as ``size`` of a .raw.

    Raises:
        UserError: missing, not readable, or no video in it.
        DamagedError: empty, not a video, truncated, or not decodable.
    """

    def __init__(
        self,
        source: Source,
        *,
        dimension_order: Order = "NCHW",
        device: str = "cpu",
        **options: Any,
    ) -> None:
        if dimension_order not in ("NCHW", "NHWC"):
            raise UserError(f"dimension order {dimension_order!r}; use NCHW or NHWC")
        self._source, self._order = source, dimension_order
        self._options = {"device": device, **options}
        self._device = resolve_device(device)
        self.path = Path(source) if isinstance(source, str | Path) else None
        """The file; None where it was given as bytes or as a file object."""
        self._folder = None
        if isinstance(source, str | Path):
            self.clip: Clip = open_clip(source, **self._options)
            """The same video, to be read from the first frame to the last."""
        else:
            self.clip, self._folder = open_bytes(source, **self._options)
        self._reading: Iterator[Frames] | None = None
        self._next, self._process = 0, os.getpid()

    def __reduce__(self) -> tuple[object, ...]:
        if not isinstance(self._source, str | Path | bytes):
            raise TypeError(
                "a decoder of a file object cannot be pickled; open it from a path or from bytes"
            )
        made = partial(VideoDecoder, dimension_order=self._order, **self._options)
        return made, (self._source,)

    @property
    def width(self) -> int:
        """Pixels a row."""
        return self.clip.width

    @property
    def height(self) -> int:
        """Rows a frame."""
        return self.clip.height

    @property
    def fps(self) -> Fraction:
        """Frames a second."""
        return self.clip.fps

    @property
    def num_frames(self) -> int:
        """Exact count of frames."""
        return self.clip.num_frames if self._index is None else len(self._index.stamps)

    @property
    def times(self) -> Times | None:
        """The timestamps of the frames; None where the file has none."""
        return clip_times(self.clip)

    @property
    def source_bytes(self) -> int:
        """Size of the file."""
        return self.clip.source_bytes

    @property
    def metadata(self) -> VideoStreamMetadata:
        """Facts about the video."""
        begin, end = self._span
        index = self._index
        codec = getattr(self.clip, "codec", None) if index is None else index.codec
        return VideoStreamMetadata(
            width=self.width,
            height=self.height,
            num_frames=len(self),
            average_fps=len(self) / (end - begin),
            duration_seconds=end - begin,
            begin_stream_seconds=begin,
            end_stream_seconds=end,
            bit_rate=8 * self.source_bytes / (end - begin),
            codec=codec,
            nbytes=self.source_bytes,
        )

    def batches(self, batch_size: int) -> Iterator[Frames]:
        """Yield all frames in order, ``uint8 (B, H, W, 3)`` of numpy. Raises DamagedError."""
        return self.clip.batches(batch_size)

    def __len__(self) -> int:
        return self.num_frames

    def __iter__(self) -> Iterator["Tensor"]:
        for batch in self.clip.batches(batch_frames(self.clip)):
            yield from self._tensor(batch)

    def __getitem__(self, key: int | slice) -> "Tensor":
        if isinstance(key, slice):
            return self._tensor(self._frames(range(*key.indices(len(self)))))
        return self._tensor(self._frames([self._number(key)]))[0]

    def get_frame_at(self, index: int) -> Frame:
        """Return one frame.

        Args:
            index: its number; negative ones count from the end.

        Raises:
            IndexError: the video has no such frame.
            DamagedError: it cannot be decoded.
        """
        return self._frame(self._number(index))

    def get_frames_at(self, indices: "Sequence[int] | Tensor") -> FrameBatch:
        """Return some frames in the order of the numbers given; each is decoded once.

        Raises:
            IndexError: the video has no such frame.
            DamagedError: one cannot be decoded.
        """
        return self._batch([self._number(index) for index in indices])

    def get_frames_in_range(self, start: int, stop: int, step: int = 1) -> FrameBatch:
        """Return the frames from ``start`` to ``stop``, this one not included, as slices count.

        Raises:
            DamagedError: one cannot be decoded.
        """
        return self._batch(range(*slice(start, stop, step).indices(len(self))))

    def get_frame_played_at(self, seconds: float) -> Frame:
        """Return the frame that is shown at a time.

        Raises:
            IndexError: before the first frame, or when the last one has ended.
            DamagedError: it cannot be decoded.
        """
        return self._frame(self._number_at(seconds))

    def get_frames_played_at(self, seconds: "Sequence[float] | Tensor") -> FrameBatch:
        """Return the frames that are shown at some times, in the order given.

        Raises:
            IndexError: before the first frame, or when the last one has ended.
            DamagedError: one cannot be decoded.
        """
        return self._batch([self._number_at(float(time)) for time in seconds])

    def get_frames_played_in_range(
        self, start_seconds: float, stop_seconds: float, fps: float | None = None
    ) -> FrameBatch:
        """Return the frames that are shown from a time up to another, this one not included.

        Args:
            start_seconds: the frame that is being shown then is the first.
            stop_seconds: frames that are shown from then on are not returned.
            fps: return so many frames a second instead, some left out or repeated.

        Raises:
            ValueError: times before the first frame or behind the last one, or in wrong order.
            DamagedError: a frame cannot be decoded.
        """
        begin, end = self._span
        if not (begin <= start_seconds < end and start_seconds <= stop_seconds <= end):
            raise ValueError(
                f"from {start_seconds} to {stop_seconds} s; the video plays from {begin} to {end} s"
            )
        if fps is None:
            first = self._number_at(start_seconds)
            stop = int(np.searchsorted(self._played, stop_seconds, side="left"))
            return self._batch(range(first, stop if stop_seconds > start_seconds else first))
        if fps <= 0:
            raise ValueError(f"{fps} frames a second")
        count = round((stop_seconds - start_seconds) * fps)
        times = start_seconds + np.arange(count) / fps
        batch = self._batch([self._number_at(min(time, self._played[-1])) for time in times])
        import torch

        durations = torch.full((count,), 1 / fps, dtype=torch.float64)
        return FrameBatch(batch.data, torch.from_numpy(times), durations)

    def get_all_frames(self, fps: float | None = None) -> FrameBatch:
        """Return all frames, or so many a second, as :meth:`get_frames_played_in_range` does."""
        return self.get_frames_played_in_range(*self._span, fps)

    def save(
        self,
        path: str | Path,
        *,
        crf: int | None = None,
        overwrite: bool = False,
        progress: Progress = no_progress,
    ) -> None:
        """Write the video as .mkv or .mp4, as a headerless .raw, or as a folder of PNG.

        Args:
            path: the output; its suffix chooses the format, none means a folder.
            crf: quality of x264, 0 (best) to 51; lossless when None. For .mkv and .mp4 only.
            overwrite: replace an output that is there.
            progress: called with the share done and a short text.

        Raises:
            UserError: the output is there already or cannot be written; nothing is left behind.
            DamagedError: the video cannot be decoded to its end.
        """
        write_clip(
            Path(path),
            counted(self, progress),
            fps=self.fps,
            width=self.width,
            height=self.height,
            crf=crf,
            overwrite=overwrite,
            times=self.times,
            tracks=getattr(self.clip, "tracks", b""),
        )

    @cached_property
    def _index(self) -> Index | None:
        """The packets of a video file, where they tell which frame is which."""
        return self.clip.index if isinstance(self.clip, VideoClip) else None

    @cached_property
    def _clock(self) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
        """When each frame is shown first and for how long, and when the last one ends: seconds."""
        times = None
        if self._options.get("fps") is None:
            times = clip_times(self.clip) if self._index is None else self._index.times()
        if times is None:
            ticks, tick = np.arange(len(self) + 1), 1 / self.fps
        else:
            ticks, tick = np.append(times.pts, times.pts[-1] + times.duration), times.time_base
        # Quotients of whole numbers, so that 3 ticks of 1/25 s are 0.12 s.
        starts, durations = (
            whole * tick.numerator / tick.denominator for whole in (ticks, np.diff(ticks))
        )
        return starts[:-1], durations, float(starts[-1])

    @property
    def _played(self) -> NDArray[np.float64]:
        return self._clock[0]

    @property
    def _span(self) -> tuple[float, float]:
        """When the first frame begins and the last one ends, in seconds."""
        return float(self._played[0]), self._clock[2]

    def _number(self, index: Any) -> int:
        """The frame's number from 0."""
        number, count = as_index(index), len(self)
        if not -count <= number < count:
            raise IndexError(f"there is no frame {number}; the video has {count}")
        return number + count if number < 0 else number

    def _number_at(self, seconds: float) -> int:
        begin, end = self._span
        if not begin <= seconds < end:
            raise IndexError(f"{seconds} s; the video plays from {begin} to before {end} s")
        return int(np.searchsorted(self._played, seconds, side="right")) - 1

    def _frame(self, number: int) -> Frame:
        data = self._tensor(self._frames([number]))[0]
        return Frame(data, float(self._played[number]), float(self._clock[1][number]))

    def _batch(self, numbers: Sequence[int]) -> FrameBatch:
        import torch

        chosen = np.fromiter(numbers, dtype=np.int64, count=len(numbers))
        played, durations = (torch.from_numpy(values[chosen]) for values in self._clock[:2])
        return FrameBatch(self._tensor(self._frames(numbers)), played, durations)

    def _tensor(self, frames: Frames) -> "Tensor":
        """Return frames on the device, their axes in order."""
        import torch

        tensor = torch.from_numpy(frames).to(self._device)
        return tensor.permute(0, 3, 1, 2) if self._order == "NCHW" else tensor

    def _frames(self, numbers: Sequence[int]) -> Frames:
        """Decode frames in rising order, each once, and return them in the order given."""
        found = np.empty((len(numbers), self.height, self.width, 3), dtype=np.uint8)
        last: tuple[int, int] | None = None
        for place in sorted(range(len(numbers)), key=numbers.__getitem__):
            number = numbers[place]
            if last is not None and last[0] == number:
                found[place] = found[last[1]]
            else:
                found[place] = self._decoded(number)
            last = number, place
        return found

    def _decoded(self, number: int) -> Frames:
        """Decode one frame: on from the last one where nothing is nearer, else from its entry."""
        if self._process != os.getpid():
            if self._reading is not None:
                _abandoned.append(self._reading)
            self._reading, self._process = None, os.getpid()
        if self._reading is None or not entry(self.clip, number) <= self._next <= number:
            self._reading, self._next = _singly(batches_from(self.clip, number, 1)), number
        try:
            frame = next(self._reading)
            while self._next < number:
                self._next += 1
                frame = next(self._reading)
            self._next += 1
        except StopIteration:
            self._reading = None
            raise DamagedError(
                f"{self.path or 'the given video'}: promises {len(self)} frames, but ends before "
                f"frame {number}; get a whole copy"
            ) from None
        except Exception:
            self._reading = None
            raise
        return frame


def _singly(batches: Iterator[Frames]) -> Iterator[Frames]:
    """Yield frames ``(H, W, 3)``."""
    for batch in batches:
        yield from batch
