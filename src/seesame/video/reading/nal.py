"""The parts of an H.264 or HEVC stream that show lost pictures and messages that lie.

FFmpeg conceals a lost H.264 picture: it copies the one before in its place, and all that is
predicted from it is wrong until the next key frame, without a word. The frame numbers of the slice
headers tell (ITU-T H.264, 7.4.3, frame_num). Pictures to which no other refers leave no trace: when
such a one is lost, all others are still exact.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

_HEAD = 640
"""Bytes of a slice that are looked at: its header is shorter."""

_CHROMA_PROFILES = frozenset((100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135))
"""Values of profile_idc whose parameter sets declare the chroma format (7.3.2.1.1)."""

_KNOWN = frozenset((1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 19, 20))
"""Types of NAL units that belong into a packet (7.4.1, table 7-1)."""

_SEI = {"h264": (6,), "hevc": (39, 40)}
_FILLER = {"h264": 12, "hevc": 38 << 1}
"""First byte of a NAL unit that decoders pass over."""
_UUID_MESSAGE, _UUID_BYTES = 5, 16


class _Bits:
    """Reads a NAL unit's payload bit by bit. Raises ValueError beyond its end."""

    def __init__(self, data: bytes) -> None:
        clean = data[:_HEAD].replace(b"\0\0\3", b"\0\0")  # emulation prevention (7.4.1)
        self._value, self._left = int.from_bytes(clean, "big"), 8 * len(clean)

    def take(self, count: int) -> int:
        """Return an unsigned number of so many bits."""
        self._left -= count
        if self._left < 0:
            raise ValueError("the header goes on after its end")
        return (self._value >> self._left) & ((1 << count) - 1)

    def ue(self) -> int:
        """Return an unsigned Exp-Golomb number (9.1)."""
        zeros = 0
        while not self.take(1):
            zeros += 1
            if zeros > 32:
                raise ValueError("no number")
        return (1 << zeros) - 1 + self.take(zeros)

    def skip(self, count: int) -> None:
        """Pass over so many Exp-Golomb numbers, signed or not."""
        for _ in range(count):
            self.ue()


@dataclass(frozen=True)
class _Sequence:
    """The fields of a sequence parameter set that slice headers need."""

    number_bits: int
    order_bits: int | None
    order_deltas: bool
    gaps_allowed: bool
    frames_only: bool
    planes_apart: bool
    grey: bool


@dataclass(frozen=True)
class _Picture:
    """The fields of a picture parameter set that slice headers need."""

    sequence: int
    bottom_order: bool
    slice_groups: bool
    references: tuple[int, int]
    weighted: bool
    weighted_both: int
    redundant: bool


def _parse_sequence(bits: _Bits) -> tuple[int, _Sequence]:
    """Return number and content of a sequence parameter set (7.3.2.1.1)."""
    profile = bits.take(8)
    bits.take(16)
    number, chroma, apart = bits.ue(), 1, 0
    if profile in _CHROMA_PROFILES:
        chroma = bits.ue()
        if chroma == 3:
            apart = bits.take(1)
        bits.skip(2)
        bits.take(1)
        if bits.take(1):
            for index in range(8 if chroma != 3 else 12):
                if bits.take(1):
                    _skip_scaling(bits, 16 if index < 6 else 64)
    number_bits = bits.ue() + 4
    kind, order_bits, deltas = bits.ue(), None, False
    if kind == 0:
        order_bits = bits.ue() + 4
    elif kind == 1:
        deltas = not bits.take(1)
        bits.skip(2)
        bits.skip(bits.ue())
    bits.ue()
    gaps = bits.take(1)
    bits.skip(2)
    frames_only = bits.take(1)
    grey = not chroma or bool(apart)
    return number, _Sequence(
        number_bits, order_bits, deltas, bool(gaps), bool(frames_only), bool(apart), grey
    )


def _skip_scaling(bits: _Bits, size: int) -> None:
    """Pass over a scaling list (7.3.2.1.1.1)."""
    last = following = 8
    for _ in range(size):
        if following:
            code = bits.ue()
            delta = (code + 1) // 2 if code % 2 else -(code // 2)
            following = (last + delta) % 256
        last = following or last


def _parse_picture(bits: _Bits) -> tuple[int, _Picture]:
    """Return number and content of a picture parameter set (7.3.2.2)."""
    number, sequence = bits.ue(), bits.ue()
    bits.take(1)
    order = bool(bits.take(1))
    if bits.ue():
        return number, _Picture(sequence, order, True, (1, 1), False, 0, False)
    references = bits.ue() + 1, bits.ue() + 1
    weighted, both = bool(bits.take(1)), bits.take(2)
    bits.skip(3)
    bits.take(2)
    return number, _Picture(sequence, order, False, references, weighted, both, bool(bits.take(1)))


