"""Bounds on what a file may ask a decoder to render; torch is not needed to check them."""

from seesame.bitstream.container import Container, Section
from seesame.bounds import BOUNDS
from seesame.errors import DamagedError

MAX_SIDE = 2048
"""The largest side of a rendered picture."""
DECODE_PAIRS = 4
"""Pairs drawn at once: fixed, so that the pixels do not depend on the reader's batch size, nor on
where reading starts. A network's sums are rounded otherwise in batches of another size."""


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
        if not rendered <= side <= BOUNDS.enlargement * rendered:
            raise DamagedError(f"{name} is damaged: it renders {rendered} pixels for {side}")


def check_stream(container: Container, values: int, name: str) -> None:
    """Raise DamagedError where so many values a pair would make a stream too long."""
    if num_pairs(container) * values > BOUNDS.stream_symbols:
        raise DamagedError(f"{name} is damaged: it declares {container.num_frames:,} frames")


def check_macs(macs: int, container: Container, name: str) -> None:
    """Raise DamagedError where a frame takes too many multiply-accumulates for its size."""
    least, most = BOUNDS.counted_pixels
    counted = min(max(container.width * container.height, least), most)
    allowed = BOUNDS.macs_a_pixel * counted
    if macs > allowed:
        raise DamagedError(
            f"{name} is damaged: its networks take {macs:,} multiply-accumulates a frame, "
            f"more than {allowed:,}"
        )


def pairs_at_once(values: int, macs: int) -> int:
    """Return how many pairs are drawn at once: a single one where they would take much memory.

    Args:
        values: of the largest map, for one pair.
        macs: multiply-accumulates for one pair.
    """
    fits = DECODE_PAIRS * values <= BOUNDS.batch_values
    return DECODE_PAIRS if fits and DECODE_PAIRS * macs <= BOUNDS.batch_macs else 1
