"""Loss terms for further stacks (guards), so that a file is not for two networks alone.

Frames that are trained against networks are free wherever these do not look, and training fills
that freedom with textures that mean nothing to any other network. Training against several
networks at once is the remedy that studies of transferable adversarial examples suggest (Liu et
al. 2017, "Delving into transferable adversarial examples").
"""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from seesame.context import EncodeContext
from seesame.errors import UserError
from seesame.metric.evaluator import ReferenceOutputs, reference_outputs
from seesame.neural.fitting.loss.losses import LossWeights, Observed, Term
from seesame.neural.fitting.loss.objective import RunningRoot, seg_term
from seesame.neural.render.geometry import enlarge
from seesame.perception.stack import Stack
from seesame.video.clip import Clip


class GuardTerm(Term):
    """The loss of another stack, which reads frames at the source's size as from the file.

    It judges the first pair of each batch only: batches are drawn at random.

    Args:
        stack: its networks.
        outputs: what they give for the source.
        size: ``(height, width)`` of the source.
        weight: of the term; 1 makes it as heavy as the stack's own.
    """

    capturable = False

    def __init__(
        self, stack: Stack, outputs: ReferenceOutputs, size: tuple[int, int], weight: float
    ) -> None:
        self.name = f"guard {stack.name}"
        self._stack, self._outputs, self._size, self._weight = stack, outputs, size, weight
        self._root = RunningRoot()

    def __call__(self, observed: Observed, weights: LossWeights) -> Tensor | None:
        """See :class:`~seesame.neural.fitting.loss.losses.Term`."""
        if not len(observed.seen):
            return None
        stack, pair = self._stack, int(observed.pairs[0])
        seen = observed.seen[:1]
        frames = enlarge(seen if stack.has_pose else seen[:, 1:], self._size).clamp(0, 255)
        classes = self._outputs.classes[pair : pair + 1].to(seen.device)
        logits = stack.segment(frames[:, -1])
        total = seg_term(logits, classes, weights.terms, weights.temperature)
        if stack.has_pose:
            wanted = self._outputs.poses[pair : pair + 1, : stack.judged].to(seen.device)
            total = total + self._root(stack.pose(frames)[:, : stack.judged].float(), wanted)
        return self._weight * total

    def state_dict(self) -> dict[str, Any]:
        """Return the running mean of the pose distortion."""
        return self._root.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from an earlier state."""
        self._root.load_state_dict(state)


def guard_terms(clip: Clip, weight: float, context: EncodeContext) -> tuple[Term, ...]:
    """Return a term for each of the context's guards, after a pass over the source with each.

    Raises:
        UserError: a guard has no gradients, or the name of another.
    """
    guards = context.guards
    if len({guard.name for guard in guards}) < len(guards):
        raise UserError("two guards have the same name")
    terms = []
    for guard in guards:
        if not guard.differentiable:
            raise UserError(f"stack {guard.name} has no gradients; it cannot be a guard")
        context.progress(0.0, f"reading the source with {guard.name}")
        outputs = reference_outputs(clip, guard, device=context.device)
        terms.append(GuardTerm(guard, outputs, (clip.height, clip.width), weight))
    return tuple(terms)
