"""The encoder of the av family: a clip made smaller, filtered and coded by PyAV's encoders."""

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from fractions import Fraction
from typing import Any

import av
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame

from seesame.bitstream.container import Container, Section, pack_config
from seesame.bounds import BOUNDS
from seesame.codecs.av.encoding.pictures import BATCH, coded_pictures
from seesame.codecs.av.encoding.threads import usual_scheduling
from seesame.codecs.av.head import SHARPEN_STEP, Head
from seesame.codecs.av.library import codec_context
from seesame.codecs.av.options import AT_DECODE, AvSettings
from seesame.codecs.av.planes import FORMATS, padded
from seesame.codecs.av.settings import Member, check_together, noteworthy, parse_settings
from seesame.codecs.av.stream import pack_stream
from seesame.codecs.base import container_for
from seesame.context import EncodeContext
from seesame.errors import DamagedError, UserError
from seesame.video.clip import Clip

_H264_SEI = 6


def encode(
    member: Member, clip: Clip, settings: Mapping[str, Any], context: EncodeContext
) -> Container:
    """Compress a clip; the same clip and settings give the same bytes.

    Raises:
        UserError: bad settings, too many frames, or this PyAV was built without the encoder.
        DamagedError: the clip ends early.
    """
    chosen = parse_settings(member, settings)
    check_together(member, chosen)
    if clip.num_frames > BOUNDS.packets:
        raise UserError(
            f"{member.name} cannot encode {clip.num_frames:,} frames, more than {BOUNDS.packets:,}"
        )
    width, height = scaled_size(clip.width, clip.height, chosen.scale)
    amount = round(chosen.sharpen / SHARPEN_STEP)
    head = Head(chosen.up, width, height, chosen.depth, amount, chosen.sharpen_size)
    packets = _packets(clip, (height, width), member, chosen, context)
    config = noteworthy(member, chosen)
    return container_for(
        clip,
        member.codec_id,
        {
            Section.CONFIG: pack_config(config),
            Section.STREAM: pack_stream(head, packets),
        },
    )


def _packets(
    clip: Clip, size: tuple[int, int], member: Member, chosen: AvSettings, context: EncodeContext
) -> list[bytes]:
    """Return the stream; that of an earlier encode where only the decoder would differ."""
    memory = context.memory
    if memory is None:
        return _encode(clip, size, member, chosen, context)
    coded = {k: v for k, v in asdict(chosen).items() if k not in AT_DECODE}
    key = ("stream", member.name, json.dumps(coded, sort_keys=True))
    packets = memory.recall(key, list)
    if packets is None:
        packets = _encode(clip, size, member, chosen, context)
        memory.keep(key, sum(map(len, packets)), packets)
    return packets


def scaled_size(width: int, height: int, scale: float) -> tuple[int, int]:
    """Return the size to code a clip at: unchanged at scale 1, else rounded to even numbers."""
    if scale == 1:
        return width, height
    return _scaled(width, scale), _scaled(height, scale)


def _scaled(side: int, scale: float) -> int:
    return min(side, max(2, round(side * scale / 2) * 2))


def _encode(
    clip: Clip, size: tuple[int, int], member: Member, settings: AvSettings, context: EncodeContext
) -> list[bytes]:
    """Return all packets in coding order."""
    packets: list[bytes] = []
    with encoder_errors(member):
        encoder = codec_context(member.encoder, "w")
        prepare(encoder, clip, size, member, settings)
        with usual_scheduling():
            encoder.open()
        for picture in numbered(coded_pictures(clip, size, settings, context), clip, context):
            packets += [bytes(packet) for packet in encoder.encode(picture)]
        packets += [bytes(packet) for packet in encoder.encode(None)]
    return [_without_ballast(packet, member) for packet in packets]


@contextmanager
def encoder_errors(member: Member) -> Iterator[None]:
    """Turn an encoder's errors into one line."""
    try:
        yield
    except av.error.FFmpegError as error:
        raise UserError(f"{member.name} cannot encode this clip ({error.strerror})") from error


def numbered(
    pictures: Iterable[VideoFrame], clip: Clip, context: EncodeContext
) -> Iterator[VideoFrame]:
    """Yield pictures with their numbers as times, and report the progress.

    Raises:
        DamagedError: they are not as many as the clip promises.
    """
    seen = 0
    for picture in pictures:
        picture.pts, picture.time_base = seen, 1 / nominal_rate(clip)
        yield picture
        seen += 1
        if seen % BATCH == 0 or seen == clip.num_frames:
            share = min(1.0, seen / clip.num_frames)
            context.progress(share, f"frame {seen} of {clip.num_frames}")
    if seen != clip.num_frames:
        raise DamagedError(f"the clip promises {clip.num_frames} frames, but gave {seen}")


def nominal_rate(clip: Clip) -> Fraction:
    """Return the rate that an encoder is told: of those that all encoders take.

    Constant quality barely depends on it. Encoders count frames in it; their real times are given
    to the packets.
    """
    return min(max(clip.fps, Fraction(1)), Fraction(120)).limit_denominator(1001)


def prepare(
    encoder: VideoCodecContext,
    clip: Clip,
    size: tuple[int, int],
    member: Member,
    settings: AvSettings,
) -> None:
    """Set an encoder up for pictures of a size ``(height, width)``; it is not opened yet."""
    os.environ.setdefault("SVT_LOG", "0")  # SVT-AV1 writes to stderr by itself
    encoder.height, encoder.width = (padded(side) for side in size)
    encoder.pix_fmt = FORMATS[settings.depth]
    encoder.framerate, encoder.time_base = nominal_rate(clip), 1 / nominal_rate(clip)
    encoder.gop_size = settings.gop
    encoder.thread_count = settings.threads
    encoder.options = member.options(settings, clip.num_frames)


def _without_ballast(packet: bytes, member: Member) -> bytes:
    """Return a packet without AV1's temporal delimiters and x264's note of its own settings."""
    if member.name == "svtav1" and packet.startswith(b"\x12\x00"):
        return packet[2:]
    if member.name == "x264":
        return b"".join(
            unit for unit in _annex_b_units(packet) if unit.lstrip(b"\0")[1] & 31 != _H264_SEI
        )
    return packet


def _annex_b_units(packet: bytes) -> list[bytes]:
    """Return NAL units with their start codes (ITU-T H.264, annex B), which make up the packet."""
    starts = []
    found = packet.find(b"\0\0\1")
    while found >= 0:
        starts.append(found - (found > 0 and packet[found - 1] == 0))
        found = packet.find(b"\0\0\1", found + 3)
    return [
        packet[start:end] for start, end in zip(starts, [*starts[1:], len(packet)], strict=True)
    ]
