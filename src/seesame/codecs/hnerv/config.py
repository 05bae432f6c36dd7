"""Settings of the hnerv codec, and the decoder's size."""

import math
from dataclasses import dataclass
from typing import ClassVar

from seesame.codecs.hnerv.architecture import Architecture
from seesame.errors import UnsupportedSettingError, UserError
from seesame.neural.fitting.settings import TUNING as SIZES
from seesame.neural.fitting.settings import TrainSettings, target_bytes
from seesame.neural.render.geometry import render_size
from seesame.perception.stack import Stack
from seesame.video.clip import Clip


@dataclass(frozen=True)
class DesignTuning:
    """The numbers that turn the bytes a file may take into a decoder's size.

    Args:
        taper: widths of the stages, in proportion.
        latent_bytes: bytes that a value of a pair's latent takes.
        least_weights: weights of the smallest decoder that is worth training.
        latent_by_length: values a pair for a clip of N pairs are at least 20 and this times the
            root of N: the more pairs there are, the less often each is trained and the more has to
            be told apart by the first guess's components.
        latent_bounds: fewest values in a small file, values in a usual one, and most values.
    """

    taper: tuple[int, ...] = (24, 22, 20, 18, 16)
    latent_bytes: float = 0.4
    least_weights: float = 3000.0
    latent_by_length: float = 1.5
    latent_bounds: tuple[int, int, int] = (8, 20, 40)


TUNING = DesignTuning()


@dataclass(frozen=True)
class HnervSettings(TrainSettings):
    """The settings of the hnerv codec.

    Args:
        latent: values a pair; None chooses them from the clip's length and the size.
        init: an .ssm file of hnerv whose decoder is where training starts; its widths are taken.
    """

    CODEC = "hnerv"
    PRESETS: ClassVar = {"draft": 100.0, "fast": 480.0, "medium": 2700.0, "slow": 10800.0}
    GPU_PRESETS: ClassVar = {"draft": 30.0, "fast": 60.0, "medium": 180.0, "slow": 480.0}
    BOUNDS = TrainSettings.BOUNDS | {"latent": (1, 128)}
    WHOLE = (*TrainSettings.WHOLE, "latent")

    latent: int | None = None
    init: str | None = None

    def _check(self) -> None:
        super()._check()
        if self.init is not None and not isinstance(self.init, str):
            raise UnsupportedSettingError(f"hnerv: init must be a file's path, not {self.init!r}")


def latent_values(num_pairs: int, wanted: int) -> int:
    """Return the values a pair that suit a clip of so many pairs and a file of ``wanted`` bytes."""
    least, usual, most = TUNING.latent_bounds
    by_length = max(usual, round(TUNING.latent_by_length * math.sqrt(num_pairs)))
    by_size = max(least, wanted // (2 * num_pairs))
    return min(by_length, by_size, most)


def design(clip: Clip, stack: Stack, settings: HnervSettings) -> Architecture:
    """Return the decoder's shape: render size from the stack, widths from the bytes to spend."""
    render = render_size(clip, stack)
    num_pairs = -(-clip.num_frames // 2)
    wanted = settings.aim(round(settings.room * target_bytes(num_pairs, clip.source_bytes)))
    latent = settings.latent or latent_values(num_pairs, wanted)
    left = wanted - TUNING.latent_bytes * latent * num_pairs
    weights = max(TUNING.least_weights, left * 8 / SIZES.bits_a_weight)
    best = None
    for hundredths in range(20, 500, 5):
        widths = tuple(max(4, round(w * hundredths / 100)) for w in TUNING.taper)
        candidate = Architecture(render, latent, widths)
        if not candidate.valid():
            break
        if best is None or candidate.parameters() <= weights:
            best = candidate
    if best is None:
        height, width = render
        raise UserError(f"hnerv cannot render {width}x{height}; that is more than it decodes")
    return best
