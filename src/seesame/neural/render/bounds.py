"""Bounds on what a file may ask a decoder to render; torch is not needed to check them."""

from seesame.bitstream.container import Container, Section
from seesame.errors import DamagedError

MAX_SIDE = 2048
"""The largest side of a rendered picture."""
MAX_STREAM_SYMBOLS = 1 << 24
"""The most symbols of a stream."""
MAX_ENLARGEMENT = 64
"""A file that asks for more was not made by the encoder; it would only cost memory."""


def section(container: Container, which: Section, name: str = "the file") -> bytes:
    """Return a section's bytes. Raises DamagedError where a file lacks it."""
    if which not in container.sections:
        raise DamagedError(f"{name} is damaged: its {which.name} section is missing")
    return container.sections[which]


def num_pairs(container: Container) -> int:
    """Return the number of pairs of a file, an odd last frame counted as one."""
    return -(-container.num_frames // 2)


def check_render(render: tuple[int, int], container: Container, name: str) -> None:
    """Raise DamagedError for a render size that no encoder chooses for the file's frames."""
    size = (container.height, container.width)
    for rendered, side in zip(render, size, strict=True):
        if not rendered <= side <= MAX_ENLARGEMENT * rendered:
            raise DamagedError(f"{name} is damaged: it renders {rendered} pixels for {side}")


def check_stream(container: Container, values: int, name: str) -> None:
    """Raise DamagedError where so many values a pair would make a stream too long."""
    if num_pairs(container) * values > MAX_STREAM_SYMBOLS:
        raise DamagedError(f"{name} is damaged: it declares {container.num_frames:,} frames")
