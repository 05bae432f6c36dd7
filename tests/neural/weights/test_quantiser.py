import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from seesame.bitstream.entropy import SymbolEncoder, scale_for
from seesame.neural.weights.quantiser import (
    RowQuantiser,
    exponent_of,
    gaussian_bits,
    log_normaliser,
    straight_through,
)
from seesame.neural.weights.rows import EXPONENTS

SIGMAS = [0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0, 1.5, 3.0, 9.0, 40.0, 300.0, 3000.0]


def bits_of(rows: torch.Tensor) -> torch.Tensor:
    return gaussian_bits(rows.square().mean(1), torch.full((len(rows),), rows.shape[1]))


def coded_bytes(row: np.ndarray) -> int:
    limit = int(np.abs(row).max())
    coder = SymbolEncoder()
    coder.gaussian(row, scale_for(row, limit), limit)
    return len(coder.to_bytes())


@pytest.mark.parametrize("sigma", SIGMAS)
def test_the_rate_is_what_the_coder_writes(sigma: float) -> None:
    drawn = np.random.default_rng(0).normal(0, sigma, 8000).round().astype(np.int64)
    bits = float(bits_of(torch.from_numpy(drawn)[None].float()))
    assert abs(bits / 8 - coded_bytes(drawn)) <= 0.01 * coded_bytes(drawn) + 6


@given(st.integers(1, 40), st.floats(0.1, 50), st.integers(0, 2**32 - 1))
def test_the_rate_of_short_rows(count: int, sigma: float, seed: int) -> None:
    """The estimate is never far below the file: the optimiser cannot cheat the coder."""
    drawn = np.random.default_rng(seed).normal(0, sigma, count).round().astype(np.int64)
    bits = float(bits_of(torch.from_numpy(drawn)[None].float()))
    assert bits >= 0
    assert coded_bytes(drawn) <= 1.02 * bits / 8 + 5


def test_one_symbol_among_thousands_costs_about_its_place() -> None:
    row = torch.zeros(1, 4096)
    row[0, 7] = 1
    assert float(bits_of(torch.zeros(1, 4096))) < 0.01
    assert 8 < float(bits_of(row)) < 20


def test_every_row_has_its_own_width() -> None:
    rows = torch.stack([torch.randn(500) * s for s in (0.5, 5.0, 50.0)]).round()
    alone = torch.cat([bits_of(row[None]) for row in rows])
    torch.testing.assert_close(bits_of(rows), alone)
    assert alone.diff().min() > 0


@pytest.mark.parametrize("sigma", [0.13, 0.3, 0.5, 0.79, 0.8, 0.81, 2.0, 50.0])
def test_the_normaliser_is_the_sum_over_the_lattice(sigma: float) -> None:
    k = np.arange(-500, 501)
    exact = np.log(np.exp(-(k**2) / (2 * sigma**2)).sum())
    found = float(log_normaliser(torch.tensor(sigma, dtype=torch.float64)))
    assert found == pytest.approx(exact, abs=2e-5)


def test_the_rate_falls_with_the_symbols() -> None:
    rows = (torch.randn(3, 400, generator=torch.Generator().manual_seed(1)) * 3).requires_grad_()
    bits = bits_of(rows).sum()
    (gradient,) = torch.autograd.grad(bits, rows)
    rows = rows.detach()
    assert torch.equal(gradient.sign(), rows.sign())
    # At the best σ the bits grow as n·log2 of a common factor.
    assert float((gradient * rows).sum()) == pytest.approx(3 * 400 / np.log(2), rel=1e-3)


def test_rounding_passes_the_gradient_straight_through() -> None:
    value = torch.tensor([0.2, 1.7], requires_grad=True)
    rounded = straight_through(value, value.round())
    assert rounded.tolist() == [0.0, 2.0]
    (3 * rounded).sum().backward()
    assert value.grad is not None
    assert value.grad.tolist() == [3.0, 3.0]


def test_steps_stay_on_their_grid() -> None:
    quantiser = RowQuantiser(torch.randn(16, 30) * torch.logspace(-3, 2, 16)[:, None], 0.25)
    with torch.no_grad():
        quantiser.log_step.add_(torch.rand(16))
    exponents = exponent_of(quantiser.log_step).detach()
    assert torch.equal(exponents, exponents.round())
    torch.testing.assert_close(quantiser.step()[:, 0].detach(), 2 ** (exponents / EXPONENTS))
    off = (torch.log2(quantiser.step()[:, 0]) - quantiser.log_step).abs()
    assert float(off.detach().max()) <= 0.5 / EXPONENTS + 1e-5


def test_quantised_rows_are_near_and_learn() -> None:
    rows = (torch.randn(4, 200, generator=torch.Generator().manual_seed(2)) * 0.7).requires_grad_()
    quantiser = RowQuantiser(rows, 0.25)
    values, symbols = quantiser(rows)
    assert torch.equal(symbols.round(), symbols)
    assert bool(((values - rows).abs() <= 0.5001 * quantiser.step()).all())
    (values * torch.randn(4, 200)).sum().backward()
    assert rows.grad is not None
    assert bool((rows.grad != 0).all())
    assert quantiser.log_step.grad is not None
    assert bool((quantiser.log_step.grad != 0).all())


def test_a_longer_step_costs_fewer_bits() -> None:
    """The rate's gradient must widen the steps."""
    quantiser = RowQuantiser(torch.randn(4, 300), 0.25)
    _, symbols = quantiser(torch.randn(4, 300))
    bits_of(symbols).sum().backward()
    assert quantiser.log_step.grad is not None
    assert bool((quantiser.log_step.grad < 0).all())


def test_rows_of_zeros_quantise_to_zeros() -> None:
    values, symbols = RowQuantiser(torch.zeros(2, 5), 0.25)(torch.zeros(2, 5))
    assert not values.any()
    assert not symbols.any()
