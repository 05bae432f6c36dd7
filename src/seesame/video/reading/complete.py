"""A check that a video file is complete, by the length that its container declares.

FFmpeg plays a truncated file up to the cut without a word; these checks find the cut from the
container's outermost sizes alone. Formats that declare no length (.ts, raw HEVC, a Matroska file
written as a live stream) are left to the decoder.
"""

from pathlib import Path
from typing import BinaryIO

from seesame.errors import DamagedError
from seesame.video.reading.transport import SIZES, ends_in_a_packet

_BOXES = frozenset(
    b"ftyp styp moov moof mdat free skip wide sidx mfra meta uuid pdin emsg prft".split()
)


def check_complete(path: Path, format_name: str, start: int = 0) -> None:
    """Refuse a file that ends before its container says so.

    Args:
        path: the file.
        format_name: FFmpeg's name for the container, such as ``mov,mp4,m4a,3gp,3g2,mj2``.
        start: where in the file the container begins.

    Raises:
        DamagedError: the file is truncated.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        if "mp4" in format_name:
            end = _end_of_boxes(file, size, start)
        elif "matroska" in format_name:
            end = _end_of_segment(file, size, start)
        elif format_name == "avi":
            end = _end_of_riff(file, size, start)
        elif format_name == "mpegts":
            whole = any(size % packet == 0 for packet in SIZES)
            end = size + 1 if not whole and ends_in_a_packet(path) else size
        else:
            return
    if end > size:
        raise DamagedError(
            f"{path}: truncated: the container goes on after the end of the file; get a whole copy"
        )


def _end_of_boxes(file: BinaryIO, size: int, position: int) -> int:
    """Return where the last top-level box ends (ISO/IEC 14496-12, 4.2)."""
    while position < size:
        file.seek(position)
        head = file.read(16)
        if len(head) < 8:
            # A box of a size that fits into 16 MB; else a newline, or so, behind the last box.
            return position + 8 if head[0] == 0 else size
        length = int.from_bytes(head[:4], "big")
        if length == 1:
            length = int.from_bytes(head[8:16], "big")
        if length < 8 or head[4:8] not in _BOXES:
            return size  # a box up to the end of the file, or something appended that is none
        position += length
    return position


def _end_of_segment(file: BinaryIO, size: int, start: int) -> int:
    """Return where the Matroska segment ends, 0 if it does not say (RFC 8794, 6; RFC 9559, 5.1)."""
    file.seek(start)
    _, length = _element(file)  # the EBML header
    if length is None or length > size:
        return 0  # no header: the demuxer will refuse it
    file.seek(length, 1)
    _, length = _element(file)
    return 0 if length is None else file.tell() + length


def _element(file: BinaryIO) -> tuple[int, int | None]:
    """Return id and length of the EBML element here; the length is None when unknown."""
    first = file.read(1)
    if not first:
        return 0, None
    file.seek(_leading_zeros(first[0]), 1)
    head = file.read(1)
    if not head:
        return 0, None
    more = _leading_zeros(head[0])
    value = int.from_bytes(head + file.read(more), "big") & ((1 << (7 * (more + 1))) - 1)
    unknown = value == (1 << (7 * (more + 1))) - 1
    return first[0], None if unknown else value


def _leading_zeros(byte: int) -> int:
    return 8 - byte.bit_length() if byte else 7


def _end_of_riff(file: BinaryIO, size: int, position: int) -> int:
    """Return where the last RIFF chunk ends: a large AVI has several."""
    while position < size:
        file.seek(position)
        head = file.read(8)
        if len(head) < 8 or head[:4] != b"RIFF":
            break
        length = int.from_bytes(head[4:], "little")
        if length == 0:  # a recorder that lost power before it came back to fill it in
            return size + 1
        position += 8 + length + length % 2
    return position - 1 if position == size + 1 else position
