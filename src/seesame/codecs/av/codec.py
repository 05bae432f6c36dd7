"""The classical codecs ``x264``, ``x265``, ``svtav1`` and ``vp9``, through PyAV's own encoders.

The clip is made smaller, filtered, converted to BT.601 limited-range YUV 4:2:0 and encoded at a
constant quality or rate; the packets are stored without a muxer (``docs/format.md``, "av family").
Decoding gives YUV, converts it as the reader does, makes it larger again, and may sharpen it. Small
clips are padded to what every encoder accepts, and cropped after decoding.
"""

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from fractions import Fraction
from typing import Any

import av
import numpy as np
import torch
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from torch import Tensor

from seesame.bitstream.container import Container, Section, pack_config
from seesame.bitstream.varint import Reader, pack_varint
from seesame.codecs.av import filters as av_filters
from seesame.codecs.av.head import SHARPEN_STEP, Head
from seesame.codecs.av.options import AT_DECODE, AvSettings
from seesame.codecs.av.pictures import BATCH, coded_pictures
from seesame.codecs.av.planes import FORMATS, decoded_rgb, padded
from seesame.codecs.av.settings import (
    FAMILY,
    Member,
    check_together,
    noteworthy,
    parse_settings,
)
from seesame.codecs.av.threads import usual_scheduling
from seesame.context import EncodeContext
from seesame.errors import DamagedError, UserError
from seesame.video.clip import Clip, Frames
from seesame.video.resize import resize, to_uint8

_H264_SEI = 6

SHOWN_IN_ORDER = ("svtav1", "vp9")
"""Members whose every packet shows one frame, in playing order."""


class AvCodec:
    """One of the four classical codecs.

    Args:
        name: a key of :data:`seesame.codecs.av.settings.FAMILY`.
    """

    def __init__(self, name: str) -> None:
        self.member = FAMILY[name]
        self.name = name
        self.codec_id = self.member.codec_id
        self.summary = self.member.summary

    def needs_stack(self, settings: Mapping[str, Any]) -> bool:
        """Return whether regions are asked for. Raises UserError for bad settings."""
        chosen = parse_settings(self.member, settings)
        return bool(chosen.roi or chosen.roi_qp)

    def encode(self, clip: Clip, settings: Mapping[str, Any], context: EncodeContext) -> Container:
        """Compress a clip; the same clip and settings give the same bytes.

        Raises:
            UserError: bad settings, or this PyAV was built without the encoder.
            DamagedError: the clip ends early.
        """
        chosen = parse_settings(self.member, settings)
        check_together(self.member, chosen)
        width, height = scaled_size(clip.width, clip.height, chosen.scale)
        amount = round(chosen.sharpen / SHARPEN_STEP)
        head = Head(chosen.up, width, height, chosen.depth, amount, chosen.sharpen_size)
        packets = self._packets(clip, (height, width), chosen, context)
        stream = head.pack() + b"".join(pack_varint(len(packet)) + packet for packet in packets)
        config = noteworthy(self.member, chosen)
        return Container(
            codec_id=self.codec_id,
            width=clip.width,
            height=clip.height,
            fps=clip.fps,
            num_frames=clip.num_frames,
            source_bytes=clip.source_bytes,
            sections={Section.CONFIG: pack_config(config), Section.STREAM: stream},
        )

    def _packets(
        self, clip: Clip, size: tuple[int, int], chosen: AvSettings, context: EncodeContext
    ) -> list[bytes]:
        """The stream; the one just made where only the decoder would do otherwise."""
        memory = context.memory
        if memory is None:
            return _encode(clip, size, self.member, chosen, context)
        coded = {k: v for k, v in asdict(chosen).items() if k not in AT_DECODE}
        key = ("stream", self.name, json.dumps(coded, sort_keys=True))
        packets = memory.recall(key, list)
        if packets is None:
            packets = _encode(clip, size, self.member, chosen, context)
            memory.keep(key, sum(map(len, packets)), packets)
        return packets

    def decode(self, container: Container, device: str = "cpu") -> Clip:
        """The decoded clip, lazily; its frames do not depend on the batch size.

        Raises:
            DamagedError: the stream is missing or its head is damaged. Damage further in is
                found while decoding.
            UserError: this PyAV was built without the decoder.
        """
        return self.open(container)

    def frame_bytes(self, container: Container) -> tuple[int, ...]:
        """Bytes of the stream for each frame; empty where packets do not follow the frames."""
        return self.open(container).frame_bytes

    def open(self, container: Container) -> "AvClip":
        """The decoded clip, as :meth:`decode` gives it."""
        if Section.STREAM not in container.sections:
            raise DamagedError("the file holds no video stream")
        return AvClip(container, self.member)


