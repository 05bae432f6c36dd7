"""A network with the weights that a file holds."""

from collections.abc import Mapping
from typing import TypeVar

import torch

from seesame.neural.weights.rows import Rows

N = TypeVar("N", bound=torch.nn.Module)


def dequantised(network: N, weights: Mapping[str, Rows]) -> N:
    """Give a network the weights of a file and return it as it decodes: frozen, channels last."""
    state = {
        key: torch.from_numpy(weights[key].values()).view(parameter.shape)
        for key, parameter in network.named_parameters()
    }
    network.load_state_dict(state, strict=False)  # buffers are the network's own
    for parameter in network.requires_grad_(False).parameters():
        if parameter.ndim == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    return network.eval()
