"""Comma's networks on OpenVINO: the plain ones' outputs but for rounding, and their gradients."""

import importlib.util
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

from seesame.errors import MissingExtraError, UserError
from seesame.perception.registry import load_stack
from seesame.perception.stack import Stack
from seesame.video.colour import rgb_to_yuv6


def pairs(count: int) -> Tensor:
    noise = torch.rand(count, 2, 3, 384, 512, generator=torch.Generator().manual_seed(3))
    return noise * 255


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    for name in ("timm", "segmentation_models_pytorch"):
        pytest.importorskip(name, reason=f"needs {name} (the comma extra)")
    from random_comma import random_nets, save_nets

    folder = tmp_path_factory.mktemp("comma")
    both = pairs(3)  # batch norm fitted to them keeps random networks from magnifying rounding
    save_nets(*random_nets(both[:, 1], rgb_to_yuv6(both).flatten(1, 2)), folder)
    return folder


@pytest.fixture(scope="module")
def stacks(folder: Path) -> tuple[Stack, Stack]:
    """The plain and the compiled stack."""
    if importlib.util.find_spec("openvino") is None:
        pytest.skip("needs openvino (the openvino extra)")
    return load_stack(f"comma:{folder}"), load_stack(f"comma-openvino:{folder}")


@pytest.mark.comma
def test_outputs_differ_by_rounding_only(stacks: tuple[Stack, Stack]) -> None:
    plain, compiled = stacks
    assert plain.fingerprint != compiled.fingerprint
    both = pairs(3)
    with torch.inference_mode():
        wanted, found = plain.segment(both[:, 1]), compiled.segment(both[:, 1])
        poses, found_poses = plain.pose(both), compiled.pose(both)
    assert (found.shape, found_poses.shape) == (wanted.shape, poses.shape)
    assert (wanted - found).abs().max() < 1e-3 * wanted.abs().max()
    assert (poses - found_poses).abs().max() < 1e-3 * poses.abs().max()


@pytest.mark.comma
def test_a_picture_does_not_depend_on_its_batch(stacks: tuple[Stack, Stack]) -> None:
    compiled, both = stacks[1], pairs(3)
    with torch.inference_mode():
        assert torch.equal(compiled.segment(both[1:2, 1])[0], compiled.segment(both[:, 1])[1])
        assert torch.equal(compiled.pose(both[1:2])[0], compiled.pose(both)[1])


@pytest.mark.comma
def test_training_takes_the_plain_networks(stacks: tuple[Stack, Stack]) -> None:
    gradients = []
    for stack in stacks:
        both = torch.full((1, 2, 3, 384, 512), 99.0, requires_grad=True)
        loss = stack.segment(both[:, 1]).square().mean() + stack.pose(both).square().mean()
        loss.backward()
        assert both.grad is not None
        gradients.append(both.grad)
    # oneDNN need not sum in the same order twice, so not bit for bit.
    assert (gradients[0] - gradients[1]).abs().max() <= 1e-3 * gradients[0].abs().max()
    assert gradients[0].abs().max() > 0


@pytest.mark.comma
def test_it_sends_no_telemetry(stacks: tuple[Stack, Stack]) -> None:
    assert stacks[1].name == "comma-openvino"
    assert sys.modules["openvino_telemetry"] is None
    assert "openvino.tools.ovc.telemetry_stub" in sys.modules


@pytest.mark.comma
def test_another_device_is_refused(stacks: tuple[Stack, Stack]) -> None:
    with pytest.raises(UserError, match="runs on the CPU only; use comma on the device meta"):
        stacks[1].to(torch.device("meta"))


@pytest.mark.comma
def test_an_absent_library_says_what_to_run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'seesame\[comma,openvino\]'"):
        load_stack(f"comma-openvino:{folder}")
