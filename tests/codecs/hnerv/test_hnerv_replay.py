"""What runs on a GPU only."""

import pytest
import torch
from fake_stack import FakeStack, tiny_clip

from seesame.codecs.base import EncodeContext
from seesame.codecs.hnerv.config import HnervSettings, Schedule
from seesame.codecs.hnerv.losses import Material
from seesame.codecs.hnerv.model import Architecture
from seesame.codecs.hnerv.representation import Representation
from seesame.codecs.hnerv.tapped import TappedClip
from seesame.codecs.hnerv.train import Training
from seesame.metric.evaluator import reference_outputs

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")


class WaitingStack(FakeStack):
    """Its pose net asks the host for something on the way."""

    def pose(self, pairs: torch.Tensor) -> torch.Tensor:
        values = super().pose(pairs)
        return values if float(values.detach().sum()) > -1e9 else 2 * values


def training(stack: FakeStack, num_frames: int = 12) -> Training:
    clip = TappedClip(tiny_clip(num_frames), (32, 64))
    outputs = reference_outputs(clip, stack, device="cuda")
    torch.manual_seed(0)
    pairs = -(-num_frames // 2)
    rep = Representation(Architecture((32, 64), 3, (5, 4, 4, 4, 4)), pairs)
    material = Material(clip.pairs(), outputs, clip.source_bytes)
    context = EncodeContext(stack=stack, device="cuda")
    run = Training(rep, material, stack, HnervSettings(), Schedule(), context)
    run.low_precision = False
    return run


def trained(run: Training, steps: int = 30) -> list[float]:
    """The losses of a run that starts to quantise on the way."""
    batches, losses = run._batches(), []
    for i in range(steps):
        if i == steps // 2:
            run._start_quantising()
        losses.append(run._step(next(batches), 0.2 + 0.7 * i / steps).loss)
    return losses


@pytest.mark.parametrize("num_frames", [12, 13])
def test_recorded_steps_are_the_steps_themselves(num_frames: int) -> None:
    plain, recorded = training(FakeStack(), num_frames), training(FakeStack(), num_frames)
    plain.replay = None
    wanted, found = trained(plain), trained(recorded)
    assert recorded.replay is not None
    assert not recorded.replay.refused
    assert recorded.replay._recorded
    assert found == pytest.approx(wanted, rel=1e-3)
    for (name, left), right in zip(
        plain.rep.named_parameters(), recorded.rep.parameters(), strict=True
    ):
        torch.testing.assert_close(left, right, rtol=1e-2, atol=1e-3, msg=name)


def test_a_net_that_waits_for_the_gpu_is_trained_step_by_step() -> None:
    plain, run = training(WaitingStack()), training(WaitingStack())
    plain.replay = None
    wanted, found = trained(plain), trained(run)
    assert run.replay is not None
    assert run.replay.refused
    assert not run.replay._recorded
    assert found == pytest.approx(wanted, rel=1e-3)
