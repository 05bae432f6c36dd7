"""The lite stack: shapes, gradients, folding, and the weights that ship with the package."""

from importlib.resources import files

import pytest
import torch
from safetensors.torch import save
from torch import nn

from seesame.errors import DamagedError
from seesame.perception.lite.nets import (
    CLASSES,
    INPUT_SIZE,
    POSE_VALUES,
    Block,
    PoseNetLite,
    SegNetLite,
    count_macs,
    fold,
)
from seesame.perception.lite.stack import WEIGHTS, LiteStack
from seesame.perception.stack import Stack


def random_tensors() -> dict[str, torch.Tensor]:
    nets = {"seg": fold(SegNetLite()), "pose": fold(PoseNetLite())}
    return {f"{n}.{k}": v for n, net in nets.items() for k, v in net.state_dict().items()}


def random_weights(seed: int = 0) -> bytes:
    torch.manual_seed(seed)
    return save({name: tensor.half() for name, tensor in random_tensors().items()})


@pytest.fixture(scope="module")
def stack() -> LiteStack:
    return LiteStack(random_weights())


def pictures(*shape: int, seed: int = 0) -> torch.Tensor:
    noise = torch.rand(*shape, generator=torch.Generator().manual_seed(seed))
    return (noise * 255).round()


def test_the_stack_keeps_the_protocol(stack: LiteStack) -> None:
    assert isinstance(stack, Stack)
    assert stack.to(torch.device("cpu")) is stack
    assert (stack.classes, stack.input_size, stack.judged) == (CLASSES, (192, 256), 6)


@pytest.mark.parametrize("size", [(360, 640), (97, 131)])
def test_shapes(stack: LiteStack, size: tuple[int, int]) -> None:
    with torch.inference_mode():
        assert stack.segment(pictures(2, 3, *size)).shape == (2, len(CLASSES), *INPUT_SIZE)
        assert stack.pose(pictures(2, 2, 3, *size)).shape == (2, len(POSE_VALUES))


def test_an_item_does_not_depend_on_its_batch(stack: LiteStack) -> None:
    pairs = pictures(3, 2, 3, *INPUT_SIZE)
    with torch.inference_mode():
        poses, logits = stack.pose(pairs), stack.segment(pairs[:, 1])
        torch.testing.assert_close(stack.pose(pairs[1:2])[0], poses[1], atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(stack.segment(pairs[1:2, 1])[0], logits[1], atol=1e-3, rtol=1e-3)


def test_both_gradients_reach_every_part_of_the_picture(stack: LiteStack) -> None:
    """The gradient, not only the value: an in-place conversion would kill the pose's silently."""
    pairs = pictures(1, 2, 3, *INPUT_SIZE).requires_grad_()
    (pose,) = torch.autograd.grad(stack.pose(pairs).square().sum(), pairs)
    assert float((pose != 0).float().mean()) > 0.9
    assert float((pose[:, 0] != 0).float().mean()) > 0.9
    (seg,) = torch.autograd.grad(stack.segment(pairs[:, 1]).square().sum(), pairs)
    assert float((seg[:, 1] != 0).float().mean()) > 0.9
    assert not seg[:, 0].any()


def test_the_pose_gradient_is_the_value_s_slope(stack: LiteStack) -> None:
    pairs = pictures(1, 2, 3, *INPUT_SIZE).clamp(40, 215).requires_grad_()
    (gradient,) = torch.autograd.grad(stack.pose(pairs)[0, 2], pairs)
    along = gradient.sign()
    with torch.no_grad():
        up, down = (stack.pose(pairs + e * along)[0, 2] for e in (0.05, -0.05))
    slope = float(gradient.abs().sum())
    assert float(up - down) / 0.1 == pytest.approx(slope, rel=0.1)


def test_the_nets_are_frozen_and_have_no_normalisation_left(stack: LiteStack) -> None:
    for net in (stack.segnet, stack.posenet):
        assert not any(p.requires_grad for p in net.parameters())
        assert not any(isinstance(m, nn.BatchNorm2d) for m in net.modules())
        assert not net.training


def test_the_fingerprint_follows_the_weights() -> None:
    first, again, other = (LiteStack(random_weights(seed)) for seed in (0, 0, 1))
    assert first.fingerprint == again.fingerprint != other.fingerprint


@pytest.mark.parametrize(("net", "shape"), [(SegNetLite, (2, 3, 64, 96)), (PoseNetLite, None)])
def test_folding_keeps_the_outputs(net: type[nn.Module], shape: tuple[int, ...] | None) -> None:
    torch.manual_seed(0)
    made = net()
    for block in made.modules():
        if isinstance(block, Block):
            norm = block.norm
            assert isinstance(norm, nn.BatchNorm2d)
            nn.init.uniform_(norm.weight, 0.5, 1.5)
            nn.init.uniform_(norm.bias, -0.5, 0.5)
            nn.init.uniform_(norm.running_mean, -0.5, 0.5)
            nn.init.uniform_(norm.running_var, 0.5, 2.0)
    picture = pictures(*(shape or (2, 12, 96, 128)))
    with torch.inference_mode():
        before = made.eval()(picture)
        after = fold(made)(picture)
    torch.testing.assert_close(after, before, atol=1e-3 * float(before.abs().max()), rtol=0)


def test_the_nets_are_small() -> None:
    assert len(random_weights()) < 2_000_000
    assert count_macs(nn.Conv2d(3, 8, 3, padding=1), (1, 3, 10, 20)) == 200 * 3 * 8 * 9
    assert count_macs(nn.Linear(7, 5), (1, 7)) == 7 * 5
    assert count_macs(SegNetLite(), (1, 3, *INPUT_SIZE)) < 350e6


@pytest.mark.parametrize("change", ["missing", "extra", "shape", "garbage", "empty"])
def test_other_weights_are_refused(change: str) -> None:
    tensors = random_tensors()
    if change == "missing":
        tensors.pop("pose.out.bias")
    elif change == "extra":
        tensors["seg.more"] = torch.zeros(1)
    elif change == "shape":
        tensors["pose.out.bias"] = torch.zeros(7)
    data = {"garbage": b"not safetensors at all", "empty": b""}.get(change) or save(tensors)
    with pytest.raises(DamagedError, match=WEIGHTS) as caught:
        LiteStack(b"" if change == "empty" else data)
    assert "\n" not in str(caught.value)


def test_the_shipped_weights() -> None:
    """They are the nets of this version, small, and say something else for another picture."""
    shipped = files("seesame.perception.lite").joinpath(WEIGHTS)
    if not shipped.is_file():
        pytest.skip(f"{WEIGHTS} is not trained yet")
    stack = LiteStack.load()
    assert len(shipped.read_bytes()) < 2_000_000
    dark, light = torch.full((1, 3, *INPUT_SIZE), 10.0), pictures(1, 3, *INPUT_SIZE)
    with torch.inference_mode():
        first, second = stack.segment(dark), stack.segment(light)
        moved = stack.pose(torch.stack([dark, light], 1))
    assert bool(first.isfinite().all() and second.isfinite().all() and moved.isfinite().all())
    assert not torch.equal(first.argmax(1), second.argmax(1))
    assert float(moved.abs().max()) < 100
