"""The spaces of a search: settings of each classical codec, and the values to try of each."""

import itertools
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from seesame.codecs.av.settings import FAMILY, parse_settings
from seesame.codecs.registry import codec_name
from seesame.errors import UserError

MOST_VALUES = 10_000
"""Values of one axis: more is taken for a slip."""

Settings = dict[str, Any]
"""All settings of a codec, defaults filled in; plain JSON values."""


@dataclass(frozen=True)
class Axis:
    """One setting and its values.

    Args:
        name: of the setting.
        values: values to try; numbers rise.
        coarse: the values of a full grid.
    """

    name: str
    values: tuple[Any, ...]
    coarse: tuple[Any, ...]

    @property
    def ordered(self) -> bool:
        """True for numbers, whose neighbours are alike."""
        return all(isinstance(value, int | float) for value in self.values)


@dataclass(frozen=True)
class Space:
    """The settings of one codec that are searched.

    Args:
        codec: name of the codec.
        axes: every setting that varies.
        starts: sensible settings, tried first.
    """

    codec: str
    axes: tuple[Axis, ...]
    starts: tuple[Settings, ...]

    def axis(self, name: str) -> Axis:
        """Return the axis of a setting. Raises KeyError."""
        return {axis.name: axis for axis in self.axes}[name]

    def grid(self) -> Iterator[Settings]:
        """Yield every combination of the axes' coarse values."""
        names = [axis.name for axis in self.axes]
        for values in itertools.product(*(axis.coarse for axis in self.axes)):
            yield complete(self.codec, dict(zip(names, values, strict=True)))

    def size(self) -> int:
        """Return how many settings the grid has."""
        return math.prod(len(axis.coarse) for axis in self.axes)

    def holding(self, given: Iterable[Axis]) -> "Space":
        """Return the space with these axes in the place of its own.

        Raises:
            UserError: the codec has no such setting, or refuses a value.
        """
        axes = {axis.name: axis for axis in self.axes}
        axes |= {axis.name: _as_known(axis, self.codec) for axis in given}
        starts = [{n: _nearest(axes[n], v) for n, v in s.items()} for s in self.starts]
        return replace(self, axes=tuple(axes.values()), starts=tuple(starts))


def complete(codec: str, settings: Mapping[str, Any]) -> Settings:
    """Return a codec's settings with its defaults filled in.

    Raises:
        UserError: not a classical codec, an unknown setting, or a value out of range.
    """
    codec = codec_name(codec)
    if codec not in FAMILY:
        raise UserError(f"search is over {', '.join(FAMILY)}; there is no {codec!r} among them")
    return asdict(parse_settings(FAMILY[codec], settings))


def parse_axis(text: str) -> Axis:
    """Return the axis that a text means: ``"scale=0.3,0.45"``, or ``"crf=20:60:4"`` (first, last,
    step).

    Raises:
        UserError: the text is neither.
    """
    name, equals, rest = text.partition("=")
    values: list[Any] = []
    if name and equals and rest:
        values = _range(rest) if rest.count(":") in (1, 2) else [_value(v) for v in rest.split(",")]
    if not values or len(values) > MOST_VALUES:
        raise UserError(f"{text}: give values, as scale=0.3,0.45, or a range, as crf=20:60:4")
    if all(isinstance(value, int | float) for value in values):
        values.sort()
    found = tuple(dict.fromkeys(values))
    return Axis(name, found, found)


def _range(text: str) -> list[Any]:
    """The values of a range; none where the text is no range."""
    parts = [_value(part) for part in text.split(":")]
    if len(parts) == 2:
        parts.append(1)
    plain = all(isinstance(p, int | float) and math.isfinite(p) for p in parts)
    if not plain or parts[2] <= 0 or (parts[1] - parts[0]) / parts[2] > MOST_VALUES:
        return []
    first, last, step = parts
    count = int((last - first) / step + 1e-9) + 1
    values = [first + i * step for i in range(count)]
    return [v if isinstance(v, int) else round(v, 9) for v in values]


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def _as_known(axis: Axis, codec: str) -> Axis:
    """The axis with its values as the codec writes them: 4 may be a preset's name."""
    plain, coarse = (
        tuple(complete(codec, {axis.name: value})[axis.name] for value in values)
        for values in (axis.values, axis.coarse)
    )
    return Axis(axis.name, plain, coarse)


def _nearest(axis: Axis, value: Any) -> Any:
    """The value of the axis that is nearest."""
    if value in axis.values or not axis.ordered:
        return value if value in axis.values else axis.values[0]
    return min(axis.values, key=lambda other: abs(other - value))


def _axes(
    crfs: range, coarse: range, presets: tuple[str, ...], grains: tuple[int, ...] = ()
) -> tuple[Axis, ...]:
    scales = tuple(round(0.05 * i, 2) for i in range(3, 21))
    axes = [
        Axis("crf", tuple(crfs), tuple(coarse)),
        Axis("scale", scales, (0.2, 0.3, 0.4, 0.5, 0.7)),
        Axis("preset", presets, presets[:2]),
        Axis("gop", (16, 60, 240, 9999), (60, 9999)),
        Axis("down", ("lanczos", "area", "bicubic", "bilinear"), ("lanczos", "area")),
        Axis("up", ("bicubic", "lanczos", "bilinear"), ("bicubic", "lanczos")),
    ]
    if grains:
        axes.append(Axis("grain", grains, (0, grains[-1])))
    return tuple(axes)


SPACES = {
    "svtav1": Space(
        "svtav1",
        _axes(range(16, 64), range(20, 64, 6), ("4", "6", "2"), (0, 8, 16, 22, 30)),
        (
            {"crf": 40, "scale": 0.4, "preset": "4", "gop": 240},
            {"crf": 33, "scale": 0.25, "preset": "4", "gop": 240},
        ),
    ),
    "x265": Space(
        "x265",
        _axes(range(14, 46), range(18, 46, 4), ("medium", "veryslow", "ultrafast")),
        (
            {"crf": 30, "scale": 0.4, "preset": "medium", "gop": 240},
            {"crf": 24, "scale": 0.25, "preset": "medium", "gop": 240},
        ),
    ),
    "x264": Space(
        "x264",
        _axes(range(14, 46), range(18, 46, 4), ("medium", "veryslow", "ultrafast")),
        ({"crf": 28, "scale": 0.4, "preset": "medium", "gop": 240},),
    ),
    "vp9": Space(
        "vp9",
        _axes(range(16, 64), range(20, 64, 6), ("2", "4")),
        ({"crf": 42, "scale": 0.4, "preset": "2", "gop": 240},),
    ),
}
"""By codec; within a codec, the axes that gain most come first."""
