"""Packing compressed files as a submission: the smallest archive, and the decoder beside it."""

import ast
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.metadata import packages_distributions, version
from pathlib import Path

import seesame
from seesame.bitstream.container import Container
from seesame.codecs.registry import codec_by_id
from seesame.contest.archive import pack_files
from seesame.contest.inflate import entry_name
from seesame.contest.isolation.guard import guarded
from seesame.contest.submission import ARCHIVE, SCRIPT
from seesame.context import Progress, no_progress
from seesame.errors import UserError
from seesame.files import SUBMISSION_FOLDER, replacing, reserved
from seesame.temporary import temporary_folder

_GIVEN = ("torch", "numpy", "av")
"""Modules that the challenge's own environment has, and that are never installed."""

_SPEED_ONLY = "seesame.video.kernels"
"""A module whose own imports are never installed: without them it is slower, and not other."""

_PARTS = {"numba": ("llvmlite",)}
"""Modules of other packages that a module needs and no source file names."""

_INIT = '''\
"""The decoder of seesame {version}, as `seesame contest pack` copied it."""

__version__ = "{version}"
'''

_SCRIPT = """\
#!/usr/bin/env bash
# inflate.sh ARCHIVE_DIR OUT_DIR NAMES: writes OUT_DIR/<name>.raw, RGB bytes, for every name.
# The decoder is in the folder of this file; SEESAME_DEVICE=cuda runs it on a GPU.
set -euo pipefail
HERE="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
fail() {
    echo "inflate.sh: $1" >&2
    exit 1
}
# Words are MODULE=REQUIREMENT; prints the requirements whose module is not there.
missing() {
    "$PYTHON" -c 'import importlib.util as u, sys
w = [word.partition("=") for word in sys.argv[1:]]
print(*(pin for name, _, pin in w if u.find_spec(name) is None))' "$@"
}
PYTHON="$(command -v python || command -v python3)" ||
    fail "there is no python; install Python 3.11 or newer"
"$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    fail "$PYTHON is too old; it needs Python 3.11 or newer"
ABSENT="$(missing @GIVEN@)"
[ -z "$ABSENT" ] || fail "this Python lacks $ABSENT; run it in the challenge's environment"
PINS="$(missing @PINS@)"
WORK="$(mktemp -d)"
trap 'rm -rf "$WORK"' EXIT
export PYTHONDONTWRITEBYTECODE=1 NUMBA_CACHE_DIR="$WORK"
if [ -n "$PINS" ]; then
    NEEDED="$(mktemp -d "$WORK/XXXXXX")"
    if command -v uv >/dev/null; then
        INSTALL=(uv pip install --python "$PYTHON")
    elif "$PYTHON" -m pip --version >/dev/null 2>&1; then
        INSTALL=("$PYTHON" -m pip install)
    else
        fail "this Python lacks $PINS, and there is neither uv nor pip to install it"
    fi
    # Without what they depend on: numpy is there already, and a second one would hide it.
    # shellcheck disable=SC2086
    "${INSTALL[@]}" --quiet --no-deps --target "$NEEDED" $PINS || fail "cannot install $PINS"
    export PYTHONPATH="$NEEDED"
fi
"$PYTHON" -c 'import ctypes, sys
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, 15, 0, 0, 0)  # SIGTERM when this script ends
sys.path.insert(0, sys.argv[1])
from seesame.contest.inflate import main
sys.exit(main(sys.argv[2:]))' "$HERE" "$1" "$2" "$3"
"""


@dataclass(frozen=True)
class Packed:
    """A packed submission.

    Args:
        folder: the submission's.
        archive_bytes: size of its ``archive.zip``.
        payload_bytes: of the .ssm files in contest profile, inside the archive.
    """

    folder: Path
    archive_bytes: int
    payload_bytes: int


