"""What a packet of an av family's stream consists of: NAL units, or AV1's OBUs."""

from collections.abc import Iterator

from seesame.bitstream.varint import Reader
from seesame.bounds import BOUNDS
from seesame.errors import DamagedError

_START_CODE = b"\0\0\1"
_AV1_FRAMES = (3, 6)
"""The types of the OBUs that begin a frame: a frame header, or a whole frame."""


def nals(packet: bytes) -> Iterator[int]:
    """Yield the first byte of each NAL unit (ISO/IEC 14496-10, annex B)."""
    place = packet.find(_START_CODE)
    while 0 <= place < len(packet) - 3:
        yield packet[place + 3]
        place = packet.find(_START_CODE, place + 3)


def obus(packet: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the type and the payload of each OBU (AV1 specification, 5.3).

    Raises:
        DamagedError: an OBU does not fit into the packet.
    """
    reader = Reader(packet, "a packet of the svtav1 stream")
    while reader.left:
        head = reader.byte("an OBU's head")
        if head & 4:
            reader.byte("an OBU's extension")
        size = _obu_size(reader) if head & 2 else reader.left
        yield head >> 3 & 15, reader.take(size, "an OBU")


def _obu_size(reader: Reader) -> int:
    """Return a LEB128 number of up to eight bytes, which need not be in its shortest form."""
    value = 0
    for shift in range(0, 56, 7):
        byte = reader.byte("an OBU's size")
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value
    raise reader.fail("is damaged: an OBU's size is longer than eight bytes")


def check_packet(name: str, packet: bytes) -> None:
    """Check that a decoder may work on a packet, whose frames need not all be shown.

    VP9's packets need no check: none holds more than eight frames.

    Args:
        name: of the codec, a member of the av family.
        packet: the packet.

    Raises:
        DamagedError: it has more units or frames than :data:`~seesame.bounds.BOUNDS` allow.
    """
    units = frames = 0
    if name in ("x264", "x265"):
        units = packet.count(_START_CODE)
    elif name == "svtav1":
        for units, (kind, _) in enumerate(obus(packet), 1):
            frames += kind in _AV1_FRAMES
            if units > BOUNDS.packet_units:
                break
    damaged = f"the {name} stream is damaged: a packet has"
    if units > BOUNDS.packet_units:
        raise DamagedError(f"{damaged} more than {BOUNDS.packet_units} units")
    if frames > BOUNDS.packet_frames:
        raise DamagedError(f"{damaged} {frames} frames, more than {BOUNDS.packet_frames}")
