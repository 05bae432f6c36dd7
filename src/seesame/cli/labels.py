"""``seesame labels``: the masks in a semantic file, written out without any network."""

from pathlib import Path
from typing import Annotated

import typer

from seesame.cli.options import JsonOption, OverwriteOption, SsmArgument
from seesame.cli.output import print_json
from seesame.inputs import visible

OutOption = Annotated[
    Path,
    typer.Option(
        "--out",
        "-o",
        metavar="OUT",
        help="A folder (PNG with a palette), a .npz, or a lossless .mkv or .mp4 in colours.",
    ),
]


def labels(
    file: SsmArgument,
    out: OutOption,
    json: JsonOption = False,
    overwrite: OverwriteOption = False,
) -> None:
    """Write the masks that an .ssm file of the semantic codec holds: exactly those, no net is run.

    Example: seesame labels drive.ssm -o masks
    """
    from seesame.bitstream.container import Container
    from seesame.codecs.registry import codec_by_id
    from seesame.codecs.semantic.labels import read_labels, write_labels
    from seesame.codecs.semantic.sections import CODEC_ID
    from seesame.decoders import named
    from seesame.errors import UserError
    from seesame.files import reserved
    from seesame.video.writing.writer import folder_names

    with reserved(out, overwrite, inputs=[file], holds=folder_names(out)):
        container = Container.read(file)
        if container.codec_id != CODEC_ID:
            name = codec_by_id(container.codec_id).name
            raise UserError(f"{file}: {name} stores no masks; semantic does")
        with named(file):
            found = read_labels(container, str(file))
        write_labels(found, out, overwrite)
    height, width = found.size
    if json:
        print_json(
            {
                "file": file,
                "out": out,
                "masks": len(found),
                "frames": list(found.frames),
                "width": width,
                "height": height,
                "classes": list(found.classes),
                "changed": found.changed,
            }
        )
        return
    which = "every frame" if found.frames.step == 1 else "every second frame"
    print(f"{visible(str(out))}  {len(found)} masks of {width}x{height}, {which}")
    print("classes: " + ", ".join(f"{i} {name}" for i, name in enumerate(found.classes)))
    share = f"{found.changed:.3%}" if found.changed else "none"
    print(f"{share} of their pixels differ from what the stack saw in the source")