class AvClip:
    """The decoded clip, at source resolution."""

    def __init__(self, container: Container, member: Member) -> None:
        self.width, self.height = container.width, container.height
        self.fps, self.num_frames = container.fps, container.num_frames
        self.source_bytes = container.source_bytes
        self._member, self.name = member, member.name
        reader = Reader(container.sections[Section.STREAM], f"the {member.name} stream")
        self._head = Head.read(reader, self.width, self.height)
        self.size, self.kernel = (self._head.height, self._head.width), self._head.up
        """Of the coded pictures, and what they are resized with."""
        self.sharpened = bool(self._head.sharpen)
        self._packets: list[bytes] = []
        while reader.left:
            self._packets.append(reader.take(reader.varint("a packet's size"), "a packet"))

    @property
    def frame_bytes(self) -> tuple[int, ...]:
        """Bytes of the packet that shows each frame, in playing order.

        AV1 and VP9 have a packet for every frame shown, with the hidden ones that it waits for.
        H.264 and H.265 have packets in coding order: for them, there is nothing.
        """
        in_order = self.name in SHOWN_IN_ORDER and len(self._packets) == self.num_frames
        return tuple(map(len, self._packets)) if in_order else ()

    def batches(self, batch_size: int) -> Iterator[Frames]:
        """Yield the frames in order.

        Raises:
            DamagedError: not decodable, or not the frames that the header promises.
        """
        batch: list[Frames] = []
        # Frame by frame, so that no rounding depends on the batch size.
        head, size = self._head, (self.height, self.width)
        amount = head.sharpen * SHARPEN_STEP
        for frame in self.coded():
            with torch.no_grad():
                large = resize(frame, size, head.up)
                shown = av_filters.sharpen(large, amount, head.sharpen_size)
            batch.append(to_uint8(shown)[0])
            if len(batch) == batch_size:
                yield np.stack(batch)
                batch = []
        if batch:
            yield np.stack(batch)

    def coded(self) -> Iterator[Tensor]:
        """Yield the pictures at the coded size, float ``(1, 3, h, w)`` in 0..255, in order.

        Raises:
            DamagedError: as :meth:`batches`.
        """
        return _decode(self._packets, self._member, self._head, self.num_frames)


def scaled_size(width: int, height: int, scale: float) -> tuple[int, int]:
    """The size to code a clip at: unchanged at scale 1, else rounded to even numbers."""
    if scale == 1:
        return width, height
    return _scaled(width, scale), _scaled(height, scale)


def _scaled(side: int, scale: float) -> int:
    return min(side, max(2, round(side * scale / 2) * 2))


def _encode(
    clip: Clip, size: tuple[int, int], member: Member, settings: AvSettings, context: EncodeContext
) -> list[bytes]:
    """All packets in coding order."""
    packets: list[bytes] = []
    seen = 0
    try:
        encoder = _open_encoder(clip, size, member, settings)
        for picture in coded_pictures(clip, size, settings, context):
            picture.pts, picture.time_base = seen, encoder.time_base
            packets += [bytes(packet) for packet in encoder.encode(picture)]
            seen += 1
            if seen % BATCH == 0 or seen == clip.num_frames:
                share = min(1.0, seen / clip.num_frames)
                context.progress(share, f"frame {seen} of {clip.num_frames}")
        packets += [bytes(packet) for packet in encoder.encode(None)]
    except av.error.FFmpegError as error:
        raise UserError(f"{member.name} cannot encode this clip ({error.strerror})") from error
    if seen != clip.num_frames:
        raise DamagedError(f"the clip promises {clip.num_frames} frames, but gave {seen}")
    return [_without_ballast(packet, member) for packet in packets]


