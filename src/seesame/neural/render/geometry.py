"""Enlargement from render size to source size that the stack's own resize undoes exactly.

The stack samples a source of height ``n`` bilinearly, without antialiasing, at ``m`` rows: each
row reads two neighbouring source rows. Writing the rendered value to both of them makes the
stack see exactly what the decoder rendered, rounding to uint8 included; the rows between are
interpolated for the eye. Where the source has fewer than two rows for each of the stack's, the
bilinear enlargement is corrected by the pseudo-inverse of the stack's resize; where it has fewer
than the stack reads, the decoder renders at source size.
"""

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from seesame.video.resize import resize_matrix

if TYPE_CHECKING:
    from seesame.perception.stack import Stack
    from seesame.video.clip import Clip

MIDDLE, SPREAD = 127.5, 64.0
"""Grey levels of a network's output of 0, and of a step of 1."""


def render_size(clip: "Clip", stack: "Stack") -> tuple[int, int]:
    """Return the ``(height, width)`` to render for a clip: the stack's, or the source's if less."""
    height, width = stack.input_size
    return min(clip.height, height), min(clip.width, width)


@lru_cache(maxsize=32)
@torch.inference_mode(False)  # whoever asks first, training can use it
def enlarge_matrix(source: int, rendered: int) -> Tensor:
    """Return the matrix ``float32 (source, rendered)`` that enlarges one axis.

    Its product with the stack's resize matrix is the identity.
    """
    if source == rendered:
        return torch.eye(source)
    if source < 2 * rendered:
        up = resize_matrix(source, rendered, "bilinear").double()
        down = resize_matrix(rendered, source, "bilinear").double()
        inverse = torch.linalg.pinv(down)
        missing = torch.eye(rendered, dtype=torch.float64) - down @ up
        corrected: Tensor = up + inverse @ missing
        return corrected.float()
    position = ((np.arange(rendered) + 0.5) * source / rendered - 0.5).clip(0, source - 1)
    low = np.floor(position).astype(int)
    high = np.minimum(low + 1, source - 1)
    knots = np.concatenate([low, high])
    owner = np.concatenate([np.arange(rendered)] * 2)
    order = np.argsort(knots, kind="stable")
    matrix = np.zeros((source, rendered))
    rows = np.arange(source)
    for column in range(rendered):
        values = (owner[order] == column).astype(float)
        matrix[:, column] = np.interp(rows, knots[order], values)
    return torch.from_numpy(matrix).float()


def enlarge(frames: Tensor, size: tuple[int, int]) -> Tensor:
    """Return ``(..., h, w)`` enlarged to ``(..., height, width)``; the caller clamps and rounds."""
    rows = enlarge_matrix(size[0], frames.shape[-2]).to(frames.device)
    columns = enlarge_matrix(size[1], frames.shape[-1]).to(frames.device)
    enlarged: Tensor = rows @ (frames @ columns.T)
    return enlarged
