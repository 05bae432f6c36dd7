"""Masks varied at random, so that a renderer is trained on far more than the drives hold."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True)
class AugmentTuning:
    """How often and how far masks are varied.

    Args:
        flipped: share of masks that are mirrored.
        warped: share that is zoomed, shifted, sheared and seen in another perspective.
        zoom: smallest and largest logarithm of the part of the mask that is seen.
        shear: the most of shear and stretch.
        shift: the most of shifts, in half sizes.
        tilt: the most of perspective.
        rough: share whose borders are displaced pixel by pixel.
        roughness: how far, in pixels.
        pasted: share that gets rectangles of other masks.
        painted: share that gets random ellipses, bars and specks of random classes.
        shapes: the most of them.
    """

    flipped: float = 0.5
    warped: float = 0.6
    zoom: tuple[float, float] = (-0.5, 0.15)
    shear: float = 0.15
    shift: float = 0.35
    tilt: float = 0.2
    rough: float = 0.15
    roughness: float = 4.0
    pasted: float = 0.3
    painted: float = 0.25
    shapes: int = 10


TUNING = AugmentTuning()


def augment(
    masks: Tensor, classes: int, random: torch.Generator, others: Tensor | None = None
) -> Tensor:
    """Return masks ``uint8 (B, h, w)``, each varied in its own way.

    Args:
        masks: ``uint8 (B, h, w)``.
        classes: how many there are.
        random: the source of chance, on the CPU.
        others: as many masks, of which parts are pasted; the masks themselves when None.
    """
    masks = _moved(masks, random)
    others = masks.roll(1, 0) if others is None else others
    for index in range(len(masks)):
        if _chance(random, TUNING.pasted):
            for _ in range(_whole(random, 1, 3)):
                top, bottom, left, right = _box(masks.shape[1:], random)
                masks[index, top:bottom, left:right] = others[index, top:bottom, left:right]
        if _chance(random, TUNING.painted):
            for _ in range(_whole(random, 1, TUNING.shapes)):
                _paint(masks[index], classes, random)
    return masks


def _moved(masks: Tensor, random: torch.Generator) -> Tensor:
    """Return masks seen from elsewhere; each pixel takes its nearest one's class."""
    count, height, width = masks.shape
    device = masks.device
    turns = torch.stack([_turn(random) for _ in range(count)]).to(device)
    rows = torch.linspace(-1, 1, height, device=device) * (1 - 1 / height)
    columns = torch.linspace(-1, 1, width, device=device) * (1 - 1 / width)
    down, across = torch.meshgrid(rows, columns, indexing="ij")
    points = torch.stack([across, down, torch.ones_like(down)], -1).view(1, -1, 3)
    seen = points @ turns.transpose(1, 2)
    grid = (seen[..., :2] / seen[..., 2:].clamp(min=0.2)).view(count, height, width, 2)
    size = torch.tensor([2 / width, 2 / height], device=device)
    for index in range(count):
        if _chance(random, TUNING.rough):
            coarse = 2 ** _whole(random, 0, 3)
            shape = (1, 2, -(-height // coarse), -(-width // coarse))
            jitter = torch.randn(shape, generator=random).to(device)
            jitter = F.interpolate(jitter, (height, width), mode="bilinear")[0].permute(1, 2, 0)
            grid[index] += jitter * size * _between(random, 0, TUNING.roughness)
    found = F.grid_sample(
        masks[:, None].float(), grid, mode="nearest", padding_mode="border", align_corners=False
    )
    return found[:, 0].to(torch.uint8)


def _turn(random: torch.Generator) -> Tensor:
    """Return a random homography ``(3, 3)`` from places -1..1 to places -1..1."""
    turn = torch.eye(3)
    if _chance(random, TUNING.warped):
        zoom = float(torch.tensor(_between(random, *TUNING.zoom)).exp())
        shear = (torch.rand(2, 2, generator=random) * 2 - 1) * TUNING.shear
        shift = (torch.rand(2, generator=random) * 2 - 1) * TUNING.shift
        turn[:2, :2] = zoom * (turn[:2, :2] + shear)
        turn[:2, 2] = shift
        turn[2, :2] = (torch.rand(2, generator=random) * 2 - 1) * TUNING.tilt
    if _chance(random, TUNING.flipped):
        turn[:, 0] *= -1
    return turn


def _paint(mask: Tensor, classes: int, random: torch.Generator) -> None:
    """Paint an ellipse, a bar or a speck of a random class into a mask ``(h, w)``, in place."""
    kind = int(_whole(random, 0, classes - 1))
    if _chance(random, 0.5):
        top, left = (_whole(random, 0, side - 1) for side in mask.shape)
        mask[top : top + _whole(random, 1, 4), left : left + _whole(random, 1, 6)] = kind
        return
    top, bottom, left, right = _box(mask.shape, random)
    part = mask[top:bottom, left:right]
    rows = torch.linspace(-1, 1, part.shape[0], device=mask.device)[:, None]
    columns = torch.linspace(-1, 1, part.shape[1], device=mask.device)[None]
    lean = _between(random, -1, 1)
    if _chance(random, 0.5):
        inside = (rows**2 + (columns + lean * rows * 0.5) ** 2) < 0.8
    else:
        inside = (columns + lean * rows).abs() < _between(random, 0.02, 0.6)
    part[inside] = kind


def _box(size: torch.Size, random: torch.Generator) -> tuple[int, int, int, int]:
    """Return top, bottom, left and right of a random box of at most half the height and width."""
    height, width = size
    tall, wide = _whole(random, 2, max(2, height // 2)), _whole(random, 2, max(2, width // 2))
    top, left = _whole(random, 0, max(0, height - tall)), _whole(random, 0, max(0, width - wide))
    return top, top + tall, left, left + wide


def _chance(random: torch.Generator, share: float) -> bool:
    return _between(random, 0, 1) < share


def _between(random: torch.Generator, low: float, high: float) -> float:
    return low + (high - low) * float(torch.rand((), generator=random))


def _whole(random: torch.Generator, low: int, high: int) -> int:
    return int(torch.randint(low, high + 1, (), generator=random))
