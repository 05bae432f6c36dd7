"""Loss terms for further stacks."""

import numpy as np
import pytest
import torch
from fake_stack import FakeStack, tiny_clip
from torch import Tensor

from seesame.codecs.registry import get_codec
from seesame.context import EncodeContext
from seesame.errors import UserError
from seesame.metric.evaluator import evaluate, reference_outputs
from seesame.neural.fitting.loss.losses import LossWeights, Observed
from seesame.neural.fitting.loss.robustness import GuardTerm, guard_terms

WEIGHTS = LossWeights({"smooth": 100.0}, temperature=0.1, coding=1.0, low=False)


class Turned(FakeStack):
    """Another stack: it judges by other colours, and more closely."""

    name = "turned"

    def segment(self, rgb: Tensor) -> Tensor:
        return super().segment(rgb.roll(1, 1) - 0.5 * rgb)


def observed(frames: np.ndarray, number: int) -> Observed:
    """A batch of the one pair with this number, of which guards read ``pairs`` and ``seen``."""
    seen = torch.from_numpy(frames).permute(0, 3, 1, 2)[None].float().requires_grad_(True)
    nothing = torch.zeros(1, 0)
    return Observed(
        pairs=torch.tensor([number]),
        frames=seen,
        target=seen.detach(),
        seen=seen,
        logits=nothing,
        classes=nothing,
        poses=None,
        wanted_poses=nothing,
        bits=None,
    )


def test_a_guard_judges_frames_as_it_would_read_them_from_the_file() -> None:
    clip, stack = tiny_clip(4), Turned((20, 40))
    outputs = reference_outputs(clip, stack)
    term = GuardTerm(stack, outputs, (64, 128), 1.0)
    other = observed(tiny_clip(2, (64, 128), 1).frames, 1)
    value = term(other, WEIGHTS)
    assert value is not None
    value.backward()
    assert other.seen.grad is not None
    assert float(other.seen.grad.abs().max()) > 0
    wrong = (stack.segment(other.seen.detach()[:, 1]).argmax(1) != outputs.classes[1:]).float()
    assert float(value.detach()) >= 0.8 * 100 * float(wrong.mean())
    exact = GuardTerm(stack, outputs, (64, 128), 1.0)(observed(clip.frames[2:], 1), WEIGHTS)
    half = GuardTerm(stack, outputs, (64, 128), 0.5)(observed(clip.frames[2:], 1), WEIGHTS)
    assert exact is not None
    assert half is not None
    assert float(exact.detach()) < 5
    assert float(half.detach()) == pytest.approx(0.5 * float(exact.detach()))


@pytest.mark.parametrize("codec", ["hnerv", "hybrid"])
def test_a_guard_s_outputs_are_kept_better(codec: str) -> None:
    clip, stack, guard = tiny_clip(8), FakeStack(), Turned()
    settings = {"steps": 100, "guard_weight": 2.0, "sidecar": False}
    if codec == "hybrid":
        settings |= {"base.crf": 60, "base.scale": 0.3}
    losses = []
    for guards in ((), (guard,)):
        context = EncodeContext(stack=stack, guards=guards)
        container = get_codec(codec).encode(clip, settings, context)
        decoded = get_codec(codec).decode(container)
        found = evaluate(clip, decoded, guard, 1).score
        losses.append(100 * found.seg + np.sqrt(10 * found.pose))
        assert container.config("x").get("guards") == ([guard.name] if guards else None)
    assert losses[1] < 0.8 * losses[0]


def test_guards_that_cannot_be_are_refused() -> None:
    stack, blind, turned = FakeStack(), Turned(), Turned()
    blind.differentiable = False
    clip = tiny_clip(4)
    with pytest.raises(UserError, match="no gradients"):
        guard_terms(clip, 0.5, EncodeContext(stack, guards=(blind,)))
    with pytest.raises(UserError, match="same name"):
        guard_terms(clip, 0.5, EncodeContext(stack, guards=(turned, turned)))
    found = guard_terms(clip, 0.5, EncodeContext(stack, guards=(turned,)))
    assert [term.name for term in found] == ["guard turned"]
