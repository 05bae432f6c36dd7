"""Written files read back and compared with what went into them, and checks before the writing."""

import hashlib
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from av.container import InputContainer
from av.stream import Stream
from av.video.stream import VideoStream

from seesame.errors import UserError
from seesame.video.times import Times
from seesame.video.writing.mux import (
    MATROSKA_TICK,
    SUFFIXES,
    Others,
    mux,
    nearest,
    ticks,
    timescale,
)
from seesame.video.writing.tracks import describe, opened, other_streams, packets, temporary_file


def check_container(out: Path, encoder: str, others: Others | None) -> None:
    """Refuse, before anything is coded, what the container of an output cannot hold.

    The other tracks are copied into a temporary file, which is read back.

    Args:
        out: the output.
        encoder: FFmpeg's name of the video's encoder.
        others: what is copied beside the video.

    Raises:
        UserError: a suffix that is not written, or a video or a track that does not go into it.
    """
    suffix = out.suffix.lower()
    if suffix not in SUFFIXES:
        raise UserError(f"{out}: {suffix or 'no suffix'} is not written; use .mp4, .mkv or .mov")
    if suffix == ".mov" and encoder in ("libsvtav1", "libvpx-vp9"):
        raise UserError(f"{out}: a .mov cannot hold AV1 or VP9; name it .mp4 or .mkv")
    if others is not None and others.tracks:
        with temporary_file(suffix) as trial:
            copy_tracks(trial, others, out)


def copy_tracks(path: Path, others: Others, named: Path | None = None) -> bool:
    """Write the tracks beside the video into a file of their own, and read it back.

    Returns:
        Whether there are any; if not, nothing is written.

    Raises:
        UserError: the container cannot hold a track, or gives its packets back differently; the
            message names ``named``.
    """
    with opened(others.path) as source:
        if not other_streams(source, others.video):
            return False
    try:
        mux(path, None, None, others)
        check_copied(path, others)
    except UserError as error:
        raise UserError(str(error).replace(str(path), str(named or path))) from error
    return True


def copy_all(path: Path, source: Path, named: Path) -> None:
    """Copy all tracks of a file, the video too, into another container.

    Raises:
        UserError: the container cannot hold one of them; the message names ``named``.
    """
    everything = Others(source)
    try:
        mux(path, None, None, everything)
        check_copied(path, everything)
    except UserError as error:
        raise UserError(str(error).replace(str(path), str(named))) from error


def ticks_fit(out: Path, times: Times) -> bool:
    """Return whether an output keeps all timestamps exactly, not only to the nearest of its ticks.

    Raises:
        UserError: its ticks cannot tell two frames apart, or count so finely.
    """
    if out.suffix.lower() != ".mkv":
        timescale(out, times.time_base)
        return True
    rounded = ticks(times, MATROSKA_TICK, out)
    back = zip(times.pts.tolist(), rounded.tolist(), strict=True)
    return all(pts * times.time_base == tick * MATROSKA_TICK for pts, tick in back)


def mux_checked(
    out: Path,
    coded: Path,
    times: Times,
    others: Others | None,
    size: tuple[int, int],
    turn: tuple[int, ...] | None = None,
    aspect: Fraction | None = None,
) -> int:
    """Write a file as :func:`mux` does, read it back and compare it with what went into it.

    Args:
        out: the output.
        coded: a file with the video alone.
        times: of its frames.
        others: what is copied beside it.
        size: ``(height, width)`` of the video as stored.
        turn: the nine numbers of the video's display matrix.
        aspect: width of a pixel over its height, where the coded file may not say it.

    Returns:
        The index of the video in the output.

    Raises:
        UserError: the container cannot hold a track, or the file reads back differently.
    """
    index = mux(out, coded, times, others, turn, aspect)
    _check_video(out, index, coded, times, size)
    if others is not None:
        check_copied(out, others, index)
    return index


@dataclass(frozen=True)
class _Copy:
    """Return the values of a packet that a copy must keep."""

    pts: int | None
    dts: int | None
    duration: int
    digest: bytes


