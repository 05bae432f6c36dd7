"""The options of ``seesame batch``, and what their texts mean."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from seesame.errors import UserError


class OnMiss(StrEnum):
    """The values of ``--on-miss``."""

    keep_best = "keep-best"
    keep_source = "keep-source"
    fail = "fail"


class Engine(StrEnum):
    """The values of ``--engine``."""

    local = "local"
    ray = "ray"


class Kind(StrEnum):
    """The values of ``--to``."""

    mp4 = "mp4"
    mkv = "mkv"
    mov = "mov"
    ssm = "ssm"


SourceArgument = Annotated[
    str,
    typer.Argument(
        metavar="SOURCE",
        help="A folder, a pattern as 'drives/**/*.mp4', or a manifest: .csv, .jsonl or .parquet "
        "with a column uri. Paths, or URIs as s3://bucket/drives.",
    ),
]
TargetOption = Annotated[
    str,
    typer.Option(
        "--out", "-o", metavar="TARGET", help="The folder of the outputs, or a URI of one."
    ),
]
CodecOption = Annotated[
    str | None,
    typer.Option(
        "--codec",
        metavar="CODEC",
        help="A name from `seesame codecs`, for .ssm files; without it av1 in plain .mp4 files.",
    ),
]
ToOption = Annotated[
    Kind | None,
    typer.Option(
        "--to", help="Kind of the outputs. When left out: mp4, or ssm where --codec is given."
    ),
]
OnMissOption = Annotated[
    OnMiss,
    typer.Option(
        "--on-miss",
        help="What to do with a file that misses a limit: keep it, with exit code 4; put the "
        "source in its place; or write nothing and count the clip as failed.",
    ),
]
JobsOption = Annotated[
    int | None,
    typer.Option(
        "--jobs",
        "-j",
        min=1,
        metavar="N",
        help="Worker processes at most; one for each core when left out. With --engine ray: clips "
        "in flight at most; what the cluster can do when left out.",
    ),
]
MemoryOption = Annotated[
    str | None,
    typer.Option(
        "--memory",
        metavar="SIZE",
        help="Memory that all workers may take, as 12G; four fifths of what is free when left out.",
    ),
]
ScratchOption = Annotated[
    Path | None,
    typer.Option(
        "--scratch",
        metavar="DIR",
        help="Folder for temporary files. When left out: in TARGET, or the system's own where "
        "TARGET is a URI.",
    ),
]
ShardOption = Annotated[
    str | None,
    typer.Option(
        "--shard",
        metavar="I/N",
        help="Do part I of N, counted from 0, as one of N runs on the same TARGET.",
    ),
]
ShareOption = Annotated[
    bool,
    typer.Option(
        "--share/--no-share",
        help="Begin the search for a clip's settings with what won on earlier clips of its group "
        "or folder, which takes fewer encodes. Without it a file does not depend on which clips "
        "were done before.",
    ),
]
RetryOption = Annotated[
    bool, typer.Option("--retry-failed", help="Do those clips again that failed before.")
]
DryRunOption = Annotated[
    bool,
    typer.Option(
        "--dry-run",
        help="Say what would be done, and what it would take and give; TARGET is not touched.",
    ),
]
SampleOption = Annotated[
    int | None,
    typer.Option(
        "--sample",
        min=0,
        metavar="N",
        help="Clips that --dry-run tries for its forecast; 3 when left out, 0 for no forecast.",
    ),
]
EngineOption = Annotated[
    Engine,
    typer.Option(
        "--engine",
        help="What does the work: processes of this machine, or tasks of Ray (the extra fleet).",
    ),
]
AddressOption = Annotated[
    str | None,
    typer.Option(
        "--address",
        metavar="ADDRESS",
        help="Ray cluster to use, as auto or HOST:6379. When left out, --engine ray starts Ray on "
        "this machine, and ends it again.",
    ),
]
CoresOption = Annotated[
    int,
    typer.Option("--cores", min=1, metavar="N", help="Cores for each clip, with --engine ray."),
]


def parse_target(out: str) -> str:
    """Return the target without a slash at its end. Raises UserError where it is a file."""
    from seesame.fleet.storage import is_remote, storage

    if out == "-" or "\0" in out:
        raise UserError(f"{out!a}: the output of batch is a folder; name one")
    if not is_remote(out) and storage(out).stat(out) is not None:
        raise UserError(f"{out}: is a file, and the output of batch is a folder; name another")
    return out.rstrip("/") or "/"


def parse_shard(text: str | None) -> tuple[int, int]:
    """Return what ``--shard`` means. Raises UserError."""
    if text is None:
        return 0, 1
    number, _, count = text.partition("/")
    if not (number.isdecimal() and count.isdecimal() and int(number) < int(count)):
        raise UserError(f"--shard {text}: give I/N with I from 0 to N-1, as 0/4")
    return int(number), int(count)


def parse_bytes(text: str | None) -> int | None:
    """Return the bytes that ``12G`` or ``800M`` means. Raises UserError."""
    if text is None:
        return None
    unit = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
    plain = text.upper().removesuffix("B").removesuffix("I")
    number, scale = (plain[:-1], unit[plain[-1]]) if plain[-1:] in unit else (plain, 1)
    try:
        size = float(number) * scale
    except ValueError:
        size = 0.0
    if not 1 <= size < float("inf"):
        raise UserError(f"--memory {text}: give a size, as 12G or 800M")
    return int(size)
