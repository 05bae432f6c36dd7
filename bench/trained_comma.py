"""Nets of comma's shape, briefly trained on synthetic drives.

    python bench/trained_comma.py FOLDER [--steps 250]

Random nets magnify rounding far beyond what trained ones do, so that a benchmark of rounding needs
trained ones. These learn the scene's five classes and its six ego-motion values, from crops of an
eighth of the area. They are good enough to have the margins of a trained net, and for nothing
else; what they reach on a drive that they never saw is printed.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from common import HERE
from seesame.perception.comma import stack as comma
from seesame.scene import Scene, SceneConfig
from seesame.video.colour import rgb_to_yuv6

sys.path.append(str(HERE.parent / "tests" / "helpers"))
from random_comma import save_nets

DRIVES, PAIRS_A_DRIVE = 40, 6
UNSEEN_SEEDS = (9_001, 9_002, 9_003, 9_004)
CROP = (128, 192)
BATCH = 4
PEAK_RATE = 1.5e-3


class Pairs(NamedTuple):
    """Frames ``uint8 (N, 2, 3, 384, 512)``, second masks ``(N, 384, 512)``, motions ``(N, 6)``."""

    frames: Tensor
    masks: Tensor
    motions: Tensor


def render(seeds: Iterator[int] | range | tuple[int, ...]) -> Pairs:
    """Render pairs of synthetic drives at the nets' input size."""
    height, width = comma.INPUT_SIZE
    frames: list[NDArray[np.uint8]] = []
    masks, motions = [], []
    for seed in seeds:
        scene = Scene(SceneConfig(width=width, height=height, seed=seed))
        rng = np.random.default_rng(seed)
        for index in rng.choice(600, PAIRS_A_DRIVE, replace=False):
            first, second = scene.frame(int(index)), scene.frame(int(index) + 1)
            frames.append(np.stack([first.rgb, second.rgb]))
            masks.append(second.mask)
            motions.append(scene.ego_motion(int(index) + 1))
    rgb = torch.from_numpy(np.stack(frames)).permute(0, 1, 4, 2, 3).contiguous()
    return Pairs(rgb, torch.from_numpy(np.stack(masks)), torch.tensor(np.array(motions)).float())


def crops(pairs: Pairs, steps: int, seed: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Random crops: frames ``float (B, 2, 3, h, w)``, masks ``(B, h, w)``, motions ``(B, 6)``."""
    rng = np.random.default_rng(seed)
    for _ in range(steps):
        chosen = torch.from_numpy(rng.integers(len(pairs.frames), size=BATCH))
        top, left = (int(rng.integers(0, (a - b) // 2 + 1)) * 2
                     for a, b in zip(comma.INPUT_SIZE, CROP, strict=True))  # fmt: skip
        rows, columns = slice(top, top + CROP[0]), slice(left, left + CROP[1])
        frames = pairs.frames[chosen][..., rows, columns].float()
        yield frames, pairs.masks[chosen][:, rows, columns].long(), pairs.motions[chosen]


def planes(frames: Tensor) -> Tensor:
    """The pose net's input, ``(B, 12, h / 2, w / 2)``."""
    return rgb_to_yuv6(frames).flatten(1, 2)


def train(net: nn.Module, steps: int, losses: Iterator[Tensor]) -> nn.Module:
    """Take AdamW steps down the losses, with a warm-up and a cosine schedule."""
    optimiser = torch.optim.AdamW(net.parameters(), lr=PEAK_RATE, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, PEAK_RATE, total_steps=steps, pct_start=0.15
    )
    start = time.monotonic()
    for step, loss in enumerate(losses, start=1):
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 2.0)
        optimiser.step()
        schedule.step()
        if step % 20 == 0:
            seconds = time.monotonic() - start
            print(f"step {step} of {steps}: loss {loss.item():.4f}, {seconds:.0f} s", flush=True)
    return net.eval().requires_grad_(False)


def trained_nets(folder: Path, steps: int, seed: int = 0) -> dict[str, float]:
    """Train both nets, save them as the challenge does, and return what they reach."""
    torch.manual_seed(seed)
    pairs, unseen = render(range(DRIVES)), render(UNSEEN_SEEDS)
    mean, std = pairs.motions.mean(0), pairs.motions.std(0)
    segment, pose = comma.segment_net(), comma.PoseNet()
    for net in (segment, pose):
        net.to(memory_format=torch.channels_last).train()

    def seg_losses() -> Iterator[Tensor]:
        for frames, masks, _ in crops(pairs, steps, seed):
            yield F.cross_entropy(segment(frames[:, 1]), masks)

    def pose_losses() -> Iterator[Tensor]:
        for frames, _, motions in crops(pairs, steps, seed + 1):
            truth = (motions - mean) / std
            yield F.smooth_l1_loss(pose(planes(frames))[:, : comma.JUDGED], truth)

    train(segment, steps, seg_losses())
    train(pose, steps, pose_losses())
    folder.mkdir(parents=True, exist_ok=True)
    for net in (segment, pose):
        net.to(memory_format=torch.contiguous_format)
    save_nets(segment, pose, folder)
    with torch.inference_mode():
        found = [segment(f[None, 1].float()).argmax(1)[0] for f in unseen.frames]
        values = [pose(planes(f[None].float()))[0, : comma.JUDGED] for f in unseen.frames]
    right = torch.stack(found) == unseen.masks
    truth = (unseen.motions - mean) / std
    corr = np.corrcoef(torch.stack(values)[:, 0].numpy(), truth[:, 0].numpy())[0, 1]
    return {"steps": steps, "unseen_pixels_right": right.float().mean().item(),
            "unseen_forward_correlation": float(corr)}  # fmt: skip


def main() -> None:
    """Train, save and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--steps", type=int, default=250)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    print(json.dumps(trained_nets(args.folder, args.steps)))


if __name__ == "__main__":
    main()
