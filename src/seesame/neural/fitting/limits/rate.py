"""Control of the rate's weight, by the size that the user asks for or by the user's limits."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from seesame.neural.fitting.settings import TrainSettings


@dataclass(frozen=True)
class RateTuning:
    """The control's own numbers.

    Args:
        gain: how fast the rate's weight answers a wrong size, a unit of training.
        bounds: of the logarithm of the factor on the rate's weight.
        squeeze: the most of it while limits are kept easily.
        margin: what a file should have where it is bound, as a share of the bound.
        to_come: as a share of that, how much more may be there at the beginning of the training.
    """

    gain: float = 60.0
    bounds: tuple[float, float] = (-3.0, 5.0)
    squeeze: float = 1.5
    margin: float = 0.9
    to_come: float = 1.5


TUNING = RateTuning()


class RateControl:
    """The rate's weight, raised or lowered until the size that the user asks for is met.

    Where limits choose the size, it is lowered while the file is too far from keeping them, and
    raised while it keeps them easily.

    Args:
        settings: the user's.
        by_limits: whether the user's limits choose the size.
    """

    def __init__(self, settings: TrainSettings, by_limits: bool = False) -> None:
        self._settings, self._by_limits = settings, by_limits
        self.reach = 0.0
        """The largest running figure as a multiple of its bound; 0 before there is one."""
        self.truth = 1.0
        """The same of the last judged file, as a multiple of what it was in the training."""
        self.size = 0.0
        """Bytes of what is trained, as the last step estimated them."""
        self.coding = 1.0
        """Bits that the coder writes for a bit of the estimate, found when a file was judged."""
        self._pressure, self._pressed_at = 0.0, 0.0

    def weight(self, scheduled: float, share: float) -> float:
        """Return the weight at a share of the training; with a largest size it is only raised."""
        settings = self._settings
        passed, self._pressed_at = share - self._pressed_at, share
        least, most = TUNING.bounds
        wrong = []
        if (settings.bytes or settings.max_bytes) is not None and self.size:
            wrong.append(float(np.log(self.size / settings.aim(10**9))))
        if self._by_limits and self.reach:
            allowed = TUNING.margin * (1 + TUNING.to_come * (1 - share))
            wrong.append(float(np.log(allowed / (self.truth * self.reach))))
            most = TUNING.squeeze if len(wrong) == 1 else most
        elif settings.bytes is None:
            least = 0.0
        if not wrong or not scheduled:
            return scheduled
        pressure = self._pressure + TUNING.gain * passed * max(wrong)
        self._pressure = float(np.clip(pressure, least, most))
        return scheduled * float(np.exp(self._pressure))

    def state_dict(self) -> dict[str, Any]:
        """Return the state as plain numbers."""
        return {
            "size": self.size,
            "reach": self.reach,
            "truth": self.truth,
            "coding": self.coding,
            "pressure": self._pressure,
            "pressed_at": self._pressed_at,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from an earlier state."""
        self.size, self.coding = state["size"], state["coding"]
        self.reach, self.truth = state["reach"], state["truth"]
        self._pressure, self._pressed_at = state["pressure"], state["pressed_at"]
