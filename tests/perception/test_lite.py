from importlib.resources import files

import numpy as np
import pytest
import torch
from safetensors.torch import save
from torch import nn

from seesame.errors import DamagedError
from seesame.perception.lite.data import (
    IGNORE,
    MY_CAR,
    Frame,
    jitter,
    paste_hoods,
    sample_frame,
    view_pool,
)
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
from seesame.perception.lite.train import pose_planes, seg_loss
from seesame.perception.stack import Stack


def random_weights(seed: int = 0) -> bytes:
    torch.manual_seed(seed)
    nets = {"seg": fold(SegNetLite()), "pose": fold(PoseNetLite())}
    return save(
        {f"{n}.{k}": v.half() for n, net in nets.items() for k, v in net.state_dict().items()}
    )


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
    nets = {"seg": fold(SegNetLite()), "pose": fold(PoseNetLite())}
    tensors = {f"{n}.{k}": v for n, net in nets.items() for k, v in net.state_dict().items()}
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


def labelled(height: int = 300, width: int = 400) -> Frame:
    """A frame whose left half is class 1 and red, its right half class 2 and blue."""
    rgb = np.zeros((height, width, 3), np.uint8)
    rgb[:, : width // 2, 0] = 200
    rgb[:, width // 2 :, 2] = 200
    mask = np.where(rgb[:, :, 0] > 0, 1, 2).astype(np.uint8)
    return Frame(rgb, mask)


def test_views_and_their_labels_move_together() -> None:
    rng = np.random.default_rng(0)
    for _ in range(6):
        rgb, mask = sample_frame(labelled(), rng, (0.6, 1.02))
        assert rgb.shape == (3, *INPUT_SIZE)
        assert set(mask.unique().tolist()) <= {1, 2}
        agree = (rgb[0] > rgb[2]) == (mask == 1)
        assert float(agree.float().mean()) > 0.98


def test_pools_of_views_repeat_with_their_seed() -> None:
    pools = [view_pool([labelled()], 3, np.random.default_rng(4), (0.6, 1.0)) for _ in range(2)]
    assert torch.equal(pools[0][0], pools[1][0])
    assert torch.equal(pools[0][1], pools[1][1])
    assert pools[0][0].dtype == pools[0][1].dtype == torch.uint8
    assert not torch.equal(pools[0][0][0], pools[0][0][1])


def test_jitter_stays_in_range_and_treats_a_pair_alike() -> None:
    frame = pictures(8, 1, 3, 48, 64).to(torch.uint8)
    pairs = torch.cat([frame, frame], dim=1)
    out = jitter(pairs, np.random.default_rng(0))
    assert out.shape == pairs.shape
    assert out.min() >= 0
    assert out.max() <= 255
    assert torch.equal(out, out.round())
    # The two frames differ by their noise alone (σ up to 0.03 of full scale).
    assert float((out[:, 0] - out[:, 1]).abs().mean()) < 12
    assert float((out - pairs).abs().mean()) > 8
    assert torch.equal(out, jitter(pairs, np.random.default_rng(0)))


def test_hoods_are_pasted_with_their_class() -> None:
    rgb, hood_rgb = torch.zeros(2, 3, 8, 8), torch.full((2, 3, 8, 8), 9.0)
    masks = torch.ones(2, 8, 8, dtype=torch.uint8)
    hood_masks = torch.zeros_like(masks)
    hood_masks[:, 6:] = MY_CAR
    paste_hoods(rgb, masks, hood_rgb, hood_masks)
    assert bool((rgb[:, :, 6:] == 9).all())
    assert not rgb[:, :, :6].any()
    assert bool((masks[:, 6:] == MY_CAR).all())
    assert bool((masks[:, :6] == 1).all())


def test_the_training_planes_are_the_stack_s_own(stack: LiteStack) -> None:
    pairs = pictures(2, 2, 3, *INPUT_SIZE)
    with torch.inference_mode():
        torch.testing.assert_close(stack.posenet(pose_planes(pairs)), stack.pose(pairs))


def test_the_seg_loss_ignores_what_is_not_labelled() -> None:
    truth = torch.randint(5, (2, 16, 16), generator=torch.Generator().manual_seed(0))
    logits = torch.randn(2, 5, 16, 16, generator=torch.Generator().manual_seed(1))
    part = truth.clone()
    part[:, 8:] = IGNORE
    changed = logits.clone()
    changed[:, :, 8:] = 50 * torch.randn(2, 5, 8, 16)
    torch.testing.assert_close(seg_loss(logits, part), seg_loss(changed, part))
    right = 20.0 * nn.functional.one_hot(truth, 5).permute(0, 3, 1, 2)
    assert float(seg_loss(right, truth)) < 0.01 < float(seg_loss(logits, truth))
