"""Settings of the hybrid codec, and the network's size."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Self

from seesame.codecs.av.settings import FAMILY, parse_settings
from seesame.codecs.hybrid.design import MAX_CODE, MAX_DEPTH, MAX_WIDTH, Design
from seesame.codecs.registry import codec_name
from seesame.errors import UnsupportedSettingError
from seesame.neural.fitting.schedule import Phase, Schedule
from seesame.neural.fitting.settings import TrainSettings
from seesame.neural.render.geometry import render_size
from seesame.perception.stack import Stack
from seesame.video.clip import Clip

PREFIX = "base."
"""The names of the base codec's own settings begin with it."""
SCHEDULE = Schedule(
    phases=(
        Phase(0.0, {"smooth": 100.0, "rate": 0.3}),
        Phase(0.3, {"smooth": 100.0, "rate": 1.0}),
        Phase(1.0, {"smooth": 100.0, "rate": 1.0}),
    ),
    quantise_from=0.3,
    temperature=(0.6, 0.1),
)
"""The score's own terms from the first step: the pictures are there already."""


@dataclass(frozen=True)
class HybridTuning:
    """The numbers behind hybrid's defaults.

    Args:
        over_hnerv: bytes of a whole file as a multiple of what hnerv would choose.
        detail: width of the coded pictures as a multiple of what the stack reads.
        encodes: most encodes of the base in the search for its quality.
        near: logarithm of a size's ratio to the wanted one that is near enough.
        slopes: change of a size's logarithm a step of quality, by the largest quality; only the
            first guess.
        reach_a_size: power by which distortions fall as the base gets larger; only the first guess.
        first_codes: standard deviation of the codes at the start.
        least_network_bytes: bytes that a network aims at where the base leaves it none.
        correcting_first: share of the time for corrections of the base, over which the network is
            then trained.
        width: a quarter of the network's channels for a source of 2.5 MB; they grow with the root
            of the source's size.
        width_bounds: fewest and most channels.
    """

    over_hnerv: float = 1.5
    detail: float = 1.6
    encodes: int = 3
    near: float = 0.1
    slopes: Mapping[int, float] = field(default_factory=lambda: {51: -0.12, 63: -0.06})
    reach_a_size: float = 0.42
    first_codes: float = 0.1
    least_network_bytes: int = 500
    correcting_first: float = 0.2
    width: float = 6.0
    width_bounds: tuple[int, int] = (8, 32)


TUNING = HybridTuning()


@dataclass(frozen=True)
class HybridSettings(TrainSettings):
    """The settings of the hybrid codec; those of its base are called ``base.crf`` and so on.

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
    PRESETS: ClassVar = {"draft": 90.0, "fast": 330.0, "medium": 1200.0, "slow": 3600.0}
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
        """Check plain values and return settings made of them.

        Raises:
            UnsupportedSettingError: an unknown name or a value out of range, also of the base's.
        """
        if "base_settings" in settings:
            raise UnsupportedSettingError(
                "hybrid: the base codec's settings are set as base.crf and so on"
            )
        own = {k: v for k, v in settings.items() if not k.startswith(PREFIX)}
        made = super().from_mapping(own)
        if isinstance(made.base, str):
            made = replace(made, base=codec_name(made.base))
        if made.base not in FAMILY:
            raise UnsupportedSettingError(
                f"hybrid: base must be one of {', '.join(FAMILY)}, not {made.base!r}"
            )
        given = {k[len(PREFIX) :]: v for k, v in settings.items() if k.startswith(PREFIX)}
        if parse_settings(FAMILY[made.base], given).sharpen:
            raise UnsupportedSettingError(
                "hybrid: base.sharpen must be 0: the network is what sharpens"
            )
        if made.bytes is not None and given.keys() & {"crf", "kbps"}:
            raise UnsupportedSettingError(
                "hybrid: bytes finds the base's quality; leave out base.crf, base.kbps"
            )
        return replace(made, base_settings=given)

    def chosen(self) -> dict[str, Any]:
        """Return the settings that are not the defaults; of the base's all that were set."""
        found = super().chosen()
        found.pop("base_settings", None)
        return found | {PREFIX + name: value for name, value in self.base_settings.items()}


def design(clip: Clip, stack: Stack, settings: HybridSettings) -> Design:
    """Return the shape of the network between base and corrections for a clip."""
    render = render_size(clip, stack)
    if not settings.network:
        return Design(render)
    wide = settings.width or network_width(clip.source_bytes)
    return Design(render, settings.code, wide, settings.depth)


def network_width(source_bytes: int) -> int:
    """Return the channels that suit a source: few for a small one, where each byte costs more."""
    least, most = TUNING.width_bounds
    return max(least, min(most, round(TUNING.width * math.sqrt(source_bytes / 2.5e6)) * 4))
