"""Unsigned integers of variable length, and a bounds-checked cursor over untrusted bytes.

The coding is LEB128: seven bits a byte, least significant group first, the top bit set on every
byte but the last (DWARF 5, section 7.6). Only the shortest form of a number is accepted.
"""

from seesame.errors import DamagedError

MAX_VARINT = (1 << 63) - 1
"""The largest number a varint may hold: nine bytes."""


def pack_varint(value: int) -> bytes:
    """Return the shortest varint of ``value``, 1 to 9 bytes.

    Raises:
        ValueError: ``value`` is not in 0..2**63-1.
    """
    if not 0 <= value <= MAX_VARINT:
        raise ValueError(f"{value} does not fit a varint (0..2**63-1)")
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


class Reader:
    """A cursor over ``data``; whatever does not fit raises :class:`DamagedError`.

    Args:
        data: the untrusted bytes.
        name: what the errors call them, for instance the file's path.
    """

    def __init__(self, data: bytes, name: str = "file") -> None:
        self._data = data
        self._name = name
        self.position = 0
        """Bytes read so far."""

    @property
    def left(self) -> int:
        """Bytes not yet read."""
        return len(self._data) - self.position

    def fail(self, what: str) -> DamagedError:
        """Return the error to raise, which says ``what`` is wrong, with the name of the data."""
        return DamagedError(f"{self._name}: {what}")

    def take(self, size: int, what: str = "data") -> bytes:
        """Return the next ``size`` bytes; nothing is allocated before they are found."""
        if not 0 <= size <= self.left:
            raise self.fail(
                f"is truncated or damaged: {what} should have {size} bytes, {self.left} are left"
            )
        start = self.position
        self.position += size
        return self._data[start : self.position]

    def byte(self, what: str = "a byte") -> int:
        """Return the next byte, 0..255."""
        return self.take(1, what)[0]

    def varint(self, what: str = "a number", maximum: int = MAX_VARINT) -> int:
        """Return the next varint, in its shortest form and at most ``maximum``."""
        value = self._data[self.position] if self.left else 0x80
        if value < 0x80 and value <= maximum:  # most are of one byte, and there may be millions
            self.position += 1
            return value
        value = 0
        for shift in range(0, 63, 7):
            byte = self.byte(what)
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                if byte == 0 and shift:
                    raise self.fail(f"is damaged: {what} is not in its shortest form")
                if value > maximum:
                    raise self.fail(f"is damaged: {what} is {value}, more than {maximum}")
                return value
        raise self.fail(f"is damaged: {what} is longer than nine bytes")

    def finish(self) -> None:
        """Check that nothing is left."""
        if self.left:
            raise self.fail(f"is damaged: {self.left} bytes follow its end")
