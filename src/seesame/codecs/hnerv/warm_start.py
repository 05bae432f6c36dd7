"""A start of the training from a decoder that was trained on another clip."""

from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from seesame.bitstream.container import Container
from seesame.codecs.hnerv.architecture import Architecture
from seesame.codecs.hnerv.decode import unpack
from seesame.codecs.hnerv.first_guess import for_all, looks_of, regression
from seesame.codecs.hnerv.model import Decoder
from seesame.codecs.hnerv.representation import Representation
from seesame.codecs.hnerv.sections import CODEC_ID
from seesame.errors import UserError
from seesame.metric.evaluator import ReferenceOutputs
from seesame.perception.stack import Stack

DECODED_PAIRS = 16


class Start:
    """The decoder and latents that another clip was compressed to.

    Args:
        decoder: of that clip's file.
        latents: of its pairs, ``(N, latent)``.
    """

    def __init__(self, decoder: Decoder, latents: Tensor) -> None:
        self.decoder, self.latents = decoder, latents

    @classmethod
    def read(cls, path: Path) -> "Start":
        """Read them from a file of hnerv. Raises UserError or DamagedError, with the path."""
        container = Container.read(path)
        if container.codec_id != CODEC_ID:
            raise UserError(f"{path}: not a file of hnerv, so there is no decoder to start from")
        return cls(*unpack(container, str(path)))

    def architecture(self, wanted: Architecture) -> Architecture:
        """Return its decoder's shape at the render size that is wanted."""
        return replace(self.decoder.architecture, render=wanted.render)

    @torch.no_grad()
    def fill(
        self,
        rep: Representation,
        frames: Tensor,
        outputs: ReferenceOutputs,
        stack: Stack,
        device: str = "cpu",
    ) -> None:
        """Copy the decoder, and guess which latents it would take for the new pairs.

        What the old pairs look like, decoded, is related to their latents by ridge regression.

        Args:
            rep: filled in place.
            frames: the new clip's pairs, ``uint8 (N, 2, 3, h, w)``.
            outputs: the stack's outputs on the new clip.
            stack: the networks.
            device: where they run.
        """
        for name, parameter in self.decoder.named_parameters():
            moved: Tensor = parameter
            if name.startswith("stem."):
                moved = _on_grid(parameter, self.decoder.architecture, rep.architecture)
            rep.set_tensor(name, moved)
        judged = stack.judged if stack.has_pose else 0
        count = len(stack.classes)
        shown, classes, poses = self._decoded(stack, judged, device)
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
        # The decoder was never trained on values beyond those that it knows.
        rep.latents.copy_(guessed.clamp(self.latents.amin(0), self.latents.amax(0)))

    def _decoded(self, stack: Stack, judged: int, device: str) -> tuple[Tensor, Tensor, Tensor]:
        """Return the old pairs decoded, the classes of their second frames, their poses."""
        pairs, classes, poses = [], [], []
        for part in torch.split(self.latents, DECODED_PAIRS):
            seen = self.decoder(part).clamp(0, 255).round()
            pairs.append(seen.byte())
            seen = seen.to(device)
            classes.append(stack.segment(seen[:, 1]).argmax(1).cpu())
            values = stack.pose(seen)[:, :judged] if judged else seen.new_zeros(len(seen), 0)
            poses.append(values.cpu())
        return torch.cat(pairs), torch.cat(classes), torch.cat(poses).float()


def _on_grid(parameter: Tensor, old: Architecture, new: Architecture) -> Tensor:
    """Return a tensor of the stem for another grid, interpolated."""
    if old.grid == new.grid:
        return parameter
    channels = old.channels[0]
    grid = parameter.reshape(channels, *old.grid, -1).permute(0, 3, 1, 2)
    grid = F.interpolate(grid, size=new.grid, mode="bilinear", align_corners=False)
    flat = grid.permute(0, 2, 3, 1).reshape(channels * new.grid[0] * new.grid[1], -1)
    return flat[:, 0] if parameter.ndim == 1 else flat
