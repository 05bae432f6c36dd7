"""A differentiable stack that is quick to please, for training on very small clips."""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from seesame.perception.stack import Stack
from seesame.video.clip import ArrayClip
from seesame.video.resize import resize


class FakeStack(Stack):
    """Three classes by blurred colour, three pose values from brightness and its slopes."""

    name = "fake"
    fingerprint = "cd" * 32
    classes = ("red", "green", "blue")
    has_pose = True
    judged = 2
    differentiable = True

    def __init__(self, input_size: tuple[int, int] = (32, 64)) -> None:
        self.input_size = input_size

    def segment(self, rgb: Tensor) -> Tensor:
        small = resize(rgb, self.input_size, "bilinear")
        return F.avg_pool2d(small, 3, 1, 1, count_include_pad=False) / 32

    def pose(self, pairs: Tensor) -> Tensor:
        small = resize(pairs.flatten(0, 1), self.input_size, "bilinear")
        light = small.mean(dim=1).view(-1, 2, *self.input_size) / 64
        across = torch.linspace(-1, 1, self.input_size[1], device=light.device)
        moved = light[:, 1] - light[:, 0]
        return torch.stack(
            [moved.mean((1, 2)), (light[:, 1] * across).mean((1, 2)), light[:, 0].mean((1, 2))], 1
        )

    def to(self, device: torch.device) -> "FakeStack":
        return self


def tiny_clip(num_frames: int = 12, size: tuple[int, int] = (64, 128), seed: int = 0) -> ArrayClip:
    """Coloured waves that drift: ``uint8 (T, H, W, 3)``; the source counts as 200,000 bytes."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[0 : size[0], 0 : size[1]] / size[0]
    time = np.arange(num_frames)[:, None, None]
    channels = [
        127 + 110 * np.sin(a * rows + b * columns + 0.15 * time + c)
        for a, b, c in rng.uniform(1, 6, (3, 3))
    ]
    frames = np.stack(channels, axis=-1).round().astype(np.uint8)
    return ArrayClip(frames, source_bytes=200_000)
