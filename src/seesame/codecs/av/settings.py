"""The classical codecs, and the settings that each of them takes."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from seesame.codecs.av import options as av_options
from seesame.codecs.av.head import MAX_SHARPEN, SHARPEN_SIZES, SHARPEN_STEP, UP_KERNELS
from seesame.codecs.av.options import AvSettings
from seesame.errors import UnsupportedSettingError

MAX_GOP = 9999


@dataclass(frozen=True)
class Range:
    """Numbers from ``least`` to ``most``; whole ones, unless the bounds are floats."""

    least: float
    most: float


Allowed = Range | tuple[Any, ...]
"""Numbers, or choices."""

_ON_OFF = (False, True)

_OF_ALL: dict[str, Allowed] = {
    "scale": Range(0.05, 1.0),
    "gop": Range(1, MAX_GOP),
    "threads": Range(1, 64),
    "down": UP_KERNELS,
    "up": UP_KERNELS,
    "kbps": Range(0, 1_000_000),
    "blur": Range(0.0, 20.0),
    "chroma": Range(0.0, 1.0),
    "presharpen": Range(0.0, 5.0),
    "sharpen": Range(0.0, MAX_SHARPEN * SHARPEN_STEP),
    "sharpen_size": SHARPEN_SIZES,
}

_OF_SOME = {
    "grain": "film grain synthesis",
    "depth": "10-bit coding",
    "tune": "tunings",
    "scenecut": "scene cut detection",
    "open_gop": "open groups of pictures",
    "denoise": "denoiser",
    "sharpness": "sharpness",
    "qm": "quantisation matrices",
    "first_qp": "quantiser for single frames",
    "roi_qp": "quantiser for single regions",
}
"""Settings that not every codec takes, and the names of what the others lack."""


@dataclass(frozen=True)
class Member:
    """One codec of the family."""

    name: str
    codec_id: int
    summary: str
    encoder: str
    decoder: str
    own: Mapping[str, Allowed]
    """The values that it takes of ``crf``, ``preset`` and the settings that not every codec has."""
    defaults: AvSettings
    options: Callable[[AvSettings, int], dict[str, str]]
    """The encoder's options, from the settings and the number of frames."""


def parse_settings(member: Member, settings: Mapping[str, Any]) -> AvSettings:
    """Check plain values and fill in the codec's defaults.

    Raises:
        UnsupportedSettingError: an unknown name or a value out of range; the message says
            what is allowed.
    """
    known = {field.name: field.type for field in fields(AvSettings)}
    for key in settings:
        if key not in known:
            raise UnsupportedSettingError(
                f"codec {member.name} has no setting {key!r}; its settings: {', '.join(known)}"
            )
    kinds = {"preset": str} | {key: float for key, kind in known.items() if kind is float}
    given: dict[str, Any] = {
        key: kinds[key](value) if type(value) is int and key in kinds else value
        for key, value in settings.items()
    }
    chosen = replace(member.defaults, **given)
    for key, value in asdict(chosen).items():
        allowed = member.own.get(key, _OF_ALL.get(key))
        if allowed is not None:
            _check(member, key, value, allowed)
        elif not _same(value, getattr(member.defaults, key)):
            raise UnsupportedSettingError(
                f"codec {member.name} has no {_OF_SOME[key]}: "
                f"{key} must be {_word(getattr(member.defaults, key))}"
            )
    steps = chosen.sharpen / SHARPEN_STEP
    if abs(steps - round(steps)) > 1e-6:
        raise UnsupportedSettingError(
            f"codec {member.name}: sharpen must be a multiple of {SHARPEN_STEP}, "
            f"not {chosen.sharpen}"
        )
    return chosen


def check_together(member: Member, chosen: AvSettings) -> None:
    """Check what no setting shows by itself.

    Raises:
        UnsupportedSettingError: settings that do not go together.
    """
    if chosen.denoise and not chosen.grain:
        raise UnsupportedSettingError(f"codec {member.name}: denoise goes with grain, which is 0")
    if member.name == "svtav1" and chosen.kbps and chosen.threads != 1:
        raise UnsupportedSettingError(
            f"codec {member.name}: kbps needs threads=1; with more threads its bytes differ "
            "from one run to the next"
        )


