"""Reading clips: video files through PyAV, folders of pictures, headerless ``.raw``."""

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from itertools import islice, pairwise
from pathlib import Path

import av
import numpy as np
from av.buffer import Buffer
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from seesame.errors import DamagedError, UserError
from seesame.files import check_input
from seesame.video.clip import Clip, Frames
from seesame.video.pixels import frame_to_rgb, upright
from seesame.video.reading.complete import check_complete
from seesame.video.reading.decoding import Damage, Decoding, leading_packets
from seesame.video.reading.headers import clusters_whole, video_facts
from seesame.video.reading.images import PICTURES, PictureClip
from seesame.video.reading.raw import CAMERA_SIZE, RawClip
from seesame.video.reading.seek import Index, Seeker
from seesame.video.reading.streams import (
    BARE,
    choose,
    content_start,
    errors,
    file_key,
    opened,
    video,
)
from seesame.video.reading.transport import scrambled
from seesame.video.times import Times, mended

DEFAULT_FPS = Fraction(20)
"""The frame rate of sources without timestamps: that of comma's cameras."""

_LONGEST_PAUSE = 60
"""Seconds between two frames that may come again after the last one."""

_RATELESS = ("h264", "hevc")
"""FFmpeg's names of bare formats whose declared rate is its own guess."""


@dataclass(frozen=True)
class _Pass:
    """The facts that one pass over the whole file found."""

    count: int
    times: Times | None
    oddities: tuple[str, ...]


_passes: dict[tuple[object, ...], _Pass] = {}
"""Files already read to their end, by path, size, time of last change, video and damage."""


def open_clip(
    path: Path | str,
    *,
    size: tuple[int, int] | None = None,
    fps: Fraction | int | None = None,
    stream: int | None = None,
    allow_damage: bool = False,
    max_pixels: int | None = None,
) -> Clip:
    """Open a clip for lazy reading.

    Args:
        path: a video file, a folder of PNG or JPEG pictures, or a headerless ``.raw``.
        size: ``(height, width)`` of a ``.raw``; comma's camera when None. Others know their size.
        fps: overrides what the file says; sources that say nothing have 20.
        stream: number of the video among those of the file, from 0; the file's default when None.
        allow_damage: read a damaged video as well as it goes, and count what is wrong in its
            ``oddities``.
        max_pixels: of a coded picture; FFmpeg refuses larger ones before it allocates them.

    Raises:
        UserError: missing, not readable, no such video in it.
        DamagedError: empty, not a video, truncated, or not decodable.
    """
    path = Path(path)
    check_input(path)
    rate = None if fps is None else Fraction(fps)
    if rate is not None and rate <= 0:
        raise UserError(f"{path}: {rate} frames a second; give a rate above 0")
    try:
        if path.is_dir():
            _check_no_stream(path, stream)
            return PictureClip(path, rate or DEFAULT_FPS)
        if not path.exists():
            raise UserError(f"{path}: not found")
        with path.open("rb") as file:
            if not file.read(1):
                raise DamagedError(f"{path}: empty file")
    except OSError as error:
        raise UserError(f"{path}: not readable ({error.strerror})") from error
    if path.suffix.lower() == ".raw":
        _check_no_stream(path, stream)
        return RawClip(path, size or CAMERA_SIZE, rate or DEFAULT_FPS)
    if path.suffix.lower() in PICTURES:
        raise UserError(f"{path}: a single picture; give the folder that holds the clip's pictures")
    return VideoClip(path, rate, stream, allow_damage, max_pixels)


def _check_no_stream(path: Path, stream: int | None) -> None:
    if stream:
        raise UserError(f"{path}: holds one clip, number 0; there is no number {stream}")


