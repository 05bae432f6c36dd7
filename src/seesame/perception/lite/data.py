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
from seesame.video.reader import open_clip
from seesame.video.scene import Scene, SceneConfig

IGNORE = 255
MY_CAR = 4
PAIRS_PER_DRIVE = 14


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


def _render_drive(job: tuple[int, int, int]) -> PairSet:
    seed, width, height = job
    rng = np.random.default_rng(seed)
    fps = int(rng.choice([10, 15, 20, 20, 25, 30]))
    scene = Scene(SceneConfig(width=width, height=height, fps=fps, seed=seed))
    frames, masks, motions = [], [], []
    for start in np.sort(rng.choice(40 * fps, PAIRS_PER_DRIVE, replace=False)):
        first, second = scene.frame(int(start)), scene.frame(int(start) + 1)
        frames.append(np.stack([first.rgb, second.rgb]))
        masks.append(second.mask)
        motions.append(scene.ego_motion(int(start) + 1).astype(np.float32))
    return PairSet(np.stack(frames), np.stack(masks), np.stack(motions))


def render_pairs(
    drives: int, first_seed: int, size: tuple[int, int] = INPUT_SIZE, workers: int = 2
) -> PairSet:
    """Render ``PAIRS_PER_DRIVE`` pairs from each of ``drives`` synthetic drives.

    Args:
        drives: number of drives; seeds ``first_seed`` up.
        first_seed: seed of the first drive; evaluation uses seeds that training never does.
        size: ``(height, width)``.
        workers: processes.
    """
    jobs = [(first_seed + i, size[1], size[0]) for i in range(drives)]
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        sets = pool.map(_render_drive, jobs, chunksize=8)
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


def jitter(rgb: Tensor, rng: np.random.Generator) -> Tensor:
    """Random light, gamma, contrast, colour, blur and noise: ``(..., 3, h, w)`` in 0..255.

    Frames of a pair passed together share everything but the noise.
    """
    x = rgb / 255
    x = x.clamp(1e-4, 1) ** float(np.exp(rng.normal(0, 0.3)))
    x = x * float(np.exp(rng.normal(-0.1, 0.3)))
    balance = torch.tensor(np.exp(rng.normal(0, 0.08, 3)), dtype=torch.float32)
    x = x * balance[:, None, None]
    grey = x.mean(dim=-3, keepdim=True)
    x = grey + (x - grey) * float(rng.choice([0.0, 1.0], p=[0.08, 0.92]) * rng.uniform(0.5, 1.5))
    mean = x.mean()
    x = mean + (x - mean) * float(rng.uniform(0.7, 1.25))
    if rng.random() < 0.25:
        flat = x.reshape(-1, 3, *x.shape[-2:])
        flat = F.avg_pool2d(F.pad(flat, (1, 1, 1, 1), mode="replicate"), 3, 1)
        x = flat.reshape(x.shape)
    if rng.random() < 0.6:
        x = x + torch.randn(x.shape) * float(rng.uniform(0, 0.03))
    return (x.clamp(0, 1) * 255).round()


def paste_hood(rgb: Tensor, mask: Tensor, hood_rgb: Tensor, hood_mask: Tensor) -> None:
    """Lay the own car of a synthetic frame over a real one, in place."""
    where = hood_mask == MY_CAR
    rgb[:, where] = hood_rgb[:, where]
    mask[where] = MY_CAR
