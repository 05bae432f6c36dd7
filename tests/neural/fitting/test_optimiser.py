import copy

import pytest
import torch

from seesame.codecs.hnerv.model import Architecture
from seesame.codecs.hnerv.representation import Representation
from seesame.neural.fitting.optimiser import LATENT_SCALE, MUON_SCALE, Optimiser


def made() -> tuple[Representation, Optimiser]:
    torch.manual_seed(0)
    rep = Representation(Architecture((32, 64), 3, (5, 4, 4, 4, 4)), 4)
    return rep, Optimiser(dict(rep.rows.items()), rep.latents)


def descend(rep: Representation, optimiser: Optimiser, times: int = 3) -> None:
    for _ in range(times):
        parameters, latents, _ = rep.quantised()
        optimiser.zero_grad()
        rep.decode(parameters, latents, torch.arange(len(latents))).square().mean().backward()  # type: ignore[no-untyped-call]
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


def test_rates_are_scaled() -> None:
    _, optimiser = made()
    optimiser.set_rate(0.1)
    rates = [g["lr"] for one in optimiser._both.values() for g in one.param_groups]
    assert rates == pytest.approx([0.1, 0.1 * LATENT_SCALE, 0.1 * MUON_SCALE])


def test_quantiser_steps_join() -> None:
    rep, optimiser = made()
    optimiser.add(rep.start_quantising())
    assert sorted(map(id, optimiser.parameters)) == sorted(map(id, rep.parameters()))


def test_moments_go_to_tensors_and_back() -> None:
    rep, optimiser = made()
    descend(rep, optimiser)
    other = copy.deepcopy(rep)
    fresh = Optimiser(dict(other.rows.items()), other.latents)
    fresh.load_tensors({k: v.clone() for k, v in optimiser.tensors().items()})
    descend(rep, optimiser)
    descend(other, fresh)
    for left, right in zip(rep.parameters(), other.parameters(), strict=True):
        assert torch.equal(left, right)
