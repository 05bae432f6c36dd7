import copy

import pytest
import torch
from small_training import small_network

from seesame.codecs.hnerv.representation import Representation
from seesame.neural.fitting.optimiser import TUNING, Optimiser
from seesame.neural.weights.network import QuantisedNetwork
from seesame.neural.weights.tensors import TensorSpec

CPU = torch.device("cpu")


def made() -> tuple[Representation, Optimiser]:
    rep = small_network(4)
    return rep, Optimiser(rep.groups(), CPU)


def descend(rep: Representation, optimiser: Optimiser, times: int = 3) -> None:
    for _ in range(times):
        parameters, streams, _ = rep.quantised()
        optimiser.zero_grad()
        rep.decode(parameters, streams, torch.arange(4)).square().mean().backward()  # type: ignore[no-untyped-call]
        optimiser.set_rate(1e-2)
        optimiser.step(torch.ones(()))


def test_everything_is_trained_once() -> None:
    rep, optimiser = made()
    assert sorted(map(id, optimiser.parameters)) == sorted(map(id, rep.parameters()))
    before = {name: p.detach().clone() for name, p in rep.named_parameters()}
    descend(rep, optimiser)
    for name, parameter in rep.named_parameters():
        assert not torch.equal(parameter, before[name]), name


def test_steps_of_hidden_convolutions_are_nearly_orthogonal() -> None:
    rep, optimiser = made()
    before = rep.rows["stages_1_weight"].detach().clone()
    descend(rep, optimiser, 1)
    step = rep.rows["stages_1_weight"].detach() - before
    spread = torch.linalg.svdvals(step)
    assert float(spread.max() / spread.min()) < 3


def test_a_factor_scales_the_gradients() -> None:
    _, optimiser = made()
    for parameter in optimiser.parameters:
        parameter.grad = torch.ones_like(parameter)
    optimiser.set_rate(1e-2)
    optimiser.step(torch.tensor(0.5))
    assert len(optimiser.gradients) == len(optimiser.parameters)
    assert all(bool((gradient == 0.5).all()) for gradient in optimiser.gradients)


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("stem.weight", 1.0),
        ("stages.1.weight", TUNING.muon_rate * TUNING.muon_step),
        ("latents", TUNING.stream_rate),
    ],
)
def test_rates_are_scaled(name: str, size: float) -> None:
    """The first step of Adam has the size of the rate, that of NorMuon a part of it."""
    rep, optimiser = made()
    named = {key.replace("_", "."): p for key, p in rep.rows.items()} | dict(rep.streams.items())
    before = named[name].detach().clone()
    for parameter in optimiser.parameters:
        parameter.grad = torch.randn_like(parameter)
    optimiser.set_rate(0.1)
    optimiser.step(torch.ones(()))
    moved = (named[name].detach() - before).square().mean().sqrt()
    assert float(moved) == pytest.approx(0.1 * size, rel=1e-3)


def test_a_network_need_not_have_hidden_convolutions() -> None:
    class Scaled(QuantisedNetwork):
        def decode(self, parameters, streams, pairs):  # type: ignore[no-untyped-def]
            return parameters["weight"]

    layer = torch.nn.Linear(3, 2, bias=False)
    spec = {"weight": TensorSpec((2, 3), 2, (2, 3, 1))}
    optimiser = Optimiser(Scaled(layer, spec, {}).groups(), CPU)
    assert [tuple(p.shape) for p in optimiser.parameters] == [(2, 3)]
    with pytest.raises(ValueError, match="not those of the network"):
        Scaled(torch.nn.Linear(4, 2), spec, {})


def test_quantiser_steps_join() -> None:
    rep, optimiser = made()
    rep.start_quantising()
    optimiser.add(rep.quantiser_group())
    assert sorted(map(id, optimiser.parameters)) == sorted(map(id, rep.parameters()))


def test_moments_are_given_and_taken_back() -> None:
    rep, optimiser = made()
    descend(rep, optimiser)
    other = copy.deepcopy(rep)
    fresh = Optimiser(other.groups(), CPU)
    fresh.load_state_dict(copy.deepcopy(optimiser.state_dict()))
    descend(rep, optimiser)
    descend(other, fresh)
    for left, right in zip(rep.parameters(), other.parameters(), strict=True):
        assert torch.equal(left, right)
