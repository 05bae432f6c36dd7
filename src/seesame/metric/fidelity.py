"""Likeness of a decoded frame to its source for people: PSNR and MS-SSIM.

Neither is part of the score. They tell a file that people can watch from one that only its
stack can read.
"""

import math
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from seesame.video.clip import Frames
from seesame.video.resize import to_float

PEAK = 255.0
SIDE, SIGMA = 11, 1.5
"""The Gaussian window's side and sigma in pixels (Wang et al. 2004, section III.B)."""
WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""The weights of the scales, finest first (Wang, Simoncelli, Bovik 2003, section 4)."""
BAND = 32
"""Means that one product gives."""
LEAST_SIDE = SIDE * 2 ** (len(WEIGHTS) - 1)
"""176: below it, the coarsest scale has no place for one window."""
C1, C2 = (0.01 * PEAK) ** 2, (0.03 * PEAK) ** 2
LUMA = (0.299, 0.587, 0.114)
"""BT.601's weights of red, green and blue."""


def squared_errors(source: Frames, decoded: Frames) -> list[float]:
    """Return mean squared error of every frame over all pixels and channels, 0..65025.

    Args:
        source: ``uint8 (B, H, W, 3)``.
        decoded: the same of the decoded clip.
    """
    found = []
    for first, second in zip(source, decoded, strict=True):
        error = np.subtract(first, second, dtype=np.int16)
        found.append(int(np.square(error, dtype=np.int32).sum(dtype=np.int64)) / error.size)
    return found


def psnr(mean_squared_error: float) -> float:
    """Return the peak signal to noise ratio, ``10 log10(255² / MSE)`` dB; infinite for no error."""
    if mean_squared_error <= 0:
        return math.inf
    return 10 * math.log10(PEAK**2 / mean_squared_error)


def luma(frames: Frames) -> Tensor:
    """Return BT.601 luma of ``uint8 (B, H, W, 3)``: float32 ``(B, 1, H, W)`` in 0..255."""
    red, green, blue = to_float(frames).unbind(dim=1)
    return (LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue)[:, None]


def ms_ssim(source: Tensor, decoded: Tensor) -> Tensor | None:
    """Return multi-scale structural similarity of luma pictures.

    Contrast and structure at five scales, luminance at the coarsest, each the mean over the
    picture raised to its weight, multiplied (Wang, Simoncelli, Bovik 2003, equation 7). The means
    are cut off at 0, where a weight would make them complex.

    Args:
        source: float ``(B, 1, H, W)`` in 0..255.
        decoded: the same of the decoded clip.

    Returns:
        float ``(B,)`` in 0..1, 1 for equal pictures; None where a side is below 176 pixels.
    """
    if min(source.shape[-2:]) < LEAST_SIDE:
        return None
    result = torch.ones(len(source))
    for scale, weight in enumerate(WEIGHTS):
        if scale:
            source, decoded = F.avg_pool2d(source, 2), F.avg_pool2d(decoded, 2)
        whole, structure = _ssim(source, decoded)
        last = scale == len(WEIGHTS) - 1
        result = result * (whole if last else structure).clamp(min=0.0) ** weight
    return result


def _ssim(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean SSIM and mean contrast-structure of ``(B, 1, H, W)``, ``(B,)`` each."""
    mx, my, squares, product = _blur(torch.stack([x, y, x * x + y * y, x * y])).unbind()
    of_means, product_of_means = mx * mx + my * my, mx * my
    structure = (2 * (product - product_of_means) + C2) / (squares - of_means + C2)
    luminance = (2 * product_of_means + C1) / (of_means + C1)
    return (luminance * structure).mean(dim=(1, 2, 3)), structure.mean(dim=(1, 2, 3))


def _blur(x: Tensor) -> Tensor:
    """Return means under the Gaussian window, where it lies wholly inside the picture.

    By products with bands of the window's matrix: a third of the time of a convolution.
    """
    height, width = (side - SIDE + 1 for side in x.shape[-2:])
    across = [x[..., start : start + len(m)] @ m for start, m in _bands(width)]
    x = torch.cat(across, dim=-1)
    down = [m.T @ x[..., start : start + len(m), :] for start, m in _bands(height)]
    return torch.cat(down, dim=-2)


@lru_cache(maxsize=64)
def _bands(length: int) -> tuple[tuple[int, Tensor], ...]:
    """Return each group of means' first index and matrix ``(means + 10, means)``."""
    offsets = torch.arange(SIDE, dtype=torch.float64) - SIDE // 2
    window = torch.exp(-offsets.square() / (2 * SIGMA**2))
    window = (window / window.sum()).float()
    bands = []
    for start in range(0, length, BAND):
        count = min(BAND, length - start)
        matrix = torch.zeros(count + SIDE - 1, count)
        for mean in range(count):
            matrix[mean : mean + SIDE, mean] = window
        bands.append((start, matrix))
    return tuple(bands)
