"""The change of the score with a pair's numbers: slopes from the networks, and proposals from them.

For a pair with judged pose values v(c) of the sidecar's numbers c, v is linearised, so that its
squared error is a quadratic function of c (Gauss-Newton). The share of wrong pixels has a slope
only through the smooth disagreement of the training loss. The pose values' slopes are taken in
the frames, where all fourteen numbers of a pair have simple derivatives.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seesame.neural.corrections.apply import apply
from seesame.neural.corrections.sidecar import (
    FIELDS,
    GAIN_STEP,
    LEVEL_STEP,
    LIMIT,
    MIDDLE,
    POSITIONS,
    SHIFT_STEP,
)
from seesame.neural.fitting.loss.objective import margins
from seesame.neural.weights.quantiser import straight_through
from seesame.perception.stack import Stack

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

NUMBERS = 2 * len(FIELDS)


@dataclass(frozen=True)
class SlopeTuning:
    """The reach of the slopes: how far they are believed.

    Args:
        temperature: of the smooth disagreement, in logits.
        reach: steps of a number over which the slope of seg is believed; it has no curvature of its
            own.
        far: furthest that one step of the pursuit moves a number.
    """

    temperature: float = 0.2
    reach: float = 2.0
    far: int = 32


TUNING = SlopeTuning()


@dataclass(frozen=True, eq=False)
class Weights:
    """The weights of a pair's wrong share and pose error in the score of the clip."""

    seg: float
    pose: float


@dataclass(frozen=True, eq=False)
class Slopes:
    """The objective of each pair near its present numbers: h·t + t'Ht for changes t.

    ``linear (B, K)`` and ``square (B, K, K)`` for the K sidecar numbers, ``latent (B, d)`` slopes
    in the latents' values, ``rendered (B, 2, 3, h, w)`` the frames before correction.
    """

    linear: Floats
    square: Floats
    latent: Floats
    rendered: Tensor
    jacobian: Tensor
    """Slopes of the judged pose values in the numbers, ``(B, P, K)``."""


def linearise(
    render: Callable[[Tensor], Tensor],
    stack: Stack,
    latents: Tensor,
    values: Tensor,
    wanted: tuple[Tensor, Tensor],
    weights: Weights,
    jacobian: Tensor | None,
) -> Slopes:
    """Return the slopes of some pairs.

    Args:
        render: latents ``(B, d)`` to frames.
        stack: differentiable nets.
        latents: ``(B, d)``.
        values: the pairs' present corrections ``(B, 2, 7)``.
        wanted: the reference's classes ``(B, h, w)`` and judged pose values ``(B, P)``.
        weights: of the two distortions.
        jacobian: a former one, which changes little, or None; it takes P backward passes.
    """
    classes, poses = wanted
    latents = latents.clone().requires_grad_()
    rendered = render(latents)
    frames = apply(rendered.detach(), values).requires_grad_()
    inside = frames.clamp(0, 255)
    seen = straight_through(inside, inside.round())
    lead = margins(stack.segment(seen[:, 1]).float(), classes)
    wrong = torch.sigmoid(-lead / TUNING.temperature).mean((1, 2)).sum()
    total = weights.seg * _gradient(wrong, frames)
    directions = _directions(frames.detach())
    linear = _numbers(total, directions)
    square = torch.diag_embed(linear.abs() / (2 * TUNING.reach))
    if poses.shape[1]:
        error = stack.pose(seen)[:, : poses.shape[1]].float() - poses
        if jacobian is None:
            rows = [_gradient(column.sum(), frames) for column in error.unbind(1)]
            jacobian = torch.stack([_numbers(row, directions) for row in rows], 1)
        factor = weights.pose / poses.shape[1]
        total = total + factor * _gradient(error.square().sum(), frames)
        linear = linear + 2 * factor * (jacobian * error.detach()[..., None]).sum(1)
        square = square + factor * jacobian.mT @ jacobian
    else:
        jacobian = linear.new_zeros(len(linear), 0, NUMBERS)
    # To first order the correction is the identity as far as the latents are concerned.
    latent = torch.autograd.grad(rendered, latents, total)[0]
    # On the CPU first: Apple's GPUs have no float64.
    h, squares, slope = (part.cpu().double().numpy() for part in (linear, square, latent))
    return Slopes(h, squares, slope, rendered.detach(), jacobian)


