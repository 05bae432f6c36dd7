"""Decoders of other designs, for ``bench/decoder_ablation.py``; hnerv's own format has none.

A variant takes the place of hnerv's decoder in its whole process: sizing, training, the file and
its decoding all use it.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from seesame.codecs.hnerv import codec, config, decode, model, representation
from seesame.codecs.hnerv import first_guess as guess
from seesame.codecs.hnerv.first_guess import pair_latents
from seesame.codecs.hnerv.model import Architecture, Decoder

DESIGN = ("taper", "kernels", "depthwise", "sine", "stages", "by_frame", "random_start")
"""What a variant may set beside hnerv's settings: the stages' widths in proportion, their kernels'
sides, which of them are depthwise with a pointwise convolution behind, sin(omega x) for GELU,
how many stages (one more halves the stem's grid), whether frames are rendered one by one, and
whether the weights start at random."""
UNGUESSED = {"kernels", "depthwise", "by_frame", "random_start"}
"""The first guess of a decoder is for 3x3 convolutions of pairs: these start at random."""


def install(design: Mapping[str, Any]) -> None:
    """Put a decoder of this design in the place of hnerv's, for good.

    Raises:
        ValueError: an unknown name.
    """
    unknown = set(design) - set(DESIGN)
    if unknown:
        raise ValueError(f"a decoder's design has no {', '.join(sorted(unknown))}")
    stages = design.get("stages", model.STAGES)
    taper = tuple(design.get("taper", config.TAPER))
    # A further stage takes the first one's width.
    config.TAPER = (taper[0],) * (stages - len(taper)) + taper
    model.STAGES = stages
    kind = _by_frame(_variant(design)) if design.get("by_frame") else _variant(design)
    if UNGUESSED & set(design):
        codec.guess = _latents_only
    for module in (model, decode, representation, guess):
        module.Decoder = kind  # type: ignore[attr-defined]


@torch.no_grad()
def _latents_only(
    rep: representation.Representation, frames: Tensor, classes: Tensor, poses: Tensor
) -> None:
    rep.latents.copy_(pair_latents(frames, classes, poses, rep.architecture.latent))


def _variant(design: Mapping[str, Any]) -> type[Decoder]:
    kernels = design.get("kernels")
    apart = set(design.get("depthwise", ()))
    omega = design.get("sine")

    class Variant(Decoder):
        if omega is not None:
            activation = staticmethod(lambda x: torch.sin(omega * x))

        @staticmethod
        def stage(index: int, inputs: int, outputs: int, device: str) -> nn.Module:
            side = kernels[index] if kernels else 3
            if index not in apart:
                return nn.Conv2d(inputs, outputs, side, padding=side // 2, device=device)
            return nn.Sequential(
                nn.Conv2d(inputs, inputs, side, padding=side // 2, groups=inputs, device=device),
                nn.Conv2d(inputs, outputs, 1, device=device),
            )

    return Variant


def _by_frame(base: type[Decoder]) -> type[Decoder]:
    """One trunk for both frames, which tells them apart by an offset of the latent."""

    class ByFrame(base):  # type: ignore[valid-type, misc]
        def __init__(self, architecture: Architecture, meta: bool = False) -> None:
            super().__init__(architecture, meta)
            device = "meta" if meta else "cpu"
            last = architecture.channels[-1]
            self.stages[-1] = self.stage(len(self.stages) - 1, last, 4 * 3, device)
            self.frame = nn.Module()
            offsets = torch.empty(2 * architecture.latent, device=device)
            self.frame.bias = nn.Parameter(offsets)
            if not meta:
                self._initialise()
                nn.init.normal_(offsets, std=0.1)

        def forward(self, latents: Tensor) -> Tensor:
            moved = latents[:, None] + self.frame.bias.view(2, -1)
            return super().forward(moved.flatten(0, 1))

    return ByFrame
