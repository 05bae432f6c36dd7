"""The packets of an av family's stream at which decoding can start, found by their first bytes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from seesame.codecs.av.stream import nals, obus
from seesame.errors import DamagedError


@dataclass(frozen=True)
class Entry:
    """A packet that needs none before it.

    Args:
        packet: its number.
        frame: the number of the frame that it shows, in playing order. All frames from there on
            can be decoded from here.
        leading: packets after it that show frames before it, which may need earlier packets.
    """

    packet: int
    frame: int
    leading: int = 0


def entries(name: str, packets: Sequence[bytes], num_frames: int) -> list[Entry]:
    """Return the entries of a stream in rising order; the first is always that at its start.

    Args:
        name: of the codec, a member of the av family.
        packets: in coding order.
        num_frames: of the clip; where there is not one packet a frame, only the start is found.
    """
    found = [Entry(0, 0)]
    if len(packets) != num_frames:
        return found
    if name == "x265":
        return found + list(_hevc(packets))
    is_key = {"x264": _h264_key, "svtav1": _av1_key, "vp9": _vp9_key}[name]
    for number, packet in enumerate(packets[1:], 1):
        # Neither moves a frame across such a packet: its place is the same in both orders.
        if is_key(packet):
            found.append(Entry(number, number))
    return found


def _h264_key(packet: bytes) -> bool:
    """Return whether a picture is an IDR one (ISO/IEC 14496-10, 7.4.1.2.4).

    Other I pictures, as an open group of pictures has them, are passed over.
    """
    first = next((kind & 31 for kind in nals(packet) if kind & 31 in (1, 2, 5)), 0)
    return first == 5


def _hevc_kind(packet: bytes) -> int:
    """Return the type of a picture's first slice (ISO/IEC 23008-2, table 7-1); 0 if none."""
    return next((kind >> 1 & 63 for kind in nals(packet) if kind >> 1 & 63 < 32), 0)


def _hevc(packets: Sequence[bytes]) -> Iterator[Entry]:
    """Yield the random access points, whose leading pictures are marked as such."""
    kinds = [_hevc_kind(packet) for packet in packets]
    for number, kind in enumerate(kinds):
        if number and 16 <= kind <= 21:
            end = number + 1  # each packet is looked at once: none of these kinds leads
            while end < len(kinds) and 6 <= kinds[end] <= 9:
                end += 1
            trailing = end - number - 1
            yield Entry(number, number + trailing, trailing)


def _av1_key(packet: bytes) -> bool:
    """Return whether a temporal unit starts with a key frame that is shown (AV1 spec, 5.5, 5.9)."""
    sequence = False
    try:
        for kind, payload in obus(packet):
            sequence |= kind == 1
            if kind in (3, 6):  # a frame header, or a frame; shown, of type 0, not seen before
                return sequence and payload[:1] != b"" and payload[0] & 0b1111_0000 == 0b0001_0000
    except DamagedError:
        return False
    return False


def _vp9_key(packet: bytes) -> bool:
    """Return whether a packet starts with a key frame (VP9 bitstream specification, 6.2)."""
    if not packet:
        return False
    head = packet[0]
    # Profile 3 has a reserved bit before these two.
    shift = 1 if head & 0b0011_0000 == 0b0011_0000 else 2
    return head >> 6 == 2 and not head >> shift & 0b11  # neither shown before, nor an inter frame
