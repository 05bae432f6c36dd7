"""Flags that several subcommands share, each defined once, and their parsing."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from seesame.errors import UserError

if TYPE_CHECKING:
    from seesame.jobs.spec import Source
    from seesame.video.clip import Clip

SHARED = "Shared flags"
"""Title of the help panel with the flags that most subcommands have."""


class Device(StrEnum):
    """The devices that ``--device`` takes."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"
    mps = "mps"


StackOption = Annotated[
    str,
    typer.Option(
        "--stack",
        metavar="STACK",
        help="The perception networks that judge the result: a name from `seesame stacks`, "
        "onnx:DIR or module:attr.",
        rich_help_panel=SHARED,
    ),
]
DeviceOption = Annotated[
    Device,
    typer.Option(
        "--device",
        help="Where the networks run; auto takes a GPU if there is one.",
        rich_help_panel=SHARED,
    ),
]
SeedOption = Annotated[
    int,
    typer.Option(
        "--seed",
        min=0,
        help="Seed of every random step; the same seed gives the same file.",
        rich_help_panel=SHARED,
    ),
]
JsonOption = Annotated[
    bool,
    typer.Option(
        "--json",
        help="Print JSON, one object per line, in full precision.",
        rich_help_panel=SHARED,
    ),
]
OverwriteOption = Annotated[
    bool,
    typer.Option(
        "--overwrite",
        help="Replace the output if it exists.",
        rich_help_panel=SHARED,
    ),
]
QuietOption = Annotated[
    bool,
    typer.Option("--quiet", "-q", help="Print no progress and no notes.", rich_help_panel=SHARED),
]
SizeOption = Annotated[
    str | None,
    typer.Option(
        "--size",
        metavar="WxH",
        help="Frame size of a headerless .raw clip.",
        rich_help_panel=SHARED,
    ),
]
FpsOption = Annotated[
    str | None,
    typer.Option(
        "--fps",
        metavar="FPS",
        help="Frames per second, as 20 or 30000/1001, of a .raw clip or a folder.",
        rich_help_panel=SHARED,
    ),
]
StreamOption = Annotated[
    int | None,
    typer.Option(
        "--stream",
        metavar="N",
        min=0,
        help="Which video of a clip that holds several, counted from 0.",
        rich_help_panel=SHARED,
    ),
]
AllowDamageOption = Annotated[
    bool,
    typer.Option(
        "--allow-damage",
        help="Read a damaged clip as well as it goes, and say how much is damaged.",
        rich_help_panel=SHARED,
    ),
]
TransferOption = Annotated[
    list[str] | None,
    typer.Option(
        "--transfer",
        metavar="STACK",
        help="Judge with another stack as well, one that no encoder trained against, with a "
        "detector (onnx:DIR) or with optical flow (flow); repeatable.",
    ),
]
CacheOption = Annotated[
    bool,
    typer.Option(
        "--cache/--no-cache",
        help="Keep the stack's outputs for the source on disk, so that the next score takes half "
        "the time.",
    ),
]
ClipArgument = Annotated[
    Path,
    typer.Argument(metavar="CLIP", help="Video file, .ssm file, folder of PNG or JPEG, or .raw."),
]
SsmArgument = Annotated[Path, typer.Argument(metavar="FILE.ssm", help="A compressed file.")]


@contextmanager
def about(words: str) -> Iterator[None]:
    """Put words before an error's message: the library does not name the flag that caused it."""
    try:
        yield
    except UserError as error:
        raise type(error)(f"{words}{error}") from error


def resolve_device(device: Device) -> str:
    """Return the torch device that ``--device`` means.

    Raises:
        UserError: this machine has no such device.
    """
    from seesame import decoders

    with about(f"--device {device.value}: "):
        return decoders.resolve_device(device.value)


