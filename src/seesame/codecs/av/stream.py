"""The STREAM section of the av family: a head, then packets (``docs/format.md``, "av family").

A packet consists of NAL units, or of AV1's OBUs.
"""

from collections.abc import Iterator, Sequence

from seesame.bitstream.container import Container, Section
from seesame.bitstream.varint import Reader, pack_varint
from seesame.bounds import BOUNDS
from seesame.codecs.av.head import Head
from seesame.errors import DamagedError

SHOWN_IN_ORDER = ("svtav1", "vp9")
"""Codecs whose every packet shows one frame, in playing order."""

_START_CODE = b"\0\0\1"
_AV1_FRAMES = (3, 6)
"""The types of the OBUs that begin a frame: a frame header, or a whole frame."""


def pack_stream(head: Head, packets: Sequence[bytes]) -> bytes:
    """Return the section of packets in coding order."""
    return head.pack() + b"".join(pack_varint(len(packet)) + packet for packet in packets)


def read_stream(container: Container, name: str) -> tuple[Head, list[bytes]]:
    """Return the head and the packets of a file.

    Args:
        container: the file.
        name: of its codec.

    Raises:
        DamagedError: the section is missing, or its head or a packet's size is damaged.
    """
    if Section.STREAM not in container.sections:
        raise DamagedError("the file holds no video stream")
    reader = Reader(container.sections[Section.STREAM], f"the {name} stream")
    head = Head.read(reader, container.width, container.height)
    most = min(BOUNDS.packets, BOUNDS.packets_a_frame * (container.num_frames + 1))
    packets: list[bytes] = []
    while reader.left:
        if len(packets) == most:
            raise reader.fail(f"is damaged: more than {most:,} packets for its frames")
        size = reader.varint("a packet's size")
        if not size:  # encoders write none, and a decoder would take it for the stream's end
            raise reader.fail(f"is damaged: packet {len(packets)} is empty")
        packets.append(reader.take(size, "a packet"))
    return head, packets


def frame_bytes(container: Container, name: str) -> tuple[int, ...]:
    """Return the bytes of the packet that shows each frame, in playing order.

    AV1 and VP9 have a packet for every frame shown, with the hidden ones that it waits for. H.264
    and H.265 have packets in coding order: for them, there is nothing.
    """
    _, packets = read_stream(container, name)
    in_order = name in SHOWN_IN_ORDER and len(packets) == container.num_frames
    return tuple(map(len, packets)) if in_order else ()


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
