"""Facts of a container's header that PyAV does not hand out: crops, encryption, whole clusters.

Only the elements on the way to them are read, and of those only the sizes: bounded work for any
bytes. What does not parse says nothing here; the demuxer judges it.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

_MOST_ELEMENTS = 100_000
"""Elements of one level that are walked over at most; a longer list counts as unreadable."""

_SEGMENT, _TRACKS, _CLUSTER, _VOID, _CRC = 0x18538067, 0x1654AE6B, 0x1F43B675, 0xEC, 0xBF
_TOP_LEVEL = frozenset(
    (_TRACKS, _CLUSTER, _VOID, _CRC, 0x114D9B74, 0x1549A966, 0x1C53BB6B, 0x1941A469)
) | {0x1043A770, 0x1254C367}
_IN_CLUSTER = frozenset((0xE7, 0xA3, 0xA0, 0xAB, 0xA7, 0x5854, 0xAF, _VOID, _CRC))
_TRACK_ENTRY, _TRACK_NUMBER, _TRACK_TYPE, _VIDEO = 0xAE, 0xD7, 0x83, 0xE0
_ENCRYPTION = (0x6D80, 0x6240, 0x5035)
"""ContentEncodings, ContentEncoding, ContentEncryption (RFC 9559, 5.1.4.1.31)."""
_CROPS = (0x54CC, 0x54BB, 0x54DD, 0x54AA)
"""PixelCropLeft, PixelCropTop, PixelCropRight, PixelCropBottom (RFC 9559, 5.1.4.1.28)."""


@dataclass(frozen=True)
class TrackFacts:
    """One video track as its header describes it.

    Args:
        crop: pixels to cut off at the left, top, right and bottom of a decoded frame.
        encrypted: the samples are encrypted.
    """

    crop: tuple[int, int, int, int] = (0, 0, 0, 0)
    encrypted: bool = False


def video_facts(path: Path, format_name: str, begin: int = 0) -> list[TrackFacts]:
    """Return the facts of the video tracks of a Matroska or MP4 file, in the file's order.

    Args:
        path: the file.
        format_name: FFmpeg's name for the container.
        begin: where in the file the container begins.

    Returns:
        An empty list for other containers.
    """
    with path.open("rb") as file:
        try:
            if "matroska" in format_name:
                return [_matroska_facts(file, track) for track in _matroska_videos(file, begin)]
            if "mp4" in format_name:
                return list(_movie_facts(file, begin))
        except (ValueError, struct.error):
            return []
    return []


def clusters_whole(path: Path, begin: int = 0) -> bool:
    """Return whether a Matroska file is whole, block by block, up to the end that it declares."""
    with path.open("rb") as file:
        size = _file_size(file)
        try:
            for number, start, end in _elements(file, begin, size):
                if number != _SEGMENT:
                    continue
                for inner, first, last in _elements(file, start, end, whole=True):
                    if inner not in _TOP_LEVEL:
                        return False
                    if inner == _CLUSTER and any(
                        kind not in _IN_CLUSTER
                        for kind, _, _ in _elements(file, first, last, whole=True)
                    ):
                        return False
                return end <= size
        except ValueError:
            return False
    return False


_Span = tuple[int, int]
"""First byte of an element's content, and the one behind its last."""


def _file_size(file: BinaryIO) -> int:
    return file.seek(0, 2)


def _elements(
    file: BinaryIO, start: int, end: int, whole: bool = False
) -> Iterator[tuple[int, int, int]]:
    """Yield id, first byte of the content and the byte behind it of EBML elements (RFC 8794, 5).

    Args:
        file: the file.
        start: where the first element begins.
        end: where the last one ends.
        whole: an element that ends behind ``end``, or has no known size, is an error.

    Raises:
        ValueError: no elements, or too many.
    """
    count = 0
    while start < end:
        file.seek(start)
        head = file.read(12)
        width = 9 - head[0].bit_length() if head and head[0] else 9
        if width > 4 or len(head) <= width or not head[width]:
            raise ValueError("no element")
        more = 9 - head[width].bit_length()
        if len(head) < width + more:
            raise ValueError("no element")
        number = int.from_bytes(head[:width], "big")
        mask = (1 << 7 * more) - 1
        size = int.from_bytes(head[width : width + more], "big") & mask
        content = start + width + more
        known = size != mask
        last = content + size if known else end
        if whole and (not known or last > end):
            raise ValueError("an element without an end")
        yield number, content, min(last, end)
        start, count = last, count + 1
        if count > _MOST_ELEMENTS:
            raise ValueError("too many elements")