@dataclass
class FrameNumbers:
    """Follows the frame numbers of an H.264 stream, packet by packet in decoding order.

    Args:
        extradata: the parameter sets that the container holds, if any.
    """

    extradata: bytes | None = None
    pictures: int = field(default=0, init=False)
    """Pictures that began so far, and packets with neither a picture nor a known companion."""
    countable: bool = field(default=True, init=False)
    """True where every picture gives a frame: the first is an IDR picture, none is a field."""
    _length_bytes: int = field(default=0, init=False)
    _sequences: dict[int, _Sequence] = field(default_factory=dict, init=False)
    _pictures: dict[int, _Picture] = field(default_factory=dict, init=False)
    _before: int | None = field(default=None, init=False)
    _reference: bytes = field(default=b"", init=False)

    def __post_init__(self) -> None:
        data = self.extradata or b""
        self._length_bytes = length_bytes("h264", data)
        for unit in _parameter_sets(data) if self._length_bytes else units(data, 0):
            self._learn(unit)

    def lost(self, packet: bytes, restart: bool = False) -> int:
        """Return how many reference pictures are missing right before a packet, 0 if none is.

        Args:
            packet: its bytes.
            restart: the packet does not follow the one before it in the stream.
        """
        if restart:
            self._before = None
        missing = 0
        first = alone = True
        for unit in units(packet, self._length_bytes):
            kind = unit[0] & 31
            if kind in (7, 8):
                self._learn(unit)
            elif kind in (1, 2, 5) and len(unit) > 1 and (first or unit[1] & 128):
                first = False
                missing += self._follow(unit)
            alone &= kind not in _KNOWN
        self.pictures += alone
        return missing

    def _learn(self, unit: bytes) -> None:
        """Keep a parameter set; the decoder will complain of a broken one."""
        try:
            if unit[0] & 31 == 7:
                number, sequence = _parse_sequence(_Bits(unit[1:]))
                self._sequences[number] = sequence
            elif unit[0] & 31 == 8:
                number, picture = _parse_picture(_Bits(unit[1:]))
                self._pictures[number] = picture
        except ValueError:
            return

    def _follow(self, unit: bytes) -> int:
        """Return how many pictures are missing before a picture's first slice."""
        try:
            number, sequence, picture, _ = self._start(unit)
        except (ValueError, KeyError):
            return 0  # the decoder judges what cannot be parsed
        if unit[1] & 128 and not picture.redundant:
            instant = unit[0] & 31 == 5
            self.countable &= sequence.frames_only and (instant or self.pictures > 0)
            self.pictures += 1
        if unit[0] & 31 == 5:
            self._before = number
        missing, period = 0, 1 << sequence.number_bits
        if unit[0] & 31 != 5 and self._before is not None and not sequence.gaps_allowed:
            ahead = (number - self._before) % period
            first = sequence.frames_only and unit[1] & 128 and not picture.redundant
            if ahead == 0 and first:
                ahead = period  # only other slices repeat the number of a reference frame
            if ahead > 1 and self._forgets():
                ahead = number
            missing = max(0, ahead - 1)
        if unit[0] >> 5 & 3:
            self._before, self._reference = number, unit[:_HEAD]
        elif missing:
            self._before = (number - 1) % period  # told once
        return missing

    def _start(self, unit: bytes) -> tuple[int, _Sequence, _Picture, tuple[_Bits, int]]:
        """Return frame number and parameter sets of a slice, the bits after it and its type."""
        bits = _Bits(unit[1:])
        bits.ue()
        kind, picture = bits.ue() % 5, self._pictures[bits.ue()]
        sequence = self._sequences[picture.sequence]
        if sequence.planes_apart:
            bits.take(2)
        return bits.take(sequence.number_bits), sequence, picture, (bits, kind)

    def _forgets(self) -> bool:
        """Return whether the last reference picture set the numbers back to 0.

        That is memory management operation 5 in its slice header (7.3.3, 7.4.3.3).
        """
        try:
            return _ends_with_reset(self._reference, *self._start(self._reference)[1:])
        except (ValueError, KeyError, IndexError):
            return False


