"""The protocol of a judge: something other than a stack that compares a file with its source.

A judge measures and no more: no encoder aims at it, and it has no part in the score.
"""

from collections.abc import Iterable
from typing import Any, Protocol

from seesame.video.clip import Frames


class Judge(Protocol):
    """A detector, or a measure of motion."""

    name: str
    """The name that reports print."""
    fingerprint: str
    """Hex digest that changes when weights, preprocessing or the comparison change."""
    frames: int
    """How many consecutive frames are looked at together: 1, or 2 for a pair."""
    step: int
    """Frames from the first of one look to the first of the next; ``frames`` or more."""
    quality: str
    """The figure that rates are compared at; higher is better."""

    def observe(self, frames: Frames) -> Any:
        """Return what is seen in frames ``uint8 (frames, H, W, 3)``; it takes little memory."""

    def figures(self, looks: Iterable[tuple[Any, Any]]) -> dict[str, float | None]:
        """Return the figures of a file from what was seen in the source and in the file.

        A figure is None where nothing could be measured.
        """

    def told(self, figures: dict[str, float | None]) -> str:
        """Return the figures in words, on one line."""
