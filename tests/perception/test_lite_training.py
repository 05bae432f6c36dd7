"""The training of the lite stack (tools/lite_stack): its data and its losses."""

import sys
from pathlib import Path

import numpy as np
import torch
from torch import nn

from seesame.perception.lite.nets import INPUT_SIZE
from seesame.perception.lite.stack import LiteStack

sys.path.append(str(Path(__file__).resolve().parents[2] / "tools" / "lite_stack"))
from lite_data import IGNORE, MY_CAR, Frame, jitter, paste_hoods, sample_frame, view_pool
from train_lite import pose_planes, seg_loss


def pictures(*shape: int, seed: int = 0) -> torch.Tensor:
    noise = torch.rand(*shape, generator=torch.Generator().manual_seed(seed))
    return (noise * 255).round()


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


def test_the_training_planes_are_the_stack_s_own() -> None:
    stack = LiteStack.load()
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
