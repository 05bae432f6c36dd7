"""Colours of classes and of what differs, the same in every picture that seesame draws."""

import numpy as np

PALETTE = np.array(
    [
        (0x40, 0x20, 0x20),
        (0xFF, 0x00, 0x00),
        (0x80, 0x80, 0x60),
        (0x00, 0xFF, 0x66),
        (0xCC, 0x00, 0xFF),
        (0x20, 0x60, 0xFF),
        (0xFF, 0x80, 0x00),
        (0x00, 0xC0, 0xC0),
    ],
    dtype=np.uint8,
)
"""comma10k's colours for its five classes; other stacks take them in turn."""
DIFFERS = np.array((0xFF, 0xD0, 0x00), dtype=np.uint8)


def hex_colours() -> list[str]:
    """Return the palette as CSS writes it, ``#402020`` first."""
    return [f"#{red:02x}{green:02x}{blue:02x}" for red, green, blue in PALETTE.tolist()]
