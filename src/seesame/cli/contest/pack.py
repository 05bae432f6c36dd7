"""``seesame contest pack``: compressed files as a submission's folder."""

from pathlib import Path
from typing import Annotated

import typer

from seesame.cli.options import JsonOption, OverwriteOption
from seesame.cli.output import print_json


def pack(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE.ssm...", help="One compressed file a video, in the order of the names."
        ),
    ],
    out: Annotated[
        Path,
        typer.Option("--out", "-o", metavar="DIR", help="The submission's folder to make."),
    ],
    json: JsonOption = False,
    overwrite: OverwriteOption = False,
) -> None:
    """Make a challenge submission: archive.zip, inflate.sh and the decoder's source.

    The archive is the smallest valid one (stored, one short name a file), the .ssm in it in
    contest profile. The challenge's own evaluate.sh accepts the folder as it is.

    Example: seesame contest pack drive.ssm -o my_entry
    """
    from seesame.contest.pack import pack as pack_submission

    made = pack_submission(files, out, overwrite)
    if json:
        print_json(
            {
                "folder": made.folder,
                "archive_bytes": made.archive_bytes,
                "payload_bytes": made.payload_bytes,
            }
        )
        return
    overhead = made.archive_bytes - made.payload_bytes
    print(f"{out}  archive.zip {made.archive_bytes:,} bytes ({overhead} of them the zip's own)")
    print(f"next: seesame contest evaluate {out} --videos DIR --names FILE")
