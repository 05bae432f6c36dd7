"""Protection against divergence."""

import torch
from torch import nn

from seesame.neural.fitting.divergence import TUNING, Divergence


def run() -> tuple[nn.Linear, torch.optim.Adam, Divergence]:
    net = nn.Linear(2, 2)
    optimiser = torch.optim.Adam(net.parameters(), lr=0.1)
    return net, optimiser, Divergence(net, optimiser)


def test_a_falling_loss_is_left_alone() -> None:
    _, _, guard = run()
    assert not any(guard.watch(10 / (1 + i)) for i in range(500))
    assert guard.gentleness == 1.0


def test_a_divergence_goes_back_to_the_last_good_state() -> None:
    net, _, guard = run()
    for _ in range(TUNING.snapshot_steps):
        guard.watch(1.0)
    kept = net.weight.detach().clone()
    with torch.no_grad():
        net.weight.add_(100.0)
    assert any(guard.watch(50.0) for _ in range(50))
    assert torch.equal(net.weight, kept)
    assert guard.gentleness == 0.5


def test_a_loss_that_is_not_a_number_goes_back_at_once() -> None:
    net, _, guard = run()
    for _ in range(TUNING.snapshot_steps):
        guard.watch(1.0)
    kept = net.weight.detach().clone()
    with torch.no_grad():
        net.weight.fill_(float("nan"))
    assert guard.watch(float("nan"))
    assert torch.equal(net.weight, kept)


def test_nothing_kept_is_nothing_to_go_back_to() -> None:
    _, _, guard = run()
    assert not guard.watch(float("nan"))
    for _ in range(TUNING.snapshot_steps):
        guard.watch(1.0)
    guard.restart()
    assert not guard.watch(float("nan"))
