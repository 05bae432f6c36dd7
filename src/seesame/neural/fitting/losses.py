"""What one training step reads, and the loss that it comes to."""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from seesame.codecs.hnerv.config import Phase
from seesame.metric.evaluator import ReferenceOutputs
from seesame.neural.fitting.objective import PoseTerm, is_on, pixel_term, seen_bytes, seg_term
from seesame.neural.fitting.robustness import SegTerm, TransferTerm
from seesame.neural.weights.network import QuantisedNetwork
from seesame.perception.stack import Stack

ORPHAN_PIXEL_WEIGHT = 0.05
RANGE_WEIGHT = 0.05
RESIDENT_SHARE = 0.25
"""Of a GPU's free memory, the most that the clip may take to lie there."""
BATCH = ("pairs", "frames", "classes", "poses")
NUMBERS = ("pixel", "entropy", "margin", "smooth", "rate", "temperature", "coding")


@dataclass
class Material:
    """What training reads: frames at render size and what the stack sees in the source.

    Args:
        frames: ``uint8 (N, 2, 3, h, w)``; a trailing odd frame stands twice in its pair.
        outputs: the stack's outputs on the source; they cover the whole pairs only.
        source_bytes: denominator of the rate.
        transfer: terms of the loss for other eyes.
    """

    frames: Tensor
    outputs: ReferenceOutputs
    source_bytes: int
    transfer: tuple[TransferTerm, ...] = ()


@dataclass(frozen=True)
class LossWeights:
    """What the loss weighs how much in one step.

    Args:
        phase: weights of the terms, floats or tensors; a float of 0 leaves the term out.
        temperature: of the smooth disagreement.
        coding: what the coder writes for a bit of the estimate.
        low: whether nets run in bfloat16.
    """

    phase: Phase
    temperature: float | Tensor
    coding: float | Tensor
    low: bool

    @property
    def kind(self) -> Hashable:
        """What decides which kernels a step runs."""
        used = tuple(name for name in NUMBERS[:4] if getattr(self.phase, name))
        return used, self.low

    def values(self) -> list[float]:
        """The numbers, in the order of :data:`NUMBERS`."""
        weights = [getattr(self.phase, name) for name in NUMBERS[:5]]
        return [float(x) for x in (*weights, self.temperature, self.coding)]

    def of(self, values: Tensor) -> "LossWeights":
        """The same terms with numbers ``(7,)`` that are read when the kernels run."""
        read = dict(zip(NUMBERS, values.unbind(), strict=True))
        used = {n: read[n] for n in NUMBERS[:5] if n == "rate" or getattr(self.phase, n)}
        phase = replace(self.phase, **used)  # type: ignore[arg-type]
        return replace(self, phase=phase, temperature=read["temperature"], coding=read["coding"])


@dataclass
class Loss:
    """A step's loss.

    Args:
        total: all terms together.
        terms: weighted as in it; detached.
        bits: of the weights and latents; detached.
        logits: of the segmentation net; detached.
    """

    total: Tensor
    terms: Mapping[str, Tensor]
    bits: Tensor
    logits: Tensor


class LossOf:
    """The loss of a representation against a clip.

    Args:
        rep: what is trained.
        material: the clip.
        stack: differentiable nets.
        device: where they run.
        guard_weight: of the terms for other eyes.
    """

    def __init__(
        self,
        rep: QuantisedNetwork,
        material: Material,
        stack: Stack,
        device: torch.device,
        guard_weight: float,
    ) -> None:
        self.rep, self.material, self.stack, self.device = rep, material, stack, device
        self.guard_weight = guard_weight
        self.pose_term = PoseTerm()
        outputs = material.outputs
        wanted = material.frames, outputs.classes, outputs.poses[:, : stack.judged]
        self._frames, self._classes, self._poses = (_near(x, device) for x in wanted)

    def read(self, pairs: Tensor) -> dict[str, Tensor]:
        """What a step over pairs ``(B,)`` reads, on the device, by the names of :data:`BATCH`.

        An odd last frame forms no sample. Its pair comes last and has no classes, no pose values.
        """
        which, alone = pairs[pairs < len(self._classes)], pairs[pairs >= len(self._classes)]
        pairs = torch.cat([which, alone])
        found = (
            pairs,
            self._frames[pairs.to(self._frames.device)],
            self._classes[which.to(self._classes.device)],
            self._poses[which.to(self._poses.device)],
        )
        return {n: x.to(self.device) for n, x in zip(BATCH, found, strict=True)}

    def __call__(self, batch: Mapping[str, Tensor], weights: LossWeights) -> Loss:
        """The loss of a batch, as :meth:`read` gives it."""
        stack, phase = self.stack, weights.phase
        parameters, latents, bits = self.rep.quantised()
        bits = weights.coding * bits
        # Nothing is used twice, so that a cache of what was cast would only be in the way.
        low = partial(torch.autocast, self.device.type, torch.bfloat16, weights.low, False)
        with low():
            frames = self.rep.decode(parameters, latents, batch["pairs"])
        judged = len(batch["classes"])
        seen = seen_bytes(frames[:judged], RANGE_WEIGHT)
        with low():
            logits = stack.segment(seen[:, 1])
            values = stack.pose(seen) if stack.has_pose else None
        seg = partial(seg_term, phase=phase, temperature=weights.temperature)
        terms = {"seg": seg(logits, batch["classes"])}
        if values is not None:
            terms["pose"] = self.pose_term(values.float()[:, : stack.judged], batch["poses"])
        terms |= self._transfer(seen, batch, seg)
        terms["pixel"] = _pixels(frames, batch["frames"].float(), judged, phase.pixel)
        if self.rep.quantizers is not None:
            terms["rate"] = phase.rate * 25 * bits / 8 / self.material.source_bytes
        first, *others = terms.values()
        return Loss(
            sum(others, start=first),
            {name: term.detach() for name, term in terms.items()},
            bits.detach(),
            logits.detach(),
        )

    def _transfer(
        self, seen: Tensor, batch: Mapping[str, Tensor], seg: SegTerm
    ) -> dict[str, Tensor]:
        """The terms for other eyes. They look at the batch's first pair: the order is random."""
        if not len(seen) or not self.material.transfer:
            return {}
        source, pair = batch["frames"][:1].float(), int(batch["pairs"][0])
        return {
            term.name: self.guard_weight * term(seen[:1], source, pair, seg)
            for term in self.material.transfer
        }


def _near(values: Tensor, device: torch.device) -> Tensor:
    """On a GPU if there is room, else where it is."""
    if device.type != "cuda":
        return values
    free, _ = torch.cuda.mem_get_info(device)
    fits = values.numel() * values.element_size() < RESIDENT_SHARE * free
    return values.to(device) if fits else values


def _pixels(frames: Tensor, target: Tensor, judged: int, weight: float | Tensor) -> Tensor:
    """The pixel term; pairs after the ``judged`` ones are trained by it alone."""
    total = frames.new_zeros(())
    if is_on(weight):
        total = total + weight * pixel_term(frames, target)
    if judged < len(frames):
        total = total + ORPHAN_PIXEL_WEIGHT * pixel_term(frames[judged:], target[judged:])
    return total
