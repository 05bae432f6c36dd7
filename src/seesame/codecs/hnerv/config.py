"""Settings of the hnerv codec: presets, the schedule, and the decoder's size."""

import math
from dataclasses import dataclass, fields

from seesame.codecs.hnerv.model import Architecture
from seesame.errors import UserError
from seesame.neural.fitting.settings import TrainSettings
from seesame.neural.render.geometry import render_side
from seesame.perception.stack import Stack
from seesame.video.clip import Clip

BITS_A_WEIGHT = 3.5
"""What a weight costs after training with the rate in the loss; only sizes the decoder."""

SIZE_FACTOR = 2.3
TAPER = (24, 22, 20, 18, 16)
"""Widths of the stages, in proportion."""
PRESETS = {"draft": 100.0, "fast": 480.0, "medium": 2700.0, "slow": 10800.0}
"""Wall time in seconds of a whole encode, reference pass and final check included."""

GPU_PRESETS = {"draft": 30.0, "fast": 60.0, "medium": 180.0, "slow": 480.0}
"""The same on a CUDA device, where a step takes a small part of the time."""


@dataclass(frozen=True)
class Phase:
    """Weights of the loss terms from ``start`` (share of training) on, linearly blended between.

    Args:
        start: share of the training, 0..1, at which these weights hold.
        pixel: of the mean absolute pixel difference (0..255).
        entropy: of the cross-entropy against the reference classes.
        margin: of the softplus of the reference class's missing margin.
        smooth: of the smooth disagreement (100 makes it the score's own term).
        rate: of the rate, in units of its true weight.
    """

    start: float
    pixel: float
    entropy: float
    margin: float
    smooth: float
    rate: float


@dataclass(frozen=True)
class Schedule:
    """The curriculum of one training, as shares of its length. Prints itself."""

    phases: tuple[Phase, ...] = (
        Phase(0.00, 0.20, 20.0, 0.0, 0.0, 0.0),
        Phase(0.10, 0.05, 20.0, 10.0, 0.0, 0.0),
        Phase(0.35, 0.02, 10.0, 30.0, 0.0, 0.3),
        Phase(0.55, 0.01, 0.0, 20.0, 80.0, 1.0),
        Phase(0.75, 0.00, 0.0, 0.0, 100.0, 1.0),
        Phase(1.00, 0.00, 0.0, 0.0, 100.0, 1.0),
    )
    quantise_from: float = 0.35
    exact_from: float = 0.9
    evaluate_from: float = 0.80
    look_from: float = 0.60
    evaluations: int = 4
    evaluation_share: float = 0.08
    batch_pairs: int = 3
    gpu_batch_pairs: int = 8
    peak_rate: float = 4e-3
    temperature: tuple[float, float] = (1.0, 0.1)

    def affordable(self, seconds: float, one: float) -> int:
        """How many evaluations of ``one`` second each fit into an encode; at least the last."""
        return max(1, min(self.evaluations, int(self.evaluation_share * seconds / one)))

    def stage(self, share: float) -> str:
        """What training does at a share of it, in a word or two."""
        if share < self.quantise_from:
            return "training"
        return "quantised" if share < self.evaluate_from else "judging"

    def at(self, share: float) -> Phase:
        """The weights at a share of the training."""
        for left, right in zip(self.phases, self.phases[1:], strict=False):
            if share <= right.start:
                t = (share - left.start) / (right.start - left.start)
                mixed = {
                    f.name: (1 - t) * getattr(left, f.name) + t * getattr(right, f.name)
                    for f in fields(Phase)
                }
                return Phase(**mixed)
        return self.phases[-1]

    def __str__(self) -> str:
        head = "  share  pixel  entropy  margin  smooth  rate"
        rows = [
            f"  {p.start:5.0%}  {p.pixel:5.2f}  {p.entropy:7.1f}  {p.margin:6.1f}"
            f"  {p.smooth:6.1f}  {p.rate:4.1f}"
            for p in self.phases
        ]
        return "\n".join([head, *rows, f"  quantised from {self.quantise_from:.0%}"])


@dataclass(frozen=True)
class HnervSettings(TrainSettings):
    """What a user may set.

    Args:
        latent: values a pair; None chooses them from the clip's length and the size.
        init: an .ssm file of hnerv whose decoder is where training starts; its widths are taken.
    """

    CODEC = "hnerv"
    PRESETS = PRESETS
    GPU_PRESETS = GPU_PRESETS
    BOUNDS = TrainSettings.BOUNDS | {"latent": (1, 128)}
    WHOLE = (*TrainSettings.WHOLE, "latent")

    latent: int | None = None
    init: str | None = None

    def _check(self) -> None:
        super()._check()
        if self.init is not None and not isinstance(self.init, str):
            raise UserError(f"hnerv: init must be a file's path, not {self.init!r}")


def target_bytes(num_pairs: int, source_bytes: int) -> int:
    """A size that suits a clip: ``2.3 * sqrt(pairs * source bytes)``.

    More pairs need more bytes, and the more bytes the source has, the less each one weighs in the
    score. The factor was found with minutes of training on two clips.
    """
    wanted = int(SIZE_FACTOR * math.sqrt(num_pairs * source_bytes))
    return max(4000, min(wanted, 400_000))


def latent_values(num_pairs: int, wanted: int) -> int:
    """Values a pair that suit a clip and a size: 20, more for a long clip, fewer in a small file.

    The more pairs there are, the less often each is trained and the more has to be told apart by
    the first guess's components.
    """
    by_length = max(20, round(1.5 * math.sqrt(num_pairs)))
    by_size = max(8, wanted // (2 * num_pairs))
    return min(by_length, by_size, 40)


def design(clip: Clip, stack: Stack, settings: HnervSettings) -> Architecture:
    """The decoder for a clip: render size from the stack, widths from the bytes to spend."""
    render = (
        render_side(clip.height, stack.input_size[0]),
        render_side(clip.width, stack.input_size[1]),
    )
    num_pairs = -(-clip.num_frames // 2)
    wanted = settings.aim(target_bytes(num_pairs, clip.source_bytes))
    latent = settings.latent or latent_values(num_pairs, wanted)
    weights = max(3000.0, (wanted - 0.4 * latent * num_pairs) * 8 / BITS_A_WEIGHT)
    best = None
    for hundredths in range(20, 500, 5):
        widths = tuple(max(4, round(w * hundredths / 100)) for w in TAPER)
        candidate = Architecture(render, latent, widths)
        if not candidate.valid():
            break
        if best is None or candidate.parameters() <= weights:
            best = candidate
    if best is None:
        height, width = render
        raise UserError(f"hnerv cannot render {width}x{height}; that is more than it decodes")
    return best
