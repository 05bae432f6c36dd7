"""Every combination of a grid, as the challenge's large searches did it."""

from collections.abc import Sequence

from seesame.search.auto import Tell
from seesame.search.runner import Runner
from seesame.search.space import Space
from seesame.search.trial import Trial


def grid(spaces: Sequence[Space], runner: Runner, tell: Tell) -> list[Trial]:
    """Try all settings of some codecs' grids; those that the store has cost nothing.

    Raises:
        UserError, DamagedError: as :meth:`Runner.run`.
    """
    wanted = [(space.codec, settings) for space in spaces for settings in space.grid()]
    found = []
    for result in runner.run(wanted):
        tell(result)
        if result.trial is not None:
            found.append(result.trial)
    return found
