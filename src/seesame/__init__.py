"""seesame makes driving video as small as possible while your perception networks keep giving the
same outputs.

The functions are imported when they are first used, so that ``import seesame`` is quick::

    import seesame

    stack = seesame.load_stack("lite")
    clip = seesame.open_clip("drive.mp4")
    result = seesame.compress(clip, stack, codec="hnerv", preset="fast")
    result.save("drive.ssm")
    print(result.score.total, result.nbytes)

    video = seesame.open("drive.ssm")
    print(len(video), video[10].shape, video[10:20].shape)
    video.save("drive.mkv")
    print(seesame.score(clip, video, stack).seg)
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from seesame.errors import (
    DamagedError,
    LimitsNotMetError,
    MissingExtraError,
    MissingStackError,
    OutputExistsError,
    UnsupportedSettingError,
    UserError,
)

if TYPE_CHECKING:
    from seesame.api import Compressed, compress, score
    from seesame.decoders import VideoDecoder, open, open_clip
    from seesame.metric.score import Score
    from seesame.perception.registry import load_stack

__version__ = "0.2.0"

__all__ = [
    "Compressed",
    "DamagedError",
    "LimitsNotMetError",
    "MissingExtraError",
    "MissingStackError",
    "OutputExistsError",
    "Score",
    "UnsupportedSettingError",
    "UserError",
    "VideoDecoder",
    "__version__",
    "compress",
    "load_stack",
    "open",
    "open_clip",
    "score",
]

_MODULES = {
    "Compressed": "api",
    "Score": "metric.score",
    "VideoDecoder": "decoders",
    "compress": "api",
    "load_stack": "perception.registry",
    "open": "decoders",
    "open_clip": "decoders",
    "score": "api",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
