"""Opening a container and choosing the video in it."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from seesame.errors import DamagedError, UserError
from seesame.video.reading.tables import check_tables
from seesame.video.reading.transport import packets_start

BARE = ("h264", "hevc", "obu", "mjpeg", "m4v", "mpegvideo")
"""FFmpeg's names of formats without a clock: their timestamps are counted, not read."""

_BARE_SUFFIXES = {
    ".hevc": "hevc",
    ".h265": "hevc",
    ".265": "hevc",
    ".h264": "h264",
    ".264": "h264",
}

_CONTAINERS = (
    "mov,matroska,webm,avi,mpegts,hevc,h264,mpeg,mpegvideo,flv,ivf,obu,asf,ogg,mjpeg,m4v,"
    "yuv4mpegpipe,mxf,nut"
)
"""The formats that FFmpeg may take a file for: never a playlist, which could name other files."""

_FEW = 10
"""A video with so many times fewer frames than another one is a thumbnail."""

_FOREIGN = 1 << 20
"""Bytes at most of something else before a container, such as a recorder's GPS records."""

_NO_DECODER = "no decoder for this kind of video; convert it to H.264 first"

_counts: dict[tuple[str, int, int], list[int]] = {}
"""Packets of each video of files that have several, by path, size and time of last change."""


@contextmanager
def errors(path: Path) -> Iterator[None]:
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


@contextmanager
def opened(path: Path, options: dict[str, str] | None = None) -> Iterator[InputContainer]:
    """Open a container for reading.

    Args:
        path: the file.
        options: further options of FFmpeg's demuxer.

    Raises:
        DamagedError: its tables claim more samples than it can hold.
        FFmpegError: it is not readable; :func:`errors` puts that into words.
    """
    allowed = {"format_whitelist": _CONTAINERS, "protocol_whitelist": "file,subfile"}
    failed: Exception | None = None
    for start, name in _attempts(path):
        check_tables(path, start)
        # "file:" keeps a name with a colon from being taken for an address.
        url = f"subfile,,start,{start},end,0,,:file:{path}" if start else f"file:{path}"
        try:
            container = av.open(
                url, format=name, metadata_errors="replace", options=allowed | (options or {})
            )
        except av.error.ArgumentError as error:  # a format that is not in the list
            raise DamagedError(
                f"{path}: not a video, or in a container that is not read; convert it to .mkv"
            ) from error
        except (av.error.InvalidDataError, EOFError) as error:
            failed = failed or error
            continue
        with container:
            yield container
        return
    assert failed is not None
    raise failed


def content_start(container: InputContainer) -> int:
    """Return where in its file a container's content begins, behind other bytes."""
    found = re.match(r"subfile,,start,(\d+),", container.name)
    return int(found[1]) if found else 0


def _attempts(path: Path) -> Iterator[tuple[int, str | None]]:
    """Yield the starts and formats to be tried, None for what FFmpeg takes the content for."""
    for name in _formats(path):
        yield 0, name
    start = _start(path)
    if start:
        yield start, None


def _start(path: Path) -> int:
    """Return where a container begins that has other bytes before it, 0 where none is found."""
    with path.open("rb") as file:
        head = file.read(_FOREIGN)
    marks = re.search(rb"[\0-\x0f]{3}.(?=ftyp)|\x1a\x45\xdf\xa3|RIFF(?=....AVI )", head, re.DOTALL)
    return marks.start() if marks else max(0, packets_start(path))


def _formats(path: Path) -> list[str | None]:
    """Return the formats to be tried.

    A bare stream has no mark of its own, so that its suffix names it; but another container may
    have been given that suffix.
    """
    name = _BARE_SUFFIXES.get(path.suffix.lower())
    if name is None:
        return [None]
    with path.open("rb") as file:
        head = file.read(64)
    starts = re.match(rb"\0*\0\0\x01", head) and head[4:8] not in (b"ftyp", b"mdat", b"moov")
    return [name] if starts else [None, name]


def videos(container: InputContainer) -> list[VideoStream]:
    """Return the videos of a container; a number among them chooses one."""
    return list(container.streams.video)


def choose(
    path: Path, container: InputContainer, options: dict[str, str] | None = None
) -> tuple[int, str]:
    """Return the number of the video to be read, and a sentence where there were others.

    Cover pictures and thumbnails (a tenth of the frames of another one, or fewer) are no choice.
    Of the rest the one that the file marks as its default is taken, then the one with the most
    pixels.

    Args:
        path: the file.
        container: the same, opened.
        options: with which it was opened.

    Raises:
        UserError: there is no video.
    """
    every = videos(container)
    real = [number for number, stream in enumerate(every) if not _is_cover(stream)]
    if not real:
        raise UserError(f"{path}: no video in this file")
    if len(real) == 1:
        return real[0], ""
    frames = _packet_counts(path, options)
    most = max(frames[number] for number in real)
    real = [number for number in real if frames[number] * _FEW > most] or real

    def worth(number: int) -> tuple[bool, int, int]:
        stream = every[number]
        default = bool(stream.disposition & stream.disposition.default)
        pixels = stream.width * stream.height if _decodable(stream) else 0
        return default, pixels * frames[number], -number

    best = max(real, key=worth)
    if len(real) == 1:
        return best, ""
    found = ", ".join(
        f"{number} ({_text(every[number])}, {frames[number]} frames)" for number in real
    )
    return best, f"the file holds {len(real)} videos: {found}; video {best} is read"


def video(path: Path, container: InputContainer, number: int) -> VideoStream:
    """Return a video by its number.

    Raises:
        UserError: the file does not have it, or no decoder for it.
    """
    every = videos(container)
    if not 0 <= number < len(every):
        raise UserError(
            f"{path}: has {len(every)} video{'s' * (len(every) != 1)}, numbered from 0; there is "
            f"no video {number}"
        )
    stream = every[number]
    if not _decodable(stream):
        raise UserError(f"{path}: {_NO_DECODER}")
    return stream


def file_key(path: Path) -> tuple[str, int, int]:
    """Return what tells whether a file is still the same."""
    status = path.stat()
    return str(path.resolve()), status.st_size, status.st_mtime_ns


def _packet_counts(path: Path, options: dict[str, str] | None = None) -> list[int]:
    """Return how many packets each video of a file has."""
    key = file_key(path)
    if key not in _counts:
        with opened(path, options) as container:
            every = videos(container)
            counts = {stream.index: 0 for stream in every}
            for packet in container.demux(every):
                counts[packet.stream_index] += packet.size > 0 and not packet.is_discard
            _counts[key] = [counts[stream.index] for stream in every]
    return _counts[key]


def _text(stream: VideoStream) -> str:
    if not _decodable(stream):
        return "no decoder"
    return f"{stream.width}x{stream.height} {stream.codec_context.name}"


def _decodable(stream: VideoStream) -> bool:
    """Return whether there is a decoder; PyAV's types do not know that there may be none."""
    context: object = stream.codec_context
    return context is not None


def _is_cover(stream: VideoStream) -> bool:
    """Return whether a stream is a still picture beside the sound, not a video."""
    return bool(stream.disposition & stream.disposition.attached_pic)
