"""The settings of the classical codecs, and how each encoder wants to hear them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import torch

from seesame.errors import UserError
from seesame.video.resize import KERNELS

MAX_GOP = 9999

_UP_TO_AVX2 = "MMX2,SSE2Fast,SSSE3,SSE4.2,AVX,FMA3,BMI2,AVX2"


@dataclass(frozen=True)
class AvSettings:
    """What a user may choose; the defaults of ``crf`` and ``preset`` are each codec's own."""

    crf: int
    """Constant quality: 0 is the best; up to 51 (x264, x265) or 63 (svtav1, vp9)."""
    preset: str
    """How much effort: a name (x264, x265) or a number, where low is slow (svtav1, vp9)."""
    scale: float = 0.4
    """Coded size / source size, 0.05..1."""
    gop: int = 240
    """Frames from one key frame to the next at most, 1..9999."""
    grain: int = 0
    """Film grain synthesis, 0..50; only svtav1 has it (AV1 specification, 7.18.3)."""
    down: str = "lanczos"
    """The kernel that makes frames smaller."""
    up: str = "bicubic"
    """The kernel that makes decoded frames larger."""
    threads: int = 2
    """Threads of the encoder, 1..64; fixed, since an encoder's bytes may depend on it."""


@dataclass(frozen=True)
class Member:
    """One codec of the family."""

    name: str
    codec_id: int
    summary: str
    encoder: str
    decoder: str
    max_crf: int
    presets: tuple[str, ...]
    max_grain: int
    defaults: AvSettings
    options: Callable[[AvSettings], dict[str, str]]


def parse_settings(member: Member, settings: Mapping[str, Any]) -> AvSettings:
    """Check plain values and fill in the codec's defaults.

    Raises:
        UserError: an unknown name or a value out of range; the message says what is allowed.
    """
    known = [field.name for field in fields(AvSettings)]
    for key in settings:
        if key not in known:
            raise UserError(
                f"codec {member.name} has no setting {key!r}; its settings: {', '.join(known)}"
            )
    given = dict(settings)
    if isinstance(given.get("preset"), int) and not isinstance(given["preset"], bool):
        given["preset"] = str(given["preset"])
    if isinstance(given.get("scale"), int) and not isinstance(given["scale"], bool):
        given["scale"] = float(given["scale"])
    chosen = replace(member.defaults, **given)
    _check_number(member, "crf", chosen.crf, 0, member.max_crf)
    _check_number(member, "scale", chosen.scale, 0.05, 1.0)
    _check_number(member, "gop", chosen.gop, 1, MAX_GOP)
    if member.max_grain == 0 and chosen.grain not in (0, False):
        raise UserError(f"codec {member.name} has no film grain synthesis: grain must be 0")
    _check_number(member, "grain", chosen.grain, 0, member.max_grain)
    _check_number(member, "threads", chosen.threads, 1, 64)
    _check_choice(member, "preset", chosen.preset, member.presets)
    _check_choice(member, "down", chosen.down, KERNELS)
    _check_choice(member, "up", chosen.up, KERNELS)
    return chosen


def _check_number(member: Member, key: str, value: object, least: float, most: float) -> None:
    """Whole numbers, unless the bounds are not (NaN is in no range)."""
    kind = float if isinstance(least, float) else int
    fits = isinstance(value, kind) and not isinstance(value, bool) and least <= value <= most
    if not fits:
        what = "a number" if kind is float else "a whole number"
        raise UserError(
            f"codec {member.name}: {key} must be {what} from {least} to {most}, not {value!r}"
        )


def _check_choice(member: Member, key: str, value: object, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise UserError(
            f"codec {member.name}: {key} must be one of {', '.join(choices)}, not {value!r}"
        )


def _x264_options(settings: AvSettings) -> dict[str, str]:
    options = {"crf": str(settings.crf), "preset": settings.preset}
    if torch.backends.cpu.get_cpu_capability() == "AVX512":
        # With AVX-512, x264's macroblock tree gives other bytes from one run to the next.
        options["x264-params"] = f"asm={_UP_TO_AVX2}"
    return options


def _x265_options(settings: AvSettings) -> dict[str, str]:
    # One frame thread makes the bytes independent of the machine; info=0 leaves out its own note.
    params = f"log-level=none:info=0:frame-threads=1:pools={settings.threads}"
    return {"crf": str(settings.crf), "preset": settings.preset, "x265-params": params}


def _svtav1_options(settings: AvSettings) -> dict[str, str]:
    params = f"lp={settings.threads}:film-grain={settings.grain}"
    return {"crf": str(settings.crf), "preset": settings.preset, "svtav1-params": params}


def _vp9_options(settings: AvSettings) -> dict[str, str]:
    return {
        "crf": str(settings.crf),
        "b": "0",  # constant quality
        "deadline": "good",
        "cpu-used": settings.preset,
    }


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

FAMILY = {
    member.name: member
    for member in (
        Member(
            name="x264",
            codec_id=1,
            summary="H.264 by x264, at a smaller size",
            encoder="libx264",
            decoder="h264",
            max_crf=51,
            presets=_X26_PRESETS,
            max_grain=0,
            defaults=AvSettings(crf=30, preset="medium"),
            options=_x264_options,
        ),
        Member(
            name="x265",
            codec_id=2,
            summary="H.265 by x265, at a smaller size",
            encoder="libx265",
            decoder="hevc",
            max_crf=51,
            presets=_X26_PRESETS,
            max_grain=0,
            defaults=AvSettings(crf=32, preset="medium"),
            options=_x265_options,
        ),
        Member(
            name="svtav1",
            codec_id=3,
            summary="AV1 by SVT-AV1, at a smaller size, with film grain synthesis",
            encoder="libsvtav1",
            decoder="libdav1d",
            max_crf=63,
            presets=tuple(map(str, range(14))),
            max_grain=50,
            defaults=AvSettings(crf=45, preset="6"),
            options=_svtav1_options,
        ),
        Member(
            name="vp9",
            codec_id=4,
            summary="VP9 by libvpx, at a smaller size",
            encoder="libvpx-vp9",
            decoder="vp9",
            max_crf=63,
            presets=tuple(map(str, range(9))),
            max_grain=0,
            defaults=AvSettings(crf=45, preset="2"),
            options=_vp9_options,
        ),
    )
}
