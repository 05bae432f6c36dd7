"""Settings of the semantic codec."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, ClassVar, Self

from seesame.errors import UnsupportedSettingError


@dataclass(frozen=True)
class SemanticSettings:
    """The settings of the semantic codec.

    Args:
        renderer: name, digest or path of the shared renderer; None takes the one that is installed
            for the stack.
        simplify: how freely masks may differ from what the stack saw: 0 keeps every pixel, 10 gives
            a pixel up where its bytes cost more than it in the score, and every 2 more do so at
            1.4 times, every 2 less at 0.7 times the price of a byte.
        every_frame: store the masks of all frames. Otherwise only those of the second frames of
            the pairs, which the challenge's score judges, and first frames serve the pose alone.
        embed: put a renderer into the file that is trained on this clip; nothing has to be
            installed where the file is decoded.
        budget_s: wall time in seconds of an encode that embeds, the look at the source and the
            search for codes included.
        steps: steps of the training of each embedded network instead of a wall time.
    """

    MOST: ClassVar[int] = 30
    """The largest ``simplify``."""
    TIMES: ClassVar[tuple[float, float]] = (10, 30 * 86400)
    """The least and the largest ``budget_s``."""
    STEPS: ClassVar[int] = 10**8
    """The most ``steps``."""

    renderer: str | None = None
    simplify: int = 10
    every_frame: bool = False
    embed: bool = False
    budget_s: float | None = None
    steps: int | None = None

    @classmethod
    def from_mapping(cls, settings: Mapping[str, Any]) -> Self:
        """Check plain values and return settings made of them.

        Raises:
            UnsupportedSettingError: an unknown name, or a value out of range.
        """
        known = [field.name for field in fields(cls)]
        for name in settings:
            if name not in known:
                raise UnsupportedSettingError(
                    f"codec semantic has no setting {name!r}; its settings: {', '.join(known)}"
                )
        made = replace(cls(), **{k: v for k, v in settings.items() if v is not None})
        made._check()
        return made

    def _check(self) -> None:
        if type(self.simplify) is not int or not 0 <= self.simplify <= self.MOST:
            raise UnsupportedSettingError(
                f"codec semantic: simplify must be a whole number from 0 to {self.MOST}, "
                f"not {self.simplify!r}"
            )
        for name in ("every_frame", "embed"):
            if not isinstance(getattr(self, name), bool):
                raise UnsupportedSettingError(
                    f"codec semantic: {name} must be true or false, not {getattr(self, name)!r}"
                )
        if self.renderer is not None and not isinstance(self.renderer, str):
            raise UnsupportedSettingError(
                f"codec semantic: renderer must be a name or a path, not {self.renderer!r}"
            )
        self._check_embedding()

    def _check_embedding(self) -> None:
        if self.embed and self.renderer is not None:
            raise UnsupportedSettingError(
                "codec semantic: embed trains a renderer of the clip's own; leave renderer out"
            )
        for name in ("budget_s", "steps"):
            if getattr(self, name) is not None and not self.embed:
                raise UnsupportedSettingError(
                    f"codec semantic: {name} is for embed=true; a shared renderer is not trained"
                )
        low, high = self.TIMES
        budget = self.budget_s
        number = isinstance(budget, int | float) and not isinstance(budget, bool)
        if budget is not None and not (number and low <= budget <= high):
            raise UnsupportedSettingError(
                f"codec semantic: budget_s must be a number from {low} to {high}, not {budget!r}"
            )
        steps = self.steps
        if steps is not None and not (type(steps) is int and 1 <= steps <= self.STEPS):
            raise UnsupportedSettingError(
                f"codec semantic: steps must be a whole number from 1 to {self.STEPS}, "
                f"not {steps!r}"
            )

    @property
    def price(self) -> float:
        """What a byte counts when masks are chosen, as a multiple of what the score counts it."""
        return 2.0 ** ((self.simplify - 10) / 4) if self.simplify else 0.0

    def stored(self) -> dict[str, Any]:
        """Return the settings that a file keeps; a renderer's path says nothing elsewhere."""
        kept = {name: value for name, value in asdict(self).items() if name != "renderer"}
        if not self.embed:
            del kept["embed"]
        return {name: value for name, value in kept.items() if value is not None}
