import math

import pytest
import torch
from fake_stack import FakeStack
from torch import Tensor

from seesame.codecs.hnerv.architecture import Architecture
from seesame.codecs.hnerv.representation import Representation
from seesame.neural.fitting.loss.objective import (
    RunningRoot,
    margins,
    pixel_term,
    seen_bytes,
    seg_term,
)

ALL = {"entropy": 20.0, "margin": 10.0, "smooth": 100.0}


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_margins_are_negative_exactly_where_the_class_changes() -> None:
    logits = random(3, 5, 16, 20)
    classes = random(3, 5, 16, 20, seed=1).argmax(1).to(torch.uint8)
    lead = margins(logits, classes)
    assert lead.shape == (3, 16, 20)
    assert torch.equal(lead < 0, logits.argmax(1) != classes)
    own = margins(logits, logits.argmax(1).to(torch.uint8))
    top = logits.topk(2, dim=1).values
    torch.testing.assert_close(own, top[:, 0] - top[:, 1])


def test_the_smooth_term_nears_the_score() -> None:
    logits = random(2, 5, 40, 40)
    classes = random(2, 5, 40, 40, seed=1).argmax(1)
    share = float((logits.argmax(1) != classes).float().mean())
    assert float(seg_term(logits, classes, {"smooth": 100.0}, 1e-4)) == pytest.approx(
        100 * share, rel=1e-3
    )


@pytest.mark.parametrize("name", ["entropy", "margin", "smooth"])
def test_every_seg_term_falls_when_the_class_gains(name: str) -> None:
    logits = random(1, 4, 6, 6).requires_grad_()
    classes = random(1, 4, 6, 6, seed=1).argmax(1)
    seg_term(logits, classes, {name: 1.0}, 0.5).backward()
    assert logits.grad is not None
    own = logits.grad.gather(1, classes[:, None])
    assert bool((own < 0).all())
    # What the class gains, the others lose.
    torch.testing.assert_close(logits.grad.sum(1), torch.zeros(1, 6, 6), atol=1e-6, rtol=0)


def test_no_weights_no_seg_term() -> None:
    logits = random(1, 4, 6, 6)
    assert float(seg_term(logits, logits.argmax(1), {"pixel": 1.0, "rate": 1.0}, 0.5)) == 0


def test_the_first_pose_term_is_the_score_s_own() -> None:
    values, reference = random(7, 6).requires_grad_(), random(7, 6, seed=1)
    term = RunningRoot()(values, reference)
    exact = (10 * (values - reference).square().mean()).sqrt()
    assert float(term.detach()) == pytest.approx(float(exact.detach()), rel=1e-5)
    (found,) = torch.autograd.grad(term, values)
    (wanted,) = torch.autograd.grad(exact, values)
    torch.testing.assert_close(found, wanted)


def test_the_pose_gradient_is_the_root_s_at_the_running_mean() -> None:
    term = RunningRoot(decay=0.9)
    reference = torch.zeros(4, 2)
    term(torch.full((4, 2), 3.0), reference)  # p = 9
    values = torch.full((4, 2), 1.0, requires_grad=True)  # p = 1
    term(values, reference).backward()
    mean = 0.9 * 9 + 0.1 * 1
    assert term.mean == pytest.approx(mean)
    # d sqrt(10·p)/dp at the mean, times dp/dv = 2·v/8.
    wanted = 5 / math.sqrt(10 * mean) * 2 / 8
    torch.testing.assert_close(values.grad, torch.full((4, 2), wanted))


def test_a_perfect_pose_has_a_finite_gradient() -> None:
    values = torch.zeros(3, 6, requires_grad=True)
    RunningRoot()(values, torch.zeros(3, 6)).backward()
    assert values.grad is not None
    assert bool(values.grad.isfinite().all())


def test_the_pixel_term_is_in_grey_levels() -> None:
    assert float(pixel_term(torch.full((2, 3), 10.0), torch.full((2, 3), 13.5))) == 3.5


@pytest.mark.parametrize("term", ["seg", "pose"])
def test_either_term_alone_reaches_latents_weights_and_steps(term: str) -> None:
    """A stack whose pose loses its gradient would still train on seg, and none would notice."""
    torch.manual_seed(0)
    stack = FakeStack()
    rep = Representation(Architecture(stack.input_size, 4, (6, 5, 5, 4, 4)), 3)
    with torch.no_grad():
        for parameter in rep.rows.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    rep.start_quantising()
    parameters, streams, _ = rep.quantised()
    frames = rep.decode(parameters, streams, torch.arange(3))
    if term == "seg":
        logits = stack.segment(frames[:, 1])
        loss = seg_term(logits, random(*logits.shape).argmax(1), ALL, 0.5)
    else:
        values = stack.pose(frames)[:, : stack.judged]
        loss = RunningRoot()(values, random(*values.shape))
    loss.backward()
    assert rep.streams["latents"].grad is not None
    assert bool((rep.streams["latents"].grad.abs().sum(1) > 0).all())
    for name, parameter in rep.named_parameters():
        assert parameter.grad is not None, name
        assert bool((parameter.grad != 0).any()), name


def test_seen_bytes_round_and_pass_the_gradient_inside_the_range() -> None:
    frames = torch.tensor([-4.0, 0.4, 99.6, 255.0, 300.0], requires_grad=True)
    seen = seen_bytes(frames, 0.5)
    assert seen.tolist() == [0, 0, 100, 255, 255]
    (seen * torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0])).sum().backward()
    assert frames.grad is not None
    torch.testing.assert_close(frames.grad, torch.tensor([-0.1, 2.0, 3.0, 4.0, 0.1]))