def pack(
    files: Sequence[Path], folder: Path, overwrite: bool = False, progress: Progress = no_progress
) -> Packed:
    """Make a submission's folder of one .ssm file a video, in the order of the names' file.

    The folder holds ``archive.zip`` (the files in contest profile, stored), ``inflate.sh`` and
    the decoder's source, all of it text of less than 64 KiB a file. Every file is decoded once
    with that very source; modules that this does not import are left out.

    Args:
        files: the compressed files.
        folder: the new folder; its name is the submission's.
        overwrite: replace it.
        progress: called with the share done and what is being done.

    Raises:
        UserError: no such file, or the output exists or cannot be written.
        DamagedError: not a sound .ssm file.
    """
    payloads = {}
    for index, file in enumerate(files):
        container = Container.read(file)
        if not codec_by_id(container.codec_id).self_contained(container):
            raise UserError(
                f"{file}: is drawn by a renderer that is no part of it, nor of an archive; "
                "compress the clip with --codec semantic --set embed=true"
            )
        payload = container.to_bytes(contest=True)
        Container.from_bytes(payload, f"{file} in contest profile")
        payloads[entry_name(index)] = payload
    with (
        reserved(folder, overwrite, inputs=files, holds=SUBMISSION_FOLDER),
        replacing(folder, overwrite, holds=SUBMISSION_FOLDER) as temporary,
    ):
        temporary.mkdir()
        size = pack_files(temporary / ARCHIVE, payloads)
        requirements = _copy_decoder(temporary / "seesame", payloads, progress)
        script = temporary / SCRIPT
        script.write_text(_script(requirements), encoding="utf-8")
        script.chmod(0o755)
    return Packed(folder, size, sum(map(len, payloads.values())))


def _copy_decoder(target: Path, payloads: Mapping[str, bytes], progress: Progress) -> set[str]:
    """Copy the modules that decoding the payloads imports.

    Returns:
        The names of the other packages' modules that they import.
    """
    package = Path(seesame.__file__).parent
    for source in package.rglob("*.py"):
        copy = target / source.relative_to(package)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, copy)
    init = _INIT.format(version=seesame.__version__)
    (target / "__init__.py").write_text(init, encoding="utf-8")
    with temporary_folder() as work:
        for name, payload in payloads.items():
            (work / name).write_bytes(payload)
        modules = _imported(target.parent, [work / name for name in payloads], progress)
    for path in sorted(target.rglob("*"), reverse=True):
        if path.is_dir():
            if not any(path.iterdir()):
                path.rmdir()
        elif _module_name(path, target.parent) not in modules:
            path.unlink()
    sources = (path for path in target.rglob("*.py"))
    needed = (p for p in sources if _module_name(p, target.parent) != _SPEED_ONLY)
    found = {name for path in needed for name in _foreign(path) if name in modules}
    return found.union(*(_PARTS.get(name, ()) for name in found))


def _imported(root: Path, files: Sequence[Path], progress: Progress) -> set[str]:
    """Return the modules that decoding the files with the package in ``root`` imports.

    Raises:
        UserError: a file cannot be decoded.
    """
    start = f"import runpy, sys; sys.path.insert(0, {str(root)!r}); "
    start += "runpy.run_module('seesame.contest.imports', run_name='__main__', alter_sys=True)"
    command = guarded([sys.executable, "-B", "-P", "-c", start, *map(str, files)])
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    modules: set[str] = set()
    with (
        tempfile.TemporaryFile("w+") as errors,
        subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=errors, text=True
        ) as process,
        ExitStack() as end,
    ):
        end.callback(process.kill)
        assert process.stdout is not None
        for line in process.stdout:
            values = json.loads(line)
            modules |= set(values.get("modules", ()))
            if "share" in values:
                progress(values["share"], "decoding with the packed decoder")
        code = process.wait()
        errors.seek(0)
        said = errors.read().strip().splitlines() or ["it said nothing"]
    if code == 2:
        raise UserError(f"the packed decoder cannot decode it: {said[-1]}")
    if code:
        raise RuntimeError(f"the packed decoder ended with exit code {code}: {said[-1]}")
    return modules


def _module_name(path: Path, root: Path) -> str:
    """Return the dotted name of a source file below a folder of ``sys.path``."""
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _foreign(path: Path) -> Iterator[str]:
    """Yield the top-level modules of other packages that a source file names in an import."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [node.module]
        tops = {name.partition(".")[0] for name in names}
        yield from tops - sys.stdlib_module_names - {"seesame"}


def _script(modules: set[str]) -> str:
    """Return ``inflate.sh`` of a decoder that imports these modules of other packages."""
    given = [f"{name}={name}" for name in _GIVEN if name in modules]
    where = packages_distributions()
    needed = [(name, where[name][0]) for name in sorted(modules - set(_GIVEN))]
    pins = [f"{name}={package}=={version(package)}" for name, package in needed]
    return _SCRIPT.replace("@GIVEN@", " ".join(given)).replace("@PINS@", " ".join(pins))
