import pytest
import torch
from torch import nn

from seesame.neural.fitting.optimiser import NorMuon, orthogonal


def random_matrix(rows: int, columns: int) -> torch.Tensor:
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("shape", [(8, 40), (40, 8), (1, 5)])
def test_orthogonal_has_equal_singular_values(shape: tuple[int, int]) -> None:
    matrix = random_matrix(*shape)
    matrix[0] *= 30  # of the matrix itself they are far from equal
    found = orthogonal(matrix)
    assert found.shape == shape
    sizes = torch.linalg.svdvals(found)
    assert 0.5 < float(sizes.min()) <= float(sizes.max()) < 1.3


def test_orthogonal_of_nothing_is_nothing() -> None:
    assert torch.equal(orthogonal(torch.zeros(3, 4)), torch.zeros(3, 4))


def test_a_step_has_rows_of_equal_size_in_units_of_the_rate() -> None:
    weight = nn.Parameter(random_matrix(6, 20))
    before = weight.detach().clone()
    weight.grad = random_matrix(6, 20) * torch.tensor([100.0, 1, 1, 1, 1, 0.01])[:, None]
    NorMuon([weight], lr=0.1).step()
    rows = (weight.detach() - before).square().mean(1).sqrt()
    assert rows.tolist() == pytest.approx([0.02] * 6, rel=1e-3)


def test_it_descends() -> None:
    weight, wanted = nn.Parameter(torch.zeros(6, 20)), random_matrix(6, 20)
    optimiser = NorMuon([weight], lr=0.1)
    for step in range(400):
        optimiser.zero_grad()
        loss = (weight - wanted).square().sum()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.param_groups[0]["lr"] = 0.1 * (1 - step / 400)
        optimiser.step()
    assert float(loss.detach()) < 1e-3 * float(wanted.square().sum())


def test_no_gradient_no_step_and_zeros_stay_finite() -> None:
    still, moved = nn.Parameter(torch.ones(2, 3)), nn.Parameter(torch.ones(2, 3))
    moved.grad = torch.zeros(2, 3)
    NorMuon([still, moved]).step()
    assert torch.equal(still.detach(), torch.ones(2, 3))
    assert torch.equal(moved.detach(), torch.ones(2, 3))


def test_only_matrices() -> None:
    with pytest.raises(ValueError, match="matrices"):
        NorMuon([nn.Parameter(torch.zeros(3))])
    with pytest.raises(ValueError, match="closure"):
        NorMuon([nn.Parameter(torch.zeros(3, 3))]).step(lambda: 0.0)
