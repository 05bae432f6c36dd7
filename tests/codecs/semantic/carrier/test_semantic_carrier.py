import json

import pytest
import torch

from seesame.codecs.semantic.carrier.network import FREE, PATTERN, Carrier, CarrierDesign
from seesame.neural.weights.tensors import count

DESIGN = CarrierDesign(45, 70, (128, -256), (512, 64), rows=6, columns=9, free=3, channels=8)


@pytest.fixture
def carrier() -> Carrier:
    torch.manual_seed(0)
    return Carrier(DESIGN).eval().requires_grad_(False)


def test_the_file_describes_the_network(carrier: Carrier) -> None:
    shapes = {name: tuple(value.shape) for name, value in carrier.named_parameters()}
    assert shapes == {name: spec.shape for name, spec in DESIGN.specs().items()}
    assert CarrierDesign.of(json.loads(json.dumps(DESIGN.values()))) == DESIGN


def test_the_usual_carrier_is_small() -> None:
    assert count(CarrierDesign(192, 256, (0,) * 6, (256,) * 6).specs()) <= 60_000


def test_the_smallest_shape_makes_a_network() -> None:
    ones = dict.fromkeys(("rows", "columns", "channels", "blocks", "mapped", "placed", "hidden"), 1)
    smallest = CarrierDesign(1, 1, (0,), (1,), free=0, **ones)
    assert Carrier(smallest).state_dict().keys() >= smallest.specs().keys()


@pytest.mark.parametrize(
    "change",
    [
        {"rows": 0},
        {"blocks": 0},
        {"channels": 1 << 20},
        {"spreads": [0, 1]},
        {"spreads": [1]},
        {"spreads": 7},
        {"middles": [1, "2"]},
        {"middles": [1 << 40, 1]},
        {"hidden": True},
        {"blocks": 1.0},
        {"other": 1},
    ],
)
def test_other_shapes_are_refused(change: dict) -> None:
    for values in (DESIGN.values() | change, [change], None):
        with pytest.raises(ValueError, match=r"carrier|not \d+ to|middles|spread"):
            CarrierDesign.of(values)


def test_a_first_guess_is_the_pose_in_its_units(carrier: Carrier) -> None:
    guess = carrier.guess(torch.tensor([[0.5, -1.0], [2.5, -0.75]]))
    assert guess.tolist() == [[0, 0, 0, 0, 0], [1, 1, 0, 0, 0]]
    slopes = carrier.slopes()
    assert slopes.shape == (2, 5)
    assert torch.allclose(slopes[:, :2] @ guess[1, :2], torch.tensor([2.0, 0.25]))


def test_each_pair_is_drawn_by_itself(carrier: Carrier) -> None:
    second, first = torch.rand(2, 3, 3, 45, 70) * 255
    codes = torch.randn(3, 5)
    for own in (None, first):
        whole = carrier(codes, second, own)
        assert whole.shape == second.shape
        for i in range(3):
            part = slice(i, i + 1)
            alone = carrier(codes[part], second[part], None if own is None else own[part])
            assert torch.allclose(whole[part], alone, atol=1e-3)


def test_what_is_added_is_grey_and_follows_the_code(carrier: Carrier) -> None:
    second, first = torch.rand(2, 1, 3, 45, 70) * 255
    for base, own in ((second, None), (first, first)):
        one, other = (carrier(torch.full((1, 5), x), second, own) - base for x in (0.0, 1.0))
        assert torch.allclose(one[:, 0], one[:, 2], atol=1e-3)
        assert (one - other).abs().max() > 0.1


def test_a_free_value_adds_its_pattern(carrier: Carrier) -> None:
    second = torch.rand(1, 3, 45, 70) * 255
    codes = torch.zeros(2, 1, 5)
    codes[1, 0, 3] = 1 / FREE
    plain, moved = (carrier(code, second) for code in codes)
    assert (moved - plain).abs().max() == pytest.approx(PATTERN, abs=1e-3)
