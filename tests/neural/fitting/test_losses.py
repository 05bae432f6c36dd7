from dataclasses import replace

import pytest
import torch
from fake_stack import FakeStack, tiny_clip

from seesame.codecs.hnerv.config import Schedule
from seesame.codecs.hnerv.model import Architecture
from seesame.codecs.hnerv.representation import Representation
from seesame.metric.evaluator import reference_outputs
from seesame.neural.fitting.losses import BATCH, NUMBERS, LossOf, LossWeights, Material
from seesame.neural.fitting.tapped import TappedClip

CPU = torch.device("cpu")


def loss_of(num_frames: int = 8) -> LossOf:
    stack = FakeStack()
    clip = TappedClip(tiny_clip(num_frames), (32, 64))
    outputs = reference_outputs(clip, stack)
    torch.manual_seed(0)
    rep = Representation(Architecture((32, 64), 3, (5, 4, 4, 4, 4)), -(-num_frames // 2))
    rep.start_quantising()
    return LossOf(rep, Material(clip.pairs(), outputs, clip.source_bytes), stack, CPU, 0.5)


@pytest.mark.parametrize("share", [0.0, 0.05, 0.3, 0.4, 0.6, 0.9])
def test_numbers_that_are_read_late_give_the_same_loss(share: float) -> None:
    made = loss_of()
    batch = made.read(torch.tensor([2, 0]))
    weights = LossWeights(Schedule().at(share), 0.4, 1.1, low=False)
    now = made(batch, weights)
    (wanted,) = torch.autograd.grad(now.total, made.rep.latents)
    made.pose_term.mean = None
    late = made(batch, weights.of(torch.tensor(weights.values())))
    (found,) = torch.autograd.grad(late.total, made.rep.latents)
    assert now.terms.keys() == late.terms.keys()
    for name, term in now.terms.items():
        torch.testing.assert_close(late.terms[name], term, msg=name)
    torch.testing.assert_close(found, wanted)


def test_late_numbers_can_change() -> None:
    made = loss_of()
    batch = made.read(torch.tensor([1, 3]))
    weights = LossWeights(Schedule().at(0.6), 0.4, 1.0, low=False)
    values = torch.tensor(weights.values())
    late = weights.of(values)
    first = made(batch, late)
    values[NUMBERS.index("smooth")] *= 2
    values[NUMBERS.index("rate")] *= 3
    made.pose_term.mean = None
    second = made(batch, late)
    assert float(second.terms["rate"]) == pytest.approx(3 * float(first.terms["rate"]))
    assert float(second.terms["seg"]) > 1.2 * float(first.terms["seg"])
    assert float(second.terms["pose"]) == float(first.terms["pose"])


def test_what_weighs_nothing_is_of_another_kind() -> None:
    phase = Schedule().at(0.6)
    kinds = {
        LossWeights(phase, 0.4, 1.0, low=True).kind,
        LossWeights(phase, 0.4, 1.0, low=False).kind,
        LossWeights(replace(phase, margin=0.0), 0.4, 1.0, low=False).kind,
    }
    assert len(kinds) == 3
    assert LossWeights(replace(phase, margin=5.0), 0.3, 1.2, low=True).kind in kinds


def test_the_pair_of_an_odd_last_frame_comes_last() -> None:
    made = loss_of(9)
    odd = made.read(torch.tensor([4, 1]))
    assert tuple(odd) == BATCH
    assert [len(odd[name]) for name in BATCH] == [2, 2, 1, 1]
    assert odd["pairs"].tolist() == [1, 4]
    torch.testing.assert_close(odd["frames"], made.material.frames[[1, 4]])
    torch.testing.assert_close(odd["classes"][0], made.material.outputs.classes[1])
