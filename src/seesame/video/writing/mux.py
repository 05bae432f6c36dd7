"""Muxing: coded pictures with exact timestamps, and the tracks of the source, into one file.

The video comes as a file with nothing else in it, whose frames are counted, not timed. Its packets
get the source's timestamps; those of all other tracks are copied. The file that was written is read
back and compared with what went into it.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from math import lcm
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer, OutputContainer
from av.stream import Stream
from av.video.stream import VideoStream

from seesame.errors import UserError
from seesame.video.times import Times
from seesame.video.writing.tracks import (
    AnyPacket,
    describe,
    opened,
    other_streams,
    packets,
    temporary_file,
)

SUFFIXES = (".mp4", ".mkv", ".mov")
"""The containers that are written."""

_BITEXACT = int(av.container.Flags.bitexact.value)  # type: ignore[call-overload]
_OF_THE_FILE = frozenset(
    (
        *("major_brand", "minor_version", "compatible_brands", "encoder", "duration", "vendor_id"),
        *("number_of_frames", "number_of_bytes", "bps", "timecode"),
    )
)
"""Metadata that describe a file or its packets, not what it shows; the muxer writes its own."""
_OF_MP4 = frozenset(
    (
        *("title", "artist", "album_artist", "composer", "album", "date", "comment", "genre"),
        *("author", "copyright", "grouping", "lyrics", "description", "synopsis", "show"),
        *("episode_id", "network", "keywords", "media_type", "location", "creation_time"),
    )
)
"""Metadata for which MP4 has a place of its own; with others, all are written as free keys."""
MATROSKA_TICK = Fraction(1, 1000)
"""Seconds in which Matroska counts, as FFmpeg writes it."""
_MOST_TICKS = (1 << 31) - 1


@dataclass(frozen=True)
class Others:
    """The tracks beside the video.

    Args:
        path: the file that they are in.
        video: index of the stream there that is not copied; -1 where all are.
        tracks: False where only metadata and chapters are copied.
    """

    path: Path
    video: int = -1
    tracks: bool = True


def mux(
    out: Path,
    coded: Path | None,
    times: Times | None,
    others: Others | None,
    turn: tuple[int, ...] | None = None,
    aspect: Fraction | None = None,
) -> int:
    """Write a file of a video and other tracks, in the order of the source's.

    Args:
        out: the output; its suffix chooses the container.
        coded: a file with the video alone; None for a file without video.
        times: of its frames.
        others: what is copied beside it.
        turn: the nine numbers of the video's display matrix.
        aspect: width of a pixel over its height, where the coded file may not say it.

    Returns:
        The index of the video in the output; -1 where there is none.

    Raises:
        UserError: the container cannot hold a track, or the video's times.
    """
    with ExitStack() as stack:
        source = None if others is None else stack.enter_context(opened(others.path))
        video = None if coded is None else stack.enter_context(opened(coded))
        copied = []
        if others is not None and source is not None and others.tracks:
            copied = other_streams(source, others.video)
        try:
            written = stack.enter_context(
                av.open(f"file:{out}", "w", container_options=_options(out, times, copied, source))
            )
            written.flags |= _BITEXACT  # no random identity, no date of today
            if others is not None and source is not None:
                _describe(written, source)
            targets = _targets(written, out, video, source, copied, others, turn, aspect, times)
            if not targets:
                return -1
            _start(written, out, copied)
            streams = [_copied(source, targets, copied)] if source and copied else []
            if video is not None:
                assert times is not None
                target = targets[id(video.streams.video[0])]
                streams.insert(0, _timed(coded, video, times, target))  # type: ignore[arg-type]
            for packet in _in_order(streams):
                written.mux(packet)
            return -1 if video is None else targets[id(video.streams.video[0])].index
        except av.error.FFmpegError as error:
            raise UserError(f"{out}: cannot be written ({error.strerror})") from error


def _options(
    out: Path, times: Times | None, copied: list[Stream], source: InputContainer | None
) -> dict[str, str]:
    """Return options of the muxer."""
    # Packets keep their times, negative ones too.
    if out.suffix.lower() == ".mkv":
        return {"avoid_negative_ts": "disabled"}
    flags = "+faststart"
    if source is not None and {key.lower() for key in _kept(source.metadata)} - _OF_MP4:
        flags += "+use_metadata_tags"
    options = {"movflags": flags}
    bases = [stream.time_base for stream in copied if stream.time_base]
    if times is not None:
        bases.append(times.time_base)
        options["video_track_timescale"] = str(timescale(out, times.time_base))
    # A track that starts late waits in ticks of the whole file, which must be fine enough.
    common = lcm(*(base.denominator for base in bases)) if bases else 1000
    if common > _MOST_TICKS:
        common = max(base.denominator for base in bases)
    return options | {"movie_timescale": str(common)}


def timescale(out: Path, time_base: Fraction) -> int:
    """Return the ticks a second of an MP4's track. Raises UserError where they are too many."""
    if time_base.denominator > _MOST_TICKS:
        raise UserError(f"{out}: ticks of {time_base} s are too fine for this container")
    return time_base.denominator


