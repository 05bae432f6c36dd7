"""What the search of portable files is given and gives, and its numbers."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from seesame.jobs.portable import Portable


@dataclass(frozen=True)
class PortableTuning:
    """The numbers of the search.

    Args:
        share: of the clip that the sample has.
        most_seconds: length of the sample at most.
        window_seconds: length of one of its windows, about; a key frame begins each.
        scales: frame sizes as shares of the source's: the two that are tried first, then the one
            below and the one above them, of which the better side is tried.
        looks: encodes of the sample at one size.
        unlimited: CRFs as shares of the largest, for the sample where no limit leads the way.
        presets: of the encoder where none is given, by codec.
        most: encodes of the clip's length at most, with those of the sample by their share.
        gains: the logarithms by which one round of corrections, and two, are expected to lower what
            exceeds a limit most.
        enough: as :class:`~seesame.search.within.cheapest.CheapestTuning` has it, for a search that
            begins with what won on another clip; a step of CRF is about half of it.
        unlike: where the first encode with such settings is further than this from the limits, as a
            logarithm, the clip is unlike the other one, and is searched by itself.
    """

    share: float = 0.3
    most_seconds: float = 40.0
    window_seconds: float = 2.0
    scales: tuple[float, float, float, float] = (0.5, 0.7, 0.35, 1.0)
    looks: int = 2
    unlimited: tuple[float, ...] = (0.55, 0.7, 0.85)
    presets: Mapping[str, str] = field(
        default_factory=lambda: {"svtav1": "4", "x265": "medium", "x264": "slow", "vp9": "2"}
    )
    most: float = 6.0
    gains: tuple[float, float] = (0.2, 0.26)
    enough: float = 0.12
    unlike: float = 0.6


@dataclass(frozen=True)
class Start:
    """Settings to begin a search with: those that won on a clip of the same camera and size.

    Args:
        scale: the frame size.
        crf: the quality.
    """

    scale: float
    crf: int


@dataclass(frozen=True)
class Forecast:
    """The size and time of the whole clip's file, foretold from a sample.

    Args:
        bytes: of the file, without corrections.
        encode_s: seconds of one encode.
    """

    bytes: int
    encode_s: float


@dataclass(frozen=True)
class FoundPortable:
    """A portable file that a search found.

    Args:
        file: the file and its figures.
        forecast: what the sample foretold; None where there was none.
        first_bytes: the size that the whole clip's first file had, which was forecast.
        encodes: of the clip's length that were made in all.
        rounds: earlier encodes by which its pictures were corrected.
        seconds: of the whole search.
        shared: it began with what won on another clip, and this one was like it.
    """

    file: Portable
    forecast: Forecast | None
    first_bytes: int
    encodes: float
    rounds: int
    seconds: float
    shared: bool = False
