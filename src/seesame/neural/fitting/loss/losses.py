"""The loss of one training step: a list of named terms over what the stack gives for a batch.

The usual terms are the score's own, with differentiable twins (:mod:`.objective`), and a pixel
term. A codec, or the user's guards, may add terms of their own.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol

import torch
from torch import Tensor

from seesame.metric.evaluator import ReferenceOutputs
from seesame.neural.fitting.loss.objective import (
    RunningRoot,
    Weight,
    is_on,
    pixel_term,
    seen_bytes,
    seg_term,
)
from seesame.neural.weights.network import QuantisedNetwork
from seesame.perception.stack import Stack


@dataclass(frozen=True)
class LossTuning:
    """The loss's own numbers.

    Args:
        orphan_pixel_weight: of the pixel term on an odd last frame, which the stack never judges.
        range_weight: of the pull on pixels beyond 0..255, see :func:`.objective.seen_bytes`.
        resident_share: of a GPU's free memory, the most that the clip may take to lie there.
    """

    orphan_pixel_weight: float = 0.05
    range_weight: float = 0.05
    resident_share: float = 0.25


TUNING = LossTuning()


@dataclass
class Material:
    """The clip as training reads it.

    Args:
        frames: at render size, ``uint8 (N, 2, 3, h, w)``; an odd last frame stands twice.
        outputs: the stack's outputs on the source; they cover the whole pairs only.
        source_bytes: denominator of the rate.
    """

    frames: Tensor
    outputs: ReferenceOutputs
    source_bytes: int


@dataclass(frozen=True)
class LossWeights:
    """The weights of everything in the loss for one step.

    Args:
        terms: weights of the schedule by name; a float of 0 leaves a part out.
        temperature: of the smooth disagreement.
        coding: bits that the coder writes for a bit of the estimate.
        low: whether networks run in bfloat16.
    """

    terms: Mapping[str, Weight]
    temperature: Weight
    coding: Weight
    low: bool

    @property
    def kind(self) -> Hashable:
        """Everything that decides which kernels a step runs."""
        return tuple(name for name, w in self.terms.items() if w and name != "rate"), self.low

    def numbers(self) -> dict[str, float]:
        """Return all numbers by name."""
        numbers = {**self.terms, "temperature": self.temperature, "coding": self.coding}
        return {name: float(value) for name, value in numbers.items()}

    def reading(self, values: Tensor) -> "LossWeights":
        """Return the same weights with :meth:`numbers` taken from a tensor when kernels run."""
        read = dict(zip(self.numbers(), values.unbind(), strict=True))
        used = {n: read[n] if w or n == "rate" else 0.0 for n, w in self.terms.items()}
        return replace(self, terms=used, temperature=read["temperature"], coding=read["coding"])


@dataclass(frozen=True)
class Observed:
    """One batch as the loss terms receive it; the first M of its B pairs are judged.

    Args:
        pairs: numbers of the pairs, ``(B,)``.
        frames: rendered, ``(B, 2, 3, h, w)``, any range, with gradient.
        target: the source's frames at render size, of the same shape.
        seen: the judged frames as the file will hold them, ``(M, 2, 3, h, w)``.
        logits: of the segmentation network on the second frames, ``(M, C, h', w')``.
        classes: the reference's classes, ``(M, h', w')``.
        poses: judged pose values, ``(M, P)``; None without a pose network.
        wanted_poses: the reference's.
        bits: estimate of all that is coded; None before weights are quantised.
    """

    pairs: Tensor
    frames: Tensor
    target: Tensor
    seen: Tensor
    logits: Tensor
    classes: Tensor
    poses: Tensor | None
    wanted_poses: Tensor
    bits: Tensor | None


class Term(Protocol):
    """One named term of the loss. A term that remembers anything says so in its state."""

    name: str
    capturable: bool
    """True where its kernels may be captured on a GPU: nothing is fetched from the device."""

    def __call__(self, observed: Observed, weights: LossWeights) -> Tensor | None:
        """Return the weighted term, a scalar; None where the batch has nothing for it."""

    def state_dict(self) -> dict[str, Any]:
        """Return what the term remembers from step to step."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from an earlier state."""
        return


class SegTerm(Term):
    """The stand-in for ``100·seg``: cross-entropy, margin and smooth disagreement."""

    name, capturable = "seg", True

    def __call__(self, observed: Observed, weights: LossWeights) -> Tensor:
        """See :class:`Term`."""
        classes = observed.classes
        return seg_term(observed.logits, classes, weights.terms, weights.temperature)


class PoseTerm(Term):
    """The stand-in for ``sqrt(10·pose)``."""

    name, capturable = "pose", True

    def __init__(self) -> None:
        self.root = RunningRoot()

    def __call__(self, observed: Observed, weights: LossWeights) -> Tensor | None:
        """See :class:`Term`."""
        if observed.poses is None:
            return None
        return self.root(observed.poses, observed.wanted_poses)

    def state_dict(self) -> dict[str, Any]:
        """See :class:`Term`."""
        return self.root.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """See :class:`Term`."""
        self.root.load_state_dict(state)


