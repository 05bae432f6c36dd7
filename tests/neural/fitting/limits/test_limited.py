"""The loss of what limits bind, and what it keeps of it."""

from typing import Any

import pytest
import torch
from fake_stack import FakeStack, tiny_clip
from torch import Tensor

from seesame.metric.evaluator import ReferenceOutputs, reference_outputs
from seesame.metric.limits import Limits
from seesame.neural.fitting.limits.limited import TUNING, LimitTerm
from seesame.neural.fitting.loss.losses import LossWeights, Observed
from seesame.neural.fitting.loss.objective import seg_term

CPU = torch.device("cpu")
WEIGHTS = LossWeights({"smooth": 100.0, "entropy": 3.0, "margin": 2.0}, 0.2, 1.0, low=False)
STACK = FakeStack()


def outputs(num_frames: int = 6) -> ReferenceOutputs:
    return reference_outputs(tiny_clip(num_frames), STACK, every_frame=True)


def observed(num_frames: int = 6, pairs: tuple[int, ...] = (2, 0), seed: int = 1) -> Observed:
    """A batch of another clip's pairs, an odd last frame twice in its own."""
    clip = torch.from_numpy(tiny_clip(num_frames, seed=seed).frames).permute(0, 3, 1, 2).float()
    if num_frames % 2:
        clip = torch.cat([clip, clip[-1:]])
    numbers = torch.tensor(pairs)
    frames = clip.view(-1, 2, *clip.shape[1:])[numbers].requires_grad_(True)
    whole = int((numbers < num_frames // 2).sum())
    seen = frames[:whole]
    return Observed(
        pairs=numbers,
        frames=frames,
        target=frames.detach(),
        seen=seen,
        logits=STACK.segment(seen[:, 1]),
        classes=outputs(num_frames).classes[numbers[:whole]],
        poses=None,
        wanted_poses=torch.zeros(whole, 0),
        bits=None,
    )


def term(settings: dict[str, Any], num_frames: int = 6) -> LimitTerm:
    limits = Limits.from_settings(settings).resolved(STACK.classes)
    return LimitTerm(limits, outputs(num_frames), STACK, CPU)


def gradient(made: LimitTerm, batch: Observed) -> Tensor:
    value = made(batch, WEIGHTS)
    assert value is not None
    (found,) = torch.autograd.grad(value, batch.frames)
    return found.abs().amax((2, 3, 4))


def test_first_frames_get_the_loss_of_second_frames() -> None:
    batch, made = observed(), term({"max_seg": 0.1})
    first = outputs().first_classes
    assert first is not None
    logits = STACK.segment(batch.frames[:, 0])
    wanted = seg_term(logits, first[batch.pairs], WEIGHTS.terms, WEIGHTS.temperature)
    found = made(batch, WEIGHTS)
    assert found is not None
    torch.testing.assert_close(found, wanted)
    moved = gradient(made, batch)
    assert bool((moved[:, 0] > 0).all())
    assert not moved[:, 1].any()


def test_an_odd_last_frame_is_judged_by_limits() -> None:
    moved = gradient(term({"max_seg": 0.1}, 7), observed(7, (1, 3)))
    assert bool((moved[:, 0] > 0).all())


def test_the_challenge_s_rule_leaves_first_frames_alone() -> None:
    assert term({"max_seg": 0.1, "challenge_rule": True})(observed(), WEIGHTS) is None
    assert term({"max_pose": 0.1})(observed(), WEIGHTS) is None


def test_pixels_of_a_limited_class_weigh_more() -> None:
    batch = observed()
    made = term({"max_seg": "blue=0.1", "challenge_rule": True})
    classes = torch.cat([outputs().classes])
    share = float((classes == 2).float().mean())
    extra = min(TUNING.class_weight / share, TUNING.most_pixel)
    emphasis = extra * (batch.classes == 2).float()
    wanted = seg_term(batch.logits, batch.classes, WEIGHTS.terms, 0.2, emphasis)
    found = made(batch, WEIGHTS)
    assert found is not None
    torch.testing.assert_close(found, wanted)
    assert float(found.detach()) > 0


@pytest.mark.parametrize("of", ["worst", "p95"])
def test_frames_beyond_a_bound_weigh_more(of: str) -> None:
    batch = observed()
    wrong = (batch.logits.argmax(1) != batch.classes).float().mean((1, 2))
    assert float(wrong.min()) > 0
    rule = {"challenge_rule": True}
    above = term({"max_seg": f"{of}={0.5 * float(wrong.min())}", **rule})(batch, WEIGHTS)
    below = term({"max_seg": f"{of}={min(1.0, 2 * float(wrong.max()))}", **rule})(batch, WEIGHTS)
    assert above is not None
    assert below is not None
    assert float(below.detach()) == 0
    plain = seg_term(batch.logits, batch.classes, WEIGHTS.terms, 0.2)
    assert float(above.detach()) >= 0.99 * float(plain.detach())


def test_the_reach_is_the_largest_figure_in_units_of_its_bound() -> None:
    batch, made = observed(), term({"max_seg": [0.2, "blue=0.4"]})
    made(batch, WEIGHTS)
    found = outputs()
    assert found.first_classes is not None
    wanted = torch.cat([found.classes[batch.pairs], found.first_classes[batch.pairs]])
    seen = torch.cat([STACK.segment(batch.frames[:, i]).argmax(1) for i in (1, 0)])
    wrong = (seen != wanted).float()
    lost = wrong[wanted == 2].mean()
    expected = max(float(wrong.mean()) / 0.2, float(lost) / 0.4)
    assert float(made.reach(None)) == pytest.approx(expected, rel=1e-5)
    pose = term({"max_pose": 0.5, "max_seg": 0.9})
    assert float(pose.reach(torch.tensor(3.0))) == pytest.approx(6.0)


def test_the_running_figures_can_be_resumed() -> None:
    made, other = term({"max_seg": [0.2, "blue=0.4"]}), term({"max_seg": [0.2, "blue=0.4"]})
    made(observed(), WEIGHTS)
    other.load_state_dict({name: value.clone() for name, value in made.state_dict().items()})
    assert float(other.reach(None)) == float(made.reach(None)) > 0
    for one in (made, other):
        one(observed(seed=2), WEIGHTS)
    assert float(other.reach(None)) == float(made.reach(None))
