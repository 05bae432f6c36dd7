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
    """

    MOST: ClassVar[int] = 30
    """The largest ``simplify``."""

    renderer: str | None = None
    simplify: int = 10
    every_frame: bool = False

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
        if not isinstance(self.every_frame, bool):
            raise UnsupportedSettingError(
                f"codec semantic: every_frame must be true or false, not {self.every_frame!r}"
            )
        if self.renderer is not None and not isinstance(self.renderer, str):
            raise UnsupportedSettingError(
                f"codec semantic: renderer must be a name or a path, not {self.renderer!r}"
            )

    @property
    def price(self) -> float:
        """What a byte counts when masks are chosen, as a multiple of what the score counts it."""
        return 2.0 ** ((self.simplify - 10) / 4) if self.simplify else 0.0

    def stored(self) -> dict[str, Any]:
        """Return the settings that a file keeps; a renderer's path says nothing elsewhere."""
        return {name: value for name, value in asdict(self).items() if name != "renderer"}