def _kept(metadata: dict[str, str]) -> dict[str, str]:
    """Return metadata without those of the old file itself."""
    return {
        key: value
        for key, value in metadata.items()
        if key.lower() not in _OF_THE_FILE and not key.startswith("_STATISTICS")
    }


def _describe(written: OutputContainer, source: InputContainer) -> None:
    """Copy the metadata and chapters of the whole file."""
    written.metadata.update(_kept(source.metadata))
    chapters = source.chapters()
    if chapters:
        written.set_chapters(chapters)


def _targets(
    written: OutputContainer,
    out: Path,
    video: InputContainer | None,
    source: InputContainer | None,
    copied: list[Stream],
    others: Others | None,
    turn: tuple[int, ...] | None,
    aspect: Fraction | None,
    times: Times | None,
) -> dict[int, Stream]:
    """Add all streams to the output, in the source's order; return them by what they come from."""
    targets: dict[int, Stream] = {}
    place = others.video if others is not None and others.video >= 0 else 0
    order: list[Stream] = [stream for stream in copied if stream.index < place]
    if video is not None:
        order.append(video.streams.video[0])
    order += [stream for stream in copied if stream.index >= place]
    for stream in order:
        own = video is not None and stream is video.streams.video[0]
        try:
            target = written.add_stream_from_template(stream, opaque=True)
        except (ValueError, av.error.FFmpegError) as error:
            raise _refused(out, stream) from error
        like = stream
        if own:
            assert isinstance(target, VideoStream)
            target.codec_context.framerate = _constant_rate(times)
            if aspect is not None:
                target.codec_context.sample_aspect_ratio = aspect
            if turn is not None:
                target.set_display_matrix(turn)
            if stream.codec_context.name == "hevc" and out.suffix.lower() != ".mkv":
                target.codec_context.codec_tag = "hvc1"  # Apple's players read no other
            if source is not None and others is not None and others.video >= 0:
                like = source.streams[others.video]
        target.metadata.clear()
        target.metadata.update(_kept(like.metadata))
        target.disposition = like.disposition
        targets[id(stream)] = target
    return targets


def _constant_rate(times: Times | None) -> Fraction:
    """Return the frame rate to declare; 0, which is none, where it varies by more than a tick."""
    if times is None:
        return Fraction(0)
    intervals = np.diff(times.pts)
    steady = not len(intervals) or int(intervals.max() - intervals.min()) <= 1
    return times.rate.limit_denominator(_MOST_TICKS) if steady else Fraction(0)


def _start(written: OutputContainer, out: Path, copied: list[Stream]) -> None:
    """Write the header. Raises UserError where the container takes a track only in theory."""
    try:
        written.start_encoding()
    except av.error.FFmpegError as error:
        for stream in copied:
            if not _fits(out, stream):
                raise _refused(out, stream) from error
        raise


def _fits(out: Path, stream: Stream) -> bool:
    """Return whether a header with this stream alone can be written."""
    with temporary_file(out.suffix.lower()) as trial:
        try:
            with av.open(f"file:{trial}", "w") as written:
                written.add_stream_from_template(stream, opaque=True)
                written.start_encoding()
        except (ValueError, av.error.FFmpegError):
            return False
    return True