def _gradient(scalar: Tensor, frames: Tensor) -> Tensor:
    return torch.autograd.grad(scalar, frames, retain_graph=True)[0]


def _directions(frames: Tensor) -> Tensor:
    """Return the change ``(B, 2, D, 4)`` of frames with right, down, zoom and gain."""
    height, width = frames.shape[-2:]
    across, down = _slope(frames, -1), _slope(frames, -2)
    column = 2 * torch.arange(width, device=frames.device) - (width - 1)
    row = 2 * torch.arange(height, device=frames.device)[:, None] - (height - 1)
    directions = [
        across * (SHIFT_STEP / POSITIONS),
        down * (SHIFT_STEP / POSITIONS),
        (across * column + down * row) / POSITIONS,
        (frames - MIDDLE) * GAIN_STEP,
    ]
    return torch.stack([d.flatten(2) for d in directions], -1)


def _numbers(gradient: Tensor, directions: Tensor) -> Tensor:
    """Return a gradient in the frames ``(B, 2, 3, h, w)`` as one in the numbers, ``(B, 14)``."""
    moving = (gradient.flatten(2)[:, :, None] @ directions)[:, :, 0]
    levels = LEVEL_STEP * gradient.sum((-2, -1))
    parts = [moving, levels.sum(-1, keepdim=True), levels[..., :1], levels[..., 2:]]
    return torch.cat(parts, -1).flatten(1)


def _slope(frames: Tensor, axis: int) -> Tensor:
    """Return central differences, the border repeated."""
    side = frames.shape[axis]
    place = torch.arange(side, device=frames.device)
    after = frames.index_select(axis, (place + 1).clamp(max=side - 1))
    return (after - frames.index_select(axis, (place - 1).clamp(min=0))) / 2


def pursue(
    slopes: Slopes, start: Ints, bits: Floats, price: float, allowed: NDArray[np.bool_], steps: int
) -> list[Ints]:
    """Return numbers that lower the quadratic model, one more changed at each step.

    Args:
        slopes: the model, of B pairs and K numbers.
        start: present numbers ``(B, K)``.
        bits: what number k costs at value v: ``(K, 2·LIMIT + 1)``.
        price: score of a bit.
        allowed: numbers that may change, ``(B, K)``.
        steps: how many.

    Returns:
        ``steps`` arrays ``(B, K)``; a pair that has reached its best stays as it is.
    """
    numbers, linear = start.copy(), slopes.linear.copy()
    curve = np.maximum(np.diagonal(slopes.square, axis1=1, axis2=2), 1e-12)
    pairs, every = np.arange(len(start)), np.arange(start.shape[1])
    found = []
    for _ in range(steps):
        best = np.clip(np.rint(-linear / (2 * curve)), -TUNING.far, TUNING.far).astype(np.int64)
        moves = np.stack([best, np.sign(best), -numbers])
        moves = np.clip(numbers + moves, -LIMIT, LIMIT) - numbers
        rate = bits[every, numbers + moves + LIMIT] - bits[every, numbers + LIMIT]
        change = np.where(allowed, linear * moves + curve * moves**2 + price * rate, 0.0)
        flat = change.transpose(1, 0, 2).reshape(len(start), -1)
        pick = flat.argmin(1)
        kind, which = np.divmod(pick, start.shape[1])
        move = np.where(flat[pairs, pick] < 0, moves[kind, pairs, which], 0)
        numbers[pairs, which] += move
        linear += 2 * slopes.square[pairs, :, which] * move[:, None]
        found.append(numbers.copy())
    return found
