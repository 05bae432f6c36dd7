"""Declared tensors: rows, axes, and the networks that declare them."""

import pytest
import torch

from seesame.codecs.hnerv.architecture import Architecture
from seesame.codecs.hnerv.model import Decoder
from seesame.codecs.hybrid.design import Design
from seesame.codecs.hybrid.model import PostNetwork
from seesame.neural.weights.tensors import (
    TensorSpec,
    bias,
    convolution,
    count,
    linear,
    linear_to_grid,
)


def test_a_convolution_has_a_row_for_each_output() -> None:
    specs = convolution("a", 5, 8, 3, "normuon")
    assert specs["a.weight"] == TensorSpec((8, 5, 3, 3), 8, (8, 5, 9), "normuon")
    assert specs["a.weight"].row_shape == (8, 45)
    assert specs["a.bias"] == bias("a", 8)["a.bias"] == TensorSpec((8,), 1, (1, 8, 1))
    assert count(specs) == 8 * 45 + 8


def test_a_grid_s_rows_are_its_channels() -> None:
    specs = linear_to_grid("stem", 20, 5, 6)
    assert specs["stem.weight"].row_shape == (5, 120)
    assert specs["stem.bias"].row_shape == (1, 30)
    values = torch.arange(30 * 20).reshape(30, 20)
    rows = values.reshape(specs["stem.weight"].row_shape)
    assert torch.equal(rows[1], torch.arange(120, 240))


def test_axes_have_as_many_places_as_values() -> None:
    specs = linear_to_grid("s", 3, 4, 6) | convolution("c", 4, 8, 3) | linear("l", 2, 7)
    for spec in specs.values():
        first, second, third = spec.axes
        assert first * second * third == spec.size


@pytest.mark.parametrize(
    ("declared", "network"),
    [
        (
            Architecture((33, 65), 3, (8, 7, 6, 5, 4)).tensors(),
            Decoder(Architecture((33, 65), 3, (8, 7, 6, 5, 4))),
        ),
        (Design((32, 64), 4, 12, 3).tensors(), PostNetwork(Design((32, 64), 4, 12, 3))),
        (Design((32, 64), 1, 1, 0).tensors(), PostNetwork(Design((32, 64), 1, 1, 0))),
    ],
)
def test_networks_declare_their_own_tensors(
    declared: dict[str, TensorSpec], network: torch.nn.Module
) -> None:
    found = [(name, tuple(p.shape)) for name, p in network.named_parameters()]
    assert found == [(name, spec.shape) for name, spec in declared.items()]


def test_no_network_declares_nothing() -> None:
    assert Design((32, 64)).tensors() == {}
