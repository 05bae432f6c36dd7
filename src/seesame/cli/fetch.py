"""``seesame fetch``: download and verify the challenge's networks and clip."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from seesame.cli.options import JsonOption, OverwriteOption, QuietOption
from seesame.cli.output import print_json


class What(StrEnum):
    """The things that can be fetched."""

    comma = "comma"


def fetch(
    what: Annotated[What, typer.Argument(help="comma: the challenge's two networks and its clip.")],
    source: Annotated[
        Path | None,
        typer.Option(
            "--from",
            metavar="DIR",
            help="Copy from this folder (as a checkout of the challenge) instead of downloading.",
        ),
    ] = None,
    to: Annotated[
        Path | None,
        typer.Option(
            "--to",
            metavar="DIR",
            help="Folder to fill; your data folder, where --stack comma reads, when left out.",
        ),
    ] = None,
    json: JsonOption = False,
    overwrite: OverwriteOption = False,
    quiet: QuietOption = False,
) -> None:
    """Fetch the challenge's networks and clip, each verified by size and SHA-256.

    Files that are there already are left alone; a download that was cut off goes on.
    """
    from seesame.cli.progress import progress
    from seesame.perception.comma.fetch import fetch_comma

    with progress(f"fetch {what.value}", quiet) as bar:
        paths = fetch_comma(to, bar, source, overwrite)
    for path in paths:
        size = path.stat().st_size
        if json:
            print_json({"file": path, "bytes": size})
        else:
            print(f"{path}  {size:,} bytes, verified")
    if not json:
        print("next: seesame compress CLIP -o OUT.ssm --stack comma")
