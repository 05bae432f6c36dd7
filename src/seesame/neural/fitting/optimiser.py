"""The optimiser of a representation: NorMuon for the convolutions, Adam for everything else."""

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from seesame.neural.fitting.muon import NorMuon

ADAM_BETAS = (0.9, 0.98)
LATENT_SCALE = 3.0
MUON_SCALE = 1.0
"""Learning rates of the latents and of Muon as multiples of Adam's for the weights."""


def set_rate(optimiser: torch.optim.Optimizer, rate: float, device: torch.device) -> None:
    """Give each group the rate of learning times its ``scale``.

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
        rows: the decoder's tensors as rows, by key; ``stages`` weights go to NorMuon.
        latents: the latents.
    """

    def __init__(self, rows: Mapping[str, nn.Parameter], latents: nn.Parameter) -> None:
        hidden = [p for k, p in rows.items() if k.startswith("stages") and k.endswith("weight")]
        others = [p for p in rows.values() if not any(p is h for h in hidden)]
        groups = [{"params": others, "scale": 1.0}, {"params": [latents], "scale": LATENT_SCALE}]
        fused = latents.device.type in ("cpu", "cuda")
        self._device = latents.device
        gpu = self._device.type == "cuda"
        adam = torch.optim.Adam(groups, betas=ADAM_BETAS, fused=fused, capturable=gpu)
        muon = NorMuon([{"params": hidden, "scale": MUON_SCALE}])
        self._both: dict[str, torch.optim.Optimizer] = {"adam": adam, "muon": muon}

    def add(self, parameters: Iterable[nn.Parameter]) -> None:
        """Let Adam train these, too."""
        self._both["adam"].add_param_group({"params": list(parameters), "scale": 1.0})

    @property
    def parameters(self) -> list[Tensor]:
        """All that is trained."""
        return [p for o in self._both.values() for g in o.param_groups for p in g["params"]]

    @property
    def gradients(self) -> list[Tensor]:
        """Of all parameters that have one."""
        return [p.grad for p in self.parameters if p.grad is not None]

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for one in self._both.values():
            one.zero_grad(set_to_none=True)

    def set_rate(self, rate: float) -> None:
        """The rate of learning of the next steps."""
        for one in self._both.values():
            set_rate(one, rate, self._device)

    def step(self, factor: Tensor) -> None:
        """One step along the gradients times a factor."""
        torch._foreach_mul_(self.gradients, factor)
        for one in self._both.values():
            one.step()

    def state_dict(self) -> dict[str, Any]:
        """The moments, for :meth:`load_state_dict`."""
        return {name: one.state_dict() for name, one in self._both.items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take the moments of another one that trains the same parameters."""
        for name, one in self._both.items():
            one.load_state_dict(state[name])

    def tensors(self) -> dict[str, Tensor]:
        """The moments as a flat mapping, for a file."""
        return {
            f"{name}.{index}.{key}": torch.as_tensor(value)
            for name, one in self._both.items()
            for index, state in one.state_dict()["state"].items()
            for key, value in state.items()
        }

    def load_tensors(self, tensors: Mapping[str, Tensor]) -> None:
        """Take back what :meth:`tensors` gave."""
        states: dict[str, dict[int, dict[str, Tensor]]] = {name: {} for name in self._both}
        for path, value in tensors.items():
            name, index, key = path.split(".", 2)
            states[name].setdefault(int(index), {})[key] = value
        for name, one in self._both.items():
            one.load_state_dict({**one.state_dict(), "state": states[name]})
