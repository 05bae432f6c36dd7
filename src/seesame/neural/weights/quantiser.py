"""Quantisers that are trained with the network, and the rate that their symbols cost.

Every tensor is split in rows (output channels). A row has a step δ = 2^(e/8) with an integer
exponent e, and its symbols q = round(w/δ) are coded with a discrete Gaussian whose σ is the row's
own root mean square: p(q) = exp(-q²/2σ²) / Z(σ). Rounding passes its gradient straight through
(Bengio et al. 2013), the step learns as in LSQ (Esser et al. 2020), and the rate is the exact
code length of that Gaussian, so that the optimiser pays for bits while it trains.
"""

import math

import torch
from torch import Tensor, nn

from seesame.neural.weights.rows import EXPONENTS

LN2 = math.log(2.0)


def straight_through(value: Tensor, target: Tensor) -> Tensor:
    """Return ``target``, with the gradient of ``value`` in the backward pass."""
    return value + (target - value).detach()


def log_normaliser(sigma: Tensor) -> Tensor:
    """Return ln Z(σ), Z = Σ_k exp(-k²/2σ²), by direct sum or, for large σ, Poisson summation."""
    small = sigma.clamp(max=0.8)
    direct = torch.ones_like(sigma)
    for k in range(1, 7):
        direct = direct + 2 * torch.exp(-(k * k) / (2 * small * small))
    large = sigma.clamp(min=0.8)
    dual = 1 + 2 * torch.exp(-2 * (math.pi * large) ** 2)
    dual = dual * large * math.sqrt(2 * math.pi)
    return torch.where(sigma < 0.8, direct.log(), dual.log())


def gaussian_bits(power: Tensor, count: Tensor) -> Tensor:
    """Return the code length in bits of rows, each with its own best σ.

    σ is the maximum-likelihood one and held constant in the backward pass: at the optimum its
    own gradient is zero.

    Args:
        power: mean of the squared symbols of each row, ``(R,)``.
        count: symbols in each row, ``(R,)``.

    Returns:
        ``(R,)``.
    """
    # The moment equals σ² but for very small σ, where the lattice keeps nearly all at zero:
    # there p(1)/p(0) = exp(-1/2σ²) gives it.
    held = power.detach()
    small = 0.5 / torch.log(2 / held.clamp(1e-6, 0.5) - 2).clamp(min=0.25)
    variance = torch.where(held < 0.3, small, held).clamp(min=1 / 64)
    nats = power / (2 * variance) + log_normaliser(variance.sqrt())
    return nats * count / LN2


def exponent_of(log_step: Tensor) -> Tensor:
    """Return the integer exponent ``e`` of a learned log2 step."""
    return (log_step * EXPONENTS).round()


class RowQuantiser(nn.Module):
    """The learned steps of one tensor, seen as rows.

    Args:
        rows: ``(R, n)`` values at the moment quantisation begins.
        share: the first step of each row as a share of its root mean square.
    """

    def __init__(self, rows: Tensor, share: float) -> None:
        super().__init__()
        spread = rows.detach().square().mean(1).sqrt().clamp(min=1e-4)
        self.log_step = nn.Parameter(torch.log2(spread * share))

    def step(self) -> Tensor:
        """Return the steps ``(R, 1)`` on their grid, with gradient to the learned logarithm."""
        grid = exponent_of(self.log_step) / EXPONENTS
        return torch.exp2(straight_through(self.log_step, grid))[:, None]

    def forward(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Return ``(quantised rows, symbols)`` of rows, both with straight-through gradient."""
        step = self.step()
        scaled = rows / step
        symbols = straight_through(scaled, scaled.round())
        return symbols * step, symbols
