"""Where training starts when there is a file already: a decoder trained on another clip."""

from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional as F

from seesame.codecs.hnerv.first_guess import for_all, looks_of, regression
from seesame.codecs.hnerv.model import Architecture, Decoder
from seesame.codecs.hnerv.representation import Representation
from seesame.metric.evaluator import ReferenceOutputs
from seesame.neural.weights.network import row_key
from seesame.neural.weights.quantizer import as_rows
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
    def fill(
        self, rep: Representation, frames: Tensor, outputs: ReferenceOutputs, stack: Stack
    ) -> None:
        """Copy the decoder, and guess which latents it would take for the new pairs.

        What the old pairs look like, decoded, is related to their latents by ridge regression.

        Args:
            rep: filled in place.
            frames: the new clip's pairs, ``uint8 (N, 2, 3, h, w)``.
            outputs: what the stack sees in the new clip.
            stack: the nets.
        """
        cells = rep.architecture.grid[0] * rep.architecture.grid[1]
        for name, parameter in self.decoder.named_parameters():
            moved = _on_grid(parameter, self.decoder.architecture, rep.architecture, name)
            rep.rows[row_key(name)].copy_(as_rows(name, moved, cells))
        judged = stack.judged if stack.has_pose else 0
        count = len(stack.classes)
        shown, classes, poses = self._seen(stack, judged)
        old = looks_of(shown, classes, count=count).flatten(1)
        new = looks_of(frames, outputs.classes, count=count).flatten(1)
        middle = old.mean(0)
        _, sizes, main = torch.linalg.svd(old - middle, full_matrices=False)
        used = max(1, min(len(old) // 4, int((sizes > 1e-4 * sizes[0]).sum())))
        main = main[:used].T / sizes[:used].clamp(min=1e-6) * len(old) ** 0.5
        known = torch.cat([(old - middle) @ main, poses], 1)
        weight, bias = regression(known, self.latents)
        new_poses = for_all(outputs.poses[:, :judged].float(), len(new))
        guessed = torch.cat([(new - middle) @ main, new_poses], 1) @ weight.T + bias
        # Beyond the values that the decoder knows it would be at a loss.
        rep.latents.copy_(guessed.clamp(self.latents.amin(0), self.latents.amax(0)))

    def _seen(self, stack: Stack, judged: int) -> tuple[Tensor, Tensor, Tensor]:
        """The old pairs decoded, the classes of their second frames, their poses."""
        pairs, classes, poses = [], [], []
        for part in torch.split(self.latents, DECODED_PAIRS):
            seen = self.decoder(part).clamp(0, 255).round()
            pairs.append(seen.byte())
            classes.append(stack.segment(seen[:, 1]).argmax(1))
            poses.append(stack.pose(seen)[:, :judged] if judged else seen.new_zeros(len(seen), 0))
        return torch.cat(pairs), torch.cat(classes), torch.cat(poses).float()


def _on_grid(parameter: Tensor, old: Architecture, new: Architecture, name: str) -> Tensor:
    """A stem's tensor for another grid, interpolated; any other tensor as it is."""
    if old.grid == new.grid or not name.startswith("stem"):
        return parameter
    channels = old.channels[0]
    grid = parameter.reshape(channels, *old.grid, -1).permute(0, 3, 1, 2)
    grid = F.interpolate(grid, size=new.grid, mode="bilinear", align_corners=False)
    flat = grid.permute(0, 2, 3, 1).reshape(channels * new.grid[0] * new.grid[1], -1)
    return flat[:, 0] if parameter.ndim == 1 else flat
