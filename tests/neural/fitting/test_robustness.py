"""Terms of the loss for other eyes."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from fake_stack import FakeStack, tiny_clip
from torch import Tensor

from seesame.codecs.hnerv.config import HnervSettings, Phase
from seesame.codecs.registry import get_codec
from seesame.context import EncodeContext
from seesame.errors import UserError
from seesame.metric.evaluator import evaluate, reference_outputs
from seesame.neural.fitting.objective import seg_term
from seesame.neural.fitting.robustness import AugmentedCopies, SecondStack, transfer_terms

PHASE = Phase(0.0, pixel=0.0, entropy=0.0, margin=0.0, smooth=100.0, rate=1.0)
SMOOTH = partial(seg_term, phase=PHASE, temperature=0.1)


class Turned(FakeStack):
    """Other eyes: they look at other colours, and more closely."""

    name = "turned"

    def segment(self, rgb: Tensor) -> Tensor:
        return super().segment(rgb.roll(1, 1) - 0.5 * rgb)


def pair(seed: int = 0, size: tuple[int, int] = (32, 64)) -> Tensor:
    frames = tiny_clip(2, size, seed).frames
    return torch.from_numpy(frames).permute(0, 3, 1, 2)[None].float()


def test_augmented_copies_ask_for_nothing_where_frames_are_the_source() -> None:
    term = AugmentedCopies(FakeStack(), seed=0)
    values = [float(term(pair(), pair(), 0, SMOOTH)) for _ in range(5)]
    other = [float(term(pair(1), pair(), 0, SMOOTH)) for _ in range(5)]
    assert max(values) < 0.2 * min(other)


def test_a_transformation_is_the_same_for_both_frames_and_keeps_size_and_range() -> None:
    term = AugmentedCopies(FakeStack(), seed=3)
    for _ in range(20):
        change = term.change(torch.Size((32, 64)))
        same = change(pair())
        torch.testing.assert_close(change(pair()), same)
        assert same.shape == (1, 2, 3, 32, 64)
        assert float(same.min()) >= 0
        assert float(same.max()) <= 255
        assert not torch.allclose(same, pair(), atol=1)


def test_transformations_follow_the_seed() -> None:
    first, second, third = (
        AugmentedCopies(FakeStack(), seed).change(torch.Size((32, 64)))(pair())
        for seed in (7, 7, 8)
    )
    torch.testing.assert_close(first, second)
    assert not torch.allclose(first, third)


def test_a_second_stack_sees_what_it_would_see_in_the_file() -> None:
    clip = tiny_clip(4)
    stack = Turned((20, 40))
    outputs = reference_outputs(clip, stack)
    term = SecondStack(stack, outputs, (64, 128))
    seen = pair(1, (64, 128)).requires_grad_(True)
    value = term(seen, seen, 1, SMOOTH)
    value.backward()
    assert seen.grad is not None
    assert float(seen.grad.abs().max()) > 0
    wrong = (stack.segment(seen.detach()[:, 1]).argmax(1) != outputs.classes[1:]).float().mean()
    assert float(value.detach()) >= 0.8 * 100 * float(wrong)
    exact = torch.from_numpy(clip.frames[2:]).permute(0, 3, 1, 2)[None].float()
    assert float(SecondStack(stack, outputs, (64, 128))(exact, exact, 1, SMOOTH)) < 5


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
    settings = replace(HnervSettings(), augment=True)
    with pytest.raises(UserError, match="no gradients"):
        transfer_terms(tiny_clip(4), stack, settings, EncodeContext(stack, guards=(blind,)))
    with pytest.raises(UserError, match="same name"):
        transfer_terms(tiny_clip(4), stack, settings, EncodeContext(stack, guards=(turned,) * 2))
    found = transfer_terms(tiny_clip(4), stack, settings, EncodeContext(stack, guards=(turned,)))
    assert [term.name for term in found] == ["augmented", "guard turned"]
