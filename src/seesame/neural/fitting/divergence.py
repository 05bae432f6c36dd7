"""Protection against divergence: a run goes back to its last good state, and on more gently."""

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from seesame.neural.fitting.checkpoint import Stateful


@dataclass(frozen=True)
class DivergenceTuning:
    """When a run counts as diverged, and where it goes back to.

    Args:
        decay: share of the running loss that one step leaves in place.
        forget: factor on the best loss a step: the schedule changes what the loss means.
        alarm: a running loss this many times the best one, and 1, is a divergence.
        snapshot_steps: steps from one state that is kept to the next.
        good: a state is kept where the running loss is below this multiple of the best one.
        gentler: factor on the learning rate each time that a run goes back.
    """

    decay: float = 0.95
    forget: float = 1.002
    alarm: float = 2.0
    snapshot_steps: int = 100
    good: float = 1.2
    gentler: float = 0.5


TUNING = DivergenceTuning()


class Divergence:
    """Watches the loss of a run.

    Args:
        network: what is trained.
        optimiser: its optimiser.
    """

    def __init__(self, network: nn.Module, optimiser: Stateful) -> None:
        self._network, self._optimiser = network, optimiser
        self.gentleness = 1.0
        """Factor on the learning rate."""
        self._running: float | None = None
        self._best = math.inf
        self._steps = 0
        self._kept: tuple[Mapping[str, Any], Mapping[str, Any]] | None = None

    def restart(self) -> None:
        """Forget the state that was kept: the parameters themselves have changed."""
        self._kept = None

    def watch(self, loss: float) -> bool:
        """Take note of a step's loss; return whether the run was set back."""
        if not math.isfinite(loss):
            return self._set_back()
        decay = TUNING.decay
        self._running = (
            loss if self._running is None else decay * self._running + (1 - decay) * loss
        )
        self._best = min(self._best * TUNING.forget, self._running)
        if self._running > TUNING.alarm * self._best + 1.0:
            return self._set_back()
        self._steps += 1
        good = self._running < TUNING.good * self._best + 0.5
        if self._steps % TUNING.snapshot_steps == 0 and good:
            state = self._network.state_dict(), self._optimiser.state_dict()
            self._kept = copy.deepcopy(state)
        return False

    def _set_back(self) -> bool:
        if self._kept is None:
            return False
        network, optimiser = copy.deepcopy(self._kept)
        self._network.load_state_dict(network)
        self._optimiser.load_state_dict(optimiser)
        self.gentleness *= TUNING.gentler
        self._running, self._best = None, math.inf
        return True

    def state_dict(self) -> dict[str, Any]:
        """Return the losses so far and the gentleness; the state that is kept is made anew."""
        best = self._best if math.isfinite(self._best) else None
        return {
            "gentleness": self.gentleness,
            "running": self._running,
            "best": best,
            "steps": self._steps,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from an earlier state."""
        self.gentleness, self._running = state["gentleness"], state["running"]
        self._best = math.inf if state["best"] is None else state["best"]
        self._steps = state["steps"]