def parse_size(text: str | None) -> tuple[int, int] | None:
    """Return ``(width, height)`` of a text like ``"1164x874"``.

    Raises:
        UserError: not of that form.
    """
    if text is None:
        return None
    width, _, height = text.lower().partition("x")
    if not (width.isdecimal() and height.isdecimal() and int(width) and int(height)):
        raise UserError(f"--size {text}: give width x height in pixels, as 1164x874")
    return int(width), int(height)


def parse_fps(text: str | None) -> Fraction | None:
    """Return the frames per second that ``"20"``, ``"23.976"`` or ``"30000/1001"`` means.

    Raises:
        UserError: not a number above 0.
    """
    if text is None:
        return None
    try:
        fps = Fraction(text)
    except (ValueError, ZeroDivisionError):
        fps = Fraction(0)
    if fps <= 0:
        raise UserError(f"--fps {text}: give a number above 0, as 20 or 30000/1001")
    return fps


def parse_source(
    clip: Path,
    size: str | None,
    fps: str | None,
    stream: int | None = None,
    allow_damage: bool = False,
) -> "Source":
    """Return the source that a clip and the flags about its reading mean. Raises UserError."""
    from seesame.jobs.spec import Source

    width_height = parse_size(size)
    height_width = width_height and width_height[::-1]
    return Source(clip, height_width, parse_fps(fps), stream=stream, allow_damage=allow_damage)


def open_alike(file: Path, source: "Clip") -> "Clip":
    """Open a decoded file; a headerless .raw has the size and the rate of its source."""
    from seesame.decoders import open_clip, takes_size

    size = (source.height, source.width) if takes_size(file) else None
    return open_clip(file, size=size, fps=source.fps)


def input_files(*paths: Path | str | None, stacks: Sequence[str] = ()) -> list[Path]:
    """Return the files that a command reads, which its outputs must not replace.

    Args:
        paths: files, and folders of pictures; None and empty ones are left out.
        stacks: names of stacks; those with a folder stand for the files in it.
    """
    from seesame.video.reading.images import PICTURES

    parts = (name.partition(":") for name in stacks)
    named = [Path(path) for path in paths if path]
    named += [Path(rest) for kind, _, rest in parts if kind in ("onnx", "comma") and rest]
    read = (*PICTURES, ".onnx", ".toml", ".safetensors")
    found = []
    for path in named:
        try:
            inside = [p for p in path.iterdir() if p.suffix.lower() in read]
        except OSError:  # no folder, or one that the reader will complain about
            inside = [path]
        found += inside
    return found


def parse_duration(text: str | None, option: str = "--budget") -> float | None:
    """Return the seconds that ``"90"``, ``"90s"``, ``"20m"`` or ``"1.5h"`` means.

    Raises:
        UserError: not a time above 0.
    """
    if text is None:
        return None
    unit = {"s": 1.0, "m": 60.0, "h": 3600.0}
    number, scale = (text[:-1], unit[text[-1]]) if text[-1:] in unit else (text, 1.0)
    try:
        seconds = float(number) * scale
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise UserError(f"{option} {text}: give a time, as 90s, 20m or 1.5h")
    return seconds


def parse_settings(pairs: list[str]) -> dict[str, object]:
    """Return the settings of ``["crf=40", "grain=true"]``; values are JSON where they can be.

    Raises:
        UserError: no ``=``, or a name given twice.
    """
    import json

    settings: dict[str, object] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not (name and equals):
            raise UserError(f"--set {pair}: give name=value, as crf=40")
        if name in settings:
            raise UserError(f"--set {name}: given twice")
        try:
            settings[name] = json.loads(value)
        except json.JSONDecodeError:
            settings[name] = value
    return settings


@contextmanager
def reserved_log(log: Path | None, replace: bool, inputs: Sequence[Path]) -> Iterator[None]:
    """Keep a log from other runs. Raises UserError for one that could not be written."""
    from seesame.files import reserved

    if log is not None and log.suffix != ".jsonl":
        raise UserError(f"{log}: a log is a .jsonl file; name it {log.stem}.jsonl")
    with reserved(log, replace, inputs=inputs):
        yield
