"""The tracks beside a file's video, and how its pictures are stored: what a new file must keep."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import av
import numpy as np
from av.buffer import Buffer
from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from seesame.temporary import temporary_folder
from seesame.video.clip import Clip
from seesame.video.reading import streams
from seesame.video.reading.reader import VideoClip

if TYPE_CHECKING:
    AnyPacket = Packet[Stream]
else:
    AnyPacket = Packet  # PyAV's class is generic for type checkers only

_WORDS = {"audio": "sound", "subtitle": "subtitles", "attachment": "an attachment"}


@dataclass(frozen=True)
class Stored:
    """The pixel format, tags and display matrix of the video in a file.

    Args:
        pixels: FFmpeg's name of the pixel format.
        matrix: the colour matrix, ``AVColorSpace`` (ITU-T H.273, table 4); 2 where untagged.
        full: True where black is 0, as the file says it.
        colour_range: ``AVColorRange``; 0 where untagged.
        primaries: ``AVColorPrimaries``.
        transfer: ``AVColorTransferCharacteristic``.
        aspect: width of a pixel over its height; None where untagged.
        turn: the nine numbers of the display matrix (ISO/IEC 14496-12, 6.2.2); None where there is
            none.
    """

    pixels: str
    matrix: int = 2
    full: bool = False
    colour_range: int = 0
    primaries: int = 2
    transfer: int = 2
    aspect: Fraction | None = None
    turn: tuple[int, ...] | None = None

    @property
    def quarter(self) -> tuple[int, int, int, int] | None:
        """The display matrix as :func:`seesame.video.pixels.upright` takes it."""
        return None if self.turn is None else (*self.turn[:2], *self.turn[3:5])  # type: ignore[return-value]


@contextmanager
def opened(path: Path) -> Iterator[InputContainer]:
    """Open a video file for the copying of its packets.

    Raises:
        UserError: it is not readable, with the file's name.
    """
    try:
        with streams.opened(path) as container:
            yield container
    except (av.error.FFmpegError, EOFError):
        with streams.errors(path):
            raise


def source_video(clip: Clip) -> tuple[Path, int] | None:
    """Return the video file of a clip and the index of its stream there; None for other clips."""
    if not isinstance(clip, VideoClip):
        return None
    with opened(clip.path) as container:
        return clip.path, streams.video(clip.path, container, clip.stream).index


def stored(clip: Clip) -> Stored | None:
    """Return how the pictures of a clip's file are stored; None for a clip that is no video file.

    Raises:
        UserError: the file cannot be read.
    """
    found = source_video(clip)
    if found is None:
        return None
    path, index = found
    with opened(path) as container:
        stream = container.streams[index]
        assert isinstance(stream, VideoStream)
        stream.codec_context.thread_count = 1  # nothing is left at work after the first frame
        frame = next(container.decode(stream))
        assert isinstance(frame, VideoFrame)
        matrix = frame.side_data.get("DISPLAYMATRIX")
        turn = None
        if matrix is not None:
            assert isinstance(matrix, Buffer)
            turn = tuple(np.frombuffer(bytes(memoryview(matrix)), dtype=np.int32).tolist())
        colour_range = int(frame.color_range)
        return Stored(
            frame.format.name,
            int(frame.colorspace),
            frame.format.name.startswith("yuvj") or colour_range == 2,
            colour_range,
            int(frame.color_primaries),
            int(frame.color_trc),
            stream.sample_aspect_ratio,
            turn,
        )


def other_streams(container: InputContainer, video: int) -> list[Stream]:
    """Return the streams beside the video that are tracks of their own.

    The titles of chapters, which an MP4 keeps in a track, are not: they are copied as chapters.
    """
    chapters = container.chapters()
    return [
        stream
        for stream in container.streams
        if stream.index != video
        and not (stream.type == "data" and chapters and stream.frames == len(chapters))
    ]


def describe(stream: Stream) -> str:
    """Return a track in words: ``track 2 (sound, aac)``."""
    codec = getattr(stream, "name", None)
    what = _WORDS.get(stream.type, stream.type)
    return f"track {stream.index} ({what}{f', {codec}' if codec else ''})"


def packets(container: InputContainer, tracks: list[Stream]) -> Iterator[AnyPacket]:
    """Yield the packets of some streams in the file's order, without those that mean the end.

    MP4 fills the time between two subtitles with empty ones, which are no packets of their own: a
    muxer writes them anew.
    """
    wanted = [stream for stream in tracks if stream.type != "attachment"]
    if not wanted:
        return
    for packet in container.demux(wanted):
        filling = packet.size == 2 and packet.stream.name == "mov_text" and not any(bytes(packet))
        if not filling and (packet.size or packet.pts is not None or packet.dts is not None):
            yield packet


@contextmanager
def temporary_file(suffix: str, data: bytes = b"") -> Iterator[Path]:
    """Yield a path in a folder that is removed in the end; a file with ``data`` is there if any."""
    with temporary_folder() as folder:
        path = folder / f"file{suffix}"
        if data:
            path.write_bytes(data)
        yield path
