"""What a renderer is trained on: what a stack sees in the user's drives and in synthetic ones."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from seesame.metric.outputs import Outputs, outputs_of, seen_frames
from seesame.perception.stack import Stack
from seesame.scene import Scene, SceneConfig
from seesame.video.clip import Clip, Frames
from seesame.video.resize import resize

BATCH_PAIRS = 4
RUN = 8
"""The most pairs of a long clip that follow one another, where not all are taken."""
PAIRS_A_SCENE = 8
"""Pairs of a synthetic drive, at random moments of its first half minute."""
SCENE_FRAMES = 600

Told = Callable[[float], None]


class Seen(NamedTuple):
    """What a stack sees in pairs of frames.

    Attributes:
        first: masks of first frames, ``uint8 (N, h, w)``.
        second: masks of second frames.
        poses: pose values, ``float32 (N, P)``; ``P`` is 0 for a stack without a pose network.
    """

    first: Tensor
    second: Tensor
    poses: Tensor

    @property
    def masks(self) -> Tensor:
        """All masks, ``uint8 (2 N, h, w)``."""
        return torch.cat([self.first, self.second])


def seen_in_clip(
    clip: Clip, stack: Stack, device: str, most: int, told: Told = lambda share: None
) -> Seen:
    """Return what a stack sees in a clip of two frames or more.

    Of a long clip it takes runs of pairs, spread evenly: spread, so that masks vary; runs, so that
    it shows how masks follow one another.

    Args:
        clip: a drive.
        stack: moved to the device.
        device: where it runs.
        most: pairs.
        told: called with the share done.

    Raises:
        UserError: the clip cannot be read to its end, or the stack gives no numbers.
    """
    pairs = clip.num_frames // 2
    run = max(1, min(RUN, most // 4))
    runs = -(-pairs // run)
    every = max(1, -(-runs // (most // run)))
    found = []
    with torch.inference_mode():
        for rgb in seen_frames(_spread(clip, run, every), stack, device):
            # Where the networks read different sizes, frames come whole: masks would differ too.
            small = resize(rgb, stack.input_size)
            found.append(outputs_of(small, stack, every_frame=True))
            told(min(1.0, len(found) * BATCH_PAIRS * every / pairs))
    return _seen(found)


def _spread(clip: Clip, run: int, every: int) -> Iterator[Frames]:
    """Yield batches of pairs: those of one run of ``run`` pairs in ``every``."""
    held: list[NDArray[np.uint8]] = []
    number = 0
    for batch in clip.batches(4 * BATCH_PAIRS):
        for frame in batch:
            pair = number // 2
            if pair // run % every == 0 and pair < clip.num_frames // 2:
                held.append(frame.copy())
            number += 1
        while len(held) >= 2 * BATCH_PAIRS:
            yield np.stack(held[: 2 * BATCH_PAIRS])
            del held[: 2 * BATCH_PAIRS]
    if held:
        yield np.stack(held)


def seen_in_scenes(
    stack: Stack, count: int, device: str, seed: int, told: Told = lambda share: None
) -> Seen:
    """Return what a stack sees in pairs of synthetic drives.

    Half of the pairs are spoilt as cameras and weather spoil them, since masks of hard frames are
    unlike those of easy ones.

    Args:
        stack: moved to the device.
        count: of drives, 1 or more, each of another seed.
        device: where the stack runs.
        seed: of the drives.
        told: called with the share done.

    Raises:
        UserError: the stack gives no numbers.
    """
    height, width = stack.input_size
    random = np.random.default_rng(seed)
    found = []
    for index in range(count):
        config = SceneConfig(width=width, height=height, seed=int(random.integers(1 << 31)))
        scene = Scene(config)
        for moment in random.integers(0, SCENE_FRAMES, PAIRS_A_SCENE):
            pair = np.stack([scene.frame(int(moment) + i).rgb for i in range(2)])
            rgb = _spoilt(torch.from_numpy(pair).permute(0, 3, 1, 2).float(), random)
            with torch.inference_mode():
                seen = rgb.clamp(0, 255).round().to(device)
                found.append(outputs_of(seen, stack, every_frame=True))
        told((index + 1) / count)
    return _seen(found)


def _spoilt(pair: Tensor, random: np.random.Generator) -> Tensor:
    """Return a pair ``(2, 3, h, w)``, each second time with noise, blur, haze or reflections."""
    kind = int(random.integers(8))
    if kind == 0:
        seed = torch.Generator().manual_seed(int(random.integers(1 << 31)))
        return pair + torch.randn(pair.shape, generator=seed) * random.uniform(2, 25)
    if kind == 1:
        size, small = pair.shape[2:], random.uniform(0.25, 0.7)
        coarse = F.interpolate(pair, scale_factor=small, mode="bilinear")
        return F.interpolate(coarse, size, mode="bilinear")
    if kind == 2:
        return (pair - 128) * random.uniform(0.3, 1.6) + 128 + random.uniform(-50, 50)
    if kind == 3:
        seen_through = random.uniform(0.6, 0.9)
        return pair * seen_through + pair.flip(2) * (1 - seen_through)
    return pair


def _seen(batches: Sequence[Outputs]) -> Seen:
    paired = [one for one in batches if len(one.classes)]
    first = torch.cat([one.first_classes for one in batches if one.first_classes is not None])
    classes = torch.cat([one.classes for one in paired])
    poses = torch.cat([one.poses for one in paired])
    return Seen(first.cpu().to(torch.uint8), classes.cpu().to(torch.uint8), poses.cpu())
