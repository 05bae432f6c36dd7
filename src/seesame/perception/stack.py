"""The perception stack: the frozen nets whose outputs must hold, and their registry."""

from typing import Protocol, runtime_checkable

import torch
from torch import Tensor


@runtime_checkable
class Stack(Protocol):
    """Frozen nets, both differentiable in their input unless ``differentiable`` is false.

    Inputs are RGB as float in 0..255 at any size; each stack resizes to its own input size
    (bilinear, no antialias, ``align_corners=False``), so that a frame already of that size
    passes unchanged.

    A stack may have two more attributes. ``shared_input``: true when both nets read frames of
    ``input_size``, so that a caller may resize once for both (false when absent). ``exact``: false
    when its nets run in a faster order that rounds differently (true when absent).
    """

    name: str
    fingerprint: str
    """Hex digest that changes when weights or preprocessing change."""
    classes: tuple[str, ...]
    input_size: tuple[int, int]
    """``(height, width)`` that both nets resize to; what a decoder may aim at."""
    has_pose: bool
    """False for a stack without a pose net: its pose distortion is 0 by definition."""
    judged: int
    """How many leading pose values are judged."""
    differentiable: bool

    def segment(self, rgb: Tensor) -> Tensor:
        """``(B, 3, H, W)`` in 0..255 to class logits ``(B, C, h, w)``."""

    def pose(self, pairs: Tensor) -> Tensor:
        """``(B, 2, 3, H, W)`` in 0..255 to pose values ``(B, P)``."""

    def to(self, device: torch.device) -> "Stack":
        """Move the nets to a device; returns self."""
