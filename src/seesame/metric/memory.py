"""Memory that stays: large tensors without the cost of asking the system for each of them."""

import ctypes

_TRIM_THRESHOLD, _MMAP_MAX = -1, -4
"""glibc's M_TRIM_THRESHOLD and M_MMAP_MAX (malloc.h)."""


def keep_freed_memory() -> bool:
    """Let this process keep what it frees; returns whether it could be arranged.

    glibc maps every large tensor anew and the system clears it page by page, which takes a third
    of a net's time on batches of whole pictures. What is computed does not change, nor does the
    most that is held. It is for the whole process, so that programs call it, not the library.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # not glibc
        return False
    return bool(mallopt(_MMAP_MAX, 0) and mallopt(_TRIM_THRESHOLD, 2**31 - 1))
