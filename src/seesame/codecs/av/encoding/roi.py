"""The places in a picture that matter to the stack, so that the rest may get fewer bits.

A place matters as much as the outputs of the nets change with its pixels: simple gradients
(Simonyan et al. 2013, "Deep inside convolutional networks", section 3).
"""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from seesame.context import EncodeContext
from seesame.errors import MissingStackError, UserError
from seesame.neural.fitting.loss.objective import margins
from seesame.perception.stack import Stack
from seesame.video.resize import resize

BLOCK = 16
"""Side of the blocks that get a quantiser of their own, in coded pixels."""


@dataclass(frozen=True)
class RoiTuning:
    """The numbers of the search for places that matter.

    Args:
        temperature: of the smooth disagreement, in logits: larger margins count for nothing.
        at_once: pairs that go through the networks at a time, which bounds the memory.
    """

    temperature: float = 0.5
    at_once: int = 2


TUNING = RoiTuning()


class Focus:
    """Finds the places in frames that matter to a stack.

    Args:
        context: its stack judges, on its device.

    Raises:
        UserError: there is no stack, or it has no gradients.
    """

    def __init__(self, context: EncodeContext) -> None:
        if context.stack is None:
            raise MissingStackError(
                "roi_qp asks a perception stack what matters to it, and none was given"
            )
        if not context.stack.differentiable:
            raise UserError(
                f"stack {context.stack.name} has no gradients, which roi_qp needs; use roi_qp=0"
            )
        self.stack, self.device = context.stack, context.device

    def __call__(self, frames: Tensor, start: int, size: tuple[int, int]) -> Tensor:
        """Return how much of each coded pixel is to be kept.

        Args:
            frames: some frames at source size, float ``(B, 3, H, W)``.
            start: the number of the first of them, even.
            size: the coded ``(height, width)``.

        Returns:
            ``(B, 1, height, width)`` in 0..1; 0 all over a last frame without a partner.
        """
        if start % 2:
            raise ValueError(f"pairs start at even frames, not at {start}")
        keep = torch.zeros(len(frames), 1, *size)
        step = 2 * TUNING.at_once
        for i in range(0, len(frames) // 2 * 2, step):
            chunk = frames[i : min(i + step, len(frames) // 2 * 2)]
            found = sensitivity(self.stack, chunk.to(self.device)).cpu()
            keep[i : i + len(chunk)] = kept(found, size)
        return keep


def offsets(keep: Tensor, most: int) -> NDArray[np.int64]:
    """Return what to add to the quantiser of each block of coded pixels.

    Args:
        keep: ``(B, 1, h, w)`` in 0..1.
        most: where nothing is to be kept.

    Returns:
        ``(B, rows, columns)`` in 0..``most``; blocks have :data:`BLOCK` pixels a side, the last
        ones may have fewer.
    """
    mean = F.avg_pool2d(keep, BLOCK, ceil_mode=True)
    found: NDArray[np.int64] = (most * (1 - mean)).round().long()[:, 0].numpy()
    return found


def sensitivity(stack: Stack, frames: Tensor) -> Tensor:
    """Return how much the judged outputs change with each pixel of whole pairs.

    For the second frame of a pair, the gradient of the smooth disagreement
    ``sum(sigmoid(-margin / temperature))``, where the margin is the lead of the arg-max class; for
    both frames, those of the judged pose values. Of each the magnitude over the channels, divided
    by its mean over the frame; then their sum.

    Args:
        stack: differentiable nets.
        frames: ``(2 N, 3, H, W)`` in 0..255, on the stack's device.

    Returns:
        ``(2 N, 1, *stack.input_size)``, at least 0.
    """
    with torch.no_grad():
        seen = resize(frames, stack.input_size, "bilinear")
    total = torch.zeros_like(seen[:, :1])
    with torch.enable_grad():
        second = seen[1::2].clone().requires_grad_()
        logits = stack.segment(second).float()
        lead = margins(logits, logits.argmax(1))
        (slope,) = torch.autograd.grad(torch.sigmoid(-lead / TUNING.temperature).sum(), second)
        total[1::2] += _magnitude(slope.square())
        if stack.has_pose:
            pairs = seen.reshape(-1, 2, *seen.shape[1:]).clone().requires_grad_()
            values = stack.pose(pairs)[:, : stack.judged].float().sum(0)
            squares = torch.zeros_like(pairs)
            for value in values:
                (slope,) = torch.autograd.grad(value, pairs, retain_graph=True)
                squares += slope.square()
            total += _magnitude(squares.flatten(0, 1))
    return total


def kept(sensitive: Tensor, size: tuple[int, int]) -> Tensor:
    """Return how much of each pixel is kept, 0..1, at ``size``.

    The largest sensitivity of each block of about :data:`BLOCK` pixels, in units of the frame's
    mean block and at most 1; blocks take over their neighbours' if that is more, and pixels
    between the centres of blocks are interpolated, so that a block that matters is kept whole.

    Args:
        sensitive: ``(B, 1, H, W)``, at least 0.
        size: ``(height, width)``.
    """
    grid = [-(-side // BLOCK) for side in size]
    blocks = F.adaptive_max_pool2d(sensitive, grid)
    mean = blocks.mean((2, 3), keepdim=True)
    share = torch.where(mean > 0, blocks / mean.clamp_min(1e-30), 0.0).clamp_max(1.0)
    wide = F.max_pool2d(share, 3, stride=1, padding=1)
    return F.interpolate(wide, size=size, mode="bilinear", align_corners=False)


def _magnitude(squares: Tensor) -> Tensor:
    """Return lengths over channels, ``(B, 1, H, W)``, with mean 1, or 0 where all are 0."""
    length = squares.sum(1, keepdim=True).sqrt()
    mean = length.mean((2, 3), keepdim=True)
    return torch.where(mean > 0, length / mean.clamp_min(1e-30), 0.0)
