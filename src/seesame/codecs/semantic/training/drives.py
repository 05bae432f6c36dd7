"""The masks that a renderer is trained on: those of the user's drives and of synthetic ones."""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from seesame.metric.outputs import seen_frames
from seesame.perception.stack import Stack
from seesame.scene import Scene, SceneConfig
from seesame.video.clip import Clip, Frames

BATCH = 8
FRAMES_A_DRIVE = 12
"""Frames of a synthetic drive, at random moments of its first half minute."""
DRIVE_FRAMES = 600

Told = Callable[[float], None]


def masks_of_clip(
    clip: Clip, stack: Stack, device: str, most: int, told: Told = lambda share: None
) -> Tensor:
    """Return what a stack sees in frames spread evenly over a clip: ``uint8 (N, h, w)``.

    Args:
        clip: a drive.
        stack: moved to the device.
        device: where it runs.
        most: frames.
        told: called with the share done.

    Raises:
        UserError: the clip cannot be read to its end.
    """
    every = max(1, -(-clip.num_frames // most))
    found = []
    for index, seen in enumerate(seen_frames(_every(clip, every), stack, device)):
        found.append(_classes(stack, seen))
        told(min(1.0, (index + 1) * BATCH * every / clip.num_frames))
    return torch.cat(found)


def _every(clip: Clip, every: int) -> Iterator[Frames]:
    """Yield batches of the frames 0, ``every``, 2 ``every`` and so on."""
    held: list[NDArray[np.uint8]] = []
    start = 0
    for batch in clip.batches(2 * BATCH):
        held += [frame.copy() for frame in batch[-start % every :: every]]
        start += len(batch)
        while len(held) >= BATCH:
            yield np.stack(held[:BATCH])
            del held[:BATCH]
    if held:
        yield np.stack(held)


def masks_of_scenes(
    stack: Stack, count: int, device: str, seed: int, told: Told = lambda share: None
) -> Tensor:
    """Return what a stack sees in frames of synthetic drives: ``uint8 (N, h, w)``.

    Half of the frames are spoilt as cameras and weather spoil them, since masks of hard frames are
    unlike those of easy ones.

    Args:
        stack: moved to the device.
        count: of drives, each of another seed.
        device: where the stack runs.
        seed: of the drives.
        told: called with the share done.
    """
    height, width = stack.input_size
    random = np.random.default_rng(seed)
    found = []
    for index in range(count):
        config = SceneConfig(width=width, height=height, seed=int(random.integers(1 << 31)))
        scene = Scene(config)
        moments = random.integers(0, DRIVE_FRAMES, FRAMES_A_DRIVE)
        frames = np.stack([scene.frame(int(moment)).rgb for moment in moments])
        rgb = torch.from_numpy(frames).permute(0, 3, 1, 2).float()
        spoilt = torch.stack([_spoilt(frame, random) for frame in rgb])
        found.append(_classes(stack, spoilt.clamp(0, 255).round().to(device)))
        told((index + 1) / count)
    empty = torch.zeros(0, height, width, dtype=torch.uint8)
    return torch.cat(found) if found else empty


def _spoilt(frame: Tensor, random: np.random.Generator) -> Tensor:
    """Return a frame ``(3, h, w)``, every second time with noise, blur, haze or reflections."""
    kind = int(random.integers(8))
    if kind == 0:
        seed = torch.Generator().manual_seed(int(random.integers(1 << 31)))
        return frame + torch.randn(frame.shape, generator=seed) * random.uniform(2, 25)
    if kind == 1:
        size, small = frame.shape[1:], random.uniform(0.25, 0.7)
        coarse = F.interpolate(frame[None], scale_factor=small, mode="bilinear")
        return F.interpolate(coarse, size, mode="bilinear")[0]
    if kind == 2:
        return (frame - 128) * random.uniform(0.3, 1.6) + 128 + random.uniform(-50, 50)
    if kind == 3:
        seen_through = random.uniform(0.6, 0.9)
        return frame * seen_through + frame.flip(1) * (1 - seen_through)
    return frame


def _classes(stack: Stack, rgb: Tensor) -> Tensor:
    with torch.no_grad():
        return stack.segment(rgb).argmax(1).to(torch.uint8).cpu()
