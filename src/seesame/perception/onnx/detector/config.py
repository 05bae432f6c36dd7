"""Reading ``[detect]`` of a ``stack.toml``, which says how a detector is fed and read."""

from dataclasses import dataclass
from typing import Any

from seesame.perception.onnx.values import (
    FEED_KEYS,
    MAX_CLASSES,
    Feed,
    WrongValueError,
    check_known,
    choice,
    number,
    read_feed,
    strings,
    value_of,
)

MAX_STRIDES = 8
MAX_BINS = 64
DECODINGS = ("bins", "offsets", "pixels")
"""How a row of the output becomes a box; see :mod:`seesame.perception.onnx.detector.decode`."""

_DETECT = FEED_KEYS | {
    *("output", "classes", "judged", "alike", "fit", "pad", "rows", "decoding", "strides", "bins"),
    *("logits", "score", "match", "overlap", "nms", "step"),
}


@dataclass(frozen=True)
class DetectConfig:
    """A detector, as ``[detect]`` of a ``stack.toml`` describes it.

    Args:
        name: of the detector.
        feed: how the net is fed.
        output: the name of the output that is read; None for the only one.
        classes: the names of its classes, in the order of the output's columns.
        kinds: for each class the number of the kind that it counts as, -1 for one that is not
            judged. Classes that are alike are of one kind.
        letterbox: keep the frame's shape and fill the rest; else the frame is stretched.
        pad: the fill, 0..255.
        rows: the output is ``(B, locations, values)``; else ``(B, values, locations)``.
        decoding: one of :data:`DECODINGS`.
        strides: pixels from one location to the next, for each of the net's grids.
        bins: values of each of a box's four distances, for decoding ``bins``.
        logits: the output's class scores are logits; else they are probabilities.
        score: least score of a box that has to be found again.
        match: least score of a box with which one is found again.
        overlap: least intersection over union of the two.
        nms: two boxes of one kind that overlap by more than this are one.
        step: frames from one that is looked at to the next.
        source: the bytes of the ``stack.toml``.
    """

    name: str
    feed: Feed
    output: str | None
    classes: tuple[str, ...]
    kinds: tuple[int, ...]
    letterbox: bool
    pad: float
    rows: bool
    decoding: str
    strides: tuple[int, ...]
    bins: int
    logits: bool
    score: float
    match: float
    overlap: float
    nms: float
    step: int
    source: bytes


def read_detect(name: str, raw: dict[str, Any], source: bytes) -> DetectConfig:
    """Return what a ``[detect]`` table says. Raises WrongValueError."""
    check_known(raw, _DETECT, "in [detect]")
    classes = strings(raw, "classes")
    if not 1 <= len(classes) <= MAX_CLASSES or len(set(classes)) != len(classes):
        raise WrongValueError("classes must be 1 or more different names")
    decoding = choice(raw, "decoding", DECODINGS)
    feed = read_feed(raw, None, channels=3, frames=1)
    score, match = _share(raw, "score", 0.4), _share(raw, "match", 0.25)
    if match > score:
        raise WrongValueError("match must be at most score")
    pad = number(raw, "pad", 0.0)
    if not 0 <= pad <= 255:
        raise WrongValueError("pad must be 0..255")
    return DetectConfig(
        name=name,
        feed=feed,
        output=value_of(raw, "output", str, "") or None,
        classes=classes,
        kinds=_kinds(raw, classes),
        letterbox=choice(raw, "fit", ("letterbox", "stretch")) == "letterbox",
        pad=pad,
        rows=choice(raw, "rows", ("locations", "values")) == "locations",
        decoding=decoding,
        strides=_strides(raw, feed.size) if decoding != "pixels" else (),
        bins=_whole(raw, "bins", None if decoding == "bins" else 2, (2, MAX_BINS)),
        logits=choice(raw, "logits", ("no", "yes")) == "yes",
        score=score,
        match=match,
        overlap=_share(raw, "overlap", 0.5),
        nms=_share(raw, "nms", 0.6),
        step=_whole(raw, "step", 4, (1, 1000)),
        source=source,
    )


def _kinds(raw: dict[str, Any], classes: tuple[str, ...]) -> tuple[int, ...]:
    judged = strings(raw, "judged") if "judged" in raw else classes
    groups = [strings({"alike": one}, "alike") for one in value_of(raw, "alike", list, [])]
    named = [name for group in groups for name in group]
    for name in (*judged, *named):
        if name not in classes:
            raise WrongValueError(f"{name!r} is not among classes")
    if not judged:
        raise WrongValueError("judged must name a class")
    if len(set(named)) != len(named):
        raise WrongValueError("a class can be in one group of alike only")
    first = {name: group[0] for group in groups for name in group}
    return tuple(classes.index(first.get(name, name)) if name in judged else -1 for name in classes)


def _strides(raw: dict[str, Any], size: tuple[int, int]) -> tuple[int, ...]:
    values = value_of(raw, "strides", list, None)
    whole = all(isinstance(n, int) and not isinstance(n, bool) and n > 0 for n in values)
    if not whole or not 1 <= len(values) <= MAX_STRIDES or max(values) > min(size):
        raise WrongValueError(f"strides must be 1..{MAX_STRIDES} whole numbers of pixels")
    return tuple(values)


def _whole(raw: dict[str, Any], key: str, default: int | None, bounds: tuple[int, int]) -> int:
    value: int = value_of(raw, key, int, default)
    if not bounds[0] <= value <= bounds[1]:
        raise WrongValueError(f"{key} must be {bounds[0]}..{bounds[1]}")
    return value


def _share(raw: dict[str, Any], key: str, default: float) -> float:
    value = number(raw, key, default)
    if not 0 < value < 1:
        raise WrongValueError(f"{key} must be above 0 and below 1")
    return value
