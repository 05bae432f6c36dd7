"""The shape of the post-network, as the file stores it; torch is not needed to read it."""

from dataclasses import dataclass

from seesame.bitstream.varint import Reader, pack_varint
from seesame.neural.render.bounds import MAX_SIDE
from seesame.neural.weights.tensors import TensorSpec, convolution, linear

LAYOUT = 1
MAX_WIDTH = 128
MAX_DEPTH = 6
MAX_CODE = 64
FOLD = 4
"""Pixels a side that are folded into channels."""
CHANNELS = 6 * FOLD * FOLD


@dataclass(frozen=True)
class Design:
    """Everything that fixes the network between base and corrections; it is stored in the file.

    Args:
        render: ``(height, width)`` of the pictures before they are enlarged to the source's size.
        code: numbers a pair; 0 means no network at all.
        width: channels of the layers; 0 with no network.
        depth: layers between the first and the last.
    """

    render: tuple[int, int]
    code: int = 0
    width: int = 0
    depth: int = 0

    @property
    def network(self) -> bool:
        """True where there is a network."""
        return self.code > 0

    def tensors(self) -> dict[str, TensorSpec]:
        """Return how the network's tensors are coded and trained, in the order of the file."""
        if not self.network:
            return {}
        wide = self.width
        found = convolution("first", CHANNELS, wide, 1) | linear("code", self.code, wide)
        for number in range(self.depth):
            found |= convolution(f"stages.{number}", wide, wide, 3, "normuon")
        return found | convolution("last", wide, CHANNELS, 1)

    def largest_map(self) -> int:
        """Return the values of the largest map, for one pair; its pictures are kept twice."""
        return 2 * 6 * self.render[0] * self.render[1]

    def macs(self) -> int:
        """Return the multiply-accumulates (MACs) for one pair."""
        cells = -(-self.render[0] // FOLD) * -(-self.render[1] // FOLD)
        layers = 2 * CHANNELS * self.width + self.depth * 9 * self.width**2
        return cells * layers

    def pack(self) -> bytes:
        """Return the MODEL section."""
        numbers = (LAYOUT, *self.render, self.code, self.width, self.depth)
        return b"".join(pack_varint(n) for n in numbers)


def unpack_design(payload: bytes, name: str) -> Design:
    """Read the MODEL section.

    Raises:
        DamagedError: a shape out of bounds, or an unknown layout.
    """
    reader = Reader(payload, name)
    layout = reader.varint()
    if layout != LAYOUT:
        raise reader.fail(f"layout {layout} of the hybrid codec is unknown to this version")
    height, width = (reader.varint("the render size", MAX_SIDE) for _ in range(2))
    code = reader.varint("the codes' size", MAX_CODE)
    channels = reader.varint("the network's width", MAX_WIDTH)
    depth = reader.varint("the network's depth", MAX_DEPTH)
    if reader.left or not height or not width or bool(code) != bool(channels):
        raise reader.fail("a network of impossible shape")
    return Design((height, width), code, channels, depth)
