"""A compressed file as a submission: the smallest archive, and a decoder that travels along."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import seesame
from seesame.bitstream.container import Container
from seesame.contest.archive import pack_files
from seesame.contest.inflate import entry_name
from seesame.contest.submission import ARCHIVE, SCRIPT
from seesame.errors import UserError
from seesame.files import replacing

_ROOMS = ("bitstream", "video", "perception", "metric", "codecs")
_INFLATE = ("__init__.py", "inflate.py")
_NEEDED = ("constriction", "google-crc32c", "safetensors")
"""What decoding needs beyond the challenge's own environment (torch, numpy, av)."""

_SCRIPT = """\
#!/usr/bin/env bash
# inflate.sh ARCHIVE_DIR OUT_DIR NAMES: writes OUT_DIR/<name>.raw, RGB bytes, for every name.
# The decoder lies beside this file; SEESAME_DEVICE=cuda runs it on a GPU.
set -euo pipefail
HERE="$(cd "$(dirname "${{BASH_SOURCE[0]}}")" && pwd)"
PYTHON="$(command -v python || command -v python3)"
export PYTHONPATH="$HERE" PYTHONDONTWRITEBYTECODE=1
if ! "$PYTHON" -c 'import constriction, google_crc32c, safetensors' 2>/dev/null; then
    NEEDED="$(mktemp -d)"
    trap 'rm -rf "$NEEDED"' EXIT
    if command -v uv >/dev/null; then
        uv pip install --quiet --python "$PYTHON" --target "$NEEDED" {pins}
    else
        "$PYTHON" -m pip install --quiet --target "$NEEDED" {pins}
    fi
    export PYTHONPATH="$HERE:$NEEDED"
fi
"$PYTHON" -m seesame.contest.inflate "$1" "$2" "$3"
"""


@dataclass(frozen=True)
class Packed:
    """What was packed."""

    folder: Path
    archive_bytes: int
    payload_bytes: int
    """Of the .ssm files in contest profile, inside the archive."""


def pack(files: Sequence[Path], folder: Path, overwrite: bool = False) -> Packed:
    """Make a submission's folder of one .ssm file a video, in the order of the names' file.

    The folder holds ``archive.zip`` (the files in contest profile, stored), ``inflate.sh`` and
    the decoder's source, all of it text of less than 64 KiB a file.

    Args:
        files: the compressed files.
        folder: the new folder; its name is the submission's.
        overwrite: replace it.

    Raises:
        UserError: no such file, or the output exists or cannot be written.
        DamagedError: not a sound .ssm file.
    """
    payloads = {}
    for index, file in enumerate(files):
        payload = Container.read(file).to_bytes(contest=True)
        Container.from_bytes(payload, f"{file} in contest profile")
        payloads[entry_name(index)] = payload
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder} is a file; choose the name of a folder")
    with replacing(folder, overwrite) as temporary:
        temporary.mkdir()
        size = pack_files(temporary / ARCHIVE, payloads)
        _copy_decoder(temporary / "seesame")
        script = temporary / SCRIPT
        pins = " ".join(f"{name}=={version(name)}" for name in _NEEDED)
        script.write_text(_SCRIPT.format(pins=pins), encoding="utf-8")
        script.chmod(0o755)
    return Packed(folder, size, sum(map(len, payloads.values())))


def _copy_decoder(target: Path) -> None:
    """Copy the source that decoding imports."""
    package = Path(seesame.__file__).parent
    sources = list(package.glob("*.py"))
    for room in _ROOMS:
        sources += package.joinpath(room).rglob("*.py")
    sources += [package / "contest" / name for name in _INFLATE]
    for source in sources:
        copy = target / source.relative_to(package)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, copy)
