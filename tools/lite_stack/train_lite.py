"""Train the lite stack: ``python tools/lite_stack/train_lite.py --shared FOLDER``.

FOLDER holds the labelled clips: ``data/clips/NAME.mp4`` and ``data/labels/NAME/FRAME.png``.

SegNet-lite learns from synthetic drives and from teacher-labelled real frames, PoseNet-lite from
synthetic drives alone. The last quarter of ``highway``'s labelled frames, all comma10k images
and KITTI are kept out: the benchmark reads them.
"""

import argparse
import sys
import time
from importlib.resources import files
from pathlib import Path

import numpy as np
import torch
from lite_data import (
    IGNORE,
    Frame,
    PairSet,
    jitter,
    paste_hoods,
    real_frames,
    render_pairs,
    view_pool,
)
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F

from seesame.perception.lite.nets import CLASSES, PoseNetLite, SegNetLite, fold
from seesame.perception.lite.stack import WEIGHTS
from seesame.video.colour import rgb_to_yuv6

Weights = dict[str, Tensor] | None
SHIPPED = Path(str(files("seesame.perception.lite"))) / WEIGHTS
"""The weights inside the package."""
BATCH = 16
VIEWS_A_CLIP = 700
HIGHWAY_TRAINING_SHARE = 0.75
CLIP_WEIGHT = {"highway": 3, "dusk": 1, "forest": 1, "motorway": 1}
POSE_WEIGHTS = torch.tensor([3.0, 1.0, 1.0, 1.0, 1.0, 1.0])
FIRST_TRAINING_SEED = 100_000


def seg_loss(logits: Tensor, mask: Tensor) -> Tensor:
    """Cross-entropy with light class weights plus the soft Dice loss (Milletari et al. 2016)."""
    weight = torch.tensor([1.0, 2.5, 0.8, 2.0, 1.0])
    loss = F.cross_entropy(logits, mask, weight=weight, ignore_index=IGNORE)
    share = logits.softmax(1)
    valid = (mask != IGNORE)[:, None]
    truth = F.one_hot(mask.clamp(max=len(CLASSES) - 1), len(CLASSES)).permute(0, 3, 1, 2) * valid
    share = share * valid
    both = (share * truth).sum((0, 2, 3))
    dice = (2 * both + 1) / (share.sum((0, 2, 3)) + truth.sum((0, 2, 3)) + 1)
    present = truth.sum((0, 2, 3)) > 0
    return loss + 0.5 * (1 - dice[present]).mean()


class Trainer:
    """AdamW on a one-cycle schedule bounded by wall time, with an average of the weights."""

    def __init__(self, net: nn.Module, seconds: float, peak: float) -> None:
        self.net = net.to(memory_format=torch.channels_last).train()  # type: ignore[call-overload]
        self.average = torch.optim.swa_utils.AveragedModel(
            net,
            multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.998),  # type: ignore[no-untyped-call]
            use_buffers=True,
        )
        self.optimiser = torch.optim.AdamW(net.parameters(), lr=peak, weight_decay=1e-2)
        self.peak, self.seconds, self.start, self.steps = peak, seconds, time.monotonic(), 0

    def share(self) -> float:
        """Share of the time that is spent, 0..1."""
        return min(1.0, (time.monotonic() - self.start) / self.seconds)

    def step(self, loss: Tensor) -> None:
        """One optimiser step at the schedule's learning rate."""
        share = self.share()
        rate = min(share / 0.05, 1.0) * (0.5 + 0.5 * np.cos(np.pi * share))
        for group in self.optimiser.param_groups:
            group["lr"] = self.peak * max(rate, 1e-3)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.net.parameters(), 2.0)
        self.optimiser.step()
        self.average.update_parameters(self.net)
        self.steps += 1
        if self.steps % 100 == 0:
            print(f"{share:6.1%} step {self.steps} loss {loss.item():.4f}", file=sys.stderr)

    def result(self) -> nn.Module:
        """The averaged net, folded."""
        return fold(self.average.module)


def _trainer(net: nn.Module, seconds: float, peak: float, start: Weights) -> Trainer:
    """A trainer of a fresh net, or of a folded one that goes on at a gentler rate."""
    if start is None:
        return Trainer(net, seconds, peak)
    fold(net).load_state_dict(start)
    return Trainer(net, seconds, peak / 5)


