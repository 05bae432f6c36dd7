"""``seesame decompress``: an .ssm file back into a clip."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from seesame.cli.options import (
    Device,
    DeviceOption,
    JsonOption,
    OverwriteOption,
    QuietOption,
    SsmArgument,
    resolve_device,
)
from seesame.cli.output import print_json, print_note
from seesame.inputs import visible

OutOption = Annotated[
    Path,
    typer.Option(
        "--out",
        "-o",
        metavar="OUT",
        help="A .mkv or .mp4, a headerless .raw, or a folder (PNG).",
    ),
]
CrfOption = Annotated[
    int | None,
    typer.Option(
        "--crf",
        min=0,
        max=51,
        help="Quality of an .mkv or .mp4 (x264; no loss is visible at 18); lossless when left out.",
    ),
]


def decompress(
    file: SsmArgument,
    out: OutOption,
    crf: CrfOption = None,
    device: DeviceOption = Device.auto,
    json: JsonOption = False,
    overwrite: OverwriteOption = False,
    quiet: QuietOption = False,
) -> None:
    """Decode an .ssm file into a video, a .raw or a folder of PNG, at the source's size.

    Example: seesame decompress drive.ssm -o drive.mkv
    """
    from seesame.cli.progress import progress
    from seesame.decoders import counted, decode_file
    from seesame.files import reserved
    from seesame.video.writing.mux import SUFFIXES
    from seesame.video.writing.verify import ticks_fit
    from seesame.video.writing.writer import folder_names, write_clip

    with reserved(out, overwrite, inputs=[file], holds=folder_names(out)):
        clip = decode_file(file, resolve_device(device))
        video = out.suffix.lower() in SUFFIXES
        if clip.tracks and not video:
            print_note(f"{out}: tracks beside the video are left out; write .mp4 or .mkv", quiet)
        if video and clip.times is not None and not ticks_fit(out, clip.times):
            print_note(f"{out}: Matroska rounds timestamps to milliseconds; .mp4 keeps them", quiet)
        with progress("decompress", quiet) as bar:
            write_clip(
                out,
                counted(clip, bar),
                fps=clip.fps,
                width=clip.width,
                height=clip.height,
                crf=crf,
                overwrite=overwrite,
                times=clip.times,
                tracks=clip.tracks,
            )
    if json:
        print_json(
            {
                "file": file,
                "out": out,
                "width": clip.width,
                "height": clip.height,
                "fps": float(clip.fps),
                "num_frames": clip.num_frames,
            }
        )
        return
    shown = visible(str(out))
    print(
        f"{shown}  {clip.width}x{clip.height}, {float(clip.fps):.6g} fps, {clip.num_frames} frames"
    )
    command = ["seesame", "score", "CLIP", str(out), "--compressed", str(file)]
    print("next: " + shlex.join(command) + "  (CLIP is the source)")
