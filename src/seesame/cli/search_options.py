"""Flags of ``seesame search``, and their parsing."""

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from seesame.cli.options import SHARED, about, parse_duration
from seesame.errors import UserError

if TYPE_CHECKING:
    from seesame.search.space import Space


class Method(StrEnum):
    """The methods that choose settings."""

    auto = "auto"
    grid = "grid"


CodecsOption = Annotated[
    str,
    typer.Option(
        "--codec",
        metavar="CODEC,…",
        help="The codecs to search, of svtav1 (or av1), x265 (hevc), x264 (h264), vp9.",
    ),
]
MethodOption = Annotated[
    Method,
    typer.Option(
        "--method",
        help="auto spends its encodes where they gain most (needs optuna); grid tries every "
        "combination.",
    ),
]
TrialsOption = Annotated[
    int, typer.Option("--trials", min=1, metavar="N", help="Encodes that auto may ask for.")
]
GridOption = Annotated[
    list[str] | None,
    typer.Option(
        "--grid",
        metavar="NAME=VALUES",
        help="Values of one setting, as scale=0.3,0.45 or crf=20:60:4, for every codec or, as "
        "svtav1.grain=0,22, for one; repeatable.",
    ),
]
CutOption = Annotated[
    str | None,
    typer.Option(
        "--cut",
        metavar="scenes|TIME",
        help="Experimental: cut the clip where its scene changes, or every so often, as 10s, and "
        "give each part settings of its own; needs optuna.",
    ),
]
SampleOption = Annotated[
    str | None,
    typer.Option(
        "--sample",
        metavar="TIME|all",
        help="Search on this much of the clip, in windows spread over it, and try the best "
        "settings on the whole; 24s for clips longer than 90 seconds, else all.",
    ),
]
FolderOption = Annotated[
    Path | None,
    typer.Option(
        "--out",
        "-o",
        metavar="DIR",
        help="Folder for trials.csv, front.csv, search.json and search.png.",
    ),
]
LogOption = Annotated[
    Path | None,
    typer.Option(
        "--log",
        metavar="RUN.jsonl",
        help="Write every trial there as it ends, to follow with `seesame report RUN.jsonl`.",
    ),
]
JobsOption = Annotated[
    int, typer.Option("--jobs", "-j", min=1, max=256, metavar="N", help="Encodes at once.")
]
StoreOption = Annotated[
    Path | None,
    typer.Option(
        "--store",
        metavar="FILE",
        help="Where trials are kept; search.sqlite in the cache folder when left out.",
        rich_help_panel=SHARED,
    ),
]


def parse_cut(text: str | None) -> float | Literal["scenes"] | None:
    """Return the seconds that ``--cut`` means, or ``"scenes"``. Raises UserError."""
    return "scenes" if text == "scenes" else parse_duration(text, "--cut")


def parse_sample(text: str | None) -> float | Literal["all", "usual"]:
    """Return the seconds that ``--sample`` means, or a word. Raises UserError."""
    return "all" if text == "all" else parse_duration(text, "--sample") or "usual"


def parse_spaces(codecs: str, texts: Sequence[str]) -> "list[Space]":
    """Return the codecs' spaces, with the values that ``--grid`` gives.

    Raises:
        UserError: a codec that cannot be searched, or a setting or value that it does not have.
    """
    from seesame.codecs.registry import codec_name
    from seesame.search.space import SPACES, Axis, parse_axis

    words = [codec_name(name.strip()) for name in codecs.split(",") if name.strip()]
    names = list(dict.fromkeys(words))
    unknown = [name for name in names if name not in SPACES]
    if unknown or not names:
        what = f"{unknown[0]!r}" if unknown else "nothing"
        raise UserError(f"--codec {what}: search is over {', '.join(SPACES)}")
    given: dict[str, list[Axis]] = {name: [] for name in names}
    for text in texts:
        with about("--grid "):
            axis = parse_axis(text)
        codec, dot, name = axis.name.partition(".")
        codec = codec_name(codec)
        if dot and codec not in given:
            raise UserError(f"--grid {text}: {codec} is not searched")
        for one in [codec] if dot else names:
            given[one].append(Axis(name if dot else axis.name, axis.values, axis.coarse))
    return [SPACES[name].holding(given[name]) for name in names]
