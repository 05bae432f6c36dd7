import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from seesame.codecs.semantic.carrier.network import Carrier, CarrierDesign
from seesame.codecs.semantic.carrier.solve import SolveTuning, solve_codes
from seesame.perception.stack import Stack

SIZE = (48, 64)
PAIRS = 12


class Corners(Stack):
    """A pose net of two values: how much the first frame's left and right halves differ in light
    from the second's, bent, with a third value that nobody judges."""

    name, input_size, classes, judged = "corners", SIZE, ("a", "b"), 2

    def pose(self, pairs: Tensor) -> Tensor:
        light = pairs[:, 0].mean(1) - pairs[:, 1].mean(1)
        halves = F.avg_pool2d(light[:, None], (48, 32))[:, 0, 0] / 20
        return torch.cat([torch.tanh(halves) + 0.1 * halves**3, halves[:, :1]], 1)


class Halves(Carrier):
    """A carrier that lights the halves by the leading values, unevenly over pictures."""

    def forward(self, codes: Tensor, second: Tensor, first: Tensor | None = None) -> Tensor:
        base = second if first is None else first
        power = 14 + second.mean((1, 2, 3))[:, None] / 32
        light = codes[:, :2] * power + 4 * codes[:, :2].roll(1, 1)
        # The slope keeps rounding to whole grey levels from moving all pixels at once.
        added = light.repeat_interleave(32, 1)[:, None, None] + torch.linspace(0, 1, 48)[:, None]
        return base + added + 3 * self.patterns[0, 0].abs() * codes[:, None, None, 2:3]


@pytest.fixture
def carrier() -> Carrier:
    return Halves(CarrierDesign(*SIZE, (0, 0), (256, 256), free=1, rows=6, columns=8))


def task(seed: int = 0) -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(seed)
    second = torch.randint(60, 190, (PAIRS, 3, *SIZE), generator=random, dtype=torch.uint8)
    return torch.rand(PAIRS, 2, generator=random) * 1.4 - 0.7, second


def decoded(carrier: Carrier, symbols: np.ndarray, bits: int, second: Tensor, first=None) -> Tensor:
    codes = torch.from_numpy(symbols).float() * 2.0**-bits
    own = None if first is None else first.float()
    drawn = carrier(codes, second.float(), own).clamp(0, 255).round()
    return Corners().pose(torch.stack([drawn, second.float()], 1))[:, :2]


@pytest.mark.parametrize("own", [False, True])
def test_codes_give_the_poses_when_decoded(carrier: Carrier, own: bool) -> None:
    poses, second = task()
    first = task(1)[1] if own else None
    found = solve_codes(carrier, Corners(), poses, second, first)
    assert found.symbols.shape == (PAIRS, 3)
    assert found.symbols.dtype == np.int32
    missed = (decoded(carrier, found.symbols, found.step_bits, second, first) - poses).square()
    assert torch.allclose(missed.mean(1), torch.from_numpy(found.distortions), atol=1e-7)
    assert found.distortions.mean() < 2e-4


@pytest.mark.parametrize("bits", [2, 5, 8])
def test_no_pair_is_worse_than_its_first_guess(carrier: Carrier, bits: int) -> None:
    poses, second = task(2)
    guess = (carrier.guess(poses) * 2**bits).round().int().numpy()
    before = (decoded(carrier, guess, bits, second) - poses).square().mean(1).numpy()
    found = solve_codes(carrier, Corners(), poses, second, step_bits=bits)
    assert found.step_bits == bits
    assert (found.distortions <= before + 1e-7).all()
    assert found.distortions.mean() < before.mean()


def test_dear_bytes_make_coarse_steps(carrier: Carrier) -> None:
    poses, second = task()
    bits = [
        solve_codes(carrier, Corners(), poses, second, byte_value=value).step_bits
        for value in (1e-7, 1e-3, 1.0)
    ]
    assert bits == sorted(bits, reverse=True)
    assert bits[0] > bits[2]


def test_batches_do_not_matter(carrier: Carrier) -> None:
    poses, second = task()
    one, other = (
        solve_codes(carrier, Corners(), poses, second, tuning=SolveTuning(batch=batch))
        for batch in (5, 16)
    )
    assert np.array_equal(one.symbols, other.symbols)


def test_what_the_stack_sees_of_a_picture_counts(carrier: Carrier) -> None:
    def darker(drawn: Tensor) -> Tensor:
        return (drawn - 10).clamp(0, 255).round()

    poses, second = task()
    found = solve_codes(carrier, Corners(), poses, second, through=darker)
    codes = torch.from_numpy(found.symbols).float() * 2.0**-found.step_bits
    shown = darker(carrier(codes, second.float()))
    missed = Corners().pose(torch.stack([shown, second.float()], 1))[:, :2] - poses
    assert missed.square().mean() < 2e-4