def train_seg(
    pairs: PairSet,
    real: dict[str, list[Frame]],
    seconds: float,
    seed: int,
    start: Weights = None,
) -> nn.Module:
    """Train SegNet-lite for ``seconds``; half of each batch is synthetic, half real."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    pools = {
        name: view_pool(frames, VIEWS_A_CLIP * CLIP_WEIGHT[name], rng, (0.6, 1.02))
        for name, frames in real.items()
    }
    real_rgb = torch.cat([rgb for rgb, _ in pools.values()])
    real_masks = torch.cat([masks for _, masks in pools.values()])
    half = BATCH // 2

    def synthetic() -> tuple[Tensor, Tensor]:
        chosen = np.sort(rng.integers(len(pairs.masks), size=half))
        rgb = torch.from_numpy(pairs.frames[chosen, 1]).permute(0, 3, 1, 2)
        masks = torch.from_numpy(pairs.masks[chosen])
        return (rgb.flip(-1), masks.flip(-1)) if rng.random() < 0.5 else (rgb, masks)

    trainer = _trainer(SegNetLite(), seconds, 3e-3, start)
    while trainer.share() < 1.0:
        chosen = rng.integers(len(real_masks), size=half)
        rgb, masks = real_rgb[chosen], real_masks[chosen]
        with_hood = half // 3
        hoods = synthetic()
        paste_hoods(rgb[:with_hood], masks[:with_hood], hoods[0][:with_hood], hoods[1][:with_hood])
        drawn = synthetic()
        batch = jitter(torch.cat([rgb, drawn[0]]), rng)
        truth = torch.cat([masks, drawn[1]]).long()
        with torch.autocast("cpu", torch.bfloat16):
            logits = trainer.net(batch.contiguous(memory_format=torch.channels_last))
        trainer.step(seg_loss(logits.float(), truth))
    return trainer.result()


def pose_planes(frames: Tensor) -> Tensor:
    """``(B, 2, 3, h, w)`` in 0..255 to the pose net's input ``(B, 12, h/2, w/2)``."""
    planes = rgb_to_yuv6(frames.flatten(0, 1))
    return planes.reshape(frames.shape[0], 12, *planes.shape[-2:])


def train_pose(pairs: PairSet, seconds: float, seed: int, start: Weights = None) -> nn.Module:
    """Train PoseNet-lite for ``seconds``; its outputs are standardised over the training drives."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    mean, std = pairs.motions.mean(0), pairs.motions.std(0)
    trainer = _trainer(PoseNetLite(), seconds, 2e-3, start)
    mirror = np.array([1, -1, 1, -1, 1, -1], np.float32)
    while trainer.share() < 1.0:
        chosen = np.sort(rng.integers(len(pairs.motions), size=BATCH))
        frames = torch.from_numpy(pairs.frames[chosen]).permute(0, 1, 4, 2, 3)
        motions = pairs.motions[chosen].copy()
        still = rng.random(len(chosen)) < 0.03
        frames[still, 1] = frames[still, 0]
        motions[still] = 0
        mirrored = rng.random(len(chosen)) < 0.5
        frames[mirrored] = frames[mirrored].flip(-1)
        motions[mirrored] *= mirror
        views = jitter(frames, rng) if rng.random() < 0.5 else frames.float()
        planes = pose_planes(views).contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16):
            values = trainer.net(planes)
        truth = torch.from_numpy((motions - mean) / std)
        loss = F.smooth_l1_loss(values.float(), truth, beta=0.3, reduction="none")
        trainer.step((loss * POSE_WEIGHTS).mean())
    return trainer.result()


def load_real(shared: Path) -> dict[str, list[Frame]]:
    """Training frames of every labelled clip; ``highway`` without its held-out last quarter."""
    real = {name: real_frames(shared, name) for name in CLIP_WEIGHT}
    real["highway"] = real["highway"][: int(len(real["highway"]) * HIGHWAY_TRAINING_SHARE)]
    return real


def cached_pairs(path: Path, drives: int) -> PairSet:
    """Synthetic training pairs from ``path``, rendered there first when absent."""
    if not path.exists():
        pairs = render_pairs(drives, FIRST_TRAINING_SEED)
        np.savez(path, frames=pairs.frames, masks=pairs.masks, motions=pairs.motions)
    with np.load(path) as stored:
        return PairSet(stored["frames"], stored["masks"], stored["motions"])


def main() -> None:
    """Train either net and merge it into the weights file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shared", type=Path, required=True, help="folder of the labelled clips")
    parser.add_argument("--cache", type=Path, default=Path("lite_pairs.npz"))
    parser.add_argument("--drives", type=int, default=300)
    parser.add_argument("--only", choices=["seg", "pose"], default=None)
    parser.add_argument("--minutes", type=float, default=15.0, help="training time of each net")
    parser.add_argument("--go-on", action="store_true", help="start from the output's weights")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-o", "--output", type=Path, default=SHIPPED)
    args = parser.parse_args()
    pairs = cached_pairs(args.cache, args.drives)
    for part in ["seg", "pose"] if args.only is None else [args.only]:
        seconds = 60 * args.minutes
        tensors = load_file(args.output) if args.output.exists() else {}
        start: Weights = None
        if args.go_on:
            mine = {k: v for k, v in tensors.items() if k.startswith(f"{part}.")}
            start = {k.removeprefix(f"{part}."): v.float() for k, v in mine.items()}
        net = (
            train_seg(pairs, load_real(args.shared), seconds, args.seed, start)
            if part == "seg"
            else train_pose(pairs, seconds, args.seed, start)
        )
        tensors = {k: v for k, v in tensors.items() if not k.startswith(f"{part}.")}
        state = net.state_dict().items()
        tensors |= {f"{part}.{k}": v.half().contiguous() for k, v in state}
        save_file(tensors, args.output)


if __name__ == "__main__":
    main()
