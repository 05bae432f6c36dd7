"""Reading single values of a ``stack.toml``, and how a net is fed."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seesame.inputs import visible

CONFIG_NAME = "stack.toml"
MAX_TEXT = 255
"""Characters of a name."""
MAX_SIDE = 8192
MAX_PIXELS = 1 << 21
"""Of a net's input: 1920x1080, or 2048x1024. A batch of frames is held at this size."""
MAX_CLASSES = 1024
FEED_KEYS = {"file", "input", "size", "colour", "layout", "scale", "mean", "std"}
"""The keys that say how a net is fed."""


class WrongValueError(Exception):
    """A value of a ``stack.toml`` is wrong; becomes a UserError that names the file."""


def listed(names: Iterable[str], most: int = 20) -> str:
    """Return names of a stranger's file as a text, the first ``most`` of them."""
    return visible(", ".join(list(names)[:most])[:1000])


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


def read_feed(
    raw: dict[str, Any], size: tuple[int, int] | None, channels: int, frames: int
) -> Feed:
    """Return how a net is fed. Raises WrongValueError.

    Args:
        raw: the table of the net.
        size: of its input, where the table names none.
        channels: of its input.
        frames: that these channels are of.
    """
    sides = value_of(raw, "size", list, list(size) if size else None)
    whole = len(sides) == 2 and all(isinstance(n, int) and 1 <= n <= MAX_SIDE for n in sides)
    if not whole:
        raise WrongValueError(f"size must be [height, width], each 1..{MAX_SIDE}")
    if sides[0] * sides[1] > MAX_PIXELS:
        raise WrongValueError(f"size must be {MAX_PIXELS:,} pixels at most")
    file = value_of(raw, "file", str, None)
    if not file or Path(file).name != file or "\\" in file:
        raise WrongValueError(f"file must be a plain file name in the same folder, not {file!r}")
    std = numbers(raw, "std", channels, 1.0, channels // frames)
    scale = number(raw, "scale", 1.0)
    if scale <= 0 or min(std) <= 0:
        raise WrongValueError("scale and std must be above 0")
    return Feed(
        file=file,
        input=value_of(raw, "input", str, "") or None,
        size=(sides[0], sides[1]),
        bgr=choice(raw, "colour", ("rgb", "bgr")) == "bgr",
        channels_last=choice(raw, "layout", ("nchw", "nhwc")) == "nhwc",
        scale=scale,
        mean=numbers(raw, "mean", channels, 0.0, channels // frames),
        std=std,
    )


def check_known(raw: dict[str, Any], names: set[str], where: str) -> None:
    """Raise WrongValueError for a key that is not among the names."""
    unknown = sorted(set(raw) - names)
    if unknown:
        raise WrongValueError(
            f"unknown {', '.join(unknown[:3])} {where}; known: {', '.join(sorted(names))}"
        )


def value_of(raw: dict[str, Any], key: str, kind: type, default: Any) -> Any:
    """Return a value of a kind. Raises WrongValueError, also where it is absent without default."""
    value = raw.get(key, default)
    if value is None:
        raise WrongValueError(f"{key} is missing")
    if not isinstance(value, kind) or isinstance(value, bool):
        raise WrongValueError(f"{key} must be a {_KINDS[kind]}")
    if isinstance(value, str) and len(value) > MAX_TEXT:
        raise WrongValueError(f"{key} must have {MAX_TEXT} characters at most")
    if isinstance(value, str) and not value.isprintable():
        raise WrongValueError(f"{key} must be a text without control characters, not {value!a}")
    return value


_KINDS = {str: "text", int: "whole number", list: "list", dict: "table"}


def choice(raw: dict[str, Any], key: str, choices: tuple[str, ...]) -> str:
    """Return one of the choices, the first by default. Raises WrongValueError for others."""
    value: str = value_of(raw, key, str, choices[0])
    if value not in choices:
        raise WrongValueError(f"{key} must be {' or '.join(choices)}, not {value!r}")
    return value


def strings(raw: dict[str, Any], key: str) -> tuple[str, ...]:
    """Return a list of texts, none of them empty. Raises WrongValueError for anything else."""
    values = value_of(raw, key, list, None)
    if not all(isinstance(value, str) and value and value.isprintable() for value in values):
        raise WrongValueError(f"{key} must be a list of texts without control characters")
    return tuple(values)


def number(raw: dict[str, Any], key: str, default: float) -> float:
    """Return a finite number. Raises WrongValueError for anything else."""
    value = raw.get(key, default)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) < 1e30:
        raise WrongValueError(f"{key} must be a number")
    return float(value)


def numbers(
    raw: dict[str, Any], key: str, count: int, default: float, group: int = 1
) -> tuple[float, ...]:
    """Return one number for all, one each, or one for each of a frame's ``group`` channels."""
    value = raw.get(key, default)
    values = value if isinstance(value, list) else [value]
    found = [number({key: item}, key, default) for item in values]
    if len(found) not in (1, group, count):
        raise WrongValueError(f"{key} must be one number or {count} numbers")
    return tuple(found * (count // len(found)))
