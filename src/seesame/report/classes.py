"""The changes of each class: the confusion matrix, and losses of small classes."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from seesame.metric.classes import ClassCounts, ClassFigures


@dataclass(frozen=True)
class ClassLoss(ClassFigures):
    """One class over all judged frames, and where it loses most."""

    worst: int | None
    """Number of the frame that loses most pixels of it; None where none are lost."""
    worst_lost: int
    """Pixels lost there."""
    worst_pixels: int
    """Pixels of the class there."""


class Confusion(ClassCounts):
    """The counts of the file's classes for each class of the source, added batch by batch.

    Args:
        names: of the classes.
        every_frame: every frame is added; else the second frame of each pair.
    """

    def __init__(self, names: tuple[str, ...], every_frame: bool = False) -> None:
        super().__init__(names)
        self.every_frame = every_frame
        self._added = 0
        self._worst = np.zeros((3, len(names)), dtype=np.int64)
        """Of each class the frame that loses most pixels, pixels lost there, its pixels there."""

    def add_maps(self, source: Tensor, decoded: Tensor) -> None:
        """Count class maps, integer ``(F, h, w)``. Raises UserError for a class without a name."""
        super().add_maps(source, decoded)
        for ours, theirs in zip(source.long(), decoded.long(), strict=True):
            pixels, lost = self._counted(ours), self._counted(ours[ours != theirs])
            found = np.stack([np.full_like(lost, self._added), lost, pixels])
            worse = np.ones_like(lost, bool) if not self._added else lost > self._worst[1]
            self._worst = np.where(worse, found, self._worst)
            self._added += 1

    def rows(self) -> list[list[float | None]]:
        """Return shares of each source class's pixels by file class; None for an absent class."""
        totals = self.counts.sum(axis=1)
        return [
            [int(value) / int(total) if total else None for value in row]
            for row, total in zip(self.counts, totals, strict=True)
        ]

    def losses(self) -> list[ClassLoss]:
        """Return the changes of each class."""
        found = []
        for index, own in enumerate(self.figures):
            worst, *there = (int(value) for value in self._worst[:, index])
            frame = worst if self.every_frame else 2 * worst + 1
            found.append(
                ClassLoss(
                    **vars(own),
                    worst=frame if there[0] else None,
                    worst_lost=there[0],
                    worst_pixels=there[1],
                )
            )
        return found

    def _counted(self, classes: Tensor) -> NDArray[np.int64]:
        """Return the pixels of each class, ``(C,)``."""
        found: NDArray[np.int64] = (
            classes.flatten().bincount(minlength=len(self.names)).cpu().numpy()
        )
        return found