def check_copied(path: Path, others: Others, video: int = -1) -> None:
    """Compare the tracks of a written file with the source's, packet by packet.

    Args:
        path: the written file.
        others: what was copied into it.
        video: index of the written file's own video; -1 where it has none.

    Raises:
        UserError: a packet's bytes or times differ by more than the rounding to the new ticks.
    """
    with opened(others.path) as source, opened(path) as written:
        old = other_streams(source, others.video) if others.tracks else []
        new = other_streams(written, video) if old else []
        if len(old) != len(new):
            raise UserError(f"{path}: has {len(new)} of {len(old)} tracks; write another container")
        kept, found = _collected(source, old), _collected(written, new)
        alike = source.format.name == written.format.name
        for before, after in zip(old, new, strict=True):
            if before.type == "attachment":
                same = getattr(before, "data", b"") == getattr(after, "data", b"")
            else:
                same = _same(before, after, kept[before.index], found[after.index], alike)
            if not same:
                raise UserError(
                    f"{path}: {describe(before)} does not come back from this container as it was; "
                    "write another one, or drop the tracks beside the video"
                )


def _collected(container: InputContainer, streams: list[Stream]) -> dict[int, list[_Copy]]:
    found: dict[int, list[_Copy]] = {stream.index: [] for stream in streams}
    for packet in packets(container, streams):
        digest = hashlib.blake2b(_payload(bytes(packet)), digest_size=12).digest()
        copy = _Copy(packet.pts, packet.dts, packet.duration or 0, digest)
        found[packet.stream_index].append(copy)
    return found


def _payload(data: bytes) -> bytes:
    """Return a packet without the header that AAC has in transport streams (ISO/IEC 14496-3)."""
    if len(data) > 9 and data[0] == 0xFF and data[1] & 0xF6 == 0xF0:
        length = (data[3] & 3) << 11 | data[4] << 3 | data[5] >> 5
        if length == len(data):
            return data[7 if data[1] & 1 else 9 :]
    return data


def _same(before: Stream, after: Stream, old: list[_Copy], new: list[_Copy], alike: bool) -> bool:
    """Return whether packets came back, their times rounded to the new ticks where need be."""
    if len(old) != len(new) or not (before.time_base and after.time_base):
        return len(old) == len(new) == 0
    factor = before.time_base / after.time_base
    for one, other in zip(old, new, strict=True):
        if one.digest != other.digest:
            return False
        stamps = [(one.pts if one.pts is not None else one.dts, other.pts)]
        if one.dts is not None and other.dts is not None:
            stamps.append((one.dts, other.dts))
        if alike and factor == 1:
            stamps.append((one.duration, other.duration))
        if any(a is None or b is None or nearest(a * factor) != b for a, b in stamps):
            return False
    return True


def _check_video(path: Path, index: int, coded: Path, times: Times, size: tuple[int, int]) -> None:
    """Compare the video of a written file with what went into it.

    Args:
        path: the file.
        index: of its video.
        coded: the file with the coded video.
        times: of the frames.
        size: ``(height, width)`` as stored.

    Raises:
        UserError: another size, number of frames, timestamp, or other bytes.
    """
    with opened(path) as written, opened(coded) as single:
        stream, first = written.streams[index], single.streams.video[0]
        assert isinstance(stream, VideoStream)
        found = _collected(written, [stream])[index]
        kept = _collected(single, [first])[first.index]
        shown = ticks(times, stream.time_base or times.time_base, path)
        stamps = sorted(copy.pts for copy in found if copy.pts is not None)
        wrong = ""
        if (stream.codec_context.height, stream.codec_context.width) != size:
            wrong = "its size"
        elif len(found) != len(times.pts):
            wrong = f"{len(found)} of {len(times.pts)} frames"
        elif stamps != shown.tolist():
            wrong = "the timestamps of its frames"
        elif [copy.digest for copy in found] != [copy.digest for copy in kept]:
            wrong = "the coded frames"
        if wrong:
            raise UserError(f"{path}: did not come back from the disk as written: {wrong}")
