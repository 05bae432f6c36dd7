"""Terms of the loss for eyes other than the stack's, so that a file is not for two nets alone.

Frames that are trained against nets are free wherever these do not look, and training fills that
freedom with textures that mean nothing to anyone else. Two remedies from the study of adversarial
examples, which are the same thing done on purpose: train against random transformations of what
the nets see (Athalye et al. 2018, "Synthesizing robust adversarial examples"), and against several
nets at once (Liu et al. 2017, "Delving into transferable adversarial examples").
"""

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from seesame.context import EncodeContext
from seesame.errors import UserError
from seesame.metric.evaluator import ReferenceOutputs, reference_outputs
from seesame.neural.fitting.objective import PoseTerm
from seesame.neural.fitting.settings import TrainSettings
from seesame.neural.render.geometry import enlarge
from seesame.perception.stack import Stack
from seesame.video.clip import Clip

SegTerm = Callable[[Tensor, Tensor], Tensor]
"""Logits and the reference's classes to the term that training has for them at this moment."""

CROP = 0.7
"""Least side of a window, as a share of the picture's."""
COARSE = 0.5
"""Least resolution."""
GAIN, BIAS = 0.15, 12.0
"""How far a channel's gain is from 1, and its bias from 0, in grey levels."""
GREY = 0.7
"""Most of the colour that is taken away."""
NOISE = 6.0
"""Largest deviation, in grey levels."""


class TransferTerm(Protocol):
    """What the loss gets for one pair of a batch."""

    name: str

    def __call__(self, seen: Tensor, source: Tensor, pair: int, seg: SegTerm) -> Tensor:
        """A scalar.

        Args:
            seen: decoded frames at render size, ``(1, 2, 3, h, w)`` in 0..255, with gradient.
            source: the source's.
            pair: its number.
            seg: what training does with logits.
        """


class AugmentedCopies:
    """The stack behind random windows, resolutions, colours and noise.

    Each is as good as another net: what it sees in the decoded frames is compared with what it
    sees in the source's, the same transformation applied to both.

    Args:
        stack: the nets.
        seed: of the transformations.
    """

    name = "augmented"

    def __init__(self, stack: Stack, seed: int) -> None:
        self._stack, self._pose = stack, PoseTerm()
        self._random = torch.Generator().manual_seed(seed)

    def __call__(self, seen: Tensor, source: Tensor, pair: int, seg: SegTerm) -> Tensor:
        """See :class:`TransferTerm`."""
        change = self.change(seen.shape[-2:])
        seen, source = change(seen), change(source)
        stack = self._stack
        with torch.no_grad():
            classes = stack.segment(source[:, 1]).argmax(1)
        total = seg(stack.segment(seen[:, 1]), classes)
        if stack.has_pose:
            with torch.no_grad():
                wanted = stack.pose(source)[:, : stack.judged].float()
            total = total + self._pose(stack.pose(seen)[:, : stack.judged].float(), wanted)
        return total

    def change(self, size: torch.Size) -> Callable[[Tensor], Tensor]:
        """A random transformation of frames ``(B, 2, 3, h, w)``, whose size it keeps."""
        height, width = size
        side = self._between(CROP, 1)
        rows, columns = round(side * height), round(side * width)
        top = int(self._between(0, height - rows + 1))
        left = int(self._between(0, width - columns + 1))
        detail = self._between(COARSE, 1)
        coarse = max(1, round(detail * height)), max(1, round(detail * width))
        gain = torch.tensor([self._between(1 - GAIN, 1 + GAIN) for _ in range(3)])[:, None, None]
        bias = torch.tensor([self._between(-BIAS, BIAS) for _ in range(3)])[:, None, None]
        grey = self._between(0, GREY)
        noise = self._between(0, NOISE) * torch.randn(2, 3, *size, generator=self._random)

        def apply(frames: Tensor) -> Tensor:
            flat = frames[..., top : top + rows, left : left + columns].flatten(0, 1)
            flat = F.interpolate(flat, coarse, mode="bilinear", antialias=True)
            flat = F.interpolate(flat, (height, width), mode="bilinear")
            x = (1 - grey) * flat + grey * flat.mean(1, keepdim=True)
            x = x * gain.to(x.device) + bias.to(x.device)
            x = x.reshape(frames.shape) + noise.to(x.device)
            return x.clamp(0, 255)

        return apply

    def _between(self, low: float, high: float) -> float:
        return low + (high - low) * float(torch.rand((), generator=self._random))


class SecondStack:
    """Another stack, which sees frames at the source's size as it would in the file.

    Args:
        stack: its nets.
        outputs: what they see in the source.
        size: ``(height, width)`` of the source.
    """

    def __init__(self, stack: Stack, outputs: ReferenceOutputs, size: tuple[int, int]) -> None:
        self.name = f"guard {stack.name}"
        self._stack, self._outputs, self._size, self._pose = stack, outputs, size, PoseTerm()

    def __call__(self, seen: Tensor, source: Tensor, pair: int, seg: SegTerm) -> Tensor:
        """See :class:`TransferTerm`."""
        stack = self._stack
        frames = enlarge(seen if stack.has_pose else seen[:, 1:], self._size).clamp(0, 255)
        classes = self._outputs.classes[pair : pair + 1].to(seen.device)
        total = seg(stack.segment(frames[:, -1]), classes)
        if stack.has_pose:
            wanted = self._outputs.poses[pair : pair + 1, : stack.judged].to(seen.device)
            total = total + self._pose(stack.pose(frames)[:, : stack.judged].float(), wanted)
        return total


def transfer_terms(
    clip: Clip, stack: Stack, settings: TrainSettings, context: EncodeContext
) -> tuple[TransferTerm, ...]:
    """What the user asks for: augmented copies of the stack, and the context's further stacks.

    Raises:
        UserError: a further stack has no gradients, or the name of another.
    """
    terms: list[TransferTerm] = []
    if settings.augment:
        terms.append(AugmentedCopies(stack, context.seed))
    if len({guard.name for guard in context.guards}) < len(context.guards):
        raise UserError("two guards have the same name")
    for guard in context.guards:
        if not guard.differentiable:
            raise UserError(f"stack {guard.name} has no gradients; it cannot be a guard")
        context.progress(0.0, f"looking at the source with {guard.name}")
        outputs = reference_outputs(clip, guard, device=context.device)
        terms.append(SecondStack(guard, outputs, (clip.height, clip.width)))
    return tuple(terms)
