"""A small clip, and a shared renderer that draws it, made in a moment and not trained."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tiny_stack import TinyStack
from torch import Tensor

from seesame.bitstream.container import Container, Section
from seesame.codecs.registry import get_codec
from seesame.codecs.semantic.carrier.network import Carrier, CarrierDesign
from seesame.codecs.semantic.carrier.residual import GRID, Residuals
from seesame.codecs.semantic.decode import read_codes
from seesame.codecs.semantic.labels import read_labels
from seesame.codecs.semantic.masks.coder import Masks
from seesame.codecs.semantic.masks.prior import PriorSettings, learn_prior
from seesame.codecs.semantic.networks import CONTRAST, GREY, Renderer, RendererDesign
from seesame.codecs.semantic.renderer_file import Part
from seesame.codecs.semantic.sections import read_head
from seesame.codecs.semantic.shared import SharedRenderer, Weights
from seesame.codecs.semantic.training.loop import TrainedWeights
from seesame.video.clip import ArrayClip
from seesame.video.resize import resize

SIZE = TinyStack.input_size
LEVELS = 42.0, 128.0, 213.0
"""The grey levels in which a TinyStack sees its classes best."""


class SmallStack(TinyStack):
    """TinyStack for frames of any size."""

    name = "small"

    def segment(self, rgb: Tensor) -> Tensor:
        return super().segment(resize(rgb, SIZE))

    def pose(self, pairs: Tensor) -> Tensor:
        small = resize(pairs.flatten(0, 1), SIZE)
        return super().pose(small.unflatten(0, (-1, 2)))


class StillStack(SmallStack):
    """The same without pose network."""

    name = "still"
    fingerprint = "ef" * 32
    has_pose = False


def moving_masks(count: int, size: tuple[int, int] = SIZE, seed: int = 0) -> Masks:
    """Masks of three classes, ``uint8 (count, h, w)``: a horizon that sways and a box that moves,
    with a few specks."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[: size[0], : size[1]]
    masks = np.zeros((count, *size), np.uint8)
    for t, mask in enumerate(masks):
        mask[y > size[0] * (0.5 + 0.05 * np.sin(t + seed)) + 0.1 * x] = 1
        left = size[1] // 8 + 2 * t
        mask[size[0] // 3 : 2 * size[0] // 3, left : left + size[1] // 4] = 2
        mask[random.integers(0, size[0], 3), random.integers(0, size[1], 3)] = 2
    return masks


def small_clip(count: int = 12, size: tuple[int, int] = (96, 128), seed: int = 0) -> ArrayClip:
    """Return grey pictures of such masks, whose light flickers; the source counts 60,000 bytes."""
    random = np.random.default_rng(seed)
    light = random.integers(-12, 13, count)[:, None, None]
    grey = np.array(LEVELS)[moving_masks(count, size, seed)] + light
    frames = np.repeat(grey.astype(np.uint8)[..., None], 3, axis=3)
    return ArrayClip(frames, source_bytes=60_000)


def small_renderer(stack: SmallStack | None = None, seed: int = 0) -> SharedRenderer:
    """Return a renderer that draws each class in its grey level, nearly, with a prior.

    It has a carrier where the stack has a pose network.
    """
    stack = stack or SmallStack()
    torch.manual_seed(seed)
    design = RendererDesign(3, *SIZE, trunk=4, fine=12, lifted=1, dilations=(1,))
    renderer = Renderer(design)
    with torch.no_grad():
        renderer.join.weight.mul_(0.1)
        renderer.draw.weight.mul_(0.1)
        for corner in range(4):
            for value, level in enumerate(LEVELS):
                seen = 3 * corner + value
                renderer.join.weight[seen, design.lifted + seen, 1, 1] = 1
                renderer.draw.weight[corner::4, seen, 1, 1] = (level - GREY) / CONTRAST / 0.84
    networks = {Part.RENDERER: _quantised(renderer)}
    if stack.has_pose:
        shape = CarrierDesign(
            *SIZE, (0, 0), (2048, 2048), free=2, rows=6, columns=8, channels=4, blocks=1, hidden=4
        )
        networks[Part.CARRIER] = _quantised(Carrier(shape))
    seen = [moving_masks(4, seed=one) for one in (7, 8)]
    prior = learn_prior(seen, 3, PriorSettings(rows=3, net_rates=(300,)))
    return SharedRenderer.make(stack, networks, prior)


def _quantised(network: Renderer | Carrier) -> Weights:
    weights = TrainedWeights(network)
    weights.start_quantising()
    return Weights(network.design, weights.symbols()[0])


def with_residuals(container: Container) -> Container:
    """Return a file of four pairs or more with residuals for the second and the fourth."""
    values = np.random.default_rng(1).integers(-3, 4, (2, *GRID)) * (np.arange(GRID[1]) % 3 == 0)
    residuals = Residuals(np.array([1, 3]), values.astype(np.int32), 4)
    sections = {**container.sections, Section.RESIDUALS: residuals.to_bytes()}
    return Container(**{**vars(container), "sections": sections})


def put(shared: SharedRenderer, home: Path) -> None:
    """Install a renderer where ``SEESAME_HOME`` is ``home``."""
    folder = home / "renderers"
    folder.mkdir(parents=True, exist_ok=True)
    shared.write(folder / f"{shared.digest[:16]}.renderer", overwrite=True)


def golden_facts(container: Container) -> dict[str, Any]:
    """Return what a file decodes to: digests of its masks and codes, and some of its pixels."""
    masks = np.stack(list(read_labels(container)))
    codes = read_codes(container, read_head(container))
    shown = np.concatenate(list(get_codec("semantic").decode(container).batches(4)))
    return {
        "masks": hashlib.sha256(masks.tobytes()).hexdigest(),
        "codes": hashlib.sha256(codes.astype("<i4").tobytes()).hexdigest(),
        "means": shown.mean(axis=(1, 2)).round(2).tolist(),
        "samples": shown[:, 7::16, 9::32, 0].ravel().tolist(),
    }