class PixelTerm(Term):
    """The pixel difference; an odd last frame, which no network judges, is trained by it alone."""

    name, capturable = "pixel", True

    def __call__(self, observed: Observed, weights: LossWeights) -> Tensor:
        """See :class:`Term`."""
        frames, target, judged = observed.frames, observed.target, len(observed.classes)
        weight = weights.terms.get("pixel", 0.0)
        total = frames.new_zeros(())
        if is_on(weight):
            total = total + weight * pixel_term(frames, target)
        if judged < len(frames):
            orphans = pixel_term(frames[judged:], target[judged:])
            total = total + TUNING.orphan_pixel_weight * orphans
        return total


class RateTerm(Term):
    """The rate's part of the score.

    Args:
        source_bytes: denominator of the rate.
    """

    name, capturable = "rate", True

    def __init__(self, source_bytes: int) -> None:
        self.source_bytes = source_bytes

    def __call__(self, observed: Observed, weights: LossWeights) -> Tensor | None:
        """See :class:`Term`."""
        if observed.bits is None:
            return None
        return weights.terms.get("rate", 0.0) * 25 * observed.bits / 8 / self.source_bytes


@dataclass
class Loss:
    """A step's loss.

    Args:
        total: all terms together.
        terms: weighted as in it; detached.
        bits: of everything that is coded; detached.
        logits: of the segmentation network; detached.
    """

    total: Tensor
    terms: Mapping[str, Tensor]
    bits: Tensor
    logits: Tensor


class LossOf:
    """The loss of a network against a clip.

    Args:
        network: what is trained.
        material: the clip.
        stack: differentiable networks.
        device: where they run.
        more: terms beside the usual ones; they come before the pixel term.
    """

    def __init__(
        self,
        network: QuantisedNetwork,
        material: Material,
        stack: Stack,
        device: torch.device,
        more: Sequence[Term] = (),
    ) -> None:
        self.network, self.stack, self.device = network, stack, device
        self.pose = PoseTerm()
        self.terms: tuple[Term, ...] = (
            *(SegTerm(), self.pose, *more),
            *(PixelTerm(), RateTerm(material.source_bytes)),
        )
        outputs = material.outputs
        wanted = material.frames, outputs.classes, outputs.poses[:, : stack.judged]
        self._frames, self._classes, self._poses = (near(x, device) for x in wanted)

    @property
    def capturable(self) -> bool:
        """True where a GPU's kernels may be captured."""
        return self.network.capturable and all(term.capturable for term in self.terms)

    def read(self, pairs: Tensor) -> dict[str, Tensor]:
        """Return what a step over pairs ``(B,)`` reads, on the device, by name.

        An odd last frame forms no sample. Its pair comes last and has no classes, no pose values.
        """
        which, alone = pairs[pairs < len(self._classes)], pairs[pairs >= len(self._classes)]
        pairs = torch.cat([which, alone])
        found = {
            "pairs": pairs,
            "frames": self._frames[pairs.to(self._frames.device)],
            "classes": self._classes[which.to(self._classes.device)],
            "poses": self._poses[which.to(self._poses.device)],
        }
        return {name: values.to(self.device) for name, values in found.items()}

    def __call__(self, batch: Mapping[str, Tensor], weights: LossWeights) -> Loss:
        """Return the loss of a batch, as :meth:`read` gives it."""
        stack = self.stack
        parameters, streams, bits = self.network.quantised()
        bits = weights.coding * bits
        # Nothing is used twice, so that a cache of what was cast would only be in the way.
        low = partial(torch.autocast, self.device.type, torch.bfloat16, weights.low, False)
        with low():
            frames = self.network.decode(parameters, streams, batch["pairs"])
        if frames.shape != batch["frames"].shape:
            raise ValueError(
                f"{type(self.network).__name__}.decode gives frames {tuple(frames.shape)}, "
                f"not {tuple(batch['frames'].shape)}"
            )
        seen = seen_bytes(frames[: len(batch["classes"])], TUNING.range_weight)
        with low():
            logits = stack.segment(seen[:, 1])
            values = stack.pose(seen) if stack.has_pose else None
        observed = Observed(
            pairs=batch["pairs"],
            frames=frames,
            target=batch["frames"].float(),
            seen=seen,
            logits=logits,
            classes=batch["classes"],
            poses=None if values is None else values.float()[:, : stack.judged],
            wanted_poses=batch["poses"],
            bits=None if self.network.quantisers is None else bits,
        )
        found = {term.name: term(observed, weights) for term in self.terms}
        terms = {name: term for name, term in found.items() if term is not None}
        first, *others = terms.values()
        return Loss(
            sum(others, start=first),
            {name: term.detach() for name, term in terms.items()},
            bits.detach(),
            logits.detach(),
        )

    def state_dict(self) -> dict[str, Any]:
        """Return what the terms remember, by their names."""
        return {term.name: term.state_dict() for term in self.terms}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from an earlier state."""
        for term in self.terms:
            term.load_state_dict(state.get(term.name, {}))


def near(values: Tensor, device: torch.device) -> Tensor:
    """Return values on a GPU if there is room, else where they are."""
    if device.type != "cuda":
        return values
    free, _ = torch.cuda.mem_get_info(device)
    fits = values.numel() * values.element_size() < TUNING.resident_share * free
    return values.to(device) if fits else values
