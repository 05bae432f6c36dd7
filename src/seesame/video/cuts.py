"""Finding the frames at which a clip's scene changes."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from seesame.video.clip import Clip, Frames


@dataclass(frozen=True)
class CutSettings:
    """The thresholds of a scene cut.

    Attributes:
        grid: cells along each side that a frame is averaged to, so that motion changes little.
        least: mean change of a cell, of 255 levels, below which there is no cut.
        times: a cut changes so many times as much as the frames around it do.
        around: frames to either side that a change is compared with.
        shortest: frames of a scene at least; a segment of fewer does not pay for its key frame.
    """

    grid: int = 16
    least: float = 20.0
    times: float = 4.0
    around: int = 6
    shortest: int = 24


SETTINGS = CutSettings()


def scene_cuts(clip: Clip) -> list[int]:
    """Return the frames that begin a new scene, rising, all even: no pair lies across a cut.

    Frames are averaged over a coarse grid of cells. A cut is where the cells' mean absolute change
    is large and stands out from the changes of the frames around it, which a fast turn, or a
    tunnel's end, does not do: it takes several frames (as the adaptive detectors that Lienhart 1999
    compares in "Comparison of automatic shot boundary detection algorithms").

    Raises:
        DamagedError: the clip ends early.
    """
    changes = cell_changes(clip)
    cuts: list[int] = []
    last = 0
    for frame in range(1, clip.num_frames):
        near = np.concatenate(
            [
                changes[max(0, frame - SETTINGS.around) : frame],
                changes[frame + 1 :][: SETTINGS.around],
            ]
        )
        usual = float(np.median(near)) if len(near) else 0.0
        begin = frame + frame % 2
        if (
            changes[frame] >= max(SETTINGS.least, SETTINGS.times * usual)
            and begin - last >= SETTINGS.shortest
            and clip.num_frames - begin >= SETTINGS.shortest
        ):
            cuts.append(begin)
            last = begin
    return cuts


def cell_changes(clip: Clip) -> NDArray[np.float64]:
    """Return the cells' mean absolute change from frame to frame, ``(N,)`` in 0..255, first 0."""
    changes: list[float] = []
    before: NDArray[np.float64] | None = None
    for batch in clip.batches(16):
        for cells in _cells(batch):
            changes.append(0.0 if before is None else float(np.abs(cells - before).mean()))
            before = cells
    return np.array(changes)


def _cells(frames: Frames) -> NDArray[np.float64]:
    """Return means of the cells, ``(B, rows, columns, 3)``; what is left at the sides is cut."""
    _, height, width, _ = frames.shape
    rows, columns = min(SETTINGS.grid, height), min(SETTINGS.grid, width)
    tall, wide = height // rows, width // columns
    whole = frames[:, : rows * tall, : columns * wide]
    cells = whole.reshape(len(frames), rows, tall, columns, wide, 3)
    means: NDArray[np.float64] = cells.mean(axis=(2, 4), dtype=np.float64)
    return means
