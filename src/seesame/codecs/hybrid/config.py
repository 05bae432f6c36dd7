"""Settings of the hybrid codec, and the network's size."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

from seesame.codecs.av.settings import FAMILY, parse_settings
from seesame.codecs.hnerv.config import Phase, Schedule
from seesame.codecs.hybrid.model import MAX_CODE, MAX_DEPTH, MAX_WIDTH, Design
from seesame.errors import UserError
from seesame.neural.fitting.settings import TrainSettings
from seesame.neural.render.geometry import render_side
from seesame.perception.stack import Stack
from seesame.video.clip import Clip

PREFIX = "base."
"""Of the base codec's own settings."""
PRESETS = {"draft": 90.0, "fast": 330.0, "medium": 1200.0, "slow": 3600.0}
"""Wall time in seconds of a whole encode, that of the base included."""
SCHEDULE = Schedule(
    phases=(
        Phase(0.0, 0.0, 0.0, 0.0, 100.0, 0.3),
        Phase(0.3, 0.0, 0.0, 0.0, 100.0, 1.0),
        Phase(1.0, 0.0, 0.0, 0.0, 100.0, 1.0),
    ),
    quantise_from=0.3,
    temperature=(0.6, 0.1),
)
"""The score's own terms from the first step: the pictures are there already."""


@dataclass(frozen=True)
class HybridSettings(TrainSettings):
    """What a user may set; the base codec's settings are given as ``base.crf`` and so on.

    Without ``base.crf`` and ``base.kbps`` the base gets the quality that makes the whole file about
    as large as ``bytes`` says, or as suits the clip.

    Args:
        base: the classical codec beneath.
        base_settings: its settings.
        network: train a post-network.
        code: numbers a pair that the network is given.
        width: channels of the network; None chooses them from the source's bytes.
        depth: layers between the network's first and last.
    """

    CODEC = "hybrid"
    PRESETS = PRESETS
    BOUNDS = TrainSettings.BOUNDS | {
        "code": (1, MAX_CODE),
        "width": (1, MAX_WIDTH),
        "depth": (0, MAX_DEPTH),
    }
    WHOLE = (*TrainSettings.WHOLE, "code", "width", "depth")

    base: str = "svtav1"
    base_settings: Mapping[str, Any] = field(default_factory=dict)
    network: bool = True
    code: int = 4
    width: int | None = None
    depth: int = 4

    @classmethod
    def from_mapping(cls, settings: Mapping[str, Any]) -> Self:
        """Check plain values and make settings of them.

        Raises:
            UserError: an unknown name or a value out of range, the base codec's included.
        """
        if "base_settings" in settings:
            raise UserError("hybrid: the base codec's settings are set as base.crf and so on")
        own = {k: v for k, v in settings.items() if not k.startswith(PREFIX)}
        made = super().from_mapping(own)
        if made.base not in FAMILY:
            raise UserError(f"hybrid: base must be one of {', '.join(FAMILY)}, not {made.base!r}")
        given = {k[len(PREFIX) :]: v for k, v in settings.items() if k.startswith(PREFIX)}
        if parse_settings(FAMILY[made.base], given).sharpen:
            raise UserError("hybrid: base.sharpen must be 0: the network is what sharpens")
        if made.bytes is not None and given.keys() & {"crf", "kbps"}:
            raise UserError("hybrid: bytes finds the base's quality; leave out base.crf, base.kbps")
        return replace(made, base_settings=given)

    def chosen(self) -> dict[str, Any]:
        """The settings that shape a file and are not the defaults; the base's all that were set."""
        found = super().chosen()
        found.pop("base_settings", None)
        return found | {PREFIX + name: value for name, value in self.base_settings.items()}


def design(clip: Clip, stack: Stack, settings: HybridSettings) -> Design:
    """What stands between base and corrections for a clip."""
    render = (
        render_side(clip.height, stack.input_size[0]),
        render_side(clip.width, stack.input_size[1]),
    )
    if not settings.network:
        return Design(render)
    wide = settings.width or network_width(clip.source_bytes)
    return Design(render, settings.code, wide, settings.depth)


def network_width(source_bytes: int) -> int:
    """Channels that suit a source: the fewer bytes it has, the more each of the network's costs."""
    return max(8, min(32, round(6 * math.sqrt(source_bytes / 2.5e6)) * 4))
