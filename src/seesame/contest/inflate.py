"""What ``inflate.sh`` of a packed submission runs: .ssm files in, raw videos out.

``python -m seesame.contest.inflate ARCHIVE_DIR OUT_DIR NAMES``; it imports only what decoding
needs, since it travels with the submission.
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from seesame.bitstream.container import Container
from seesame.codecs.registry import codec_by_id
from seesame.errors import UserError
from seesame.video.writer import write_clip

BATCH = 16
"""Frames decoded at once."""


def entry_name(index: int) -> str:
    """Name of the archive's entry for the video on line ``index`` of the names' file."""
    return str(index)


def inflate(archive: Path, out: Path, names: Sequence[str], device: str = "cpu") -> None:
    """Decode the entries of an unpacked archive into ``<name>.raw`` files.

    Raises:
        UserError: an entry is missing, damaged or of another codec.
    """
    for index, name in enumerate(names):
        container = Container.read(archive / entry_name(index))
        clip = codec_by_id(container.codec_id).decode(container, device)
        target = out / PurePosixPath(name).with_suffix(".raw")
        target.parent.mkdir(parents=True, exist_ok=True)
        write_clip(
            target,
            clip.batches(BATCH),
            fps=clip.fps,
            width=clip.width,
            height=clip.height,
            overwrite=True,
        )


def main(words: Sequence[str]) -> int:
    """Run as ``inflate.sh`` is run; returns the exit code."""
    archive, out, names_file = map(Path, words)
    lines = names_file.read_text(encoding="utf-8").splitlines()
    names = [line.strip() for line in lines if line.strip()]
    try:
        inflate(archive, out, names, os.environ.get("SEESAME_DEVICE", "cpu"))
    except UserError as error:
        print(f"inflate: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