def noteworthy(member: Member, chosen: AvSettings) -> dict[str, Any]:
    """Return the settings that a file keeps: crf, preset, scale, and all that are no defaults."""
    defaults = asdict(member.defaults)
    return {
        key: value
        for key, value in asdict(chosen).items()
        if key in ("crf", "preset", "scale") or value != defaults[key]
    }


def _check(member: Member, key: str, value: object, allowed: Allowed) -> None:
    if isinstance(allowed, Range):
        kind = float if isinstance(allowed.least, float) else int
        # NaN is in no range.
        if type(value) is kind and allowed.least <= value <= allowed.most:
            return
        what = "a number" if kind is float else "a whole number"
        must = f"{what} from {allowed.least} to {allowed.most}"
    else:
        if any(_same(value, choice) for choice in allowed):
            return
        must = f"one of {', '.join(map(_word, allowed))}"
    raise UnsupportedSettingError(f"codec {member.name}: {key} must be {must}, not {value!r}")


def _same(value: object, other: object) -> bool:
    """Return whether two values are equal and of one kind: true is not 1."""
    return type(value) is type(other) and value == other


def _word(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


_X26_PRESETS = (
    "ultrafast",
    "superfast",
    "veryfast",
    "faster",
    "fast",
    "medium",
    "slow",
    "slower",
    "veryslow",
    "placebo",
)

_X26: dict[str, Allowed] = {
    "crf": Range(0, 51),
    "preset": _X26_PRESETS,
    "depth": (8, 10),
    "bframes": Range(-1, 16),
    "scenecut": _ON_OFF,
    "open_gop": _ON_OFF,
    "roi_qp": Range(0, 20),
}

_X264_TUNES = (
    "default",
    "film",
    "animation",
    "grain",
    "stillimage",
    "psnr",
    "ssim",
    "fastdecode",
    "zerolatency",
)

FAMILY = {
    member.name: member
    for member in (
        Member(
            name="x264",
            codec_id=1,
            summary="H.264 by x264, at a smaller size",
            encoder="libx264",
            decoder="h264",
            own=_X26 | {"tune": _X264_TUNES, "first_qp": Range(-20, 20)},
            defaults=AvSettings(crf=30, preset="medium", scenecut=True),
            options=av_options.x264,
        ),
        Member(
            name="x265",
            codec_id=2,
            summary="H.265 by x265, at a smaller size",
            encoder="libx265",
            decoder="hevc",
            own=_X26
            | {
                "tune": (
                    "default",
                    "psnr",
                    "ssim",
                    "grain",
                    "fastdecode",
                    "zerolatency",
                    "animation",
                )
            },
            defaults=AvSettings(crf=32, preset="medium", scenecut=True, open_gop=True),
            options=av_options.x265,
        ),
        Member(
            name="svtav1",
            codec_id=3,
            summary="AV1 by SVT-AV1, at a smaller size, with film grain synthesis",
            encoder="libsvtav1",
            decoder="libdav1d",
            own={
                "crf": Range(0, 63),
                "preset": tuple(map(str, range(14))),
                "grain": Range(0, 50),
                "denoise": _ON_OFF,
                "depth": (8, 10),
                "tune": ("default", *av_options.SVTAV1_TUNES),
                "open_gop": _ON_OFF,
                "bframes": Range(-1, 0),
                "sharpness": Range(-7, 7),
                "qm": _ON_OFF,
            },
            defaults=AvSettings(crf=45, preset="6"),
            options=av_options.svtav1,
        ),
        Member(
            name="vp9",
            codec_id=4,
            summary="VP9 by libvpx, at a smaller size",
            encoder="libvpx-vp9",
            decoder="vp9",
            own={
                "crf": Range(0, 63),
                "preset": tuple(map(str, range(9))),
                "tune": ("default", "ssim", "film"),
                "sharpness": Range(0, 7),
                "bframes": Range(-1, 0),
            },
            defaults=AvSettings(crf=45, preset="2"),
            options=av_options.vp9,
        ),
    )
}
