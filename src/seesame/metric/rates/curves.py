"""Files of one source as points, grouped by name into rate-accuracy curves."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from seesame.errors import UserError
from seesame.metric.rates.bd_rate import BdRate, Method, bd_rate

_UNIT = r"(?:\d+(?:\.\d+)?|\.\d+)(?:k|m|kb|mb|kbps|mbps|bps)?"
_WORD = r"(?<![^\W\d_])(?:crf|qp|cq|q|bitrate|rate|kbps|bytes)"  # not the end of another word
_SETTING = re.compile(rf"(?:{_WORD}[-_ .=]*)?{_UNIT}", re.IGNORECASE)
_NAMED = re.compile(
    rf"(?P<name>.+?)(?:[-_ .=]+(?:{_WORD}[-_ .=]*)?|{_WORD}[-_ .=]*){_UNIT}",
    re.IGNORECASE,
)
LEAST_POSE = 1e-12
"""The pose distortion that a smaller one counts as, since its logarithm is taken."""


@dataclass(frozen=True)
class CurvePoint:
    """One file.

    Args:
        file: its name as given.
        curve: the name of the curve that it belongs to.
        bytes: of the file.
        values: figures by name.
        qualities: those that rates are compared at, by name, higher is better; None where nothing
            could be measured.
    """

    file: str
    curve: str
    bytes: int
    values: Mapping[str, Any] = field(default_factory=dict)
    qualities: Mapping[str, float | None] = field(default_factory=dict)


@dataclass(frozen=True)
class Compared:
    """The rate of a curve beside the anchor's at equal quality.

    Args:
        curve: its name.
        anchor: the name of the other.
        quality: what they are compared at.
        found: the BD-rate; None where it cannot be told.
        refused: why; empty where it can.
    """

    curve: str
    anchor: str
    quality: str
    found: BdRate | None
    refused: str = ""


def curve_names(files: Sequence[Path]) -> list[str]:
    """Return the name of each file's curve: its own name without the setting at its end.

    ``av1-30.mp4`` and ``av1_crf35.mp4`` are of curve ``av1``; ``x264.mp4`` is of ``x264``. Files
    that are called by their settings alone are named after their folder. Where files lie in
    several folders, the folder's name is a part of every name.
    """
    folders = {file.parent.resolve() for file in files}
    return [_curve_name(file, len(folders) > 1) for file in files]


def _curve_name(file: Path, with_folder: bool) -> str:
    folder = file.parent.resolve().name
    if _SETTING.fullmatch(file.stem):
        return folder
    found = _NAMED.fullmatch(file.stem)
    name = found["name"] if found else file.stem
    return f"{folder}/{name}" if with_folder else name


def pose_quality(pose: float) -> float:
    """Return a pose distortion as a quality in dB, as PSNR is one of a squared error."""
    return -10 * math.log10(max(pose, LEAST_POSE))


def compared(
    points: Sequence[CurvePoint], anchor: str | None = None, method: Method = "pchip"
) -> list[Compared]:
    """Return the BD-rates of all curves against one, at every quality that was measured.

    Args:
        points: of all curves.
        anchor: name of the curve that others are compared with; that of the first point when None.
        method: of interpolation.

    Raises:
        UserError: there is one curve only, no curve has the anchor's name, or no BD-rate at all
            can be told; the message says why.
    """
    curves: dict[str, list[CurvePoint]] = {}
    for point in points:
        curves.setdefault(point.curve, []).append(point)
    anchor = checked_anchor(list(curves), anchor)
    rows = [
        compared_at(quality, anchor, name, curves, method)
        for quality in points[0].qualities
        for name in curves
        if name != anchor
    ]
    if all(row.found is None for row in rows):
        raise UserError(rows[0].refused)
    return rows


def checked_anchor(names: Sequence[str], anchor: str | None = None) -> str:
    """Return the anchor among the names of curves, the first by default.

    Raises:
        UserError: there is one curve only, or none of the anchor's name.
    """
    curves = list(dict.fromkeys(names))
    if anchor is not None and anchor not in curves:
        raise UserError(f"no curve is called {anchor!r}; the files make: {', '.join(curves)}")
    if len(curves) < 2:
        raise UserError(
            f"all files make one curve, {curves[0]}; name the files of a curve alike but for a "
            "number at their end, as av1-30.mp4 and av1-40.mp4"
        )
    return anchor or curves[0]


def compared_at(
    quality: str,
    anchor: str,
    name: str,
    curves: Mapping[str, Sequence[CurvePoint]],
    method: Method = "pchip",
) -> Compared:
    """Return the BD-rate of one curve against the anchor at one quality, or why there is none.

    Args:
        quality: the name of what they are compared at; points without a value are left out.
        anchor: the name of the curve to compare with.
        name: of the curve.
        curves: the points of both, by name.
        method: of interpolation.
    """
    sides = []
    for curve in (anchor, name):
        values = [(float(point.bytes), point.qualities[quality]) for point in curves[curve]]
        sides.append([(rate, value) for rate, value in values if value is not None])
    try:
        found = bd_rate(sides[0], sides[1], method, (anchor, name))
    except UserError as error:
        return Compared(name, anchor, quality, None, str(error))
    return Compared(name, anchor, quality, found)
