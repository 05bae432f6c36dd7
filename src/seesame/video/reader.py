"""Reading clips: video files through PyAV, folders of pictures, headerless ``.raw``."""

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from functools import cached_property
from itertools import islice
from pathlib import Path

import av
import numpy as np
from av.buffer import Buffer
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from seesame.errors import DamagedError, UserError
from seesame.video.clip import Clip, Frames
from seesame.video.complete import check_complete
from seesame.video.images import PICTURES, PictureClip
from seesame.video.pixels import frame_to_rgb, upright
from seesame.video.raw import CAMERA_SIZE, RawClip
from seesame.video.seek import Index, Seeker

DEFAULT_FPS = Fraction(20)
"""The frame rate of sources without timestamps: that of comma's cameras."""

_BARE_STREAMS = {
    ".hevc": "hevc",
    ".h265": "hevc",
    ".265": "hevc",
    ".h264": "h264",
    ".264": "h264",
}

_CONTAINERS = "mov,matroska,webm,avi,mpegts,hevc,h264,mpeg,flv,ivf,obu,asf,ogg,mjpeg,m4v"
"""The formats that FFmpeg may take a file for: never a playlist, which could name other files."""

_STRICT = {"err_detect": "crccheck+bitstream+buffer+explode"}
"""Report damage instead of hiding it behind guessed pixels."""

_NO_DECODER = "no decoder for this kind of video; convert it to H.264 first"

_counts: dict[tuple[str, int, int], int] = {}
"""Frames of files already counted, by path, size and time of last change."""


def open_clip(
    path: Path | str, *, size: tuple[int, int] | None = None, fps: Fraction | int | None = None
) -> Clip:
    """Open a clip for lazy reading.

    Args:
        path: a video file, a folder of PNG or JPEG pictures, or a headerless ``.raw``.
        size: ``(height, width)`` of a ``.raw``; comma's camera when None. Others know their size.
        fps: overrides what the file says; sources that say nothing have 20.

    Raises:
        UserError: missing, not readable, no video in it.
        DamagedError: empty, not a video, truncated, or not decodable.
    """
    path = Path(path)
    rate = None if fps is None else Fraction(fps)
    if rate is not None and rate <= 0:
        raise UserError(f"{path}: {rate} frames a second; give a rate above 0")
    try:
        if path.is_dir():
            return PictureClip(path, rate or DEFAULT_FPS)
        if not path.exists():
            raise UserError(f"{path}: not found")
        with path.open("rb") as file:
            if not file.read(1):
                raise DamagedError(f"{path}: empty file")
    except OSError as error:
        raise UserError(f"{path}: not readable ({error.strerror})") from error
    if path.suffix.lower() == ".raw":
        return RawClip(path, size or CAMERA_SIZE, rate or DEFAULT_FPS)
    if path.suffix.lower() in PICTURES:
        raise UserError(f"{path}: a single picture; give the folder that holds the clip's pictures")
    return VideoClip(path, rate)


