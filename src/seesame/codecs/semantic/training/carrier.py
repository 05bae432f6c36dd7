"""The training of a carrier for a renderer: any pose, on any picture that the renderer draws."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from seesame.codecs.semantic.carrier.network import UNITS, Carrier, CarrierDesign
from seesame.codecs.semantic.networks import Renderer
from seesame.codecs.semantic.training.augment import augment
from seesame.codecs.semantic.training.drives import Seen
from seesame.codecs.semantic.training.loop import Run
from seesame.codecs.semantic.training.losses import margins
from seesame.codecs.semantic.training.settings import TUNING as LOOP
from seesame.codecs.semantic.training.settings import TrainingSettings, TrainingTuning
from seesame.neural.weights.quantiser import straight_through
from seesame.perception.stack import Stack

CELL, MAX_ROWS = 8, 24
"""Pixels to a row of the carrier's grid, and the most rows."""


@dataclass(frozen=True)
class CarrierTuning:
    """The numbers of a carrier's training, chosen on ``lite``.

    Args:
        batch: pairs a step. Many noisy steps serve better here than few exact ones.
        pictures: the most pairs of pictures that are drawn for the whole training.
        memory: bytes that these may take.
        plain: share of them that show masks as they are, not varied.
        contrast: the most by which the contrast of pictures is varied, as a factor and its inverse.
        brightness: the most by which their brightness is varied, in grey levels.
        strange: share of the poses that are moved away from any that was seen.
        stretch: the most by which these are farther from the middle.
        scatter: the largest standard deviation of what is added to them, in spreads.
        floor: pose distortion below which less is hardly better.
        both: share of the steps in which first frames have pictures of their own.
        keep: weight of the wrong pixels in these, against the pose.
        margin: lead of a pixel's class, in logits, that is enough.
        soft: over how many logits that lead counts more and more.
    """

    batch: int = 3
    pictures: int = 1200
    memory: int = 400 << 20
    plain: float = 0.5
    contrast: float = 1.4
    brightness: float = 20.0
    strange: float = 0.6
    stretch: float = 2.5
    scatter: float = 2.5
    floor: float = 1e-4
    both: float = 0.2
    keep: float = 8.0
    margin: float = 0.3
    soft: float = 0.15


TUNING = CarrierTuning()


