"""Where training starts when there is a file already: a decoder trained on another clip."""

from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional as F

from seesame.codecs.hnerv.guess import class_shares
from seesame.codecs.hnerv.model import Architecture, Decoder
from seesame.codecs.hnerv.quantize import as_rows
from seesame.codecs.hnerv.representation import Representation, row_key
from seesame.metric.evaluator import ReferenceOutputs
from seesame.perception.stack import Stack

DECODED_PAIRS = 16


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
        old, new = (class_shares(x).flatten(1) for x in (self._classes(stack), outputs.classes))
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