class VideoClip:
    """A video file. Its first frame is decoded on opening, so that most mistakes show at once.

    Args:
        path: the file.
        fps: overrides what the file says.
    """

    def __init__(self, path: Path, fps: Fraction | None = None) -> None:
        self.path = path
        self.source_bytes = path.stat().st_size
        with _errors(path), self._open() as (container, stream):
            check_complete(path, container.format.name)
            first = next(self._decode_all(container, stream), None)
            if first is None:
                raise DamagedError(f"{path}: holds no decodable frame")
            self._layout = _layout(first)
            self._turn = _matrix(first)
            self.height, self.width = upright(frame_to_rgb(first), self._turn).shape[:2]
            self._declared = self._declared_fps(stream)
        self._fps = fps

    @property
    def fps(self) -> Fraction:
        """The declared rate; the average of the timestamps where they say otherwise."""
        if self._fps is None:
            with _errors(self.path):
                self._fps = self._average_fps()
        return self._fps

    @property
    def num_frames(self) -> int:
        """Exact count: the file is decoded once for it, unless it was read to its end before."""
        key = self._key()
        if key not in _counts:
            for _ in self._frames():
                pass
        return _counts[key]

    @property
    def index(self) -> Index | None:
        """The frames by their packets; None where these do not tell which frame is which.

        It costs one pass over the packets, which are not decoded.
        """
        with _errors(self.path):
            return self._seeker.index

    @cached_property
    def _seeker(self) -> Seeker:
        return Seeker(self._open, self._decode)

    def batches(self, batch_size: int) -> Iterator[Frames]:
        """Yield the frames in order."""
        return self._batched(self._frames(), batch_size)

    def entry(self, number: int) -> int:
        """Return the last key frame up to a frame."""
        with _errors(self.path):
            return self._seeker.entry(number)

    def batches_from(self, start: int, batch_size: int) -> Iterator[Frames]:
        """Yield the frames in order from a number on, decoded from the key frame before it."""
        return self._batched(self._frames_from(start), batch_size)

    def _frames_from(self, start: int) -> Iterator[VideoFrame]:
        with _errors(self.path):
            found = self._seeker.frames(start) if start else None
            yield from islice(self._frames(), start, None) if found is None else found

    def _batched(self, frames: Iterator[VideoFrame], batch_size: int) -> Iterator[Frames]:
        """Convert frames and put them into batches."""
        batch = np.empty((batch_size, self.height, self.width, 3), dtype=np.uint8)
        filled = 0
        for frame in frames:
            with _errors(self.path):
                batch[filled] = upright(frame_to_rgb(frame), self._turn)
            filled += 1
            if filled == batch_size:
                yield batch
                batch, filled = np.empty_like(batch), 0
        if filled:
            yield batch[:filled].copy()

    def _frames(self) -> Iterator[VideoFrame]:
        """Decode the whole file; count it on the way."""
        count = 0
        with _errors(self.path), self._open() as (container, stream):
            for frame in self._decode_all(container, stream):
                if _layout(frame) != self._layout:
                    raise UserError(
                        f"{self.path}: changes from {_text(self._layout)} to "
                        f"{_text(_layout(frame))} at frame {count}; split it there"
                    )
                yield frame
                count += 1
        _counts[self._key()] = count

    def _decode(
        self, packets: "Iterable[Packet[VideoStream]]", stream: VideoStream
    ) -> Iterator[VideoFrame]:
        """Decode some packets; refuse what the demuxer or the decoder marks as damaged."""
        for number, packet in enumerate(packets):
            if packet.is_corrupt:
                raise DamagedError(f"{self.path}: damaged or truncated at packet {number}")
            for frame in packet.decode():
                assert isinstance(frame, VideoFrame)
                if frame.is_corrupt:
                    raise DamagedError(f"{self.path}: damaged frame near packet {number}")
                yield frame

    def _decode_all(self, container: InputContainer, stream: VideoStream) -> Iterator[VideoFrame]:
        """Decode to the end, and check that it is the declared one."""
        packets = 0
        end, longest = 0.0, 1 / float(self._declared_fps(stream))

        def counted() -> "Iterator[Packet[VideoStream]]":
            nonlocal packets
            for packet in container.demux(stream):
                packets += packet.size > 0
                yield packet

        for frame in self._decode(counted(), stream):
            if frame.time is not None:
                end, longest = frame.time, max(longest, frame.time - end)
            yield frame
        self._check_end(container, stream, packets, end + 2 * longest)

    def _check_end(
        self, container: InputContainer, stream: VideoStream, packets: int, end: float
    ) -> None:
        """Compare what was read with what the container declares, where it declares anything.

        Args:
            container: just read to its end.
            stream: the video in it.
            packets: how many came.
            end: seconds, the latest that the last frame's end may be.
        """
        if "mp4" in container.format.name:
            declared = stream.frames
            if packets < declared and self._packets_without_edits() < declared:
                raise DamagedError(
                    f"{self.path}: damaged: {packets} of {declared} frames; get a whole copy"
                )
        elif "matroska" in container.format.name:
            seconds = _matroska_seconds(container, stream)
            if end < seconds:
                raise DamagedError(
                    f"{self.path}: damaged: the video stops {seconds - end:.2f} s or more before "
                    "its declared end; get a whole copy"
                )

    def _packets_without_edits(self) -> int:
        """Return packets in the file when its edit list, which may drop some, is not applied."""
        with self._open({"ignore_editlist": "1"}) as (container, stream):
            return sum(packet.size > 0 for packet in container.demux(stream))

    @contextmanager
    def _open(
        self, options: dict[str, str] | None = None
    ) -> Iterator[tuple[InputContainer, VideoStream]]:
        bare = _BARE_STREAMS.get(self.path.suffix.lower())
        # "file:" keeps a name with a colon from being taken for an address.
        with av.open(
            f"file:{self.path}",
            format=bare,
            metadata_errors="replace",
            options={"format_whitelist": _CONTAINERS, "protocol_whitelist": "file"}
            | (options or {}),
        ) as container:
            videos = [s for s in container.streams.video if not _is_cover(s)]
            if not videos:
                raise UserError(f"{self.path}: no video in this file")
            stream = videos[0]
            if stream.codec_context is None:
                raise UserError(f"{self.path}: {_NO_DECODER}")
            stream.thread_type = "AUTO"
            stream.codec_context.options = _STRICT
            yield container, stream

    def _declared_fps(self, stream: VideoStream) -> Fraction:
        if self.path.suffix.lower() in _BARE_STREAMS:
            return DEFAULT_FPS
        return stream.average_rate or stream.guessed_rate or DEFAULT_FPS

    def _average_fps(self) -> Fraction:
        """Return the average rate of all timestamps; what Matroska declares may not hold."""
        with self._open() as (container, stream):
            times = [packet.pts for packet in container.demux(stream) if packet.pts is not None]
            tick = stream.time_base
        if len(times) < 2 or tick is None or self.path.suffix.lower() in _BARE_STREAMS:
            return self._declared
        intervals, span = len(times) - 1, (max(times) - min(times)) * tick
        if span <= 0 or abs(span - intervals / self._declared) <= span / 100 + 2 * tick:
            return self._declared
        return (intervals / span).limit_denominator(1001)

    def _key(self) -> tuple[str, int, int]:
        status = self.path.stat()
        return str(self.path.resolve()), status.st_size, status.st_mtime_ns


