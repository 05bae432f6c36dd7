"""The compiled loops over pixels, loaded when there is enough work for them."""

from types import ModuleType

PLAIN_FRAMES = 30
"""Frames that numpy converts before the compiled loops are loaded: about what loading costs."""

_seen = 0
"""Frames of this process."""
_absent = False
"""numba is not installed: a packed contest decoder does without it."""


def expect(frames: int) -> None:
    """Say how many frames are about to be converted, so that the loops are loaded at once."""
    global _seen
    if frames >= PLAIN_FRAMES:
        _seen = max(_seen, PLAIN_FRAMES)


def loops() -> ModuleType | None:
    """Return :mod:`seesame.video.kernels` for the next frame, or None where numpy is to do it.

    Both give the same bytes.
    """
    global _seen, _absent
    if _absent:
        return None
    if _seen < PLAIN_FRAMES:
        _seen += 1
        return None
    try:
        from seesame.video import kernels
    except ImportError:
        _absent = True
        return None
    return kernels