def design_for(stack: Stack, drives: Sequence[Seen]) -> CarrierDesign:
    """Return the shape of a stack's carrier, with the units of its pose values."""
    poses = torch.cat([seen.poses[:, : stack.judged] for seen in drives]).double()
    middles, spreads = poses.mean(0) * UNITS, poses.std(0, correction=0) * UNITS
    height, width = stack.input_size
    rows = min(MAX_ROWS, -(-height // CELL))
    return CarrierDesign(
        height,
        width,
        rows=rows,
        columns=-(-rows * width // height),
        middles=tuple(int(value) for value in middles.round()),
        spreads=tuple(max(1, int(value)) for value in spreads.round()),
    )


class CarrierRun(Run):
    """The training of a carrier.

    Args:
        carrier: as it starts.
        renderer: draws the pictures; on the device.
        stack: differentiable, on the device.
        drives: what the stack sees in each drive, or kind of drives.
        settings: how long, and the seed.
        device: where all runs.
        tuning: the numbers of the loop.
        bit_value: what a bit of the weights adds to the loss.
    """

    def __init__(
        self,
        carrier: Carrier,
        renderer: Renderer,
        stack: Stack,
        drives: Sequence[Seen],
        settings: TrainingSettings,
        device: str,
        tuning: TrainingTuning = LOOP,
        bit_value: float = 0.0,
    ) -> None:
        sources = [seen.second for seen in drives]
        super().__init__(
            carrier, stack, sources, settings, device, tuning=tuning, bit_value=bit_value
        )
        self._carrier = carrier
        self._poses = [seen.poses[:, : stack.judged] for seen in drives]
        self._masks, self._own, self._others = self._pictures(renderer, drives)

    def _pictures(
        self, renderer: Renderer, drives: Sequence[Seen]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return masks of first frames, and pictures ``uint8 (M, 3, h, w)`` of first and second."""
        design = renderer.design
        size = 3 * design.height * design.width
        total = max(1, min(TUNING.pictures, TUNING.memory // (2 * size)))
        if self.settings.steps is not None:
            total = min(total, TUNING.batch * self.settings.steps)
        found = torch.empty(2, total, 3, design.height, design.width, dtype=torch.uint8)
        shown = torch.empty(total, design.height, design.width, dtype=torch.uint8)
        for index in range(total):
            drive = drives[int(torch.multinomial(self._weights, 1, generator=self._random))]
            which = int(torch.randint(len(drive.second), (), generator=self._random))
            masks = torch.stack([drive.first[which], drive.second[which]])
            if torch.rand((), generator=self._random) >= TUNING.plain:
                state = self._random.get_state()
                varied = []
                for mask in masks:
                    self._random.set_state(state)
                    varied.append(augment(mask[None].clone(), design.classes, self._random))
                masks = torch.cat(varied)
            with torch.inference_mode():
                drawn = renderer(masks.to(self.device)).clamp(0, 255).round()
            found[:, index] = drawn.cpu().to(torch.uint8)
            shown[index] = masks[0]
        return shown, found[0], found[1]

    def value(self, share: float) -> Tensor:
        """See :meth:`Run.value`."""
        which = torch.randint(len(self._others), (TUNING.batch,), generator=self._random)
        wanted = self._wanted()
        second, first = self._loaded(self._others[which]), None
        if self._chance(TUNING.both):
            first = self._loaded(self._own[which])
        else:
            second = self._varied(second)
        return self._missed(wanted, second, first, self._masks[which])

    def _missed(
        self, wanted: Tensor, second: Tensor, first: Tensor | None, masks: Tensor
    ) -> Tensor:
        """Return the loss of the poses ``(B, P)`` that pairs show, and of what masks lose.

        Args:
            wanted: poses.
            second: the pairs' second frames.
            first: pictures of their first frames, where they have their own.
            masks: of these pictures.
        """
        shown = self._through(self._drawn(self._carrier.guess(wanted), second, first))
        seen = self._stack.pose(torch.stack([shown, second], 1))[:, : wanted.shape[1]]
        misses = ((seen - wanted) / self._carrier.spreads).square().mean(1)
        value = (misses + TUNING.floor).sqrt().mean()
        if first is not None:
            lead = margins(self._stack.segment(shown), masks.to(self.device))
            value = value + TUNING.keep * F.softplus((TUNING.margin - lead) / TUNING.soft).mean()
        return value

    def _through(self, drawn: Tensor) -> Tensor:
        """Return what the stack sees of drawn first frames."""
        shown = drawn.clamp(0, 255)
        return straight_through(shown, shown.round())

    def _loaded(self, pictures: Tensor) -> Tensor:
        return pictures.to(self.device).float()

    def _wanted(self) -> Tensor:
        """Return poses ``(B, P)`` that pictures are asked to show."""
        found = []
        for index in torch.multinomial(
            self._weights, TUNING.batch, replacement=True, generator=self._random
        ):
            poses = self._poses[int(index)]
            pose = poses[int(torch.randint(len(poses), (), generator=self._random))]
            if self._chance(TUNING.strange):
                pose = self._strange(pose)
            found.append(pose)
        return torch.stack(found).to(self.device)

    def _strange(self, pose: Tensor) -> Tensor:
        """Return a pose ``(P,)`` that may be farther out than any that was seen."""
        middles, spreads = self._carrier.middles.cpu(), self._carrier.spreads.cpu()
        stretch, scatter = torch.rand(2, generator=self._random).tolist()
        noise = torch.randn(len(pose), generator=self._random) * spreads
        far = (pose - middles) * TUNING.stretch * stretch
        found: Tensor = middles + far + noise * TUNING.scatter * scatter**2
        return found

    def _varied(self, pictures: Tensor) -> Tensor:
        """Return pictures ``(B, 3, h, w)`` mirrored, or of another contrast, at random."""
        if self._chance(0.5):
            pictures = pictures.flip(-1)
        if self._chance(0.5):
            power, light = (torch.rand(2, generator=self._random) * 2 - 1).tolist()
            pictures = (pictures - 127.5) * TUNING.contrast**power + 127.5
            pictures = (pictures + TUNING.brightness * light).clamp(0, 255).round()
        return pictures

    def _chance(self, share: float) -> bool:
        return float(torch.rand((), generator=self._random)) < share
