"""The STREAM section of the av family: a head, then packets (``docs/format.md``, "av family")."""

from collections.abc import Sequence

from seesame.bitstream.container import Container, Section
from seesame.bitstream.varint import Reader, pack_varint
from seesame.bounds import BOUNDS
from seesame.codecs.av.head import Head
from seesame.errors import DamagedError

SHOWN_IN_ORDER = ("svtav1", "vp9")
"""Codecs whose every packet shows one frame, in playing order."""


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
