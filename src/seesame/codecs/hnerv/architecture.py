"""The shape of the hnerv decoder, as the file stores it; torch is not needed to read it."""

import itertools
from dataclasses import dataclass

from seesame.bitstream.varint import Reader, pack_varint
from seesame.bounds import BOUNDS
from seesame.neural.render.bounds import MAX_SIDE
from seesame.neural.weights.tensors import TensorSpec, convolution, count, linear_to_grid
from seesame.neural.weights.unpack import LAYOUT

STAGES = 5
"""Stages of the decoder; each doubles the size of its maps."""
KERNEL = 3
"""Side of the convolutions, in cells."""
PICTURES = 6
"""Channels that the last stage makes: red, green and blue of both frames of a pair."""
MAX_CHANNELS = 256


@dataclass(frozen=True)
class Architecture:
    """Everything that fixes the decoder's shape; it is stored in the file.

    Args:
        render: ``(height, width)`` of the pictures the decoder makes.
        latent: values a pair.
        channels: width of the stem grid and after each of the first ``STAGES - 1`` stages.
    """

    render: tuple[int, int]
    latent: int
    channels: tuple[int, ...]

    @property
    def grid(self) -> tuple[int, int]:
        """Size of the stem's grid: the render size halved ``STAGES`` times, rounded up."""
        step = 2**STAGES
        return -(-self.render[0] // step), -(-self.render[1] // step)

    def valid(self) -> bool:
        """Return whether a decoder of this shape may be built (bounds on memory)."""
        return (
            len(self.channels) == STAGES
            and all(1 <= c <= MAX_CHANNELS for c in self.channels)
            and 1 <= self.latent <= MAX_CHANNELS
            and all(1 <= side <= MAX_SIDE for side in self.render)
            and self.largest_map() <= BOUNDS.map_values
            and self.parameters() <= BOUNDS.weights
        )

    def largest_map(self) -> int:
        """Return the values of the largest map between two layers, for one pair."""
        cells = self.grid[0] * self.grid[1]
        sizes: list[int] = [
            4 ** (i + 1) * cells * c for i, c in enumerate((*self.channels[1:], PICTURES))
        ]
        return max(sizes)

    def macs(self) -> int:
        """Return the multiply-accumulates (MACs) for one pair."""
        cells = self.grid[0] * self.grid[1]
        widths = itertools.pairwise((*self.channels, PICTURES))
        a_cell = self.latent * self.channels[0]
        for stage, (inputs, outputs) in enumerate(widths):
            a_cell += KERNEL**2 * inputs * outputs << 2 * (stage + 1)
        return cells * a_cell

    def parameters(self) -> int:
        """Return the number of weights and biases."""
        return count(self.tensors())

    def tensors(self) -> dict[str, TensorSpec]:
        """Return how the decoder's tensors are coded and trained, in the order of the file."""
        cells = self.grid[0] * self.grid[1]
        found = linear_to_grid("stem", self.latent, self.channels[0], cells)
        widths = (*self.channels, PICTURES)
        for number, (inputs, outputs) in enumerate(itertools.pairwise(widths)):
            # Every stage doubles the size by a pixel shuffle: four maps become one.
            found |= convolution(f"stages.{number}", inputs, 4 * outputs, KERNEL, "normuon")
        return found


def pack_architecture(architecture: Architecture) -> bytes:
    """Return the MODEL section: 0 and the layout, then render size, latent size, channel counts."""
    numbers = (0, LAYOUT, *architecture.render, architecture.latent, *architecture.channels)
    return b"".join(pack_varint(n) for n in numbers)


def unpack_architecture(payload: bytes, name: str) -> tuple[Architecture, int]:
    """Read the MODEL section: the decoder's shape, and the layout (1 or 2) of all three sections.

    Raises:
        DamagedError: a shape out of bounds, or an unknown layout.
    """
    reader = Reader(payload, name)
    layout = 1
    first = reader.varint()
    if not first:  # no layout-1 file has a render height of 0
        layout = reader.varint()
        if layout != LAYOUT:
            raise reader.fail(f"layout {layout} of the hnerv codec is unknown to this version")
        first = reader.varint()
    render = (first, reader.varint())
    latent = reader.varint()
    channels = []
    while reader.left:
        channels.append(reader.varint())
    architecture = Architecture(render, latent, tuple(channels))
    if not architecture.valid():
        raise reader.fail("a decoder of impossible shape")
    return architecture, layout
