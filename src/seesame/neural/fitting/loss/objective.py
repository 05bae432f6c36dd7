"""Differentiable twins of the score's terms, and what the stack receives of rendered frames."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

Weight = float | Tensor
"""A float of 0 leaves a term out; a tensor is read when the kernels run."""


def margins(logits: Tensor, classes: Tensor) -> Tensor:
    """Return how far the reference class leads the best other one, ``(B, h, w)`` in logits.

    Negative exactly where the arg-max of ``logits (B, C, h, w)`` differs from ``classes``.
    """
    index = classes.long()[:, None]
    own = logits.gather(1, index)[:, 0]
    others = logits.scatter(1, index, float("-inf")).amax(1)
    return own - others


def is_on(weight: Weight) -> bool:
    """Return whether a term counts; a weight in a tensor always does."""
    return isinstance(weight, Tensor) or bool(weight)


class RunningRoot:
    """``sqrt(10·p)`` of a pose distortion p, with a steady gradient.

    The root of a batch's mean is a biased and jumpy stand-in for the root of the clip's mean, so
    the outer derivative ``5 / sqrt(10·p)`` is taken at a running mean of p.

    Args:
        decay: share of the running mean that one batch leaves in place.
    """

    def __init__(self, decay: float = 0.95) -> None:
        self.mean: Tensor | None = None
        """The running mean of p; None before the first batch."""
        self.decay = decay

    def __call__(self, values: Tensor, reference: Tensor) -> Tensor:
        """Return the term of judged values ``(B, P)`` against the reference's."""
        batch = (values - reference).square().mean()
        now = batch.detach()
        if self.mean is None:
            self.mean = now.clone()
        elif self.mean.device != now.device:
            self.mean = self.mean.to(now.device)
        # In place: a captured step goes on with the tensor that it was captured with.
        self.mean.lerp_(now, 1 - self.decay)
        root = (10 * self.mean.clamp(min=1e-8)).sqrt()
        return 5 * batch / root + 0.5 * root

    def state_dict(self) -> dict[str, Tensor]:
        """Return the running mean, for :meth:`load_state_dict`."""
        return {} if self.mean is None else {"mean": self.mean}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a running mean."""
        self.mean = state["mean"].clone() if "mean" in state else None


def seg_term(
    logits: Tensor,
    classes: Tensor,
    weights: Mapping[str, Weight],
    temperature: Weight,
    emphasis: Tensor | None = None,
) -> Tensor:
    """Return cross-entropy, missing margin and smooth disagreement, weighted by their names.

    Args:
        logits: ``(B, C, h, w)``.
        classes: the reference's, ``(B, h, w)``.
        weights: of the three parts: ``entropy``, ``margin``, ``smooth``.
        temperature: of the smooth disagreement.
        emphasis: weights of the pixels, which broadcast to ``(B, h, w)``; None where all weigh 1.
    """
    logits = logits.float()
    entropy, margin, smooth = (weights.get(n, 0.0) for n in ("entropy", "margin", "smooth"))
    total = logits.new_zeros(())

    def mean(values: Tensor) -> Tensor:
        return values.mean() if emphasis is None else (emphasis * values).mean()

    if is_on(entropy):
        how = "mean" if emphasis is None else "none"
        total = total + entropy * mean(F.cross_entropy(logits, classes.long(), reduction=how))
    if is_on(margin) or is_on(smooth):
        lead = margins(logits, classes)
        if is_on(margin):
            total = total + margin * mean(F.softplus(1.0 - 2 * lead))
        if is_on(smooth):
            total = total + smooth * mean(torch.sigmoid(-lead / temperature))
    return total


def pixel_term(frames: Tensor, reference: Tensor) -> Tensor:
    """Return the mean absolute difference in grey levels."""
    return (frames - reference).abs().mean()


class _SeenBytes(torch.autograd.Function):
    """Rendered frames as the stack receives them: clamped and rounded as in the file.

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
    """Return frames as the file will hold them, with a gradient for training.

    Args:
        frames: rendered, any range.
        pull: weight of the mean distance to 0..255, whose gradient is added for values beyond it.

    Returns:
        Whole numbers in 0..255.
    """
    seen: Tensor = _SeenBytes.apply(frames, pull)  # type: ignore[no-untyped-call]
    return seen
