"""A guard against divergence: goes back to the last good state, and on more gently."""

import copy
import math
from typing import Any, Protocol

from torch import nn

DECAY = 0.95
PATIENCE = 1.002
"""How fast the best loss is forgotten, a step: the schedule changes what the loss means."""
ALARM = 2.0
"""A running loss this many times the best one is a divergence."""
SNAPSHOT_STEPS = 100


class Stateful(Protocol):
    """What can be set back."""

    def state_dict(self) -> dict[str, Any]:
        """The whole state."""

    def load_state_dict(self, state: dict[str, Any], /) -> Any:
        """Take a state back."""


class Guard:
    """Watches the loss of a run.

    Args:
        rep: what is trained.
        optimiser: its optimiser.
    """

    def __init__(self, rep: nn.Module, optimiser: Stateful) -> None:
        self.rep, self.optimiser = rep, optimiser
        self.gentleness = 1.0
        self._running: float | None = None
        self._best = math.inf
        self._steps = 0
        self._kept: tuple[dict[str, Any], dict[str, Any]] | None = None

    def restart(self) -> None:
        """Forget what was kept: the parameters themselves have changed."""
        self._kept = None

    def watch(self, loss: float) -> bool:
        """Take note of a step's loss; true when the run was set back."""
        if not math.isfinite(loss):
            return self._set_back()
        self._running = (
            loss if self._running is None else DECAY * self._running + (1 - DECAY) * loss
        )
        self._best = min(self._best * PATIENCE, self._running)
        if self._running > ALARM * self._best + 1.0:
            return self._set_back()
        self._steps += 1
        if self._steps % SNAPSHOT_STEPS == 0 and self._running < 1.2 * self._best + 0.5:
            self._kept = copy.deepcopy((self.rep.state_dict(), self.optimiser.state_dict()))
        return False

    def _set_back(self) -> bool:
        if self._kept is None:
            return False
        rep, optimiser = copy.deepcopy(self._kept)
        self.rep.load_state_dict(rep)
        self.optimiser.load_state_dict(optimiser)
        self.gentleness *= 0.5
        self._running, self._best = None, math.inf
        return True
