"""The method ``grid``: every combination of settings, as the challenge's large searches did."""

from collections.abc import Sequence

from seesame.errors import UserError
from seesame.jobs.runner import Runner
from seesame.jobs.trial import Trial
from seesame.search.auto import Tell
from seesame.search.space import Space

MOST = 100_000
"""Settings of a grid: at a second each, more than a day."""


def grid(spaces: Sequence[Space], runner: Runner, tell: Tell) -> list[Trial]:
    """Try all settings of some codecs' grids; those that the store has cost nothing.

    Raises:
        UserError: more than ``MOST`` settings, or as :meth:`Runner.run`.
        DamagedError: as :meth:`Runner.run`.
    """
    size = sum(space.size() for space in spaces)
    if size > MOST:
        raise UserError(f"the grid has {size:,} settings, more than {MOST:,}; give fewer values")
    wanted = [(space.codec, settings) for space in spaces for settings in space.grid()]
    found = []
    for result in runner.run(wanted):
        tell(result)
        if result.trial is not None:
            found.append(result.trial)
    return found
