"""Training data for the lite stack: synthetic drives and teacher-labelled real frames.

Real frames are kept at source size and sampled bilinearly without antialiasing straight to the
nets' input, since that is what the stack does to a clip.
"""

import multiprocessing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from seesame.perception.lite.nets import INPUT_SIZE
from seesame.scene import Scene, SceneConfig
from seesame.video.reading.reader import open_clip
from seesame.video.resize import resize_frames

IGNORE = 255
NEAREST = Image.Resampling.NEAREST
MY_CAR = 4
PAIRS_PER_DRIVE = 14
RENDER_SIZES = ((256, 192), (512, 384), (640, 480), (800, 600))
"""Sizes ``(width, height)`` that drives are rendered at. The stack's resize does not antialias, so
that large sources look rougher to the nets than small ones; they must know both."""


@dataclass
class Frame:
    """A labelled frame: ``rgb uint8 (H, W, 3)``, ``mask uint8 (h, w)`` over the same view."""

    rgb: NDArray[np.uint8]
    mask: NDArray[np.uint8]


@dataclass
class PairSet:
    """Synthetic pairs: frames ``(N, 2, H, W, 3)``, masks ``(N, H, W)``, motions ``(N, 6)``."""

    frames: NDArray[np.uint8]
    masks: NDArray[np.uint8]
    motions: NDArray[np.float32]


def _render_drive(seed: int) -> PairSet:
    rng = np.random.default_rng(seed)
    width, height = RENDER_SIZES[int(rng.integers(len(RENDER_SIZES)))]
    fps = int(rng.choice([10, 15, 20, 20, 25, 30]))
    scene = Scene(SceneConfig(width=width, height=height, fps=fps, seed=seed))
    frames, masks, motions = [], [], []
    for start in np.sort(rng.choice(40 * fps, PAIRS_PER_DRIVE, replace=False)):
        first, second = scene.frame(int(start)), scene.frame(int(start) + 1)
        frames.append(resize_frames(np.stack([first.rgb, second.rgb]), INPUT_SIZE))
        masks.append(np.asarray(Image.fromarray(second.mask).resize(INPUT_SIZE[::-1], NEAREST)))
        motions.append(scene.ego_motion(int(start) + 1).astype(np.float32))
    return PairSet(np.stack(frames), np.stack(masks), np.stack(motions))


def render_pairs(drives: int, first_seed: int, workers: int = 2) -> PairSet:
    """Render ``PAIRS_PER_DRIVE`` pairs from each of ``drives`` synthetic drives.

    Args:
        drives: number of drives; seeds ``first_seed`` up.
        first_seed: seed of the first drive; evaluation uses seeds that training never does.
        workers: processes.
    """
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        sets = pool.map(_render_drive, range(first_seed, first_seed + drives), chunksize=4)
    return PairSet(
        np.concatenate([s.frames for s in sets]),
        np.concatenate([s.masks for s in sets]),
        np.concatenate([s.motions for s in sets]),
    )


def real_frames(shared: Path, clip: str) -> list[Frame]:
    """The labelled frames of one real clip, in order."""
    labels = {int(p.stem): p for p in sorted((shared / "data/labels" / clip).glob("*.png"))}
    found, number = [], 0
    for batch in open_clip(shared / "data/clips" / f"{clip}.mp4").batches(16):
        for rgb in batch:
            if number in labels:
                found.append(Frame(rgb.copy(), np.asarray(Image.open(labels[number]))))
            number += 1
    return found


def comma10k_frames(shared: Path) -> list[Frame]:
    """The comma10k images with their true masks, colours turned into class numbers."""
    colours = ("402020", "ff0000", "808060", "00ff66", "cc00ff")
    frames = []
    for path in sorted((shared / "data/comma10k/imgs").glob("*.png")):
        rgb = np.asarray(Image.open(path).convert("RGB"))
        paint = np.asarray(Image.open(shared / "data/comma10k/masks" / path.name).convert("RGB"))
        mask = np.full(paint.shape[:2], IGNORE, np.uint8)
        for number, colour in enumerate(colours):
            mask[(paint == list(bytes.fromhex(colour))).all(axis=2)] = number
        frames.append(Frame(rgb, mask))
    return frames


