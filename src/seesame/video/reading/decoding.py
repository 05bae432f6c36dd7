"""Decoding a video stream to its end, with an eye on everything that shows damage."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import av
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from seesame.errors import DamagedError
from seesame.processes import usable_cores
from seesame.video.reading.nal import FrameNumbers, length_bytes, without_false_messages
from seesame.video.reading.transport import only_joints

STRICT = {"err_detect": "crccheck+bitstream+buffer+explode"}
"""Report damage instead of hiding it behind guessed pixels."""

_STREAMED = ("mpegts", "mpeg", "h264", "hevc")
"""FFmpeg's names of formats that may be cut off a running recording anywhere."""

_PREDICTED = ("h264", "hevc", "mpeg2video", "mpeg1video")
"""Codecs whose packets before the first key frame give no picture, and whose mark of it holds."""


@dataclass
class Damage:
    """A record of the damage in a file; an error at once where damage is not allowed.

    Args:
        path: the file.
        allowed: go on, and count.
    """

    path: Path
    allowed: bool = False
    lost: int = field(default=0, init=False)
    marked: int = field(default=0, init=False)
    undecoded: int = field(default=0, init=False)
    _sentences: list[str] = field(default_factory=list, init=False)

    def found(self, what: str) -> None:
        """Note a fault of the file as a whole. Raises DamagedError where it is not allowed."""
        if not self.allowed:
            raise DamagedError(f"{self.path}: {what}")
        self._sentences.append(what)

    def missing(self, count: int, packet: int) -> None:
        """Note pictures that are missing before a packet. Raises DamagedError if not allowed."""
        if not self.allowed:
            raise DamagedError(
                f"{self.path}: damaged: pictures are missing before packet {packet} ({count} that "
                "others were predicted from); get a whole copy"
            )
        self.lost += count

    def sentences(self) -> list[str]:
        """Return what was found, in words; counts before the rest."""
        counts = {
            "pictures are missing, and what was predicted from them is wrong": self.lost,
            "packets or frames are marked as damaged": self.marked,
            "packets cannot be decoded": self.undecoded,
        }
        told = [f"damage is allowed: {count} {what}" for what, count in counts.items() if count]
        return told + [f"damage is allowed: {what}" for what in self._sentences]


@dataclass
class Decoding:
    """One pass over a stream, or a part of it.

    Args:
        path: the file.
        stream: the video in it.
        damage: told of what is damaged.
        limits: further options of the decoder, which bound what it may allocate.
    """

    path: Path
    stream: VideoStream
    damage: Damage
    limits: Mapping[str, str] = field(default_factory=dict)
    packets: int = field(default=0, init=False)
    """Packets with content that came."""
    in_decoding_order: bool = field(default=True, init=False)
    """The packets' timestamps rise: where frames are reordered they are decoding times (AVI)."""
    _stamp: int | None = field(default=None, init=False)
    _joined: bool | None = field(default=None, init=False)

    def frames(
        self, packets: "Iterable[Packet[VideoStream]]", skip: int = 0, inside: bool = False
    ) -> Iterator[VideoFrame]:
        """Decode packets that follow each other, the first of them a key frame's.

        Args:
            packets: of the stream; the last one is empty, so that the decoder gives all it has.
            skip: packets at the beginning that are passed over.
            inside: they begin inside the stream, and those that show frames before the first key
                frame are left out behind it.

        Raises:
            DamagedError: the demuxer or the decoder marks something as damaged, or pictures are
                missing, and damage is not allowed.
        """
        codec = self.stream.codec_context
        codec.options = {**({} if self.damage.allowed else STRICT), **self.limits}
        self.stream.thread_type = "AUTO"
        if usable_cores() == 1:
            # FFmpeg's choice for two cores. A single thread would report some damage otherwise, and
            # a file is judged alike on every machine.
            codec.thread_count = 3
        extradata = codec.extradata or b""
        units = codec.name if codec.name in ("h264", "hevc") else None
        prefix = length_bytes(codec.name, extradata) if units else 0
        numbers = FrameNumbers(extradata) if codec.name == "h264" else None
        edited, given = False, 0
        for packet in packets:
            if packet.is_corrupt and not self._is_joint():
                self._mark(f"damaged or truncated at packet {self.packets}")
            self.packets += packet.size > 0
            if packet.pts is not None:
                self.in_decoding_order &= self._stamp is None or packet.pts > self._stamp
                self._stamp = packet.pts
            if self.packets <= skip and packet.size:
                continue
            if units and packet.size:
                data = bytes(packet)
                mended = without_false_messages(units, data, prefix)
                if mended is not None:
                    packet.update(mended)
                if numbers is not None:
                    edited |= packet.is_discard
                    restart = edited and packet.is_keyframe
                    restart |= inside and self.packets <= 2
                    lost = numbers.lost(data, restart)
                    if lost:
                        self.damage.missing(lost, self.packets - 1)
            for frame in self._decoded(packet):
                given += 1
                yield frame
        silent = 0 if numbers is None or edited or skip else numbers.pictures - given
        if numbers is not None and numbers.countable and silent > 0:
            self.damage.found(f"damaged: {silent} packets give no picture; get a whole copy")

    def _decoded(self, packet: "Packet[VideoStream]") -> Iterator[VideoFrame]:
        try:
            decoded = packet.decode()
        except av.error.InvalidDataError:
            if not self.damage.allowed:
                raise
            self.damage.undecoded += 1
            return
        for frame in decoded:
            assert isinstance(frame, VideoFrame)
            if frame.is_corrupt:
                self._mark(f"damaged frame near packet {self.packets}")
            yield frame

    def _mark(self, what: str) -> None:
        """Note a packet or frame that is marked. Raises DamagedError where it is not allowed."""
        if not self.damage.allowed:
            self.damage.found(what)
        self.damage.marked += 1

    def _is_joint(self) -> bool:
        """Return whether the marks of packets come from joined recordings alone."""
        if self._joined is None:
            joinable = self.stream.container.format.name == "mpegts"
            self._joined = joinable and only_joints(self.path, self.stream.id)
        return self._joined


def leading_packets(container: InputContainer, stream: VideoStream) -> int:
    """Return how many packets come before the first key frame of a stream cut anywhere.

    Args:
        container: opened, at its beginning.
        stream: the video in it.

    Returns:
        0 where there is no key frame, and for files that begin with one by their nature.
    """
    if container.format.name not in _STREAMED or stream.codec_context.name not in _PREDICTED:
        return 0
    count = 0
    for packet in container.demux(stream):
        if packet.is_keyframe:
            return count
        count += packet.size > 0
    return 0
