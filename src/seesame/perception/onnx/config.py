"""Reading ``stack.toml``, which says how a user's ONNX networks are fed and read."""

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seesame.errors import UserError
from seesame.inputs import decode_text

CONFIG_NAME = "stack.toml"
MAX_CONFIG = 64 << 10
"""Bytes; a longer stack.toml is refused."""
MAX_TEXT = 255
"""Characters of a name."""
MAX_SIDE = 8192
MAX_PIXELS = 1 << 21
"""Of a net's input: 1920x1080, or 2048x1024. A batch of frames is held at this size."""
MAX_CLASSES = 1024
MAX_POSE = 4096

_TOP = {"name", "segment", "pose"}
_INPUT = {"file", "input", "size", "colour", "layout", "scale", "mean", "std"}
_SEGMENT = _INPUT | {"output", "classes", "layers"}
_POSE = _INPUT | {"output", "planes", "judged", "value_std"}
_LAYER = {"output", "classes", "threshold"}


@dataclass(frozen=True)
class Feed:
    """The way a net is fed: ``(pixels / scale - mean) / std``, a value per channel."""

    file: str
    input: str | None
    size: tuple[int, int]
    bgr: bool
    channels_last: bool
    scale: float
    mean: tuple[float, ...]
    std: tuple[float, ...]


@dataclass(frozen=True)
class Layer:
    """An output laid over the ones before: its classes, each where it beats "none of these"."""

    output: str
    classes: tuple[str, ...]
    threshold: float


@dataclass(frozen=True)
class SegmentConfig:
    """The segmentation net: one output with a channel per class, or layers over a background."""

    feed: Feed
    classes: tuple[str, ...]
    output: str | None
    layers: tuple[Layer, ...]


@dataclass(frozen=True)
class PoseConfig:
    """The pose net, fed with both frames of a pair."""

    feed: Feed
    output: str | None
    yuv6: bool
    judged: int
    value_std: tuple[float, ...]


@dataclass(frozen=True)
class Config:
    """A whole ``stack.toml`` and its bytes."""

    name: str
    segment: SegmentConfig
    pose: PoseConfig | None
    source: bytes


def read_config(folder: Path) -> Config:
    """Read and check a folder's ``stack.toml``; the keys are described in docs/stacks.md.

    Raises:
        UserError: absent, not TOML, unknown or missing keys, values out of range.
    """
    path = folder / CONFIG_NAME
    try:
        if not folder.is_dir():
            raise UserError(f"{folder} is not a folder; give the one with {CONFIG_NAME} in it")
        if not path.is_file():
            raise UserError(f"{path} is missing; docs/stacks.md says how to write one")
        with path.open("rb") as file:
            source = file.read(MAX_CONFIG + 1)
        if len(source) > MAX_CONFIG:
            raise UserError(f"{path}: longer than {MAX_CONFIG} bytes; not a stack's description")
        raw = tomllib.loads(decode_text(source, str(path)))
    except (ValueError, RecursionError) as error:  # a number may be too long, a list too deep
        raise UserError(f"{path}: not valid TOML: {printable(str(error))}") from error
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error
    try:
        return _config(folder, raw, source)
    except _Wrong as error:
        raise UserError(f"{path}: {printable(str(error))}") from error


def printable(text: str) -> str:
    """Return text without what would move the cursor of a terminal, or end the line."""
    return "".join(one if one.isprintable() else "?" for one in text)


def listed(names: Iterable[str], most: int = 20) -> str:
    """Return names of a stranger's file as a text, the first ``most`` of them."""
    return printable(", ".join(list(names)[:most])[:1000])


class _Wrong(Exception):
    """A wrong value; becomes a UserError that names the file."""


def _config(folder: Path, raw: dict[str, Any], source: bytes) -> Config:
    _known(raw, _TOP, "at the top")
    name = _get(raw, "name", str, printable(folder.resolve().name))
    table = _get(raw, "segment", dict, None)
    segment = _segment(table)
    pose = _pose(_get(raw, "pose", dict, None), segment.feed.size) if "pose" in raw else None
    return Config(name, segment, pose, source)


def _segment(raw: dict[str, Any]) -> SegmentConfig:
    _known(raw, _SEGMENT, "in [segment]")
    classes = _strings(raw, "classes")
    if not 2 <= len(classes) <= MAX_CLASSES or len(set(classes)) != len(classes):
        raise _Wrong("classes must be 2 or more different names")
    layers = tuple(_layer(item, classes) for item in _get(raw, "layers", list, []))
    if layers:
        if "output" in raw:
            raise _Wrong("[segment] takes output or layers, not both")
        named = [name for layer in layers for name in layer.classes]
        if sorted(named) != sorted(classes[1:]):
            raise _Wrong("the layers must name every class but the first (the background) once")
    feed = _feed(raw, None, channels=3, frames=1)
    return SegmentConfig(feed, classes, _get(raw, "output", str, "") or None, layers)


