"""Muon with steps of equal size in every row.

Muon (Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural networks") makes each
step's matrix about orthogonal, so that rare directions of a convolution move as far as common
ones. NorMuon (Li et al. 2025, "NorMuon: Making Muon more efficient and scalable") then divides
each row by its own usual length, as some neurons would else move much further than others.
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

MOMENTUM, ROW_MEMORY = 0.95, 0.95
ITERATIONS = 5
QUINTIC = (3.4445, -4.7750, 2.0315)
"""Coefficients of the Newton-Schulz iteration, as published with Muon."""
ROOT_MEAN_SQUARE = 0.2
"""Of a step's values in units of the learning rate: about what Adam's steps have."""


class NorMuon(torch.optim.Optimizer):
    """The optimiser of matrices ``(R, n)``.

    Args:
        groups: parameters, or groups of them, all of two dimensions.
        lr: the learning rate; a step changes values by a fifth of it, in root mean square.
    """

    def __init__(self, groups: Iterable[Any], lr: float = 1e-3) -> None:
        super().__init__(groups, {"lr": lr})
        shapes = [p.shape for group in self.param_groups for p in group["params"]]
        if any(len(shape) != 2 for shape in shapes):
            raise ValueError("NorMuon is for matrices only")

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """One step; a parameter without a gradient stays as it is."""
        if closure is not None:
            raise ValueError("NorMuon takes no closure")
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    change = self._direction(parameter)
                    parameter.sub_(ROOT_MEAN_SQUARE * group["lr"] * change)

    def _direction(self, parameter: Tensor) -> Tensor:
        """The step's direction, with a root mean square of 1."""
        state, gradient = self.state[parameter], parameter.grad
        assert gradient is not None
        if not state:
            state["momentum"] = torch.zeros_like(parameter)
            state["rows"] = parameter.new_zeros(len(parameter), 1)
        state["momentum"].lerp_(gradient, 1 - MOMENTUM)
        change = orthogonal(gradient.lerp(state["momentum"], MOMENTUM))
        state["rows"].lerp_(change.square().mean(1, keepdim=True), 1 - ROW_MEMORY)
        # The memory starts too small, alike for all rows: no matter, the whole is scaled below.
        change = change / state["rows"].sqrt().clamp(min=1e-8)
        whole: Tensor = change / change.square().mean().sqrt().clamp(min=1e-8)
        return whole


def orthogonal(matrix: Tensor) -> Tensor:
    """About the nearest matrix with singular values of 1, or 0 for 0.

    They come out between 0.7 and 1.2, but for those below a hundredth of the matrix's length.
    """
    x: Tensor = matrix / matrix.norm().clamp(min=1e-12)
    tall = len(x) > x.shape[1]
    if tall:
        x = x.T
    a, b, c = QUINTIC
    for _ in range(ITERATIONS):
        square = x @ x.T
        x = a * x + (b * square + c * square @ square) @ x
    return x.T if tall else x