def _ends_with_reset(
    unit: bytes, sequence: _Sequence, picture: _Picture, rest: tuple[_Bits, int]
) -> bool:
    """Read a slice header (7.3.3) on from the frame number up to the reference marking."""
    bits, kind = rest
    if unit[0] & 31 == 5 or picture.slice_groups:
        return False
    field_picture = not sequence.frames_only and bits.take(1)
    if field_picture:
        bits.take(1)
    if sequence.order_bits is not None:
        bits.take(sequence.order_bits)
    if sequence.order_bits is not None or sequence.order_deltas:
        bits.skip(int(sequence.order_deltas) + int(picture.bottom_order and not field_picture))
    if picture.redundant:
        bits.ue()
    lists = {0: 1, 1: 2, 3: 1}.get(kind, 0)  # P, B, SP; none in I and SI
    if kind == 1:
        bits.take(1)
    references = list(picture.references[:lists])
    if lists and bits.take(1):
        references = [bits.ue() + 1 for _ in range(lists)]
    for _ in range(lists):
        if bits.take(1):
            while bits.ue() != 3:
                bits.ue()
    if (picture.weighted and lists == 1) or (picture.weighted_both == 1 and lists == 2):
        _skip_weights(bits, references, sequence.grey)
    if not bits.take(1):
        return False
    while operation := bits.ue():
        if operation == 5:
            return True
        bits.skip({1: 1, 2: 1, 3: 2, 4: 1, 6: 1}[operation])
    return False


def _skip_weights(bits: _Bits, references: list[int], grey: bool) -> None:
    """Pass over a prediction weight table (7.3.3.2)."""
    bits.skip(1 if grey else 2)
    for _ in range(sum(references)):
        if bits.take(1):
            bits.skip(2)
        if not grey and bits.take(1):
            bits.skip(4)


def length_bytes(codec: str, extradata: bytes) -> int:
    """Return the bytes of a NAL unit's length prefix, 0 where start codes separate the units.

    Args:
        codec: FFmpeg's name, ``h264`` or ``hevc``.
        extradata: an avcC or hvcC record (ISO/IEC 14496-15, 5.3.3 and 8.3.3), or parameter sets
            with start codes.
    """
    at = 4 if codec == "h264" else 21
    if len(extradata) <= at or extradata[0] != 1:
        return 0
    return (extradata[at] & 3) + 1


def _parameter_sets(record: bytes) -> Iterator[bytes]:
    """Yield the parameter sets of an avcC record."""
    position, count = 6, int.from_bytes(record[5:6], "big") & 31
    for _ in range(2):
        for _ in range(count):
            size = int.from_bytes(record[position : position + 2], "big")
            if size and position + 2 < len(record):
                yield record[position + 2 : position + 2 + size]
            position += 2 + size
        count = int.from_bytes(record[position : position + 1], "big")
        position += 1


def units(data: bytes, prefix: int) -> Iterator[bytes]:
    """Yield the NAL units of a packet.

    Args:
        data: the packet.
        prefix: bytes of each unit's length; 0 where start codes separate them (annex B).
    """
    return (data[start:end] for start, end in _spans(data, prefix))


def _spans(data: bytes, prefix: int) -> Iterator[tuple[int, int]]:
    """Yield the first byte of each NAL unit and the one behind its last."""
    if prefix:
        position = 0
        while position + prefix < len(data):
            start = position + prefix
            position = start + int.from_bytes(data[position:start], "big")
            if position > start:
                yield start, min(position, len(data))
        return
    start = data.find(b"\0\0\1") + 3
    while start >= 3:
        found = data.find(b"\0\0\1", start)
        end = found if found >= 0 else len(data)
        if data[start:end].strip(b"\0"):
            yield start, end
        start = found + 3


def without_false_messages(codec: str, data: bytes, prefix: int) -> bytes | None:
    """Return a packet whose SEI units that declare more bytes than they have became filler.

    No picture depends on them, yet the decoder refuses the whole packet with them.

    Args:
        codec: ``h264`` or ``hevc``.
        data: the packet.
        prefix: as :func:`length_bytes` gives it.

    Returns:
        As many bytes; None where all messages are sound.
    """
    shift, header = (0, 1) if codec == "h264" else (1, 2)
    mended: bytearray | None = None
    for start, end in _spans(data, prefix):
        kind = data[start] >> shift & (31 if codec == "h264" else 63)
        if kind in _SEI[codec] and not _messages_fit(data[start + header : end]):
            mended = mended or bytearray(data)
            mended[start] = _FILLER[codec]
    return None if mended is None else bytes(mended)


def _messages_fit(payload: bytes) -> bool:
    """Return whether every SEI message (ITU-T H.264, 7.3.2.3.1) lies within its unit."""
    clean = payload.rstrip(b"\0").replace(b"\0\0\3", b"\0\0")
    position, end = 0, len(clean) - 1  # the last byte holds the stop bit
    while position < end:
        numbers = []
        for _ in range(2):
            value = 0
            while position < len(clean) and clean[position] == 255:
                value, position = value + 255, position + 1
            if position >= len(clean):
                return False
            numbers.append(value + clean[position])
            position += 1
        kind, size = numbers
        position += size
        if position > len(clean) or (kind == _UUID_MESSAGE and size < _UUID_BYTES):
            return False
    return True
