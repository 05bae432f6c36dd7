"""The numbers at the front of an av family's STREAM (``docs/format.md``, "av family")."""

from dataclasses import dataclass

from seesame.bitstream.varint import Reader, pack_varint
from seesame.bounds import BOUNDS

UP_KERNELS = ("bicubic", "lanczos", "bilinear", "area", "nearest")
"""The resize kernels by their number in the stream; never reordered."""
SHARPEN_STEP = 0.05
"""The unit of the unsharp mask's amount."""
MAX_SHARPEN = 100
"""The largest amount, in that unit."""
SHARPEN_SIZES = tuple(range(3, 16, 2))
"""The sides that its kernel may have, in pixels."""

_SHARPENS, _TEN_BITS = 8, 16
"""Added to the kernel's number."""


@dataclass(frozen=True)
class Head:
    """The numbers that say how coded pictures become frames.

    Args:
        up: the resize kernel.
        width: of the coded picture without its padding.
        height: the same.
        depth: bits of a sample, 8 or 10.
        sharpen: amount of the unsharp mask in steps of :data:`SHARPEN_STEP`; 0 for none.
        sharpen_size: side of its kernel.
    """

    up: str
    width: int
    height: int
    depth: int = 8
    sharpen: int = 0
    sharpen_size: int = 9

    def pack(self) -> bytes:
        """Return the varints."""
        kernel = UP_KERNELS.index(self.up)
        kernel += _TEN_BITS if self.depth == 10 else 0
        numbers = [kernel, self.width, self.height]
        if self.sharpen:
            numbers[0] += _SHARPENS
            numbers += [self.sharpen, self.sharpen_size]
        return b"".join(map(pack_varint, numbers))

    @classmethod
    def read(cls, reader: Reader, width: int, height: int) -> "Head":
        """Read the head of the stream of a clip of ``width`` by ``height``.

        Raises:
            DamagedError: not what :meth:`pack` writes.
        """
        number = reader.varint("the resize kernel", 7 + _SHARPENS + _TEN_BITS)
        kernel = number & 7
        if kernel >= len(UP_KERNELS):
            raise reader.fail(f"is damaged: there is no resize kernel {kernel}")
        coded_width = reader.varint("the coded width", width)
        coded_height = reader.varint("the coded height", height)
        if not (coded_width and coded_height):
            raise reader.fail(f"is damaged: coded at {coded_width}x{coded_height}")
        most = BOUNDS.enlargement
        if width > most * coded_width or height > most * coded_height:
            raise reader.fail(
                f"is damaged: {coded_width}x{coded_height} is coded for {width}x{height}, "
                f"more than {most} times a side"
            )
        amount, size = 0, cls.sharpen_size
        if number & _SHARPENS:
            amount = reader.varint("the sharpening", MAX_SHARPEN)
            size = reader.varint("the sharpening's size", SHARPEN_SIZES[-1])
            if not amount or size not in SHARPEN_SIZES:
                raise reader.fail(f"is damaged: sharpened by {amount} over {size} pixels")
        depth = 10 if number & _TEN_BITS else 8
        return cls(UP_KERNELS[kernel], coded_width, coded_height, depth, amount, size)