def _refused(out: Path, stream: Stream) -> UserError:
    name = out.suffix.lower()
    others = " or ".join(suffix for suffix in SUFFIXES if suffix != name)
    return UserError(
        f"{out}: a {name} cannot hold {describe(stream)} of the source; write {others}, or drop "
        "the tracks beside the video"
    )


def _copied(
    source: InputContainer, targets: dict[int, Stream], copied: list[Stream]
) -> Iterator[AnyPacket]:
    """Yield the packets of the other tracks for their new streams."""
    for packet in packets(source, copied):
        if packet.pts is None:
            packet.pts = packet.dts
        packet.stream = targets[id(packet.stream)]
        yield packet


def _timed(path: Path, video: InputContainer, times: Times, target: Stream) -> Iterator[AnyPacket]:
    """Yield the packets of the video with the times of its frames.

    Frames are shown in the order of the coded file's timestamps. A packet is decoded as many frames
    before it is shown as the encoder's reordering asks for, so decoding times are presentation
    times of earlier frames.
    """
    ranks, delay = _order(path)
    shown = ticks(times, target.time_base or times.time_base, path)
    step = int(shown[1] - shown[0]) if len(shown) > 1 else times.duration
    early = shown[0] - step * np.arange(delay, 0, -1)
    decoded = np.concatenate([early, shown])
    ends = [*shown[1:].tolist(), int(shown[-1]) + max(1, _last(times, target))]
    for number, packet in enumerate(packets(video, [video.streams.video[0]])):
        rank = ranks[number]
        packet.stream = target
        packet.time_base = target.time_base or times.time_base
        packet.pts, packet.dts = int(shown[rank]), int(decoded[number])
        packet.duration = ends[rank] - packet.pts
        yield packet


def _last(times: Times, target: Stream) -> int:
    return round(times.duration * times.time_base / (target.time_base or times.time_base))


def _order(path: Path) -> tuple[list[int], int]:
    """Return for each packet the number of its frame, and by how many packets decoding leads."""
    with opened(path) as container:
        stamps = [packet.pts for packet in packets(container, [container.streams.video[0]])]
    order = sorted(range(len(stamps)), key=lambda number: stamps[number] or 0)
    ranks = [0] * len(stamps)
    for rank, number in enumerate(order):
        ranks[number] = rank
    return ranks, max(number - rank for number, rank in enumerate(ranks))


def ticks(
    times: Times, time_base: Fraction, out: Path
) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Return timestamps in ticks of another length, each rounded to the nearest.

    Raises:
        UserError: two frames would get the same.
    """
    factor = times.time_base / time_base
    if factor.denominator == 1:
        return times.pts * int(factor)
    rounded = [nearest(int(pts) * factor) for pts in times.pts]
    found = np.array(rounded, dtype=np.int64)
    if len(found) > 1 and int(np.diff(found).min()) < 1:
        raise UserError(
            f"{out}: frames are closer together than this container's ticks of {time_base} s; "
            "write .mp4, which has finer ones"
        )
    return found


def nearest(value: Fraction) -> int:
    """Return the nearest whole number, halves away from zero, as FFmpeg rescales."""
    whole = int(abs(value) + Fraction(1, 2))
    return whole if value >= 0 else -whole


def regular_times(num_frames: int, fps: Fraction) -> Times:
    """Return the timestamps of a clip whose frame rate is all that is known of its time."""
    return Times(np.arange(num_frames, dtype=np.int64), 1 / fps, 1)


def _in_order(streams: list[Iterator[AnyPacket]]) -> Iterator[AnyPacket]:
    """Merge packets by decoding time, so that the muxer need not hold many."""
    waiting = [(stream, next(stream, None)) for stream in streams]
    waiting = [(stream, packet) for stream, packet in waiting if packet is not None]
    while waiting:
        place = min(range(len(waiting)), key=lambda index: _seconds(waiting[index][1]))
        stream, packet = waiting[place]
        assert packet is not None
        yield packet
        following = next(stream, None)
        if following is None:
            del waiting[place]
        else:
            waiting[place] = stream, following


def _seconds(packet: AnyPacket | None) -> Fraction:
    assert packet is not None
    stamp = packet.pts if packet.dts is None else packet.dts
    return Fraction(0) if stamp is None else stamp * packet.time_base
