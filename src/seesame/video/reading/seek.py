"""Reading a video file from a later frame on, by an index of its packets."""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice, pairwise
from typing import TYPE_CHECKING

import av
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from seesame.errors import UserError
from seesame.video.times import Times, mended

_ONE_A_PACKET = ("h264", "hevc", "av1", "vp9", "mpeg2video", "mjpeg", "ffv1", "png", "rawvideo")
"""FFmpeg's names of codecs whose every packet shows one frame."""
_CHECKED = 16
"""Frames at the start of a file whose timestamps must be those of the index."""

Opened = Callable[[], AbstractContextManager[tuple[InputContainer, VideoStream]]]
if TYPE_CHECKING:
    _Packets = Iterable[Packet[VideoStream]]  # av's class takes no parameter when it runs
Decoded = Callable[["_Packets", VideoStream], Iterator[VideoFrame]]


@dataclass(frozen=True)
class Index:
    """The frames of a file by their packets.

    Args:
        stamps: timestamp of each frame in ticks, in playing order.
        keys: numbers of the frames of which the packet is marked as a key frame's, rising; the
            first is 0.
        offsets: the timestamp to seek to for each of them, in ticks.
        time_base: seconds a tick.
        duration: ticks that the last frame is shown, 0 where the file does not say.
        codec: FFmpeg's name of the video's codec.
        nominal: frames a second that the file declares, None where it does not.
    """

    stamps: list[int]
    keys: list[int]
    offsets: list[int]
    time_base: Fraction
    duration: int
    codec: str
    nominal: Fraction | None

    def times(self) -> Times:
        """Return the timestamps, broken ones mended."""
        return mended(self.stamps, self.time_base, self.duration, self.nominal)[0]


class Seeker:
    """Decodes a video file from the key frame before a frame.

    Args:
        opened: opens the file anew and gives the container and the stream in it.
        decoded: decodes some packets of the stream; it refuses damage.
    """

    def __init__(self, opened: Opened, decoded: Decoded) -> None:
        self._opened, self._decoded = opened, decoded
        self._index: Index | None = None
        self._looked = False

    @property
    def index(self) -> Index | None:
        """The index; None where the packets do not tell which frame is which.

        It takes one pass over the packets, which are not decoded, and the decoding of the first
        few frames.

        Raises:
            UserError: the file cannot be read.
        """
        if not self._looked:
            index = self._scanned()
            self._index = index if index is not None and self._agrees(index) else None
            self._looked = True
        return self._index

    def entry(self, number: int) -> int:
        """Return the last key frame up to a frame; 0 where there is no index."""
        index = self.index
        return 0 if index is None else index.keys[bisect_right(index.keys, number) - 1]

    def frames(self, start: int) -> Iterator[VideoFrame] | None:
        """Return the frames from a number on, or None where only decoding from the start helps.

        The first one is decoded before this returns. It is looked for from the last key frame
        before it, and from earlier ones where that fails: what a file marks as a key frame may
        need frames before it.
        """
        index = self.index
        if index is None or start >= len(index.stamps):
            return None
        place = bisect_right(index.keys, start) - 1
        while place > 0:
            found = self._from(index, index.offsets[place], start)
            try:
                first = next(found, None)
            except (UserError, av.error.FFmpegError, EOFError):
                first = None
            if first is not None:
                return _joined(first, found)
            place = min(place - 1, place // 2)
        return None

    def _from(self, index: Index, offset: int, start: int) -> Iterator[VideoFrame]:
        """Yield the frames from a number on; none where it is not found behind an offset."""
        with self._opened() as (container, stream):
            container.seek(offset, stream=stream, backward=True)
            number = None
            for frame in self._decoded(_from_key(container.demux(stream)), stream):
                if number is None:
                    if frame.pts is None or frame.pts > index.stamps[start]:
                        return
                    if frame.pts < index.stamps[start]:
                        continue
                    number = start
                if number >= len(index.stamps) or frame.pts != index.stamps[number]:
                    raise UserError("the timestamps of packets and frames differ")
                yield frame
                number += 1

    def _scanned(self) -> Index | None:
        """Return the index that the packets give; None where they leave something open."""
        with self._opened() as (container, stream):
            codec, time_base = stream.codec_context.codec.canonical_name, stream.time_base
            if codec not in _ONE_A_PACKET or time_base is None:
                return None
            nominal = stream.average_rate or stream.guessed_rate
            shown: list[int] = []
            keys: dict[int, int] = {}
            duration, last = 0, None
            for packet in container.demux(stream):
                if not packet.size:
                    continue
                if packet.pts is None or packet.is_corrupt:
                    return None
                if not shown and not keys and not packet.is_keyframe:
                    return None
                if packet.is_keyframe:
                    keys[packet.pts] = packet.pts
                if packet.is_discard:
                    continue
                shown.append(packet.pts)
                if last is None or packet.pts > last:
                    duration, last = packet.duration or 0, packet.pts
        stamps = sorted(shown)
        if not stamps or any(a == b for a, b in pairwise(stamps)) or next(iter(keys)) > stamps[0]:
            return None
        # A key frame that is itself cut off by an edit list serves the first frame after it.
        numbers = {bisect_right(stamps, stamp - 1): offset for stamp, offset in keys.items()}
        numbers.pop(len(stamps), None)
        numbers[0] = numbers.get(0, 0)
        rising = sorted(numbers)
        offsets = [numbers[number] for number in rising]
        return Index(stamps, rising, offsets, time_base, duration, codec, nominal)

    def _agrees(self, index: Index) -> bool:
        """Return whether the first frames that are decoded are those of the index."""
        with self._opened() as (container, stream):
            first = islice(self._decoded(container.demux(stream), stream), _CHECKED)
            return [frame.pts for frame in first] == index.stamps[:_CHECKED]


def _from_key(packets: "_Packets") -> "Iterator[Packet[VideoStream]]":
    """Yield packets from the first key frame on, without those that show frames before it.

    Of an open group of pictures these are predicted from the group before, which is not there; no
    frame behind the key frame may need them.
    """
    first: int | None = None
    for packet in packets:
        if first is None and packet.is_keyframe:
            first = packet.pts
        if not packet.size or (
            first is not None and packet.pts is not None and packet.pts >= first
        ):
            yield packet


def _joined(first: VideoFrame, others: Iterator[VideoFrame]) -> Iterator[VideoFrame]:
    yield first
    yield from others
