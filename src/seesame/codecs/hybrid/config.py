"""Settings of the hybrid codec, and the network's size."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

from seesame.codecs.av_settings import FAMILY, parse_settings
from seesame.codecs.hnerv.config import Phase, Schedule
from seesame.codecs.hnerv.geometry import render_side
from seesame.codecs.hnerv.settings import TrainSettings
from seesame.codecs.hybrid.model import MAX_CODE, MAX_DEPTH, MAX_WIDTH, Design
from seesame.errors import UserError
from seesame.perception.stack import Stack
from seesame.video.clip import Clip

PREFIX = "base."
"""Of the base codec's own settings."""
PRESETS = {"draft": 90.0, "fast": 330.0, "medium": 1200.0, "slow": 3600.0}
"""Wall time in seconds of a whole encode, that of the base included."""
BASE_DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "svtav1": {"crf": 52, "scale": 0.3},
    "x265": {"crf": 36, "scale": 0.3},
    "x264": {"crf": 34, "scale": 0.3},
    "vp9": {"crf": 54, "scale": 0.3},
}
"""Lower quality than alone: the network makes up for it."""

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
    depth: int = 3

    @classmethod
    def from_mapping(cls, settings: Mapping[str, Any]) -> Self:
        """Check plain values and make settings of them.

        Raises:
            UserError: an unknown name or a value out of range, the base codec's included.
        """
        if settings.get("bytes") is not None:
            raise UserError("hybrid aims at no size: the base decides it, see --set base.crf=N")
        if "base_settings" in settings:
            raise UserError("hybrid: the base codec's settings are set as base.crf and so on")
        own = {k: v for k, v in settings.items() if not k.startswith(PREFIX)}
        made = super().from_mapping(own)
        if made.base not in FAMILY:
            raise UserError(f"hybrid: base must be one of {', '.join(FAMILY)}, not {made.base!r}")
        given = {k[len(PREFIX) :]: v for k, v in settings.items() if k.startswith(PREFIX)}
        whole = {**BASE_DEFAULTS[made.base], **given}
        if parse_settings(FAMILY[made.base], whole).sharpen:
            raise UserError("hybrid: base.sharpen must be 0: the network is what sharpens")
        return replace(made, base_settings=whole)

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
