"""From masks and codes to pictures at the size that a file renders, for encoder and decoder."""

from collections.abc import Callable

import torch
from torch import Tensor

from seesame.codecs.semantic.carrier.network import Carrier
from seesame.codecs.semantic.carrier.residual import added
from seesame.codecs.semantic.networks import Renderer
from seesame.neural.render.bounds import pairs_at_once
from seesame.neural.render.geometry import shrink
from seesame.video.resize import resize

_PICTURES = 8
"""Whole pictures of a pair that may be in memory at once, counted as one map."""


class Drawing:
    """Draws pictures with a shared renderer.

    The renderer draws at the size that the stack reads. Where the clip has fewer rows or columns,
    pictures are made smaller so that the stack's own enlargement comes nearest to what was drawn.

    Args:
        renderer: draws masks; it is moved to the device.
        carrier: draws first frames from codes; None where the stack has no pose network.
        size: ``(height, width)`` that the renderer draws.
        render: ``(height, width)`` of the pictures, neither more than that.
        device: where the networks run.
    """

    def __init__(
        self,
        renderer: Renderer,
        carrier: Carrier | None,
        size: tuple[int, int],
        render: tuple[int, int],
        device: str | torch.device,
    ) -> None:
        self.device = torch.device(device)
        self.renderer = renderer.to(self.device)
        self.carrier = None if carrier is None else carrier.to(self.device)
        self.size, self.render = size, render
        networks = [net.design for net in (renderer, carrier) if net is not None]
        self.macs = sum(design.macs() for design in networks)
        """Multiply-accumulates for a frame."""
        pictures = _PICTURES * 3 * size[0] * size[1]
        largest = max(pictures, *(design.largest_map() for design in networks))
        self.pairs = pairs_at_once(largest, 2 * self.macs)
        """Pairs that are drawn at once."""
        self._shown = render[0] / size[0], render[1] / size[1]

    def pictures(self, masks: Tensor) -> Tensor:
        """Return whole grey levels 0..255, ``float32 (B, 3, h', w')``, of ``uint8 (B, h, w)``."""
        with torch.inference_mode():
            return self.rounded(self.renderer(masks.to(self.device), self._shown))

    def all_pictures(self, masks: Tensor, told: Callable[[float], None]) -> Tensor:
        """Return the pictures of many masks as ``uint8 (N, 3, h', w')`` on the CPU.

        Args:
            masks: ``uint8 (N, h, w)``.
            told: called with the share done.
        """
        found = torch.empty(len(masks), 3, *self.render, dtype=torch.uint8)
        for start in range(0, len(masks), self.pairs):
            part = masks[start : start + self.pairs]
            found[start : start + len(part)] = self.pictures(part)
            told((start + len(part)) / len(masks))
        return found

    def first(
        self, codes: Tensor, grids: Tensor, second: Tensor, first: Tensor | None = None
    ) -> Tensor:
        """Return the first frames of pairs, of the same kind as :meth:`pictures`.

        Args:
            codes: ``float32 (B, K)``.
            grids: their residuals, ``float32 (B, 12, 16)``.
            second: pictures of the second frames.
            first: those of the first frames, where they have masks of their own.
        """
        if self.carrier is None:
            return second if first is None else first
        with torch.inference_mode():
            own = None if first is None else self.seen(first)
            drawn = self.carrier(codes.to(self.device), self.seen(second), own)
            if grids.any():
                drawn = drawn + added(grids.to(self.device), self.size)
            return self.rounded(drawn)

    def seen(self, pictures: Tensor) -> Tensor:
        """Return pictures as the stack sees them: ``(B, 3, h, w)``."""
        return resize(pictures, self.size)

    def rounded(self, drawn: Tensor) -> Tensor:
        """Return drawn pictures ``(B, 3, h, w)`` at the size rendered, in whole grey levels."""
        return shrink(drawn, self.render).clamp(0, 255).round()

    def through(self, drawn: Tensor) -> Tensor:
        """Return what the stack will see of drawn pictures; gradients pass as if unrounded."""
        small = shrink(drawn, self.render).clamp(0, 255)
        return self.seen(small + (small.round() - small).detach())
