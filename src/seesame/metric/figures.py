"""The figures of one file that limits bind: averages, percentiles, classes and the worst moment."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

EVERY_FRAME, SECOND_FRAMES = "every frame", "challenge rule: second frames"
"""The names of the two rules that say which frames are judged for segmentation."""


@dataclass(frozen=True)
class Figures:
    """The figures of one file, as plain numbers.

    Args:
        every_frame: every frame was judged for segmentation; else, by the challenge's rule, the
            second frame of each pair.
        score: the challenge's score, which is always that of the second frames.
        bytes: size of the file.
        seg: mean seg distortion of the judged frames, 0..1.
        pose: mean pose distortion of the pairs, 0 or more.
        seg_at: percentiles 0 to 100 of the single frames' seg distortion, 101 values.
        pose_at: percentiles 0 to 100 of the single pairs' pose distortion, 101 values.
        lost: of each class that the source has, the share of its pixels in the judged frames that
            get another class, 0..1.
        worst_frame: number of the judged frame with the highest seg distortion, from 0.
        worst_s: its time in seconds.
    """

    every_frame: bool
    score: float
    bytes: int
    seg: float
    pose: float
    seg_at: tuple[float, ...]
    pose_at: tuple[float, ...]
    lost: tuple[tuple[str, float], ...]
    worst_frame: int
    worst_s: float

    @property
    def rule(self) -> str:
        """The name of the rule by which frames are judged for segmentation."""
        return EVERY_FRAME if self.every_frame else SECOND_FRAMES

    @property
    def worst_class(self) -> tuple[str, float] | None:
        """The class that loses the largest share of its pixels; None where no class is known."""
        return max(self.lost, key=lambda one: one[1], default=None)

    @property
    def worst_seg(self) -> float:
        """The seg distortion of the worst frame."""
        return self.seg_at[-1]

    def plain(self) -> dict[str, Any]:
        """Return the figures as plain JSON values."""
        return asdict(self)

    @classmethod
    def from_plain(cls, values: Mapping[str, Any]) -> Self:
        """Return the figures that :meth:`plain` wrote.

        Raises:
            ValueError: something else.
        """
        try:
            found: dict[str, Any] = {"every_frame": values["every_frame"]}
            found |= {name: _number(values[name]) for name in ("score", "seg", "pose", "worst_s")}
            found |= {name: int(_number(values[name])) for name in ("bytes", "worst_frame")}
            found |= {name: tuple(map(_number, values[name])) for name in ("seg_at", "pose_at")}
            found["lost"] = tuple((str(name), _number(share)) for name, share in values["lost"])
        except (TypeError, KeyError, OverflowError) as error:
            raise ValueError("not the figures of a file") from error
        lengths = {len(found["seg_at"]), len(found["pose_at"])}
        if not isinstance(found["every_frame"], bool) or lengths != {101}:
            raise ValueError("not the figures of a file")
        return cls(**found)


def _number(value: Any) -> float:
    """Return a finite number of JSON as a float. Raises ValueError for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{value!r:.40} is no number")
    return float(value)


def combined(parts: Sequence[tuple[int, Figures]], score: float, size: int) -> Figures:
    """Return what the figures of a clip's parts foretell for the whole.

    Percentiles are those of the parts' percentiles, and a class is taken to have as many pixels in
    one frame as in another.

    Args:
        parts: frames and figures of each.
        score: of the whole.
        size: of the whole, in bytes.
    """
    found = [figures for _, figures in parts]
    every_frame = all(one.every_frame for one in found)
    pairs = np.array([max(1, count // 2) for count, _ in parts], float)
    frames = np.array([count for count, _ in parts], float) if every_frame else pairs
    names = dict.fromkeys(name for one in found for name, _ in one.lost)
    lost = []
    for name in names:
        own = [(n, dict(one.lost)[name]) for n, one in parts if name in dict(one.lost)]
        lost.append((name, sum(n * share for n, share in own) / sum(n for n, _ in own)))
    worst = max(range(len(found)), key=lambda i: found[i].worst_seg)
    return Figures(
        every_frame=every_frame,
        score=score,
        bytes=size,
        seg=float(np.average([one.seg for one in found], weights=frames)),
        pose=float(np.average([one.pose for one in found], weights=pairs)),
        seg_at=_mixed([one.seg_at for one in found], frames),
        pose_at=_mixed([one.pose_at for one in found], pairs),
        lost=tuple(lost),
        worst_frame=found[worst].worst_frame,
        worst_s=found[worst].worst_s,
    )


def _mixed(at: Sequence[tuple[float, ...]], weights: NDArray[np.float64]) -> tuple[float, ...]:
    """Return percentiles of several sets of values from their percentiles."""
    values, heavy = np.array(at).ravel(), np.repeat(weights, len(at[0]))
    order = values.argsort()
    share = heavy[order].cumsum() / heavy.sum()
    places = np.searchsorted(share, np.arange(101) / 100 - 1e-9).clip(0, len(values) - 1)
    return tuple(float(value) for value in values[order][places])


def percentiles(values: NDArray[np.float32]) -> tuple[float, ...]:
    """Return percentiles 0 to 100: the least value that so many of a hundred do not exceed."""
    found = np.percentile(values.astype(np.float64), range(101), method="inverted_cdf")
    return tuple(float(value) for value in found)


def shares(
    names: Sequence[str], lost: NDArray[np.int64], pixels: NDArray[np.int64]
) -> tuple[tuple[str, float], ...]:
    """Return each class's share of lost pixels; classes without pixels are left out.

    Args:
        names: of the classes.
        lost: pixels of each class in the source that get another class, ``(C,)``.
        pixels: of each class in the source, ``(C,)``.
    """
    counts = zip(names, lost.tolist(), pixels.tolist(), strict=True)
    return tuple((name, gone / own) for name, gone, own in counts if own)
