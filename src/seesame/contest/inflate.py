"""The decoder of a packed submission: .ssm files in, raw videos out.

A packed ``inflate.sh`` calls :func:`main` with ARCHIVE_DIR, OUT_DIR and NAMES. This module imports
only what decoding needs, since it travels with the submission.
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import numpy as np

from seesame.bitstream.container import Container
from seesame.codecs.registry import codec_by_id
from seesame.errors import UserError
from seesame.files import replacing
from seesame.inputs import read_text
from seesame.video.clip import Clip

BATCH = 16
"""Frames decoded at once."""


def entry_name(index: int) -> str:
    """Return the name of the archive's entry for the video on line ``index`` of the names."""
    return str(index)


def decoded(path: Path, device: str = "cpu") -> Clip:
    """Open an .ssm file as a clip.

    Raises:
        UserError: the file is missing, damaged or of another codec.
    """
    container = Container.read(path)
    return codec_by_id(container.codec_id).decode(container, device)


def inflate(archive: Path, out: Path, names: Sequence[str], device: str = "cpu") -> None:
    """Decode the entries of an unpacked archive into ``<name>.raw`` files.

    Raises:
        UserError: an entry is missing, damaged or of another codec.
    """
    for index, name in enumerate(names):
        clip = decoded(archive / entry_name(index), device)
        target = out / PurePosixPath(name).with_suffix(".raw")
        target.parent.mkdir(parents=True, exist_ok=True)
        with replacing(target, overwrite=True) as temporary, temporary.open("wb") as file:
            for frames in clip.batches(BATCH):
                file.write(np.ascontiguousarray(frames).data)


def name_lines(path: Path) -> list[str]:
    """Return the names in a file, one a line, without empty lines and spaces around.

    A name may hold bytes that are not UTF-8, as file names do; Python keeps them (PEP 383).

    Raises:
        OSError: the file cannot be read.
        UserError: it is no text.
    """
    lines = read_text(path, errors="surrogateescape").splitlines()
    return [line.strip() for line in lines if line.strip()]


def main(words: Sequence[str]) -> int:
    """Run as ``inflate.sh`` is run; return the exit code."""
    archive, out, names_file = map(Path, words)
    try:
        inflate(archive, out, name_lines(names_file), os.environ.get("SEESAME_DEVICE", "cpu"))
    except UserError as error:
        print(f"inflate: {error}", file=sys.stderr)
        return 2
    return 0
