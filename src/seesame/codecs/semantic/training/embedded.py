"""The training of a small renderer and a small carrier on one clip, for the clip's own file.

Nothing has to be drawn but the clip's own masks and poses. The networks are thus far smaller than
shared ones, masks are hardly varied, and the loss has the rate of the weights in it.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from seesame.codecs.semantic.carrier.network import Carrier
from seesame.codecs.semantic.draw import Drawing
from seesame.codecs.semantic.networks import Renderer
from seesame.codecs.semantic.renderer_file import Part
from seesame.codecs.semantic.shared import SharedRenderer, Weights
from seesame.codecs.semantic.training.carrier import TUNING as CARRIER
from seesame.codecs.semantic.training.carrier import CarrierRun, design_for
from seesame.codecs.semantic.training.drives import Seen
from seesame.codecs.semantic.training.loop import Run
from seesame.codecs.semantic.training.settings import TUNING as LOOP
from seesame.codecs.semantic.training.settings import TrainingSettings, TrainingTuning
from seesame.codecs.semantic.training.train import check_stack
from seesame.perception.stack import Stack

Told = Callable[[float, str], None]

LOOP_OF_A_CLIP = replace(LOOP, first_step=0.5, quantise_from=0.6, varied=0.25)


@dataclass(frozen=True)
class EmbeddedTuning:
    """The shapes of embedded networks and the numbers of their training, chosen on ``lite``.

    Args:
        trunk: of the renderer's design; a multiple of 16, since gradients in bfloat16 of
            convolutions of 24 or 28 channels came out as no numbers (PyTorch 2.13, on a CPU).
        dilations: of the same.
        lifted: of the same.
        fine: of the same.
        rows: of the carrier's design, at most.
        channels: of the same.
        blocks: of the same.
        mapped: of the same.
        placed: of the same.
        hidden: of the same.
        carrier_share: share of the time that the carrier gets.
        strange: share of the poses asked of the carrier that are not the pair's own, but near.
        scatter: the largest standard deviation of what is added to them, in spreads.
        carrier_rate: what its bits count in its loss, as a multiple of what they cost in the score.
        loop: the numbers of the loop.
    """

    trunk: int = 16
    dilations: tuple[int, ...] = (1, 2, 4, 8, 1)
    lifted: int = 4
    fine: int = 8
    rows: int = 12
    channels: int = 12
    blocks: int = 1
    mapped: int = 4
    placed: int = 2
    hidden: int = 16
    carrier_share: float = 0.3
    strange: float = 0.6
    scatter: float = 1.0
    carrier_rate: float = 1.0
    loop: TrainingTuning = LOOP_OF_A_CLIP


TUNING = EmbeddedTuning()


@dataclass(frozen=True)
class ClipTraining:
    """What is known of the clip.

    Args:
        stack: differentiable, on the device.
        masks: to draw, ``uint8 (T, h, w)``.
        poses: that the pairs are to show, ``(N, P)``.
        every_frame: the masks are those of all frames, and not of second frames alone.
        render: ``(height, width)`` of the pictures.
        byte_value: what a byte costs in the score.
        device: where all runs.
        seed: of every random step.
        steps: of each network's training, for runs that can be repeated; None goes by time.
        tuning: shapes and numbers.
    """

    stack: Stack
    masks: Tensor
    poses: Tensor
    every_frame: bool
    render: tuple[int, int]
    byte_value: float
    device: str
    seed: int = 0
    steps: int | None = None
    tuning: EmbeddedTuning = TUNING

    def settings(self, seconds: float) -> TrainingSettings:
        """Return the settings of a training of so many seconds."""
        return TrainingSettings(seconds=seconds, steps=self.steps, seed=self.seed)

    @property
    def carries(self) -> bool:
        """True where the stack judges poses."""
        return self.stack.has_pose and self.stack.judged > 0

    def train(self, seconds: float, told: Told, stop: Callable[[], bool]) -> SharedRenderer:
        """Return a renderer of this clip, and its carrier.

        Args:
            seconds: wall time of the whole.
            told: called with the share done and a text.
            stop: returns whether to end early.

        Raises:
            UserError: no renderer can be trained for the stack, or the training diverges.
        """
        later = self.tuning.carrier_share if self.carries else 0.0
        found = self._renderer(
            (1 - later) * seconds,
            lambda share, text: told((1 - later) * share, f"renderer, {text}"),
            stop,
        )
        if not self.carries:
            return found
        return self._carrier(
            found,
            later * seconds,
            lambda share, text: told(1 - later + later * share, f"carrier, {text}"),
            stop,
        )

    def _renderer(self, seconds: float, told: Told, stop: Callable[[], bool]) -> SharedRenderer:
        tuning = self.tuning
        design = replace(
            check_stack(self.stack),
            trunk=tuning.trunk,
            dilations=tuning.dilations,
            lifted=tuning.lifted,
            fine=tuning.fine,
        )
        torch.manual_seed(self.seed)
        height, width = self.stack.input_size
        run = Run(
            Renderer(design),
            self.stack,
            [self.masks],
            self.settings(seconds),
            self.device,
            tuning=tuning.loop,
            bit_value=self.byte_value / 8,
            shown=(self.render[0] / height, self.render[1] / width),
        )
        run.train(told, stop=stop)
        return SharedRenderer.make(self.stack, {Part.RENDERER: Weights(design, run.result())})

    def _carrier(
        self, shared: SharedRenderer, seconds: float, told: Told, stop: Callable[[], bool]
    ) -> SharedRenderer:
        tuning, step = self.tuning, 2 if self.every_frame else 1
        pairs = len(self.poses)
        second = self.masks[step - 1 :: step][:pairs]
        first = self.masks[::step][:pairs]
        seen = Seen(first, second, self.poses)
        usual = design_for(self.stack, [seen])
        rows = min(tuning.rows, usual.rows)
        design = replace(
            usual,
            rows=rows,
            columns=-(-rows * usual.width // usual.height),
            channels=tuning.channels,
            blocks=tuning.blocks,
            mapped=tuning.mapped,
            placed=tuning.placed,
            hidden=tuning.hidden,
        )
        torch.manual_seed(self.seed)
        carrier = Carrier(design)
        if not self.every_frame:  # nothing is compared then, and zeros cost next to nothing
            nn.init.zeros_(carrier.compare.weight)
        run = ClipCarrierRun(self, carrier, shared, seen, self.settings(seconds))
        run.train(told, stop=stop)
        return shared.with_part(Part.CARRIER, Weights(design, run.result()))


class ClipCarrierRun(CarrierRun):
    """The training of a carrier on the pairs of one clip.

    Args:
        clip: what is known of it.
        carrier: as it starts.
        shared: the clip's renderer.
        seen: masks and poses of its pairs.
        settings: how long, and the seed.
    """

    def __init__(
        self,
        clip: ClipTraining,
        carrier: Carrier,
        shared: SharedRenderer,
        seen: Seen,
        settings: TrainingSettings,
    ) -> None:
        self._every_frame, self._tuning = clip.every_frame, clip.tuning
        self._drawing = Drawing(shared.renderer, None, shared.size, clip.render, clip.device)
        super().__init__(
            carrier,
            shared.renderer,
            clip.stack,
            [seen],
            settings,
            clip.device,
            tuning=clip.tuning.loop,
            bit_value=clip.tuning.carrier_rate * clip.byte_value / 8,
        )

    def _pictures(self, renderer: Renderer, drives: object) -> tuple[Tensor, Tensor, Tensor]:
        """Return masks of first frames, and pictures of first and second frames, of all pairs."""
        assert isinstance(drives, list)
        seen: Seen = drives[0]
        second = self._drawing.all_pictures(seen.second, lambda share: None)
        if not self._every_frame:
            return seen.first, second, second
        return seen.first, self._drawing.all_pictures(seen.first, lambda share: None), second

    def value(self, share: float) -> Tensor:
        """See :meth:`Run.value`."""
        which = torch.randint(len(self._others), (CARRIER.batch,), generator=self._random)
        second = self._drawing.seen(self._loaded(self._others[which]))
        first = self._drawing.seen(self._loaded(self._own[which])) if self._every_frame else None
        wanted = self._asked(self._poses[0][which]).to(self.device)
        return self._missed(wanted, second, first, self._masks[which])

    def _asked(self, poses: Tensor) -> Tensor:
        """Return poses ``(B, P)``, some of them moved a little: the search for codes moves them."""
        count, values = poses.shape
        moved = torch.rand(count, 1, generator=self._random) < self._tuning.strange
        scatter = self._tuning.scatter * torch.rand(count, 1, generator=self._random).square()
        noise = torch.randn(count, values, generator=self._random)
        return poses + moved * scatter * noise * self._carrier.spreads.cpu()

    def _through(self, drawn: Tensor) -> Tensor:
        return self._drawing.through(drawn)
