"""The protocol of a perception stack: the frozen networks whose outputs a file must keep."""

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    import torch
    from torch import Tensor


@runtime_checkable
class Stack(Protocol):
    """A frozen segmentation network and, optionally, a frozen pose network.

    Inputs are RGB as float in 0..255 at any size. Each stack resizes them to its own input size
    (bilinear, no antialias, ``align_corners=False``), so that a frame that already has this size
    passes unchanged.

    A class may derive from this one and then inherits the defaults below. Any other object needs
    every member; :func:`seesame.perception.registry.load_stack` adds the defaults to the objects
    of users.
    """

    name: str
    """The name that reports print."""
    fingerprint: str
    """Hex digest that changes when weights or preprocessing change. Outputs of a stack whose
    fingerprint is empty are never cached."""
    classes: tuple[str, ...]
    """The names of the classes, in the order of the logits' channels."""
    input_size: tuple[int, int]
    """``(height, width)`` that the segmentation network resizes to; a decoder may aim at it."""
    has_pose: bool = True
    """False for a stack without a pose network: its pose distortion is 0 by definition."""
    judged: int
    """The number of leading pose values that are judged."""
    differentiable: bool = True
    """False where gradients cannot flow to the input: the stack scores, but cannot train."""
    shared_input: bool = False
    """True when both networks read frames of ``input_size``, so that a caller may resize each
    frame once for both."""

    challenge_rule: bool = False
    """True for the networks of the comma.ai challenge, whose rule judges the segmentation of the
    second frame of each pair alone; else limits bind every frame."""

    def segment(self, rgb: "Tensor") -> "Tensor":
        """Return class logits ``(B, C, h, w)`` of frames ``(B, 3, H, W)`` in 0..255."""

    def pose(self, pairs: "Tensor") -> "Tensor":
        """Return pose values ``(B, P)`` of pairs ``(B, 2, 3, H, W)`` in 0..255."""

    def to(self, device: "torch.device") -> "Stack":
        """Move the networks to a device and return the stack."""
