"""Corrections applied to rendered frames."""

import torch
from torch import Tensor

from seesame.neural.corrections.sidecar import (
    GAIN_STEP,
    LEVEL_STEP,
    MIDDLE,
    POSITIONS,
    SHIFT_STEP,
)


def apply(frames: Tensor, values: Tensor) -> Tensor:
    """Return corrected frames: move and zoom, then gain, then levels.

    Args:
        frames: ``(B, 2, 3, h, w)`` in 0..255, not clamped.
        values: integers ``(B, 2, 7)``, see :data:`FIELDS`.

    Returns:
        ``(B, 2, 3, h, w)``, not clamped; frames whose values are all 0 come back unchanged.
    """
    right, down, zoom, gain, grey, red, blue = values.to(frames.device).long().unbind(-1)
    if bool(values[..., :3].any()):
        frames = _resample(frames, 4, right, zoom)
        frames = _resample(frames, 3, down, zoom)
    if not bool(values[..., 3:].any()):
        return frames
    gain_of, levels = gain * GAIN_STEP, torch.stack([grey + red, grey, grey + blue], -1)
    frames = frames + (frames - MIDDLE) * gain_of[..., None, None, None]
    return frames + (levels * LEVEL_STEP)[..., None, None]


def _resample(frames: Tensor, axis: int, shift: Tensor, zoom: Tensor) -> Tensor:
    """Return bilinear samples along one axis at positions that are integers, hence exact."""
    side = frames.shape[axis]
    pixel = torch.arange(side, device=frames.device)
    offset = SHIFT_STEP * shift[..., None] + (2 * pixel - (side - 1)) * zoom[..., None]
    position = (POSITIONS * pixel + offset).clamp(0, POSITIONS * (side - 1))
    low = position // POSITIONS
    share = (position % POSITIONS).to(frames.dtype) / POSITIONS
    view = [*shift.shape, 1, 1, 1]
    view[axis] = side
    index = low.view(view)
    before = _gather(frames, axis, index)
    after = _gather(frames, axis, (index + 1).clamp(max=side - 1))
    return before + (after - before) * share.view(view)


def _gather(frames: Tensor, axis: int, index: Tensor) -> Tensor:
    shape = list(frames.shape)
    shape[axis] = index.shape[axis]
    return frames.gather(axis, index.expand(shape))
