"""The lite stack: the networks that ship with seesame."""

import hashlib
from importlib.resources import files
from typing import Self

import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

from seesame.errors import DamagedError
from seesame.perception.lite.nets import (
    CLASSES,
    INPUT_SIZE,
    POSE_VALUES,
    PoseNetLite,
    SegNetLite,
    fold,
)
from seesame.perception.stack import Stack
from seesame.video.colour import rgb_to_yuv6
from seesame.video.resize import resize

WEIGHTS = "lite.safetensors"


class LiteStack(Stack):
    """The two small networks that ship with seesame, SegNet-lite and PoseNet-lite.

    Args:
        weights: bytes of a safetensors file with tensors ``seg.*``, ``pose.*``.

    Raises:
        DamagedError: they are not the weights of these networks.
    """

    name = "lite"
    classes = CLASSES
    input_size = INPUT_SIZE
    judged = len(POSE_VALUES)
    shared_input = True

    def __init__(self, weights: bytes) -> None:
        try:
            tensors = {k: v.float() for k, v in load(weights).items()}
        except SafetensorError as error:
            raise DamagedError(f"{WEIGHTS}: not a readable safetensors file: {error}") from error
        self.segnet, self.posenet = fold(SegNetLite()), fold(PoseNetLite())
        for net, prefix in ((self.segnet, "seg."), (self.posenet, "pose.")):
            own = {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
            try:
                net.load_state_dict(own)
            except RuntimeError as error:
                reason = " ".join(str(error).split())[:200]
                message = f"{WEIGHTS}: not the networks of lite: {reason}"
                raise DamagedError(message) from error
            net.requires_grad_(False)
            net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.fingerprint = hashlib.sha256(weights + b"lite-1").hexdigest()

    @classmethod
    def load(cls) -> Self:
        """Return the stack with the weights inside the package."""
        return cls(files("seesame.perception.lite").joinpath(WEIGHTS).read_bytes())

    def to(self, device: torch.device) -> Self:
        """Move the networks to a device."""
        self.segnet.to(device)
        self.posenet.to(device)
        return self

    def segment(self, rgb: Tensor) -> Tensor:
        """Return class logits ``(B, 5, 192, 256)`` of frames ``(B, 3, H, W)`` in 0..255."""
        x = resize(rgb, self.input_size, "bilinear")
        logits: Tensor = self.segnet(x.contiguous(memory_format=torch.channels_last))
        return logits

    def pose(self, pairs: Tensor) -> Tensor:
        """Return six standardised motions ``(B, 6)`` of pairs ``(B, 2, 3, H, W)`` in 0..255."""
        planes = rgb_to_yuv6(resize(pairs.flatten(0, 1), self.input_size, "bilinear"))
        x = planes.reshape(pairs.shape[0], -1, *planes.shape[-2:])
        values: Tensor = self.posenet(x.contiguous(memory_format=torch.channels_last))
        return values
