"""Reading ``stack.toml``, which says how a user's ONNX networks are fed and read."""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seesame.errors import UserError
from seesame.inputs import decode_text, visible
from seesame.perception.onnx.detector.config import DetectConfig, read_detect
from seesame.perception.onnx.values import (
    CONFIG_NAME,
    FEED_KEYS,
    MAX_CLASSES,
    Feed,
    WrongValueError,
    check_known,
    choice,
    number,
    numbers,
    read_feed,
    strings,
    value_of,
)

MAX_CONFIG = 64 << 10
"""Bytes; a longer stack.toml is refused."""
MAX_POSE = 4096

_TOP = {"name", "segment", "pose"}
_TOP_DETECT = {"name", "detect"}
_SEGMENT = FEED_KEYS | {"output", "classes", "layers"}
_POSE = FEED_KEYS | {"output", "planes", "judged", "value_std"}
_LAYER = {"output", "classes", "threshold"}


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


def read_config(folder: Path) -> Config | DetectConfig:
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
        raise UserError(f"{path}: not valid TOML: {visible(str(error))}") from error
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error
    try:
        return _config(folder, raw, source)
    except WrongValueError as error:
        raise UserError(f"{path}: {visible(str(error))}") from error


def _config(folder: Path, raw: dict[str, Any], source: bytes) -> Config | DetectConfig:
    own_name = visible(folder.resolve().name)
    if "detect" in raw:
        check_known(raw, _TOP_DETECT, "at the top, beside [detect]")
        table = value_of(raw, "detect", dict, None)
        return read_detect(value_of(raw, "name", str, own_name), table, source)
    check_known(raw, _TOP | _TOP_DETECT, "at the top")
    name = value_of(raw, "name", str, own_name)
    table = value_of(raw, "segment", dict, None)
    segment = _segment(table)
    pose = _pose(value_of(raw, "pose", dict, None), segment.feed.size) if "pose" in raw else None
    return Config(name, segment, pose, source)


def _segment(raw: dict[str, Any]) -> SegmentConfig:
    check_known(raw, _SEGMENT, "in [segment]")
    classes = strings(raw, "classes")
    if not 2 <= len(classes) <= MAX_CLASSES or len(set(classes)) != len(classes):
        raise WrongValueError("classes must be 2 or more different names")
    layers = tuple(_layer(item, classes) for item in value_of(raw, "layers", list, []))
    if layers:
        if "output" in raw:
            raise WrongValueError("[segment] takes output or layers, not both")
        named = [name for layer in layers for name in layer.classes]
        if sorted(named) != sorted(classes[1:]):
            raise WrongValueError(
                "the layers must name every class but the first (the background) once"
            )
    feed = read_feed(raw, None, channels=3, frames=1)
    return SegmentConfig(feed, classes, value_of(raw, "output", str, "") or None, layers)


def _layer(raw: Any, classes: tuple[str, ...]) -> Layer:
    if not isinstance(raw, dict):
        raise WrongValueError("each of layers must be a table")
    check_known(raw, _LAYER, "in layers")
    names = strings(raw, "classes")
    if not names or not set(names) <= set(classes[1:]):
        raise WrongValueError(
            "a layer's classes must be among [segment] classes, without the first"
        )
    return Layer(value_of(raw, "output", str, None), names, number(raw, "threshold", 0.0))


def _pose(raw: dict[str, Any], size: tuple[int, int]) -> PoseConfig:
    check_known(raw, _POSE, "in [pose]")
    planes = choice(raw, "planes", ("rgb", "yuv6"))
    feed = read_feed(raw, size, channels=6 if planes == "rgb" else 12, frames=2)
    if planes == "yuv6" and (feed.bgr or feed.size[0] % 2 or feed.size[1] % 2):
        raise WrongValueError("yuv6 planes need an even size, and take no colour order")
    judged = value_of(raw, "judged", int, None)
    if not 1 <= judged <= MAX_POSE:
        raise WrongValueError("judged must be 1 or more")
    std = numbers(raw, "value_std", judged, 1.0)
    if min(std) <= 0:
        raise WrongValueError("value_std must be above 0")
    return PoseConfig(feed, value_of(raw, "output", str, "") or None, planes == "yuv6", judged, std)