def _grid(rng: np.random.Generator, zoom: tuple[float, float]) -> Tensor:
    """A sampling grid ``(1, h, w, 2)``: random crop, flip, small rotation and aspect."""
    scale = rng.uniform(*zoom)
    aspect = np.exp(rng.uniform(-0.15, 0.15))
    sx, sy = min(1.3, scale * aspect), min(1.3, scale / aspect)
    # Beyond the picture's edge the grid reads its border; keep such views rare and slight.
    tx = rng.uniform(-1, 1) * max(0.04, 1 - sx)
    ty = rng.uniform(-1, 1) * max(0.04, 1 - sy)
    angle = rng.normal(0, 0.025)
    flip = -1.0 if rng.random() < 0.5 else 1.0
    cos, sin = np.cos(angle), np.sin(angle)
    theta = torch.tensor(
        [[[flip * sx * cos, -sy * sin, tx], [flip * sx * sin, sy * cos, ty]]], dtype=torch.float32
    )
    return F.affine_grid(theta, [1, 3, *INPUT_SIZE], align_corners=False)


def sample_frame(
    frame: Frame, rng: np.random.Generator, zoom: tuple[float, float]
) -> tuple[Tensor, Tensor]:
    """A random view: ``rgb (3, h, w)`` float 0..255 and ``mask (h, w)`` int64 at the input size."""
    grid = _grid(rng, zoom)
    rgb = torch.from_numpy(np.ascontiguousarray(frame.rgb)).permute(2, 0, 1)[None].float()
    mask = torch.from_numpy(np.ascontiguousarray(frame.mask))[None, None].float()
    view = F.grid_sample(rgb, grid, mode="bilinear", padding_mode="border", align_corners=False)
    label = F.grid_sample(mask, grid, mode="nearest", padding_mode="border", align_corners=False)
    return view[0], label[0, 0].long()


def view_pool(
    frames: list[Frame], count: int, rng: np.random.Generator, zoom: tuple[float, float]
) -> tuple[Tensor, Tensor]:
    """Random views made once: ``rgb uint8 (N, 3, h, w)``, ``masks uint8 (N, h, w)``.

    Sampling at source size costs more than a training step; a pool a few times larger than the
    set of frames keeps nearly all of its variety.
    """
    rgb = torch.empty(count, 3, *INPUT_SIZE, dtype=torch.uint8)
    masks = torch.empty(count, *INPUT_SIZE, dtype=torch.uint8)
    for i in range(count):
        view, mask = sample_frame(frames[i % len(frames)], rng, zoom)
        rgb[i], masks[i] = view.round().to(torch.uint8), mask.to(torch.uint8)
    return rgb, masks


def jitter(rgb: Tensor, rng: np.random.Generator) -> Tensor:
    """Random gamma, light, colour balance, contrast, saturation, blur and noise.

    Each item draws its own; frames of a pair share everything but the noise. What acts on single
    values is one table look-up, since this is the training's costliest step.

    Args:
        rgb: ``uint8 (B, ..., 3, h, w)``.
        rng: source of every draw.

    Returns:
        ``float32`` of the same shape, in 0..255.
    """
    tone = torch.arange(256, dtype=torch.float32) / 255
    out = torch.empty(rgb.shape)
    for item, frames in zip(out, rgb, strict=True):
        light = float(np.exp(rng.normal(-0.1, 0.3)))
        curve = light * tone ** float(np.exp(rng.normal(0, 0.3)))
        curve = 0.4 * light + (curve - 0.4 * light) * float(rng.uniform(0.7, 1.25))
        balance = np.exp(rng.normal(0, 0.08, 3))
        for channel in range(3):
            table = curve * float(balance[channel])
            item[..., channel, :, :] = table[frames[..., channel, :, :].int()]
        if rng.random() < 0.4:
            grey = item.mean(dim=-3, keepdim=True)
            item.sub_(grey).mul_(float(rng.choice([0.0, 0.6, 1.4]))).add_(grey)
        if rng.random() < 0.25:
            flat = F.pad(item.reshape(-1, 3, *item.shape[-2:]), (1, 1, 1, 1), mode="replicate")
            item.copy_(F.avg_pool2d(flat, 3, 1).reshape(item.shape))
        if rng.random() < 0.6:
            start = int(rng.integers(len(_NOISE) - item.numel()))
            noise = _NOISE[start : start + item.numel()].reshape(item.shape)
            item.add_(noise, alpha=float(rng.uniform(0, 0.03)))
    return out.clamp_(0, 1).mul_(255).round_()


_NOISE = torch.randn(1 << 21, generator=torch.Generator().manual_seed(0))
"""Noise is read from a random place of this: drawing it anew takes longer than a training step."""


def paste_hoods(rgb: Tensor, masks: Tensor, hood_rgb: Tensor, hood_masks: Tensor) -> None:
    """Lay the own cars of synthetic frames over real ones, in place; batches of equal length."""
    where = hood_masks == MY_CAR
    rgb.copy_(torch.where(where[:, None], hood_rgb, rgb))
    masks.copy_(torch.where(where, hood_masks, masks))
