"""Filters on pictures before an encoder and after a decoder of the av family.

All take and give float ``(B, 3, H, W)``, not clamped, and treat every picture by itself, with the
same sums in the same order whatever the batch.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

PRESHARPEN_SIGMA = 1.0
"""Sigma of :func:`presharpen`, in pixels."""


def blur(x: Tensor, sigma: float) -> Tensor:
    """Return pictures blurred by a Gaussian that is cut at three sigma; edges are repeated.

    A ``sigma`` of 0 pixels changes nothing.
    """
    return _smooth(x, _gaussian(sigma, math.ceil(3 * sigma))) if sigma else x


def fade_colour(x: Tensor, factor: float) -> Tensor:
    """Return RGB with multiplied colour differences, leaving luma (BT.601) as it is.

    Args:
        x: RGB.
        factor: 0 leaves grey, 1 changes nothing.
    """
    if factor == 1:
        return x
    weights = torch.tensor([0.299, 0.587, 0.114]).to(x)
    luma = (x * weights[:, None, None]).sum(1, keepdim=True)
    return luma + factor * (x - luma)


def presharpen(x: Tensor, amount: float) -> Tensor:
    """Return an unsharp mask: ``x + amount (x - blur(x, PRESHARPEN_SIGMA))``."""
    return x + amount * (x - blur(x, PRESHARPEN_SIGMA)) if amount else x


def sharpen(x: Tensor, amount: float, size: int) -> Tensor:
    """Return the decoder's unsharp mask: ``x + amount (x - G x)``.

    G is a separable Gaussian of ``size`` by ``size`` pixels with sigma ``size / 6``, its weights
    summing to 1, edges repeated.

    Args:
        x: pictures.
        amount: 0 changes nothing.
        size: odd.
    """
    return x + amount * (x - _smooth(x, _gaussian(size / 6, size // 2))) if amount else x


def _gaussian(sigma: float, radius: int) -> list[float]:
    """Return the weights of the centre and of the pixels 1, 2 … ``radius`` beside it."""
    weights = [math.exp(-((i / sigma) ** 2) / 2) for i in range(radius + 1)]
    total = weights[0] + 2 * sum(weights[1:])
    return [weight / total for weight in weights]


def _smooth(x: Tensor, weights: list[float]) -> Tensor:
    """Convolve rows, then columns, with symmetric weights; edges are repeated."""
    # Sums of shifted pictures: a convolution's order of sums would be the library's choice.
    for axis in (-1, -2):
        radius, length = len(weights) - 1, x.shape[axis]
        sides = (radius, radius, 0, 0) if axis == -1 else (0, 0, radius, radius)
        wide = F.pad(x, sides, mode="replicate")
        x = x * weights[0]
        for i, weight in enumerate(weights[1:], 1):
            near = wide.narrow(axis, radius - i, length) + wide.narrow(axis, radius + i, length)
            x = x.add_(near, alpha=weight)
    return x
