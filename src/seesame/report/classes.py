"""The changes of each class: the confusion matrix, and losses of small classes."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class ClassLoss:
    """One class over all judged frames."""

    name: str
    pixels: int
    """That the source has of it."""
    share: float
    """Share of all pixels of the source, 0..1."""
    lost: float | None
    """Share of its own pixels that the file shows as another class; None where it has none."""
    gained: float | None
    """Pixels that the file shows as this class and the source does not, over its own pixels."""
    iou: float | None
    """Pixels that both show as this class over those that either does."""
    worst: int | None
    """Number of the frame that loses most pixels of it; None where none are lost."""
    worst_lost: int
    """Pixels lost there."""
    worst_pixels: int
    """Pixels of the class there."""


class Confusion:
    """The counts of the file's classes for each class of the source, added frame by frame.

    Args:
        names: of the classes.
        every_frame: every frame is added; else the second frame of each pair.
    """

    def __init__(self, names: tuple[str, ...], every_frame: bool = False) -> None:
        self.names, self.every_frame = names, every_frame
        self.counts: NDArray[np.int64] = np.zeros((len(names), len(names)), dtype=np.int64)
        """Pixels by source class (row) and file class (column)."""
        self._added = 0
        self._worst = np.zeros((3, len(names)), dtype=np.int64)
        """Of each class the frame that loses most pixels, pixels lost there, its pixels there."""

    def add(self, source: NDArray[np.integer], decoded: NDArray[np.integer]) -> None:
        """Count one frame's class maps ``(h, w)``."""
        count = len(self.names)
        joined = source.astype(np.int64).ravel() * count + decoded.ravel()
        matrix = np.bincount(joined, minlength=count * count).reshape(count, count)
        self.counts += matrix
        pixels = matrix.sum(axis=1)
        lost = pixels - matrix.diagonal()
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
        whole = int(self.counts.sum())
        found = []
        for index, name in enumerate(self.names):
            own = int(self.counts[index].sum())
            kept = int(self.counts[index, index])
            shown = int(self.counts[:, index].sum())
            worst, most_lost, pixels = (int(value) for value in self._worst[:, index])
            either = own + shown - kept
            shares = (
                (own - kept) / own if own else None,
                (shown - kept) / own if own else None,
                kept / either if either else None,
            )
            there = most_lost, pixels
            frame = worst if self.every_frame else 2 * worst + 1
            place = frame if there[0] else None
            found.append(ClassLoss(name, own, own / whole, *shares, place, *there))
        return found
