import pytest
import torch
from fake_stack import FakeStack
from small_training import small_material, small_network

from seesame.neural.fitting.loss.losses import LossOf, LossWeights, Material
from seesame.neural.fitting.schedule import Schedule

CPU = torch.device("cpu")


def loss_of(num_frames: int = 8) -> tuple[LossOf, Material]:
    stack = FakeStack()
    material = small_material(num_frames, stack)
    network = small_network(-(-num_frames // 2))
    network.start_quantising()
    return LossOf(network, material, stack, CPU), material


def numbers(weights: LossWeights) -> torch.Tensor:
    return torch.tensor(list(weights.numbers().values()))


@pytest.mark.parametrize("share", [0.0, 0.05, 0.3, 0.4, 0.6, 0.9])
def test_numbers_that_are_read_late_give_the_same_loss(share: float) -> None:
    made, _ = loss_of()
    batch = made.read(torch.tensor([2, 0]))
    weights = LossWeights(Schedule().at(share), 0.4, 1.1, low=False)
    now = made(batch, weights)
    (wanted,) = torch.autograd.grad(now.total, made.network.streams["latents"])
    made.pose.root.mean = None
    late = made(batch, weights.reading(numbers(weights)))
    (found,) = torch.autograd.grad(late.total, made.network.streams["latents"])
    assert now.terms.keys() == late.terms.keys()
    for name, term in now.terms.items():
        torch.testing.assert_close(late.terms[name], term, msg=name)
    torch.testing.assert_close(found, wanted)


def test_late_numbers_can_change() -> None:
    made, _ = loss_of()
    batch = made.read(torch.tensor([1, 3]))
    weights = LossWeights(Schedule().at(0.6), 0.4, 1.0, low=False)
    values = numbers(weights)
    late = weights.reading(values)
    first = made(batch, late)
    values[list(weights.numbers()).index("smooth")] *= 2
    values[list(weights.numbers()).index("rate")] *= 3
    made.pose.root.mean = None
    second = made(batch, late)
    assert float(second.terms["rate"]) == pytest.approx(3 * float(first.terms["rate"]))
    assert float(second.terms["seg"]) > 1.2 * float(first.terms["seg"])
    assert float(second.terms["pose"]) == float(first.terms["pose"])


def test_what_weighs_nothing_is_of_another_kind() -> None:
    terms = Schedule().at(0.6)
    kinds = {
        LossWeights(terms, 0.4, 1.0, low=True).kind,
        LossWeights(terms, 0.4, 1.0, low=False).kind,
        LossWeights({**terms, "margin": 0.0}, 0.4, 1.0, low=False).kind,
    }
    assert len(kinds) == 3
    assert LossWeights({**terms, "margin": 5.0}, 0.3, 1.2, low=True).kind in kinds


def test_the_pair_of_an_odd_last_frame_comes_last() -> None:
    made, material = loss_of(9)
    odd = made.read(torch.tensor([4, 1]))
    sizes = {name: len(values) for name, values in odd.items()}
    assert sizes == {"pairs": 2, "frames": 2, "classes": 1, "poses": 1}
    assert odd["pairs"].tolist() == [1, 4]
    torch.testing.assert_close(odd["frames"], material.frames[[1, 4]])
    torch.testing.assert_close(odd["classes"][0], material.outputs.classes[1])
