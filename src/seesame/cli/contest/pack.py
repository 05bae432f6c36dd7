"""``seesame contest pack``: compressed files as a submission's folder."""

from pathlib import Path
from typing import Annotated

import typer

from seesame.cli.options import JsonOption, OverwriteOption, QuietOption
from seesame.cli.output import print_json
from seesame.inputs import visible


def pack(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE.ssm...",
            help="One compressed file for each video, in the order of the names' file.",
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            "--out", "-o", metavar="DIR", help="The folder to make; its name is the submission's."
        ),
    ],
    json: JsonOption = False,
    overwrite: OverwriteOption = False,
    quiet: QuietOption = False,
) -> None:
    """Make a challenge submission: archive.zip, inflate.sh and the decoder's source.

    The archive is the smallest valid one: stored, one short name a file, the .ssm files without
    what the zip holds already. Each is decoded once, to see that the packed decoder works and
    which modules it needs. The challenge's own evaluate.sh accepts the folder as it is.

    Example: seesame contest pack drive.ssm -o my_entry
    """
    from seesame.cli.progress import progress
    from seesame.contest.pack import pack as pack_submission

    with progress("pack", quiet) as bar:
        made = pack_submission(files, out, overwrite, bar)
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
    shown = visible(str(out))
    print(f"{shown}  archive.zip {made.archive_bytes:,} bytes ({overhead} of them the zip's own)")
    print(f"next: seesame contest evaluate {shown} --videos DIR --names FILE")
