"""Limits in the loss: what they bind beside the mean over second frames, which the score judges.

Limits on seg bind every frame, so that first frames, and an odd last one, get the loss that second
frames have. A limit on a class makes its pixels weigh more, and a limit on a percentile or on the
worst frame makes those frames weigh more that are beyond it. The term also keeps running figures
of what limits bind, by which the rate is controlled.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from seesame.metric.evaluator import ReferenceOutputs
from seesame.metric.limits import LEAST, Limits
from seesame.neural.fitting.loss.losses import TUNING as LOSSES
from seesame.neural.fitting.loss.losses import LossWeights, Observed, Term, near
from seesame.neural.fitting.loss.objective import seen_bytes, seg_term
from seesame.perception.stack import Stack


@dataclass(frozen=True)
class LimitTuning:
    """The weights of what limits bind.

    Args:
        class_weight: of the share of a limited class's pixels that are lost, where that of all
            pixels weighs 1.
        most_pixel: the most that a pixel of a limited class weighs beside its usual 1.
        most_frame: the most that a frame beyond a bound on a percentile weighs.
        decay: share of the running figures that one batch leaves in place.
    """

    class_weight: float = 0.1
    most_pixel: float = 20.0
    most_frame: float = 4.0
    decay: float = 0.95


TUNING = LimitTuning()


class LimitTerm(Term):
    """The loss of everything that limits on seg bind and the usual term leaves out.

    Args:
        limits: the user's, with the stack's whole names of classes.
        outputs: the stack's outputs on the source, of every frame where the limits need them.
        stack: differentiable networks.
        device: where they run.
    """

    name = "limits"

    def __init__(
        self, limits: Limits, outputs: ReferenceOutputs, stack: Stack, device: torch.device
    ) -> None:
        self._limits, self._stack = limits, stack
        first = outputs.first_classes if limits.every_frame else None
        self._first = None if first is None else near(first, device)
        self.capturable = self._first is None or self._first.device == device
        tails = [b for b in limits.more if b.figure == "seg" and b.of not in stack.classes]
        self._tail = min((bound.most for bound in tails), default=None)
        bounds = {b.of: b.most for b in limits.more if b.figure == "seg" and b.of in stack.classes}
        self._class_bounds = {stack.classes.index(name): most for name, most in bounds.items()}
        maps = [outputs.classes] if first is None else [outputs.classes, first]
        self._extra = self._pixel_weights(maps, len(stack.classes)).to(device)
        self._wrong = torch.zeros((), device=device)
        self._lost, self._pixels = (torch.zeros(len(stack.classes), device=device) for _ in "ab")
        self._seen = torch.zeros((), device=device)

    def _pixel_weights(self, maps: list[Tensor], count: int) -> Tensor:
        """Return what a pixel of each class weighs beside its usual 1, ``(C,)``."""
        pixels = sum(torch.bincount(m.flatten().long(), minlength=count) for m in maps)
        assert isinstance(pixels, Tensor)
        shares, extra = pixels / pixels.sum(), torch.zeros(count)
        for number in self._class_bounds:
            weight = TUNING.class_weight / shares[number].clamp(min=1e-6)
            extra[number] = weight.clamp(max=TUNING.most_pixel)
        return extra

    def __call__(self, observed: Observed, weights: LossWeights) -> Tensor | None:
        """See :class:`~seesame.neural.fitting.loss.losses.Term`."""
        terms: list[Tensor] = []
        judged: list[tuple[Tensor, Tensor]] = []
        loss = partial(seg_term, weights=weights.terms, temperature=weights.temperature)
        if len(observed.classes):
            judged.append((observed.logits, observed.classes))
            emphasis = self._emphasis(observed.logits, observed.classes)
            if emphasis is not None:  # beyond the usual term
                terms.append(loss(observed.logits, observed.classes, emphasis=emphasis - 1))
        if self._first is not None:
            logits, classes = self._first_frames(observed, weights.low)
            judged.append((logits, classes))
            emphasis = self._emphasis(logits, classes)
            terms.append(loss(logits, classes, emphasis=emphasis))
        self._watch(judged)
        return torch.stack(terms).sum() if terms else None

    def _first_frames(self, observed: Observed, low: bool) -> tuple[Tensor, Tensor]:
        """Return logits and the reference's classes of first frames and of an odd last one."""
        assert self._first is not None
        frames, count = observed.seen[:, 0], len(observed.seen)
        if count < len(observed.frames):
            odd = seen_bytes(observed.frames[count:, 0], LOSSES.range_weight)
            frames = torch.cat([frames, odd])
        classes = self._first[observed.pairs.to(self._first.device)].to(frames.device)
        with torch.autocast(frames.device.type, torch.bfloat16, low, False):
            return self._stack.segment(frames), classes

    @torch.no_grad()
    def _emphasis(self, logits: Tensor, classes: Tensor) -> Tensor | None:
        """Return weights of pixels, ``(B, h, w)`` or ``(B, 1, 1)``; None where all weigh 1."""
        emphasis = None
        if self._tail is not None:
            wrong = (logits.argmax(1) != classes).float().mean((1, 2))
            frames = (wrong / max(self._tail, LEAST)).clamp(1, TUNING.most_frame)
            emphasis = frames[:, None, None]
        if self._class_bounds:
            pixels = 1 + self._extra[classes.long()]
            emphasis = pixels if emphasis is None else emphasis * pixels
        return emphasis

    @torch.no_grad()
    def _watch(self, judged: list[tuple[Tensor, Tensor]]) -> None:
        """Take a batch into the running figures, in place, as captured steps need it."""
        if not judged or not self._limits.on_seg:
            return
        wrong, frames = torch.zeros_like(self._wrong), 0
        all_lost, all_pixels = torch.zeros_like(self._lost), torch.zeros_like(self._pixels)
        for logits, classes in judged:
            missed = logits.argmax(1) != classes
            wrong, frames = wrong + missed.float().mean((1, 2)).sum(), frames + len(classes)
            if self._class_bounds:
                flat = classes.flatten().long()
                all_pixels.scatter_add_(0, flat, torch.ones_like(flat, dtype=torch.float32))
                all_lost.scatter_add_(0, flat, missed.flatten().float())
        keep = TUNING.decay
        self._seen.mul_(keep).add_(1 - keep)
        self._wrong.mul_(keep).add_((1 - keep) * wrong / frames)
        self._lost.mul_(keep).add_(all_lost, alpha=1 - keep)
        self._pixels.mul_(keep).add_(all_pixels, alpha=1 - keep)

    @torch.no_grad()
    def reach(self, pose: Tensor | None) -> Tensor:
        """Return the largest of the running figures, each as a multiple of its bound.

        Where a percentile or the worst is bound, the mean stands in for it: how far that is from
        the truth shows when a file is judged.

        Args:
            pose: running mean of the pose distortion, a scalar; None without a pose network.
        """
        limits = self._limits
        found = [self._wrong.new_zeros(())]
        seg = self._wrong / self._seen.clamp(min=1e-9)
        found += [seg / max(b, LEAST) for b in (limits.seg, self._tail) if b is not None]
        for number, most in self._class_bounds.items():
            lost = self._lost[number] / self._pixels[number].clamp(min=1e-9)
            found.append(lost / max(most, LEAST))
        bounds = [limits.pose, *(b.most for b in limits.more if b.figure == "pose")]
        if pose is not None:
            found += [pose / max(bound, LEAST) for bound in bounds if bound is not None]
        return torch.stack(found).amax()

    def state_dict(self) -> dict[str, Any]:
        """See :class:`~seesame.neural.fitting.loss.losses.Term`."""
        values = self._wrong, self._lost, self._pixels, self._seen
        return dict(zip(("wrong", "lost", "pixels", "seen"), values, strict=True))

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """See :class:`~seesame.neural.fitting.loss.losses.Term`."""
        for name, value in state.items():
            getattr(self, f"_{name}").copy_(value)
