"""Types, limits and a check for isolation, shared by the tests of submissions."""

from collections.abc import Callable
from pathlib import Path

import pytest

from seesame.contest.evaluate import Result
from seesame.contest.limits import Limits
from seesame.contest.sandbox import why_not_isolated

Submit = Callable[..., Path]
Judge = Callable[..., Result]
MIB = 1 << 20
QUICK = Limits(seconds=60, memory=1 << 30, processes=32, bytes=64 * MIB)


def need_isolation() -> None:
    """Skip where the system cannot isolate a script."""
    if why := why_not_isolated():
        pytest.skip(f"needs bubblewrap: {why}")