def _layer(raw: Any, classes: tuple[str, ...]) -> Layer:
    if not isinstance(raw, dict):
        raise _Wrong("each of layers must be a table")
    _known(raw, _LAYER, "in layers")
    names = _strings(raw, "classes")
    if not names or not set(names) <= set(classes[1:]):
        raise _Wrong("a layer's classes must be among [segment] classes, without the first")
    return Layer(_get(raw, "output", str, None), names, _number(raw, "threshold", 0.0))


def _pose(raw: dict[str, Any], size: tuple[int, int]) -> PoseConfig:
    _known(raw, _POSE, "in [pose]")
    planes = _choice(raw, "planes", ("rgb", "yuv6"))
    feed = _feed(raw, size, channels=6 if planes == "rgb" else 12, frames=2)
    if planes == "yuv6" and (feed.bgr or feed.size[0] % 2 or feed.size[1] % 2):
        raise _Wrong("yuv6 planes need an even size, and take no colour order")
    judged = _get(raw, "judged", int, None)
    if not 1 <= judged <= MAX_POSE:
        raise _Wrong("judged must be 1 or more")
    std = _numbers(raw, "value_std", judged, 1.0)
    if min(std) <= 0:
        raise _Wrong("value_std must be above 0")
    return PoseConfig(feed, _get(raw, "output", str, "") or None, planes == "yuv6", judged, std)


def _feed(raw: dict[str, Any], size: tuple[int, int] | None, channels: int, frames: int) -> Feed:
    sides = _get(raw, "size", list, list(size) if size else None)
    whole = len(sides) == 2 and all(isinstance(n, int) and 1 <= n <= MAX_SIDE for n in sides)
    if not whole:
        raise _Wrong(f"size must be [height, width], each 1..{MAX_SIDE}")
    if sides[0] * sides[1] > MAX_PIXELS:
        raise _Wrong(f"size must be {MAX_PIXELS:,} pixels at most")
    file = _get(raw, "file", str, None)
    if not file or Path(file).name != file or "\\" in file:
        raise _Wrong(f"file must be a plain file name in the same folder, not {file!r}")
    std = _numbers(raw, "std", channels, 1.0, channels // frames)
    scale = _number(raw, "scale", 1.0)
    if scale <= 0 or min(std) <= 0:
        raise _Wrong("scale and std must be above 0")
    return Feed(
        file=file,
        input=_get(raw, "input", str, "") or None,
        size=(sides[0], sides[1]),
        bgr=_choice(raw, "colour", ("rgb", "bgr")) == "bgr",
        channels_last=_choice(raw, "layout", ("nchw", "nhwc")) == "nhwc",
        scale=scale,
        mean=_numbers(raw, "mean", channels, 0.0, channels // frames),
        std=std,
    )


def _known(raw: dict[str, Any], names: set[str], where: str) -> None:
    unknown = sorted(set(raw) - names)
    if unknown:
        raise _Wrong(f"unknown {', '.join(unknown[:3])} {where}; known: {', '.join(sorted(names))}")


def _get(raw: dict[str, Any], key: str, kind: type, default: Any) -> Any:
    value = raw.get(key, default)
    if value is None:
        raise _Wrong(f"{key} is missing")
    if not isinstance(value, kind) or isinstance(value, bool):
        raise _Wrong(f"{key} must be a {_KINDS[kind]}")
    if isinstance(value, str) and len(value) > MAX_TEXT:
        raise _Wrong(f"{key} must have {MAX_TEXT} characters at most")
    if isinstance(value, str) and not value.isprintable():
        raise _Wrong(f"{key} must be a text without control characters, not {value!a}")
    return value


_KINDS = {str: "text", int: "whole number", list: "list", dict: "table"}


def _choice(raw: dict[str, Any], key: str, choices: tuple[str, ...]) -> str:
    value: str = _get(raw, key, str, choices[0])
    if value not in choices:
        raise _Wrong(f"{key} must be {' or '.join(choices)}, not {value!r}")
    return value


def _strings(raw: dict[str, Any], key: str) -> tuple[str, ...]:
    values = _get(raw, key, list, None)
    if not all(isinstance(value, str) and value and value.isprintable() for value in values):
        raise _Wrong(f"{key} must be a list of texts without control characters")
    return tuple(values)


def _number(raw: dict[str, Any], key: str, default: float) -> float:
    value = raw.get(key, default)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) < 1e30:
        raise _Wrong(f"{key} must be a number")
    return float(value)


def _numbers(
    raw: dict[str, Any], key: str, count: int, default: float, group: int = 1
) -> tuple[float, ...]:
    """Return one number for all, one each, or one for each of a frame's ``group`` channels."""
    value = raw.get(key, default)
    values = value if isinstance(value, list) else [value]
    numbers = [_number({key: item}, key, default) for item in values]
    if len(numbers) not in (1, group, count):
        raise _Wrong(f"{key} must be one number or {count} numbers")
    return tuple(numbers * (count // len(numbers)))
