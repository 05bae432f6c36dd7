"""The tensors of a trained network: how they are split into rows, coded and trained.

A network declares its tensors; quantiser, coder and optimiser go by the declaration and never by
a tensor's name. Nothing here needs torch, so that a file can be read without it.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Optimiser = Literal["adam", "normuon"]


@dataclass(frozen=True)
class TensorSpec:
    """The declaration of one tensor: how it is quantised, coded and trained.

    Args:
        shape: of the tensor.
        rows: how many equal parts of it, in C order, have a quantiser step of their own.
        axes: three axes along which the scale of its symbols may vary; their product is the number
            of values, in C order.
        optimiser: which optimiser trains it.

    Raises:
        ValueError: the rows do not divide the tensor, or the axes do not make up its values.

    A learned picture ``(C, h, w)``, for example, has ``rows=C`` and ``axes=(C, h, w)``: each
    channel has its own step and scale.
    """

    shape: tuple[int, ...]
    rows: int
    axes: tuple[int, int, int]
    optimiser: Optimiser = "adam"

    def __post_init__(self) -> None:
        if math.prod(self.axes) != self.size or self.rows < 1 or self.size % self.rows:
            raise ValueError(
                f"a tensor of shape {self.shape} cannot have {self.rows} equal rows and "
                f"axes of {self.axes} values"
            )

    @property
    def size(self) -> int:
        """Number of values."""
        return math.prod(self.shape)

    @property
    def row_shape(self) -> tuple[int, int]:
        """Shape ``(R, n)`` of the tensor as rows."""
        return self.rows, self.size // self.rows


Specs = Mapping[str, TensorSpec]
"""A network's tensors by their parameter names, in the order of the WEIGHTS section."""


def convolution(
    name: str, inputs: int, outputs: int, side: int, optimiser: Optimiser = "adam"
) -> dict[str, TensorSpec]:
    """Return the tensors of an ``nn.Conv2d`` with a square kernel: a row an output channel.

    The bias is one row, and is always trained by Adam.
    """
    shape = (outputs, inputs, side, side)
    axes = (outputs, inputs, side * side)
    return {f"{name}.weight": TensorSpec(shape, outputs, axes, optimiser)} | bias(name, outputs)


def linear(name: str, inputs: int, outputs: int) -> dict[str, TensorSpec]:
    """Return the weights of an ``nn.Linear`` without bias: a row an output."""
    return {f"{name}.weight": TensorSpec((outputs, inputs), outputs, (outputs, inputs, 1))}


def bias(name: str, outputs: int) -> dict[str, TensorSpec]:
    """Return the bias of a layer: a single row."""
    return {f"{name}.bias": TensorSpec((outputs,), 1, (1, outputs, 1))}


def linear_to_grid(name: str, inputs: int, channels: int, cells: int) -> dict[str, TensorSpec]:
    """Return the tensors of an ``nn.Linear`` whose output is a grid of cells: a row a channel.

    The scales of weights and bias may vary from channel to channel and from cell to cell.
    """
    outputs = channels * cells
    weight = TensorSpec((outputs, inputs), channels, (channels, cells, inputs))
    offset = TensorSpec((outputs,), 1, (channels, cells, 1))
    return {f"{name}.weight": weight, f"{name}.bias": offset}


def count(specs: Specs) -> int:
    """Return the number of values of all tensors together."""
    return sum(spec.size for spec in specs.values())
