"""The classical codecs ``x264``, ``x265``, ``svtav1`` and ``vp9``, through PyAV's own encoders.

The clip is made smaller, converted to BT.601 limited-range YUV 4:2:0 and encoded at a constant
quality; the packets are stored without a muxer (``docs/format.md``, "av family"). Decoding gives
YUV, converts it exactly as the reader does, and makes it larger again. Small clips are padded to
what every encoder accepts, and cropped after decoding.
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from fractions import Fraction
from typing import Any

import av
import numpy as np
import torch
import torch.nn.functional as F
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from numpy.typing import NDArray
from torch import Tensor

from seesame.bitstream.container import Container, Section, pack_config
from seesame.bitstream.varint import Reader, pack_varint
from seesame.codecs.av_settings import FAMILY, AvSettings, Member, parse_settings
from seesame.codecs.base import EncodeContext
from seesame.errors import DamagedError, UserError
from seesame.video.clip import Clip, Frames
from seesame.video.colour import yuv420_to_rgb
from seesame.video.resize import resize, to_float, to_uint8

UP_KERNELS = ("bicubic", "lanczos", "bilinear", "area", "nearest")
"""The resize kernels by their number in the stream; never reordered."""

_LEAST_SIDE = 64
"""The smallest width and height that all four encoders take."""

_BATCH = 16
"""Frames read at a time while encoding."""

_H264_SEI = 6


class AvCodec:
    """One of the four classical codecs.

    Args:
        name: a key of :data:`seesame.codecs.av_settings.FAMILY`.
    """

    def __init__(self, name: str) -> None:
        self.member = FAMILY[name]
        self.name = name
        self.codec_id = self.member.codec_id
        self.summary = self.member.summary

    def encode(self, clip: Clip, settings: Mapping[str, Any], context: EncodeContext) -> Container:
        """Compress a clip; the same clip and settings give the same bytes.

        Raises:
            UserError: bad settings, or this PyAV was built without the encoder.
            DamagedError: the clip ends early.
        """
        chosen = parse_settings(self.member, settings)
        width, height = scaled_size(clip.width, clip.height, chosen.scale)
        head = [UP_KERNELS.index(chosen.up), width, height]
        packets = _encode(clip, (height, width), self.member, chosen, context)
        stream = b"".join(map(pack_varint, head)) + b"".join(
            pack_varint(len(packet)) + packet for packet in packets
        )
        return Container(
            codec_id=self.codec_id,
            width=clip.width,
            height=clip.height,
            fps=clip.fps,
            num_frames=clip.num_frames,
            source_bytes=clip.source_bytes,
            sections={Section.CONFIG: pack_config(asdict(chosen)), Section.STREAM: stream},
        )

    def decode(self, container: Container, device: str = "cpu") -> Clip:
        """The decoded clip, lazily; its frames do not depend on the batch size.

        Raises:
            DamagedError: the stream is missing or its head is damaged. Damage further in is
                found while decoding.
            UserError: this PyAV was built without the decoder.
        """
        return self.open(container)

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
        self.kernel = UP_KERNELS[reader.varint("the resize kernel", len(UP_KERNELS) - 1)]
        width = reader.varint("the coded width", self.width)
        height = reader.varint("the coded height", self.height)
        if not (width and height):
            raise DamagedError(f"the {member.name} stream: is damaged: coded at {width}x{height}")
        self.size = (height, width)
        """Of the coded pictures."""
        self._packets: list[bytes] = []
        while reader.left:
            self._packets.append(reader.take(reader.varint("a packet's size"), "a packet"))

    def batches(self, batch_size: int) -> Iterator[Frames]:
        """Yield the frames in order.

        Raises:
            DamagedError: not decodable, or not the frames that the header promises.
        """
        batch: list[Frames] = []
        # Frame by frame, so that no rounding depends on the batch size.
        for frame in self.coded():
            with torch.no_grad():
                large = resize(to_float(frame[None]), (self.height, self.width), self.kernel)
            batch.append(to_uint8(large)[0])
            if len(batch) == batch_size:
                yield np.stack(batch)
                batch = []
        if batch:
            yield np.stack(batch)

    def coded(self) -> Iterator[Frames]:
        """Yield the pictures ``uint8 (h, w, 3)`` at the coded size, in order.

        Raises:
            DamagedError: as :meth:`batches`.
        """
        return _decode(self._packets, self._member, self.size, self.num_frames)


def scaled_size(width: int, height: int, scale: float) -> tuple[int, int]:
    """The size to code a clip at: unchanged at scale 1, else rounded to even numbers."""
    if scale == 1:
        return width, height
    return _scaled(width, scale), _scaled(height, scale)


def _scaled(side: int, scale: float) -> int:
    return min(side, max(2, round(side * scale / 2) * 2))


def _padded(side: int) -> int:
    """The side of the coded picture, which is cut to the scaled size after decoding."""
    return max(_LEAST_SIDE, side + side % 2)


def rgb_to_yuv420(
    rgb: Tensor,
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]:
    """Convert RGB to 8-bit limited-range BT.601 with chroma averaged over 2x2 pixels.

    The inverse of :func:`seesame.video.colour.yuv420_to_rgb` (ITU-R BT.601-7, 2.5)::

        y' = 0.299 R + 0.587 G + 0.114 B      Y = 16 + y' * 219/255
        U = 128 + (B - y') / 1.772 * 224/255  V = 128 + (R - y') / 1.402 * 224/255

    Args:
        rgb: float ``(B, 3, H, W)`` in 0..255, ``H`` and ``W`` even.

    Returns:
        ``uint8``: Y ``(B, H, W)``, U and V ``(B, H/2, W/2)``.
    """
    red, green, blue = rgb.clamp(0.0, 255.0).unbind(dim=1)
    luma = red * 0.299 + green * 0.587 + blue * 0.114
    y = luma * (219.0 / 255.0) + 16.0
    colour = torch.stack([(blue - luma) / 1.772, (red - luma) / 1.402], dim=1)
    u, v = (F.avg_pool2d(colour, 2) * (224.0 / 255.0) + 128.0).unbind(dim=1)
    return _byte(y), _byte(u), _byte(v)


def _byte(plane: Tensor) -> NDArray[np.uint8]:
    rounded: NDArray[np.uint8] = plane.round().clamp(0, 255).to(torch.uint8).numpy()
    return rounded


def _encode(
    clip: Clip, size: tuple[int, int], member: Member, settings: AvSettings, context: EncodeContext
) -> list[bytes]:
    """All packets in coding order."""
    encoder = _open_encoder(clip.fps, size, member, settings)
    packets: list[bytes] = []
    seen = 0
    try:
        for batch in clip.batches(_BATCH):
            with torch.no_grad():
                small = resize(to_float(batch), size, settings.down)
            for picture in _pictures(small):
                picture.pts, picture.time_base = seen, encoder.time_base
                packets += [bytes(packet) for packet in encoder.encode(picture)]
                seen += 1
            share = min(1.0, seen / clip.num_frames)
            context.progress(share, f"frame {seen} of {clip.num_frames}")
        packets += [bytes(packet) for packet in encoder.encode(None)]
    except av.error.FFmpegError as error:
        raise UserError(f"{member.name} cannot encode this clip ({error.strerror})") from error
    if seen != clip.num_frames:
        raise DamagedError(f"the clip promises {clip.num_frames} frames, but gave {seen}")
    return [_without_ballast(packet, member) for packet in packets]


def _open_encoder(
    fps: Fraction, size: tuple[int, int], member: Member, settings: AvSettings
) -> VideoCodecContext:
    os.environ.setdefault("SVT_LOG", "0")  # SVT-AV1 writes to stderr by itself
    try:
        encoder = av.CodecContext.create(member.encoder, "w")
    except (av.codec.codec.UnknownCodecError, ValueError) as error:
        raise UserError(
            f"this PyAV was built without {member.encoder}; install PyAV's own wheel"
        ) from error
    assert isinstance(encoder, VideoCodecContext)
    encoder.height, encoder.width = (_padded(side) for side in size)
    encoder.pix_fmt = "yuv420p"
    # Constant quality barely depends on the rate; encoders refuse extreme ones.
    rate = min(max(fps, Fraction(1)), Fraction(120)).limit_denominator(1001)
    encoder.framerate, encoder.time_base = rate, 1 / rate
    encoder.gop_size = settings.gop
    encoder.thread_count = settings.threads
    encoder.options = member.options(settings)
    return encoder


def _pictures(rgb: Tensor) -> Iterator[VideoFrame]:
    """Pictures for the encoder, padded by repeating the last row and column."""
    height, width = rgb.shape[-2:]
    padding = (0, _padded(width) - width, 0, _padded(height) - height)
    y, u, v = rgb_to_yuv420(F.pad(rgb, padding, mode="replicate"))
    for i in range(len(y)):
        planes = [y[i].reshape(-1), u[i].reshape(-1), v[i].reshape(-1)]
        stacked = np.concatenate(planes).reshape(-1, y.shape[2])
        yield VideoFrame.from_ndarray(stacked, format="yuv420p")


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


def _decode(
    packets: list[bytes], member: Member, size: tuple[int, int], num_frames: int
) -> Iterator[Frames]:
    """Yield exactly ``num_frames`` RGB pictures ``uint8 (h, w, 3)`` in playing order."""
    height, width = size
    name = f"the {member.name} stream"
    seen = 0
    try:
        for picture in _decoded_pictures(packets, member, size):
            if picture.is_corrupt:
                raise DamagedError(f"{name} is damaged at frame {seen}")
            if (picture.height, picture.width) != (_padded(height), _padded(width)) or (
                picture.format.name != "yuv420p"
            ):
                raise DamagedError(
                    f"{name} is damaged: frame {seen} is {picture.width}x{picture.height} "
                    f"{picture.format.name}, not {_padded(width)}x{_padded(height)} yuv420p"
                )
            seen += 1
            if seen > num_frames:
                break
            yield _cropped_rgb(picture, height, width)
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
    most = (_padded(size[0]) + 63) // 64 * 64 * ((_padded(size[1]) + 63) // 64 * 64)
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


def _cropped_rgb(picture: VideoFrame, height: int, width: int) -> Frames:
    """Cut to the scaled size, then the reader's own conversion."""
    sizes = [(height, width), *[((height + 1) // 2, (width + 1) // 2)] * 2]
    y, u, v = (
        np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)[:rows, :columns]
        for plane, (rows, columns) in zip(picture.planes, sizes, strict=True)
    )
    return yuv420_to_rgb(y, u, v)