class VideoClip:
    """A video file. Its first frame is decoded on opening, so that most mistakes show at once.

    Args:
        path: the file.
        fps: overrides what the file says.
        stream: number of the video among those of the file; the file's default when None.
        allow_damage: read on where the file is damaged, and count what is wrong.
        max_pixels: of a coded picture; FFmpeg's own bound when None.
    """

    def __init__(
        self,
        path: Path,
        fps: Fraction | None = None,
        stream: int | None = None,
        allow_damage: bool = False,
        max_pixels: int | None = None,
    ) -> None:
        self._limits = {} if max_pixels is None else {"max_pixels": str(max_pixels)}
        self.path = path
        self.allow_damage = allow_damage
        self.source_bytes = path.stat().st_size
        self._fps = fps
        self._fps_given = fps is not None
        with errors(path):
            self.stream, self._choice = self._chosen(stream)
            damage = self._checked()
            self._crop = self._facts()
            with self._open() as (container, chosen):
                self._skip = leading_packets(container, chosen)
            with self._open() as (container, chosen):
                self._declared = self._declared_fps(chosen)
                decoding = Decoding(path, chosen, damage, self._limits)
                first = next(decoding.frames(container.demux(chosen), self._skip), None)
            if first is None:
                raise DamagedError(f"{path}: holds no decodable frame")
            self._layout = _layout(first)
            self._turn = _matrix(first)
            self.height, self.width = self._rgb(first).shape[:2]

    @property
    def fps(self) -> Fraction:
        """The declared rate; that of the median interval where the timestamps say otherwise."""
        if self._fps is None:
            times = self._whole().times
            self._fps = self._declared if times is None else times.rate_near(self._declared)
        return self._fps

    @property
    def num_frames(self) -> int:
        """Exact count: the file is decoded once for it, unless it was read to its end before."""
        return self._whole().count

    @property
    def times(self) -> Times | None:
        """The frames' timestamps, broken ones mended; None for a file without a clock.

        The file is decoded once for them, as for ``num_frames``. Where the caller gave a frame
        rate, it holds, and there are none.
        """
        return None if self._fps_given else self._whole().times

    @property
    def reading(self) -> str:
        """The part of the file that is read; empty where that is the first video, undamaged."""
        number = f"video {self.stream}" if self.stream else ""
        return f"{number} with its damage".lstrip() if self.allow_damage else number

    @property
    def oddities(self) -> list[str]:
        """Sentences about what is odd in the file and how it is read, an empty list if nothing.

        The file is decoded once for them, as for ``num_frames``.
        """
        return ([self._choice] if self._choice else []) + list(self._whole().oddities)

    @property
    def index(self) -> Index | None:
        """The frames by their packets; None where these do not tell which frame is which.

        It costs one pass over the packets, which are not decoded.
        """
        if self.allow_damage or self._skip:
            return None
        with errors(self.path):
            return self._seeker.index

    @cached_property
    def _seeker(self) -> Seeker:
        def decoded(
            packets: "Iterable[Packet[VideoStream]]", stream: VideoStream
        ) -> Iterator[VideoFrame]:
            decoding = Decoding(self.path, stream, Damage(self.path), self._limits)
            return decoding.frames(packets, inside=True)

        return Seeker(self._open, decoded)

    def entry(self, number: int) -> int:
        """Return the last key frame up to a frame; 0 where there is no index."""
        with errors(self.path):
            return self._seeker.entry(number) if self.index is not None else 0

    def batches(self, batch_size: int) -> Iterator[Frames]:
        """Yield the frames in order."""
        return self._batched(self._frames(), batch_size)

    def batches_from(self, start: int, batch_size: int) -> Iterator[Frames]:
        """Yield the frames in order from a number on, decoded from the key frame before it."""
        return self._batched(self._frames_from(start), batch_size)

    def _frames_from(self, start: int) -> Iterator[VideoFrame]:
        with errors(self.path):
            found = self._seeker.frames(start) if start and self.index is not None else None
            yield from islice(self._frames(), start, None) if found is None else found

    def _batched(self, frames: Iterator[VideoFrame], batch_size: int) -> Iterator[Frames]:
        """Convert frames and put them into batches."""
        batch = np.empty((batch_size, self.height, self.width, 3), dtype=np.uint8)
        filled = 0
        for frame in frames:
            with errors(self.path):
                batch[filled] = self._rgb(frame)
            filled += 1
            if filled == batch_size:
                yield batch
                batch, filled = np.empty_like(batch), 0
        if filled:
            yield batch[:filled].copy()

    def _whole(self) -> _Pass:
        key = self._key()
        if key not in _passes:
            for _ in self._frames():
                pass
        return _passes[key]

    def _rgb(self, frame: VideoFrame) -> Frames:
        """Return a frame as it is to be shown: cropped as the container says, and upright."""
        left, top, right, bottom = self._crop
        rgb = frame_to_rgb(frame)
        if left + right >= rgb.shape[1] or top + bottom >= rgb.shape[0]:
            raise UserError("the container cuts off the whole picture")
        rgb = rgb[top : rgb.shape[0] - bottom, left : rgb.shape[1] - right]
        return upright(rgb, self._turn)

    def _frames(self) -> Iterator[VideoFrame]:
        """Decode the whole file; count it and note its timestamps on the way."""
        stamps: list[int | None] = []
        duration = 0
        with errors(self.path), self._open() as (container, stream):
            damage = self._checked()
            decoding = Decoding(self.path, stream, damage, self._limits)
            for frame in decoding.frames(container.demux(stream), self._skip):
                if _layout(frame) != self._layout:
                    raise UserError(
                        f"{self.path}: changes from {_text(self._layout)} to "
                        f"{_text(_layout(frame))} at frame {len(stamps)}; split it there"
                    )
                stamps.append(frame.pts)
                duration = frame.duration
                yield frame
            if not stamps:
                raise DamagedError(f"{self.path}: holds no decodable frame")
            self._check_end(container, decoding, stamps, duration)
            told = damage.sentences()
            if self._skip:
                told.append(
                    f"{self._skip} packets before the first key frame give no picture and are left "
                    "out"
                )
            times = None
            if decoding.in_decoding_order and None not in stamps:
                stamps.sort(key=lambda stamp: stamp or 0)
            if self._format not in BARE and stream.time_base and any(s is not None for s in stamps):
                times, broken = mended(stamps, stream.time_base, duration or 0, self._declared)
                told += broken
        _passes[self._key()] = _Pass(len(stamps), times, tuple(told))

    def _check_end(
        self,
        container: InputContainer,
        decoding: Decoding,
        stamps: list[int | None],
        duration: int,
    ) -> None:
        """Compare what was read with what the container declares, where it declares anything."""
        stream = decoding.stream
        if "mp4" in self._format:
            declared = stream.frames
            if decoding.packets < declared and self._packets_without_edits() < declared:
                decoding.damage.found(
                    f"damaged: {decoding.packets} of {declared} frames; get a whole copy"
                )
        elif "matroska" in self._format and stream.time_base:
            known = sorted(stamp for stamp in stamps if stamp is not None)
            gaps = [(after - before) * stream.time_base for before, after in pairwise(known)]
            shown = max([1 / self._declared, *(gap for gap in gaps if gap <= _LONGEST_PAUSE)])
            last = max(2 * shown, (duration or 0) * stream.time_base)
            end = float(max(known, default=0) * stream.time_base + last)
            seconds = _matroska_seconds(container, stream)
            # The last frame may be shown for long: then every block is there.
            if end < seconds and not clusters_whole(self.path, self._start):
                decoding.damage.found(
                    f"damaged: the video stops {seconds - end:.2f} s or more before "
                    "its declared end; get a whole copy"
                )

    def _packets_without_edits(self) -> int:
        """Return packets in the file when its edit list, which may drop some, is not applied."""
        with self._open({"ignore_editlist": "1"}) as (container, stream):
            return sum(packet.size > 0 for packet in container.demux(stream))

    def _chosen(self, stream: int | None) -> tuple[int, str]:
        """Return the number of the video to read, and a sentence about others."""
        with opened(self.path, self._limits) as container:
            number, told = (
                (stream, "") if stream is not None else choose(self.path, container, self._limits)
            )
            video(self.path, container, number)
            self._format, self._start = container.format.name, content_start(container)
            return number, told

    def _checked(self) -> Damage:
        """Return the record of the file's damage, after a look at its length."""
        damage = Damage(self.path, self.allow_damage)
        try:
            check_complete(self.path, self._format, self._start)
        except DamagedError as error:
            damage.found(str(error).removeprefix(f"{self.path}: "))
        return damage

    def _facts(self) -> tuple[int, int, int, int]:
        """Return what the container crops. Raises UserError for an encrypted video."""
        facts = video_facts(self.path, self._format, self._start)
        encrypted = self.stream < len(facts) and facts[self.stream].encrypted
        if self._format == "mpegts":
            with self._open() as (_, stream):
                encrypted = scrambled(self.path, stream.id)
        if encrypted:
            raise UserError(f"{self.path}: the video is encrypted; decrypt it first")
        return facts[self.stream].crop if self.stream < len(facts) else (0, 0, 0, 0)

    @contextmanager
    def _open(
        self, options: dict[str, str] | None = None
    ) -> Iterator[tuple[InputContainer, VideoStream]]:
        with opened(self.path, self._limits | (options or {})) as container:
            yield container, video(self.path, container, self.stream)

    def _declared_fps(self, stream: VideoStream) -> Fraction:
        if self._format in _RATELESS:
            return DEFAULT_FPS
        if self._format in BARE and stream.codec_context.framerate:
            return stream.codec_context.framerate  # what the stream itself says
        return stream.average_rate or stream.guessed_rate or DEFAULT_FPS

    def _key(self) -> tuple[object, ...]:
        return *file_key(self.path), self.stream, self.allow_damage


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
