"""Corrections of the source by the classes that an earlier encode of it lost.

A plain file's decoder mends nothing, but its source can anticipate what the encoder will do. After
an encode the decoded pictures are known. Where the stack no longer sees in them what it sees in the
source, the stack's gradients say which smooth change of the picture would bring its outputs back,
and the source gets this change before the next encode. The encoder itself has no gradient; it is
taken to pass smooth changes on as they are, which is the straight-through estimator (Bengio,
Leonard, Courville 2013, "Estimating or propagating gradients through stochastic neurons"). Pose
values are left alone: steps along their gradient made them worse.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from seesame.codecs.av import filters
from seesame.errors import DamagedError, MissingStackError
from seesame.neural.fitting.loss.objective import margins
from seesame.perception.stack import Stack
from seesame.video.clip import Frames
from seesame.video.resize import to_float


@dataclass(frozen=True)
class LoopTuning:
    """The numbers of the corrections.

    Args:
        steps: gradient steps on the decoded pictures of one encode.
        step: grey levels by which a step changes the pixels with the largest gradients.
        sigma: of the Gaussian, in coded pixels, that makes a change smooth enough to pass the
            encoder.
        temperature: of the smooth disagreement, in logits: larger margins count for nothing.
        top: share of the pixels whose gradient is below that which gets a whole step.
        samples: pixels by which this share is found.
        at_once: frames that go through the networks at a time, which bounds the memory.
        bounded_class: weight of the pixels of a class that has a limit of its own; others have 1.
    """

    steps: int = 5
    step: float = 1.5
    sigma: float = 2.0
    temperature: float = 0.5
    top: float = 0.995
    samples: int = 1 << 16
    at_once: int = 4
    bounded_class: float = 8.0


TUNING = LoopTuning()


class Correction:
    """Changes the pictures of an encode by the classes that an earlier encode of them lost.

    Args:
        stack: its classes are brought back.
        device: where its networks run.
        decoded: the earlier encode's frames as they are read, ``uint8 (B, h, w, 3)``, in the
            batches in which pictures will come.
        classes: numbers of classes with a limit of their own, whose pixels weigh more.

    Raises:
        MissingStackError: the stack has no gradients.
    """

    def __init__(
        self, stack: Stack, device: str, decoded: Iterable[Frames], classes: Sequence[int] = ()
    ) -> None:
        if not stack.differentiable:
            raise MissingStackError(f"stack {stack.name} has no gradients to correct pictures by")
        self.stack, self.device, self.classes = stack, device, classes
        self._decoded: Iterator[Frames] = iter(decoded)

    def __call__(self, frames: Tensor, small: Tensor) -> Tensor:
        """Return corrected pictures.

        Args:
            frames: the next frames of the source, float ``(B, 3, H, W)`` in 0..255.
            small: the pictures that the encoder would get, float ``(B, 3, h, w)``.

        Raises:
            DamagedError: the earlier encode has fewer frames, or frames of another size.
        """
        decoded = next(self._decoded, None)
        if decoded is None or len(decoded) != len(small) or decoded.shape[1:3] != small.shape[2:]:
            raise DamagedError("the earlier encode does not fit this clip")
        changes = []
        for start in range(0, len(frames), TUNING.at_once):
            part = slice(start, start + TUNING.at_once)
            seen = to_float(decoded[part]).to(self.device)
            changes.append(self._change(frames[part].to(self.device), seen).cpu())
        return (small + torch.cat(changes)).clamp(0, 255)

    def _change(self, source: Tensor, decoded: Tensor) -> Tensor:
        """Return the change of a few decoded frames that brings their outputs back."""
        with torch.no_grad():
            classes = self.stack.segment(source).argmax(1)
        weights = torch.ones_like(classes, dtype=torch.float32)
        for number in self.classes:
            weights[classes == number] = TUNING.bounded_class
        change = torch.zeros_like(decoded)
        for _ in range(TUNING.steps):
            pictures = (decoded + change).clamp(0, 255).requires_grad_(True)
            logits = self.stack.segment(pictures)
            lost = torch.sigmoid(-margins(logits, classes) / TUNING.temperature)
            change -= TUNING.step * _direction((weights * lost).sum(), pictures)
        return change


def _direction(loss: Tensor, pictures: Tensor) -> Tensor:
    """Return the smoothed gradient, -1..1, in which each frame's largest values are cut off."""
    (gradient,) = torch.autograd.grad(loss, pictures)
    gradient = filters.blur(gradient, TUNING.sigma)
    flat = gradient.flatten(1).abs()
    flat = flat[:, :: max(1, flat.shape[1] // TUNING.samples)]
    top = flat.quantile(TUNING.top, dim=1).clamp(min=1e-12)
    return (gradient / top.view(-1, 1, 1, 1)).clamp(-1, 1)