_Layout = tuple[int, int, str, int]


def _layout(frame: VideoFrame) -> _Layout:
    """Return what must not change within a clip."""
    return frame.width, frame.height, frame.format.name, frame.rotation


def _text(layout: _Layout) -> str:
    return f"{layout[0]}x{layout[1]} {layout[2]}"


def _matrix(frame: VideoFrame) -> tuple[int, int, int, int] | None:
    """Return the frame's display matrix as :func:`upright` takes it.

    Asked of a clip's first frame only: a frame and its side data hold each other, so that every
    frame asked would stay in memory until the collector runs. Of the others, the rotation is
    compared.
    """
    data = frame.side_data.get("DISPLAYMATRIX")
    if data is None:
        return None
    assert isinstance(data, Buffer)
    a, b, _, c, d, *_ = np.frombuffer(bytes(memoryview(data)), dtype=np.int32).tolist()
    return a, b, c, d


def _matroska_seconds(container: InputContainer, stream: VideoStream) -> float:
    """Return when the video ends by the file's own word, 0 if it does not say."""
    clock = re.fullmatch(r"(\d+):(\d+):(\d+\.?\d*)", stream.metadata.get("DURATION", ""))
    if clock:
        return int(clock[1]) * 3600 + int(clock[2]) * 60 + float(clock[3])
    # The container's own duration may be that of a longer sound track.
    if len(container.streams) > 1 or container.duration is None:
        return 0.0
    return container.duration / av.time_base


def _is_cover(stream: VideoStream) -> bool:
    """Return whether a stream is a still picture beside the sound, not a video."""
    return bool(stream.disposition & stream.disposition.attached_pic)


@contextmanager
def _errors(path: Path) -> Iterator[None]:
    """Turn PyAV's errors and unsupported formats into one line with the file's name."""
    try:
        yield
    except UserError as error:
        if str(error).startswith(str(path)):
            raise
        raise type(error)(f"{path}: {error}") from error
    except av.error.PermissionError as error:
        raise UserError(f"{path}: not readable (permission denied)") from error
    except (av.error.DecoderNotFoundError, av.error.PatchWelcomeError) as error:
        raise UserError(f"{path}: {_NO_DECODER}") from error
    except (av.error.FFmpegError, EOFError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise DamagedError(f"{path}: not a video, damaged or truncated ({reason})") from error
