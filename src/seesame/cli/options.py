"""Flags that several subcommands share, each defined once."""

from enum import StrEnum
from fractions import Fraction
from pathlib import Path
from typing import Annotated

import typer

from seesame.errors import UserError

SHARED = "Shared flags"
"""The help panel of the flags that most subcommands have."""


class Device(StrEnum):
    """Where the nets run."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"
    mps = "mps"


StackOption = Annotated[
    str,
    typer.Option(
        "--stack",
        metavar="STACK",
        help="Perception stack: a name from `seesame stacks`, onnx:DIR or module:attr.",
        rich_help_panel=SHARED,
    ),
]
DeviceOption = Annotated[
    Device,
    typer.Option(
        "--device",
        help="Where the nets run; auto takes a GPU if there is one.",
        rich_help_panel=SHARED,
    ),
]
SeedOption = Annotated[
    int,
    typer.Option(
        "--seed",
        min=0,
        help="Seed of every random step; the same seed, same file.",
        rich_help_panel=SHARED,
    ),
]
JsonOption = Annotated[
    bool,
    typer.Option(
        "--json",
        help="Print JSON, one object a line, in full precision.",
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
    typer.Option("--quiet", "-q", help="No progress on stderr.", rich_help_panel=SHARED),
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
        help="Frames a second, as 20 or 30000/1001; for a .raw clip or a folder.",
        rich_help_panel=SHARED,
    ),
]
ExactOption = Annotated[
    bool,
    typer.Option(
        "--exact/--fast",
        help="For comma on the CPU: the nets as the challenge runs them, or the same sums in "
        "a faster order, which round differently.",
    ),
]
TransferOption = Annotated[
    list[str] | None,
    typer.Option(
        "--transfer",
        metavar="STACK",
        help="Another stack, one that no encoder trained against, to judge as well; repeatable.",
    ),
]
CacheOption = Annotated[
    bool,
    typer.Option(
        "--cache/--no-cache",
        help="Keep what the stack sees in the source, so that the next score costs half.",
    ),
]
ClipArgument = Annotated[
    Path, typer.Argument(metavar="CLIP", help="Video file, folder of PNG/JPG, or .raw.")
]
SsmArgument = Annotated[Path, typer.Argument(metavar="FILE.ssm", help="A compressed file.")]


def resolve_device(device: Device) -> str:
    """The torch device behind ``--device``.

    Raises:
        UserError: this machine has no such device.
    """
    import torch

    has = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if device is Device.auto:
        return next((name for name, there in has.items() if there), "cpu")
    if not has.get(device.value, True):
        raise UserError(f"--device {device.value}: there is none here; use --device cpu or auto")
    return device.value


def parse_size(text: str | None) -> tuple[int, int] | None:
    """``"1164x874"`` as ``(width, height)``.

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
    """``"20"``, ``"23.976"`` or ``"30000/1001"`` as frames a second.

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


def parse_duration(text: str | None, option: str = "--budget") -> float | None:
    """``"90"``, ``"90s"``, ``"20m"``, ``"1.5h"`` in seconds.

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
    """``["crf=40", "grain=true"]`` as codec settings; values are JSON where they can be.

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


def check_log(log: Path, replace: bool) -> None:
    """Refuse the log of a run that could not be written."""
    from seesame.files import check_output

    if log.suffix != ".jsonl":
        raise UserError(f"{log}: a log is a .jsonl file; name it {log.stem}.jsonl")
    if log.is_dir():
        raise UserError(f"{log}: is a folder; name a file")
    check_output(log, replace)
