"""The codecs by name and by the byte that marks them in a file; imported when first asked for."""

from difflib import get_close_matches
from functools import cache
from importlib import import_module
from typing import cast

from seesame.codecs.base import Codec
from seesame.errors import DamagedError, UserError

CODECS = {
    "copy": (0, "seesame.codecs.copy:CopyCodec", ()),
    "x264": (1, "seesame.codecs.av.codec:AvCodec", ("x264",)),
    "x265": (2, "seesame.codecs.av.codec:AvCodec", ("x265",)),
    "svtav1": (3, "seesame.codecs.av.codec:AvCodec", ("svtav1",)),
    "vp9": (4, "seesame.codecs.av.codec:AvCodec", ("vp9",)),
    "hnerv": (16, "seesame.codecs.hnerv.codec:HnervCodec", ()),
    "hybrid": (17, "seesame.codecs.hybrid.codec:HybridCodec", ()),
    "semantic": (19, "seesame.codecs.semantic.codec:SemanticCodec", ()),
    "segments": (18, "seesame.codecs.segments:SegmentsCodec", ()),
}
"""Name to codec id (never reused), class, and the class's arguments."""


ALIASES = {"av1": "svtav1", "hevc": "x265", "h264": "x264"}
"""Names of formats, and the codec that writes each."""


PORTABLE = "av1"
"""The codec of a plain video file where the user names none."""


def codec_name(name: str) -> str:
    """Return the codec's own name where a name is that of a format; else the name itself."""
    return ALIASES.get(name, name)


def codec_names() -> tuple[str, ...]:
    """Return all known names, by codec id; nothing is imported."""
    return tuple(CODECS)


def get_codec(name: str) -> Codec:
    """Return the codec of this name.

    Raises:
        UserError: no such codec; the message lists the known names.
    """
    name = codec_name(name)
    if name not in CODECS:
        near = get_close_matches(name, [*CODECS, *ALIASES], 1)
        meant = f"did you mean {near[0]}? " if near else ""
        known = ", ".join([*CODECS, *ALIASES])
        raise UserError(f"unknown codec {name!r}; {meant}known codecs: {known}")
    return _load(name)


def trained_codecs() -> tuple[str, ...]:
    """Return the names of the codecs whose encoders train."""
    return tuple(codec.name for codec in codecs() if codec.trains)


def codec_by_id(codec_id: int) -> Codec:
    """Return the codec that a file's codec id names.

    Raises:
        DamagedError: no codec has this id.
    """
    for name, (known, _, _) in CODECS.items():
        if known == codec_id:
            return _load(name)
    raise DamagedError(
        f"unknown codec id {codec_id}: the file is damaged or was made by a newer seesame"
    )


def codecs() -> list[Codec]:
    """Return all codecs, by codec id."""
    return [_load(name) for name in CODECS]


@cache
def _load(name: str) -> Codec:
    codec_id, where, arguments = CODECS[name]
    module, attribute = where.split(":")
    codec = cast(Codec, getattr(import_module(module), attribute)(*arguments))
    if (codec.name, codec.codec_id) != (name, codec_id):
        raise RuntimeError(f"{where} calls itself {codec.name} with id {codec.codec_id}")
    return codec
