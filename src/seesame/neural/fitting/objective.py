"""The loss: the score itself, with differentiable twins of its terms."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from seesame.codecs.hnerv.config import Phase


def margins(logits: Tensor, classes: Tensor) -> Tensor:
    """How far the reference class leads the best other one: ``(B, C, h, w)`` to ``(B, h, w)``.

    Negative exactly where the arg-max differs from ``classes (B, h, w)``.
    """
    index = classes.long()[:, None]
    own = logits.gather(1, index)[:, 0]
    others = logits.scatter(1, index, float("-inf")).amax(1)
    return own - others


def is_on(weight: float | Tensor) -> bool:
    """Whether a term counts; a tensor is a weight that is read when the kernels run, and does."""
    return isinstance(weight, Tensor) or bool(weight)


class PoseTerm:
    """``sqrt(10·pose)`` with a steady gradient.

    The root of a batch's mean is a biased and jumpy stand-in for the root of the clip's mean, so
    the outer derivative ``5 / sqrt(10·p)`` is taken at a running mean of p.
    """

    def __init__(self, decay: float = 0.95) -> None:
        self.running: Tensor | None = None
        self.decay = decay

    @property
    def mean(self) -> float | None:
        """The running mean; None before the first batch."""
        return None if self.running is None else float(self.running)

    @mean.setter
    def mean(self, value: float | None) -> None:
        self.running = None if value is None else torch.tensor(value)

    def __call__(self, values: Tensor, reference: Tensor) -> Tensor:
        """Judged values ``(B, P)`` against the reference's; a scalar with the right gradient."""
        batch = (values - reference).square().mean()
        now = batch.detach()
        if self.running is None:
            self.running = now.clone()
        elif self.running.device != now.device:
            self.running = self.running.to(now.device)
        # In place: a captured step goes on with the tensor that it was captured with.
        self.running.lerp_(now, 1 - self.decay)
        root = (10 * self.running.clamp(min=1e-8)).sqrt()
        return 5 * batch / root + 0.5 * root


def seg_term(logits: Tensor, classes: Tensor, phase: Phase, temperature: float | Tensor) -> Tensor:
    """Cross-entropy, missing margin and smooth disagreement, weighted by the phase."""
    logits = logits.float()
    total = logits.new_zeros(())
    if is_on(phase.entropy):
        total = total + phase.entropy * F.cross_entropy(logits, classes.long())
    if is_on(phase.margin) or is_on(phase.smooth):
        lead = margins(logits, classes)
        if is_on(phase.margin):
            total = total + phase.margin * F.softplus(1.0 - 2 * lead).mean()
        if is_on(phase.smooth):
            total = total + phase.smooth * torch.sigmoid(-lead / temperature).mean()
    return total


def pixel_term(frames: Tensor, reference: Tensor) -> Tensor:
    """Mean absolute difference in grey levels."""
    return (frames - reference).abs().mean()


class _SeenBytes(torch.autograd.Function):
    """What the stack sees of rendered frames: clamped and rounded as in the file.

    Rounding passes the gradient on (Bengio et al. 2013); clamping must not, a pixel beyond the
    range would be pushed on for ever. Instead it is drawn back with a small gradient of its own.
    """

    @staticmethod
    def forward(ctx: Any, frames: Tensor, pull: float) -> Tensor:
        seen = frames.clamp(0, 255)
        ctx.save_for_backward((frames - seen).sign_().to(torch.int8))
        ctx.pull = pull / frames.numel()
        return seen.round_()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        (beyond,) = ctx.saved_tensors
        return torch.where(beyond == 0, grad, ctx.pull * beyond), None


def seen_bytes(frames: Tensor, pull: float) -> Tensor:
    """Frames as the file will hold them, with a gradient for training.

    Args:
        frames: rendered, any range.
        pull: weight of the mean distance to 0..255, whose gradient is added for values beyond it.

    Returns:
        Whole numbers in 0..255.
    """
    seen: Tensor = _SeenBytes.apply(frames, pull)  # type: ignore[no-untyped-call]
    return seen
