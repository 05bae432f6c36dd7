"""The optimiser of a trained network: NorMuon for hidden convolutions, Adam for all else."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from seesame.neural.weights.network import ParameterGroup


@dataclass(frozen=True)
class OptimiserTuning:
    """The optimisers' own numbers.

    Args:
        adam_betas: Adam's; the second is below the usual 0.999 as runs are short.
        stream_rate: learning rate of the streams as a multiple of that of Adam's weights.
        muon_rate: the same for NorMuon.
        muon_momentum: share of the momentum that a step leaves in place.
        muon_row_memory: share of a row's usual length that a step leaves in place.
        muon_step: root mean square of a step's values in units of the learning rate, about that of
            Adam's steps.
        muon_iterations: of Newton and Schulz.
        muon_quintic: coefficients of an iteration, as published with Muon.
    """

    adam_betas: tuple[float, float] = (0.9, 0.98)
    stream_rate: float = 3.0
    muon_rate: float = 1.0
    muon_momentum: float = 0.95
    muon_row_memory: float = 0.95
    muon_step: float = 0.2
    muon_iterations: int = 5
    muon_quintic: tuple[float, float, float] = (3.4445, -4.7750, 2.0315)


TUNING = OptimiserTuning()


def set_rate(optimiser: torch.optim.Optimizer, rate: float, device: torch.device) -> None:
    """Give each group the learning rate times its ``scale``.

    On a GPU, where steps may be captured, as a tensor that is read when the kernels run.
    """
    for group in optimiser.param_groups:
        scaled = rate * group["scale"]
        if device.type != "cuda":
            group["lr"] = scaled
        elif isinstance(group["lr"], Tensor):
            group["lr"].fill_(scaled)
        else:
            group["lr"] = torch.tensor(scaled, device=device)


class Optimiser:
    """Adam and NorMuon as one.

    Args:
        groups: what is trained, and by which of the two; some of it by Adam.
        device: of all parameters.
    """

    def __init__(self, groups: Sequence[ParameterGroup], device: torch.device) -> None:
        self._device = device
        gpu = device.type == "cuda"
        adam = [_group(group) for group in groups if group.optimiser == "adam"]
        muon = [_group(group) for group in groups if group.optimiser == "normuon"]
        fused = device.type in ("cpu", "cuda")
        self._both: dict[str, torch.optim.Optimizer] = {
            "adam": torch.optim.Adam(adam, betas=TUNING.adam_betas, fused=fused, capturable=gpu)
        }
        if any(group["params"] for group in muon):
            self._both["normuon"] = NorMuon(muon)

    def add(self, group: ParameterGroup) -> None:
        """Train more parameters from now on."""
        self._both[group.optimiser].add_param_group(_group(group))

    @property
    def parameters(self) -> list[Tensor]:
        """The parameters that are trained."""
        return [p for o in self._both.values() for g in o.param_groups for p in g["params"]]

    @property
    def gradients(self) -> list[Tensor]:
        """The gradients of all parameters that have one."""
        return [p.grad for p in self.parameters if p.grad is not None]

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for one in self._both.values():
            one.zero_grad(set_to_none=True)

    def set_rate(self, rate: float) -> None:
        """Set the learning rate of the next steps."""
        for one in self._both.values():
            set_rate(one, rate, self._device)

    def step(self, factor: Tensor) -> None:
        """Take one step along the gradients times a factor."""
        torch._foreach_mul_(self.gradients, factor)
        for one in self._both.values():
            one.step()

    def state_dict(self) -> dict[str, Any]:
        """Return the moments of every parameter, by optimiser, number and name."""
        return {
            name: {
                str(index): {key: torch.as_tensor(value) for key, value in moments.items()}
                for index, moments in one.state_dict()["state"].items()
            }
            for name, one in self._both.items()
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take the moments of another optimiser that trains the same parameters."""
        for name, one in self._both.items():
            moments = {int(index): dict(values) for index, values in state.get(name, {}).items()}
            one.load_state_dict({**one.state_dict(), "state": moments})


def _group(group: ParameterGroup) -> dict[str, Any]:
    """Return a group as torch's optimisers take it."""
    scale = TUNING.stream_rate if group.kind == "streams" else 1.0
    if group.optimiser == "normuon":
        scale = TUNING.muon_rate
    return {"params": group.parameters, "scale": scale}


class NorMuon(torch.optim.Optimizer):
    """NorMuon: Muon with steps of equal size in every row of matrices ``(R, n)``.

    Muon (Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural networks") makes each
    step's matrix about orthogonal, so that rare directions of a convolution move as far as common
    ones. NorMuon (Li et al. 2025, "NorMuon: Making Muon more efficient and scalable") then divides
    each row by its own usual length, as some neurons would else move much further than others.

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
        """Take one step; a parameter without a gradient stays as it is."""
        if closure is not None:
            raise ValueError("NorMuon takes no closure")
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    change = self._direction(parameter)
                    parameter.sub_(TUNING.muon_step * group["lr"] * change)

    def _direction(self, parameter: Tensor) -> Tensor:
        """Return the step's direction, with a root mean square of 1."""
        state, gradient = self.state[parameter], parameter.grad
        assert gradient is not None
        if not state:
            state["momentum"] = torch.zeros_like(parameter)
            state["rows"] = parameter.new_zeros(len(parameter), 1)
        state["momentum"].lerp_(gradient, 1 - TUNING.muon_momentum)
        change = orthogonal(gradient.lerp(state["momentum"], TUNING.muon_momentum))
        state["rows"].lerp_(change.square().mean(1, keepdim=True), 1 - TUNING.muon_row_memory)
        # The memory starts too small, alike for all rows: no matter, the whole is scaled below.
        change = change / state["rows"].sqrt().clamp(min=1e-8)
        whole: Tensor = change / change.square().mean().sqrt().clamp(min=1e-8)
        return whole


def orthogonal(matrix: Tensor) -> Tensor:
    """Return about the nearest matrix with singular values of 1, or 0 for 0.

    They come out between 0.7 and 1.2, but for those below a hundredth of the matrix's length.
    """
    x: Tensor = matrix / matrix.norm().clamp(min=1e-12)
    tall = len(x) > x.shape[1]
    if tall:
        x = x.T
    a, b, c = TUNING.muon_quintic
    for _ in range(TUNING.muon_iterations):
        square = x @ x.T
        x = a * x + (b * square + c * square @ square) @ x
    return x.T if tall else x
