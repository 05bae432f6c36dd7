"""What one run of the command line did; used by the tests and by the fixture ``seesame``."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Ran:
    """Exit code, stdout and stderr."""

    code: int
    out: str
    err: str
