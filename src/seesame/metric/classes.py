"""The agreement of class maps, class by class: IoU and boundary IoU from confusion counts."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from seesame.metric.confusion import confusion
from seesame.metric.evaluator import BatchOutputs


@dataclass(frozen=True)
class ClassTuning:
    """The choices in the measures of classes.

    Attributes:
        band: half the width of the boundary band, as a share of the class map's diagonal. Cheng et
            al. use 0.02 for photographs of things and 0.005 for the street scenes of Cityscapes,
            whose classes are thin.
        present: the least share of the source's pixels with which a class counts towards a mean.
            A few stray pixels of a class would otherwise weigh as much as the road.
    """

    band: float = 0.005
    present: float = 0.0001


TUNING = ClassTuning()


@dataclass(frozen=True)
class ClassFigures:
    """The agreement of one class, over all frames."""

    name: str
    pixels: int
    """Pixels of the class in the source."""
    share: float
    """Those over all pixels, 0..1."""
    lost: float | None
    """Share of its own pixels that the file shows as another class; None where it has none."""
    gained: float | None
    """Pixels that the file shows as this class and the source does not, over its own pixels."""
    iou: float | None
    """Pixels that both show as this class over those that either does; None where none do."""
    boundary_iou: float | None
    """The same, of the pixels within the boundary band alone (Cheng et al. 2021)."""

    @property
    def present(self) -> bool:
        """True where the source has enough of the class for it to count towards a mean."""
        return self.pixels > 0 and self.share >= TUNING.present


class ClassCounts:
    """Counts of pixels by source class and file class; memory does not grow with the clip.

    Args:
        names: of the classes.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(names)
        count = len(self.names)
        self.counts: NDArray[np.int64] = np.zeros((count, count), np.int64)
        """Pixels by source class (row) and file class (column)."""
        # The last row and column are the pixels away from any boundary.
        self._band: NDArray[np.int64] = np.zeros((count + 1, count + 1), np.int64)

    def watch(self, batch: BatchOutputs) -> None:
        """Count a batch's judged frames; the ``watch`` of ``seesame.metric.evaluate``."""
        self.add_maps(batch.source.frames, batch.decoded.frames)

    def add_maps(self, source: Tensor, decoded: Tensor) -> None:
        """Count class maps, integer ``(F, h, w)``.

        Raises:
            UserError: a map has a class beyond those that are named.
        """
        if not source.numel():
            return
        self.counts += confusion(source, decoded, len(self.names))
        away = len(self.names)
        ours, theirs = (m.long().masked_fill(~boundary_band(m), away) for m in (source, decoded))
        self._band += confusion(ours, theirs, away + 1)

    @property
    def figures(self) -> tuple[ClassFigures, ...]:
        """The agreement of each class, in the order of the names."""
        whole = max(1, int(self.counts.sum()))
        ious, bands = intersection_over_union(self.counts), intersection_over_union(self._band)
        found = []
        for index, name in enumerate(self.names):
            own, shown = int(self.counts[index].sum()), int(self.counts[:, index].sum())
            kept = int(self.counts[index, index])
            lost, gained = ((own - kept) / own, (shown - kept) / own) if own else (None, None)
            found.append(
                ClassFigures(name, own, own / whole, lost, gained, ious[index], bands[index])
            )
        return tuple(found)

    @property
    def mean_iou(self) -> float:
        """The mean IoU over the classes that are present in the source (mIoU), 0..1.

        Raises ValueError where nothing was counted, as does the next one.
        """
        return fmean(one.iou for one in self.figures if one.present and one.iou is not None)

    @property
    def mean_boundary_iou(self) -> float:
        """The mean boundary IoU over the classes that are present in the source, 0..1."""
        found = (one.boundary_iou for one in self.figures if one.present)
        return fmean(value for value in found if value is not None)


def class_values(counts: ClassCounts) -> dict[str, Any]:
    """Return the measures of all classes as plain JSON values."""
    classes = [
        {
            "name": one.name,
            "share": one.share,
            "present": one.present,
            "lost": one.lost,
            "gained": one.gained,
            "iou": one.iou,
            "boundary_iou": one.boundary_iou,
        }
        for one in counts.figures
    ]
    means = {"mean_iou": counts.mean_iou, "mean_boundary_iou": counts.mean_boundary_iou}
    return {**means, "classes": classes}


def boundary_band(maps: Tensor) -> Tensor:
    """Return where a class map is near the outline of its own class, bool ``(F, h, w)``.

    A pixel is near where the square of ``2 d + 1`` pixels around it leaves its class or the
    picture, with ``d`` the band times the diagonal, rounded, and 1 at least: what an erosion of the
    class's mask by ``d`` steps takes away, as Cheng et al. define it ("Boundary IoU: Improving
    Object-Centric Image Segmentation Evaluation", CVPR 2021, section 4 and their published code).

    Args:
        maps: integer classes ``(F, h, w)``.
    """
    height, width = maps.shape[-2:]
    reach = max(1, round(TUNING.band * float(np.hypot(height, width))))
    # One round of pooling over rows and one over columns finds the extremes over the square.
    values = F.pad(maps[:, None].float(), (reach,) * 4, value=-1.0)
    extremes = []
    for sign in (1, -1):
        rows = F.max_pool2d(sign * values, (2 * reach + 1, 1), stride=1)
        extremes.append(sign * F.max_pool2d(rows, (1, 2 * reach + 1), stride=1))
    return (extremes[0] != extremes[1])[:, 0]


def intersection_over_union(counts: NDArray[np.int64]) -> list[float | None]:
    """Return each class's IoU from a confusion matrix; None where neither side has the class."""
    both = counts.diagonal()
    either = counts.sum(0) + counts.sum(1) - both
    pairs = zip(both.tolist(), either.tolist(), strict=True)
    return [kept / whole if whole else None for kept, whole in pairs]
