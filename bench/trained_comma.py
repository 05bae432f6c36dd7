"""Nets of comma's shape, briefly trained on synthetic drives.

    python bench/trained_comma.py FOLDER [--steps 250]

Random nets magnify rounding far beyond what trained ones do, so that a benchmark of rounding needs
trained ones. These learn the scene's five classes and its six ego-motion values, from crops of an
eighth of the area. They are good enough to have the margins of a trained net, and for nothing
else; what they reach on a drive that they never saw is printed.
"""

import argparse
import json
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F

from seesame.perception.comma import stack as comma
from seesame.perception.comma.fetch import NETWORKS
from seesame.scene import Scene, SceneConfig
from seesame.video.colour import rgb_to_yuv6

DRIVES, PAIRS_A_DRIVE = 40, 6
UNSEEN_SEEDS = (9_001, 9_002, 9_003, 9_004)
CROP = (128, 192)
BATCH = 4
SEGMENT_RATE, POSE_RATE = 1.5e-3, 4e-4


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


def train(net: nn.Module, steps: int, peak: float, losses: Iterator[Tensor]) -> nn.Module:
    """Take AdamW steps down the losses, with a warm-up and a cosine schedule."""
    optimiser = torch.optim.AdamW(net.parameters(), lr=peak, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, peak, total_steps=steps, pct_start=0.15
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
    return net


def calibrated(net: nn.Module, batches: Iterable[Tensor]) -> nn.Module:
    """Take batch norm's statistics anew, from whole frames, and freeze the net."""
    for module in net.modules():
        if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
            module.reset_running_stats()
            module.momentum = None  # the plain average over the batches
    with torch.no_grad():
        for batch in batches:
            net.train()(batch)
    return net.eval().requires_grad_(False)


def train_segment(folder: Path, pairs: Pairs, steps: int, seed: int) -> None:
    """Train and save the segmentation net."""
    torch.manual_seed(seed)
    net = comma.segment_net().train()

    def losses() -> Iterator[Tensor]:
        for frames, masks, _ in crops(pairs, steps, seed):
            yield F.cross_entropy(net(frames[:, 1]), masks)

    train(net, steps, SEGMENT_RATE, losses())
    whole = (frames[:, 1].float() for frames in pairs.frames.split(8))
    save_file(calibrated(net, whole).state_dict(), folder / NETWORKS[0].name)


def train_pose(folder: Path, pairs: Pairs, steps: int, seed: int) -> None:
    """Train and save the pose net, without batch norm's counters, as the challenge does."""
    torch.manual_seed(seed)
    net = comma.PoseNet().train()
    mean, std = pairs.motions.mean(0), pairs.motions.std(0)

    def losses() -> Iterator[Tensor]:
        for frames, _, motions in crops(pairs, steps, seed):
            yield F.smooth_l1_loss(net(planes(frames))[:, : comma.JUDGED], (motions - mean) / std)

    train(net, steps, POSE_RATE, losses())
    whole = (planes(frames.float()) for frames in pairs.frames.split(8))
    state = calibrated(net, whole).state_dict()
    kept = {k: v for k, v in state.items() if not k.endswith(comma.COUNTER)}
    save_file(kept, folder / NETWORKS[1].name)


def trained_nets(folder: Path, steps: int = 250, seed: int = 0) -> None:
    """Train the nets that a folder lacks."""
    folder.mkdir(parents=True, exist_ok=True)
    makers = zip(NETWORKS, (train_segment, train_pose), strict=True)
    lacking = [make for file, make in makers if not (folder / file.name).exists()]
    if lacking:
        pairs = render(range(DRIVES))
        for make in lacking:
            make(folder, pairs, steps, seed)


def quality(folder: Path) -> dict[str, float]:
    """Return what the nets of a folder reach on drives that they never saw."""
    stack, pairs = comma.CommaStack.load(folder), render(UNSEEN_SEEDS)
    with torch.inference_mode():
        found = [stack.segment(f[None, 1].float()).argmax(1)[0] for f in pairs.frames]
        values = [stack.pose(f[None].float())[0, 0] for f in pairs.frames]
    right = (torch.stack(found) == pairs.masks).float().mean().item()
    forward = np.corrcoef(torch.stack(values).numpy(), pairs.motions[:, 0].numpy())[0, 1]
    return {"unseen_pixels_right": right, "unseen_forward_correlation": float(forward)}


def main() -> None:
    """Train, save and print what the nets reach."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--steps", type=int, default=250)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    trained_nets(args.folder, args.steps)
    print(json.dumps(quality(args.folder)))


if __name__ == "__main__":
    main()