def _open_encoder(
    clip: Clip, size: tuple[int, int], member: Member, settings: AvSettings
) -> VideoCodecContext:
    os.environ.setdefault("SVT_LOG", "0")  # SVT-AV1 writes to stderr by itself
    try:
        encoder = av.CodecContext.create(member.encoder, "w")
    except (av.codec.codec.UnknownCodecError, ValueError) as error:
        raise UserError(
            f"this PyAV was built without {member.encoder}; install PyAV's own wheel"
        ) from error
    assert isinstance(encoder, VideoCodecContext)
    encoder.height, encoder.width = (padded(side) for side in size)
    encoder.pix_fmt = FORMATS[settings.depth]
    # Constant quality barely depends on the rate; encoders refuse extreme ones.
    rate = min(max(clip.fps, Fraction(1)), Fraction(120)).limit_denominator(1001)
    encoder.framerate, encoder.time_base = rate, 1 / rate
    encoder.gop_size = settings.gop
    encoder.thread_count = settings.threads
    encoder.options = member.options(settings, clip.num_frames)
    with usual_scheduling():
        encoder.open()
    return encoder


def _without_ballast(packet: bytes, member: Member) -> bytes:
    """Drop what no decoder needs: AV1's temporal delimiters, x264's note of its own settings."""
    if member.name == "svtav1" and packet.startswith(b"\x12\x00"):
        return packet[2:]
    if member.name == "x264":
        return b"".join(
            unit for unit in _annex_b_units(packet) if unit.lstrip(b"\0")[1] & 31 != _H264_SEI
        )
    return packet


def _annex_b_units(packet: bytes) -> list[bytes]:
    """NAL units with their start codes (ITU-T H.264, annex B); joined they are the packet."""
    starts = []
    found = packet.find(b"\0\0\1")
    while found >= 0:
        starts.append(found - (found > 0 and packet[found - 1] == 0))
        found = packet.find(b"\0\0\1", found + 3)
    return [
        packet[start:end] for start, end in zip(starts, [*starts[1:], len(packet)], strict=True)
    ]


def _decode(packets: list[bytes], member: Member, head: Head, num_frames: int) -> Iterator[Tensor]:
    """Yield exactly ``num_frames`` RGB pictures ``(1, 3, h, w)`` in playing order."""
    height, width = head.height, head.width
    wanted = f"{padded(width)}x{padded(height)} {FORMATS[head.depth]}"
    name = f"the {member.name} stream"
    seen = 0
    try:
        for picture in _decoded_pictures(packets, member, (height, width)):
            if picture.is_corrupt:
                raise DamagedError(f"{name} is damaged at frame {seen}")
            found = f"{picture.width}x{picture.height} {picture.format.name}"
            if found != wanted:
                raise DamagedError(f"{name} is damaged: frame {seen} is {found}, not {wanted}")
            seen += 1
            if seen > num_frames:
                break
            yield decoded_rgb(picture, height, width, head.depth)
    except av.error.FFmpegError as error:
        raise DamagedError(f"{name} is damaged near frame {seen} ({error.strerror})") from error
    if seen != num_frames:
        had = "more" if seen > num_frames else f"only {seen}"
        raise DamagedError(f"{name} is damaged: {had} frames, the header says {num_frames}")


def _decoded_pictures(
    packets: list[bytes], member: Member, size: tuple[int, int]
) -> Iterator[VideoFrame]:
    """All pictures of the stream; every one of the four decoders gives them in playing order."""
    try:
        decoder = av.CodecContext.create(member.decoder, "r")
    except (av.codec.codec.UnknownCodecError, ValueError) as error:
        raise UserError(
            f"this PyAV was built without {member.decoder}; install PyAV's own wheel"
        ) from error
    assert isinstance(decoder, VideoCodecContext)
    # Decoders round sizes up to whole blocks. A stream that claims more gets no memory.
    most = (padded(size[0]) + 63) // 64 * 64 * ((padded(size[1]) + 63) // 64 * 64)
    decoder.options = {"max_pixels": str(most), "err_detect": "explode"}
    decoder.thread_type = "AUTO"
    try:
        for packet in packets:
            if packet:  # an empty one would mean the end to the decoder
                yield from decoder.decode(av.Packet(packet))
        yield from decoder.decode(None)
    finally:
        # Decoder threads need Python's lock to give packets back. Let them finish here, where it
        # is free: closing a decoder that is still at work would wait for them forever.
        decoder.flush_buffers()