def _children(file: BinaryIO, span: _Span, number: int) -> Iterator[_Span]:
    return ((start, end) for found, start, end in _elements(file, *span) if found == number)


def _number(file: BinaryIO, span: _Span, number: int) -> int:
    """Return an unsigned integer among an element's children, 0 where it is not there."""
    for start, end in _children(file, span, number):
        file.seek(start)
        return int.from_bytes(file.read(min(8, end - start)), "big")
    return 0


def _matroska_videos(file: BinaryIO, begin: int) -> Iterator[_Span]:
    for segment in _children(file, (begin, _file_size(file)), _SEGMENT):
        for tracks in _children(file, segment, _TRACKS):
            for track in _children(file, tracks, _TRACK_ENTRY):
                if _number(file, track, _TRACK_TYPE) == 1:
                    yield track
            return


def _matroska_facts(file: BinaryIO, track: _Span) -> TrackFacts:
    crop = (0, 0, 0, 0)
    for video in _children(file, track, _VIDEO):
        left, top, right, bottom = (_number(file, video, kind) for kind in _CROPS)
        crop = left, top, right, bottom
    inside = [track]
    for level in _ENCRYPTION:
        inside = [child for span in inside for child in _children(file, span, level)]
    return TrackFacts(crop, bool(inside))


def _boxes(file: BinaryIO, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield type, first byte of the content and the byte behind it of boxes (ISO/IEC 14496-12)."""
    for _ in range(_MOST_ELEMENTS):
        if start + 8 > end:
            return
        file.seek(start)
        size, kind = struct.unpack(">I4s", file.read(8))
        content = start + 8
        if size == 1:
            (size,) = struct.unpack(">Q", file.read(8))
            content += 8
        last = end if size == 0 else start + size
        if last < content:
            return
        yield kind, content, min(last, end)
        start = last


def _within(file: BinaryIO, span: _Span, *path: bytes) -> Iterator[_Span]:
    """Yield the boxes that lie at a path of box types."""
    for kind, start, end in _boxes(file, *span):
        if kind == path[0]:
            if len(path) == 1:
                yield start, end
            else:
                yield from _within(file, (start, end), *path[1:])


def _movie_facts(file: BinaryIO, begin: int) -> Iterator[TrackFacts]:
    for track in _within(file, (begin, _file_size(file)), b"moov", b"trak"):
        for start, _ in _within(file, track, b"mdia", b"hdlr"):
            file.seek(start + 8)
            if file.read(4) != b"vide":
                continue
            for first, last in _within(file, track, b"mdia", b"minf", b"stbl", b"stsd"):
                yield _entry_facts(file, (first + 8, last))
                break


def _entry_facts(file: BinaryIO, span: _Span) -> TrackFacts:
    """Return the facts in the first sample entry (ISO/IEC 14496-12, 12.1.3 and 12.1.4)."""
    for kind, start, end in _boxes(file, *span):
        file.seek(start + 24)
        width, height = struct.unpack(">HH", file.read(4))
        for aperture, _ in _within(file, (start + 78, end), b"clap"):
            file.seek(aperture)
            numbers = struct.unpack(">IIIIiIiI", file.read(32))
            return TrackFacts(_aperture((width, height), numbers), kind == b"encv")
        return TrackFacts(encrypted=kind == b"encv")
    return TrackFacts()


def _aperture(size: tuple[int, int], numbers: tuple[int, ...]) -> tuple[int, int, int, int]:
    """Return what a clean aperture cuts off; nothing where it does not lie within the frame."""
    before, after = [], []
    for side, first in zip(size, (0, 2), strict=True):
        whole, parts, offset, offset_parts = (numbers[first + i] for i in (0, 1, 4, 5))
        if not (parts and offset_parts):
            return (0, 0, 0, 0)
        kept = whole / parts
        start = round((side - kept) / 2 + offset / offset_parts)
        end = start + round(kept)
        if not 0 <= start < end <= side:
            return (0, 0, 0, 0)
        before.append(start)
        after.append(side - end)
    return before[0], before[1], after[0], after[1]
