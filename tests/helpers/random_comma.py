"""Comma's nets with random weights, for tests and benchmarks without the published files."""

from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from seesame.perception.comma import stack as comma
from seesame.perception.comma.fetch import COMMA_FILES


def random_nets(
    rgb: Tensor | None = None, planes: Tensor | None = None, seed: int = 0
) -> tuple[nn.Module, comma.PoseNet]:
    """Segmentation and pose net with batch norm's statistics taken from their input.

    So signals stay near 1. The input is noise when None: ``rgb`` ``(4, 3, 64, 64)``, ``planes``
    ``(4, 12, 64, 64)``, in 0..255.
    """
    torch.manual_seed(seed)
    nets = comma.segment_net(), comma.PoseNet()
    noise = (torch.rand(4, channels, 64, 64) * 255 for channels in (3, 12))
    given = (rgb, planes)
    for net, own, other in zip(nets, given, noise, strict=True):
        for module in net.modules():
            if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
                module.momentum = 1.0
        with torch.no_grad():
            net.train()(other if own is None else own)
        net.eval().requires_grad_(False)
    return nets


def save_nets(segment: nn.Module, pose: nn.Module, folder: Path) -> None:
    """Both as the challenge publishes them: the pose net without batch norm's counters."""
    save_file(segment.state_dict(), folder / COMMA_FILES[0].name)
    kept = {k: v for k, v in pose.state_dict().items() if not k.endswith(comma.COUNTER)}
    save_file(kept, folder / COMMA_FILES[1].name)
