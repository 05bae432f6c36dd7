"""Where training starts: latents from the pictures, or a decoder trained on another clip."""

from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional as F

from seesame.codecs.hnerv.model import Architecture, Decoder
from seesame.codecs.hnerv.quantize import as_rows
from seesame.codecs.hnerv.representation import Representation, row_key
from seesame.metric.evaluator import ReferenceOutputs
from seesame.perception.stack import Stack

CELLS = (12, 16)
"""Rows and columns that a picture is averaged to before pairs are compared."""
GREY_LEVELS = 64.0
CLASS_WEIGHT = 2.0
"""A whole cell that changes class counts as much as 128 grey levels."""
DECODED_PAIRS = 16


def picture_latents(frames: Tensor, classes: Tensor, latent: int) -> Tensor:
    """Latents whose values are the pairs' principal components.

    Pairs that look alike start with like latents, and what tells most pairs apart stands out;
    from random latents the decoder would have to learn the order of the clip by heart. A value's
    variance is the root of its component's, and one on average.

    Args:
        frames: ``uint8 (N, 2, 3, h, w)``.
        classes: what the stack sees in the second frames, ``(M, h', w')``, M = N or N - 1.
        latent: values a pair.

    Returns:
        ``float32 (N, latent)``; values beyond the rank of the pictures are 0.
    """
    pooled = F.adaptive_avg_pool2d(frames.flatten(1, 2).float(), CELLS).flatten(1) / GREY_LEVELS
    shares = CLASS_WEIGHT * class_shares(classes)
    shares = torch.cat([shares, shares[-1:].expand(len(pooled) - len(shares), -1)])
    looks = torch.cat([pooled, shares], 1)
    looks = looks - looks.mean(0)
    left, sizes, _ = torch.linalg.svd(looks, full_matrices=False)
    rank = min(latent, int((sizes > 1e-4 * sizes[0]).sum()))
    latents = torch.zeros(len(pooled), latent)
    latents[:, :rank] = left[:, :rank] * sizes[:rank].sqrt()
    return latents / latents.square().mean().sqrt().clamp(min=1e-6)


def class_shares(classes: Tensor) -> Tensor:
    """The share of each class in each cell: ``(N, h, w)`` to ``(N, classes * cells)``."""
    hot = F.one_hot(classes.long()).movedim(-1, 1)
    return F.adaptive_avg_pool2d(hot.float(), CELLS).flatten(1)


class Start:
    """A decoder and latents that another clip was compressed to.

    Args:
        decoder: of that clip's file.
        latents: of its pairs, ``(N, latent)``.
    """

    def __init__(self, decoder: Decoder, latents: Tensor) -> None:
        self.decoder, self.latents = decoder, latents

    def architecture(self, wanted: Architecture) -> Architecture:
        """Its decoder's shape at the render size that is wanted."""
        return replace(self.decoder.architecture, render=wanted.render)

    @torch.no_grad()
    def fill(self, rep: Representation, outputs: ReferenceOutputs, stack: Stack) -> None:
        """Copy the decoder, and to each pair the latent of the old pair whose classes fit best."""
        cells = rep.architecture.grid[0] * rep.architecture.grid[1]
        for name, parameter in self.decoder.named_parameters():
            moved = _on_grid(parameter, self.decoder.architecture, rep.architecture, name)
            rep.rows[row_key(name)].copy_(as_rows(name, moved, cells))
        old, new = class_shares(self._classes(stack)), class_shares(outputs.classes)
        width = max(old.shape[1], new.shape[1])  # a class may appear in one of them only
        old, new = (F.pad(x, (0, width - x.shape[1])) for x in (old, new))
        nearest = torch.cdist(new, old).argmin(1)
        nearest = torch.cat([nearest, nearest[-1:].expand(len(rep.latents) - len(nearest))])
        rep.latents.copy_(self.latents[nearest])

    def _classes(self, stack: Stack) -> Tensor:
        """What the stack sees in the second frames that the old file decodes to."""
        found = []
        for part in torch.split(self.latents, DECODED_PAIRS):
            second = self.decoder(part)[:, 1].clamp(0, 255).round()
            found.append(stack.segment(second).argmax(1))
        return torch.cat(found)


def _on_grid(parameter: Tensor, old: Architecture, new: Architecture, name: str) -> Tensor:
    """A stem's tensor for another grid, interpolated; any other tensor as it is."""
    if old.grid == new.grid or not name.startswith("stem"):
        return parameter
    channels = old.channels[0]
    grid = parameter.reshape(channels, *old.grid, -1).permute(0, 3, 1, 2)
    grid = F.interpolate(grid, size=new.grid, mode="bilinear", align_corners=False)
    flat = grid.permute(0, 2, 3, 1).reshape(channels * new.grid[0] * new.grid[1], -1)
    return flat[:, 0] if parameter.ndim == 1 else flat
