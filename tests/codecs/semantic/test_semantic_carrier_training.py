import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from seesame.codecs.semantic.carrier.network import UNITS, Carrier
from seesame.codecs.semantic.networks import Renderer, RendererDesign
from seesame.codecs.semantic.training.carrier import CarrierRun, design_for
from seesame.codecs.semantic.training.drives import Seen
from seesame.codecs.semantic.training.settings import TrainingSettings
from seesame.neural.weights.dequantise import dequantised
from seesame.perception.stack import Stack


class Halves(Stack):
    """Classes by brightness; pose values by how both halves of the picture change."""

    name, input_size, classes, judged = "halves", (48, 64), ("dark", "bright"), 2

    def segment(self, rgb: Tensor) -> Tensor:
        grey = rgb.mean(1, keepdim=True) - 128
        return torch.cat([-grey, grey], 1) / 16

    def pose(self, pairs: Tensor) -> Tensor:
        light = pairs[:, 1].mean(1) - pairs[:, 0].mean(1)
        return F.avg_pool2d(light[:, None], (48, 32))[:, 0, 0] / 8


def seen(count: int, seed: int) -> Seen:
    random = torch.Generator().manual_seed(seed)
    coarse = torch.randint(0, 2, (2 * count, 6, 8), generator=random, dtype=torch.uint8)
    masks = coarse.repeat_interleave(8, 1).repeat_interleave(8, 2)
    poses = torch.randn(count, 2, generator=random) * torch.tensor([1.0, 0.5]) + 0.25
    return Seen(masks[:count], masks[count:], poses)


def renderer() -> Renderer:
    torch.manual_seed(0)
    return Renderer(RendererDesign(2, 48, 64, trunk=8, dilations=(1,), fine=4)).eval()


def missed(carrier: Carrier, drive: Seen) -> float:
    with torch.inference_mode():
        second = renderer()(drive.second).clamp(0, 255).round()
        first = carrier(carrier.guess(drive.poses), second).clamp(0, 255).round()
        found = Halves().pose(torch.stack([first, second], 1))
        return float((found - drive.poses).square().mean())


def run(steps: int) -> CarrierRun:
    torch.manual_seed(0)
    drives = [seen(20, 0), seen(10, 1)]
    carrier = Carrier(design_for(Halves(), drives))
    settings = TrainingSettings(steps=steps)
    return CarrierRun(carrier, renderer(), Halves(), drives, settings, "cpu")


def trained(one: CarrierRun) -> Carrier:
    one.train(lambda share, text: None, lambda: None)
    return dequantised(Carrier(design_for(Halves(), [seen(20, 0), seen(10, 1)])), one.result())


def test_units_are_those_of_the_drives() -> None:
    drives = [seen(20, 0), seen(10, 1)]
    poses = torch.cat([drive.poses for drive in drives])
    design = design_for(Halves(), drives)
    assert torch.allclose(torch.tensor(design.middles) / UNITS, poses.mean(0), atol=0.01)
    assert torch.allclose(torch.tensor(design.spreads) / UNITS, poses.std(0), rtol=0.05)
    assert (design.rows, design.columns) == (6, 8)


def test_still_drives_have_units_too() -> None:
    still = Seen(*seen(4, 0)[:2], torch.zeros(4, 2))
    assert design_for(Halves(), [still]).spreads == (1, 1)


def test_training_shows_poses_on_pictures_never_seen() -> None:
    drive = seen(30, 9)
    torch.manual_seed(0)
    before = missed(Carrier(design_for(Halves(), [drive])).eval(), drive)
    after = missed(trained(run(200)), drive)
    assert after < 0.1 * before


def test_a_run_goes_on_from_its_state() -> None:
    whole, begun, later = run(12), run(12), run(12)
    for _ in range(5):
        begun._train_step()
    later.load_state_dict(begun.state_dict())
    found = [trained(one) for one in (whole, later)]
    for one, other in zip(*(net.parameters() for net in found), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_the_loss_is_a_number_at_any_share(share: float) -> None:
    one = run(2)
    values = [float(one.value(share).detach()) for _ in range(12)]
    assert all(0 < value < 100 for value in values)
