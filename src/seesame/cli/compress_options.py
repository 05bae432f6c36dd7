"""Flags of ``seesame compress``, and their parsing into a codec's settings."""

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from seesame.errors import UserError

HNERV, AUTO = "hnerv", "auto"
LIMITS = ("max_seg", "max_pose", "max_bytes", "challenge_rule")
"""The flags that every codec takes."""
TRAINING = "Flags of hnerv and hybrid"
VIDEO = "Flags of a .mp4, .mkv or .mov output"


class Preset(StrEnum):
    """The presets of the trained codecs, by rising effort."""

    draft = "draft"
    fast = "fast"
    medium = "medium"
    slow = "slow"


ClipsArgument = Annotated[
    list[Path],
    typer.Argument(
        metavar="CLIP...", help="Video file, .ssm file, folder of PNG or JPEG, or .raw; or several."
    ),
]
OutOption = Annotated[
    Path,
    typer.Option(
        "--out",
        "-o",
        metavar="OUT|FOLDER",
        help="An .ssm file, or a plain .mp4, .mkv or .mov; for several clips a folder, which gets "
        "CLIP.ssm of each.",
    ),
]
CodecOption = Annotated[
    str | None,
    typer.Option(
        "--codec",
        metavar="CODEC",
        help="A name from `seesame codecs`, as av1 or hybrid; or auto, which searches classical "
        "settings, trains over the best of them and keeps the best file, within --budget (8m when "
        "left out). When no codec is named: hnerv; av1 for a .mp4, .mkv or .mov.",
    ),
]
PresetOption = Annotated[
    Preset | None,
    typer.Option(
        "--preset",
        rich_help_panel=TRAINING,
        help="Effort: draft takes about 2 minutes, fast 8 (hybrid 6), for ten seconds of video on "
        "two cores; fast when left out.",
    ),
]
BudgetOption = Annotated[
    str | None,
    typer.Option(
        "--budget",
        rich_help_panel=TRAINING,
        metavar="TIME",
        help="Time for the encode, as 90s, 20m, 1.5h.",
    ),
]
BytesOption = Annotated[
    int | None,
    typer.Option(
        "--bytes",
        rich_help_panel=TRAINING,
        min=1,
        metavar="N",
        help="Size of the file to aim at, in bytes.",
    ),
]
PixelWeightOption = Annotated[
    float | None,
    typer.Option(
        "--pixel-weight",
        rich_help_panel=TRAINING,
        min=0.0,
        metavar="W",
        help="Weight of the difference between pixels in the training; with more of it the picture "
        "stays viewable.",
    ),
]
TransferGuardOption = Annotated[
    list[str] | None,
    typer.Option(
        "--transfer-guard",
        rich_help_panel=TRAINING,
        metavar="STACK",
        help="Train for another stack's outputs as well, so that the file stays good for networks "
        "other than --stack; repeatable.",
    ),
]
InitOption = Annotated[
    Path | None,
    typer.Option(
        "--init",
        rich_help_panel="Flags of hnerv",
        metavar="FILE.ssm",
        help="Start from the decoder of another clip's file.",
    ),
]
TargetScoreOption = Annotated[
    float | None,
    typer.Option(
        "--target-score",
        rich_help_panel=TRAINING,
        metavar="S",
        help="Stop as soon as a file reaches this score; with several limits, as soon as one keeps "
        "them all.",
    ),
]
ResumeOption = Annotated[
    bool,
    typer.Option(
        "--resume", rich_help_panel=TRAINING, help="Continue an earlier run that was stopped."
    ),
]
LogOption = Annotated[
    Path | None,
    typer.Option(
        "--log",
        rich_help_panel=TRAINING,
        metavar="RUN.jsonl",
        help="Keep the log of the training, to plot with `seesame report RUN.jsonl`. While it runs "
        "there is a log in its work folder as well.",
    ),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="NAME=VALUE", help="A setting of the codec, as crf=40; repeatable."
    ),
]
TracksOption = Annotated[
    bool,
    typer.Option(
        "--tracks",
        help="Keep sound, subtitles and data of the source in the .ssm file; decompress to .mp4 or "
        ".mkv gives them back.",
    ),
]
GopOption = Annotated[
    str | None,
    typer.Option(
        "--gop",
        rich_help_panel=VIDEO,
        metavar="TIME|N",
        help="Time (as 2s) or frames from one key frame to the next at most; 2s when left out.",
    ),
]
DropTracksOption = Annotated[
    bool,
    typer.Option(
        "--drop-tracks",
        rich_help_panel=VIDEO,
        help="Leave out sound, subtitles and data, which are copied otherwise.",
    ),
]
MaxShareOption = Annotated[
    float | None,
    typer.Option(
        "--max-share",
        rich_help_panel=VIDEO,
        min=0.0,
        metavar="S",
        help="Copy the source itself where the result has more than this share of its bytes; 0.95 "
        "when left out.",
    ),
]
SampleOption = Annotated[
    str | None,
    typer.Option(
        "--sample",
        rich_help_panel=VIDEO,
        metavar="TIME",
        help="Time of the clip on which the frame size is chosen; three tenths of it, 40s at most, "
        "when left out.",
    ),
]
NoLoopOption = Annotated[
    bool,
    typer.Option(
        "--no-closed-loop",
        rich_help_panel=VIDEO,
        help="Do not correct the source by what an earlier encode made of the networks' outputs.",
    ),
]
NoScoreOption = Annotated[
    bool, typer.Option("--no-score", help="Write the file without scoring it.")
]


def codec_settings(
    codec: str, flags: Mapping[str, Any], extra: Mapping[str, object]
) -> dict[str, Any]:
    """Return a codec's settings from flags and ``--set``.

    Args:
        codec: its name, or ``auto``.
        flags: by the names of the settings that they mean, limits included; None and false ones
            were not given.
        extra: settings from ``--set``.

    Raises:
        UserError: an unknown codec, a flag that it does not take, or a setting that is given twice.
    """
    from seesame.codecs.av.settings import FAMILY
    from seesame.codecs.registry import codec_name, get_codec, trained_codecs

    given = {
        name: value
        for name, value in flags.items()
        if value is not None and value is not False and value != []
    }
    trained = trained_codecs()
    if codec != AUTO:
        get_codec(codec)  # an unknown name is the first thing to say
    for name in given:
        flag = {"budget_s": "--budget"}.get(name, "--" + name.replace("_", "-"))
        takers = (HNERV,) if name == "init" else trained
        takers = (*takers, AUTO) if name in ("budget_s", "target_score") else takers
        if name == "budget_s" and codec != AUTO and get_codec(codec).takes_time(extra):
            takers = (*takers, codec)
        if codec not in takers and name not in LIMITS:
            others = "takes --set name=value"
            if codec == AUTO:
                others = "chooses the settings itself"
            elif name == "target_score" and codec_name(codec) in FAMILY:
                others += ", and `seesame search` finds the settings with its lowest score"
            raise UserError(f"{flag} is for {', '.join(takers)}; --codec {codec} {others}")
        if name in extra:
            raise UserError(f"--set {name}: given by {flag} already")
    if codec == AUTO and extra:
        raise UserError("--set is not for --codec auto, which chooses the settings itself")
    effort = {"preset": Preset.fast.value} if codec in trained else {}
    return {**effort, **extra, **given}
