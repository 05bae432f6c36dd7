"""The sandbox finds Python and its packages, however the environment is made."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy
import pytest
from trial import bare_venv, installed, link_packages, need_isolation

import seesame

PROGRAM = """
import sys
from pathlib import Path
from seesame.contest.isolation.limits import Limits
from seesame.contest.isolation.sandbox import Workspace, run_inflate

workspace = Workspace(Path(sys.argv[1]), "entry")
for folder in (workspace.scripts, workspace.tmp):
    folder.mkdir(parents=True)
workspace.script.write_text(
    "python -c 'import numpy, psutil, seesame, sys; print(numpy.ones(2).sum(), sys.prefix)'"
)
print(run_inflate(workspace, Limits()).log, end="")
"""
"""Run a script that needs Python and its packages in the sandbox."""


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder below ``/tmp``, which is another folder inside the sandbox."""
    with tempfile.TemporaryDirectory(prefix="x y ", dir="/tmp") as folder:
        yield Path(folder)


def by_path_file(packages: Path) -> None:
    """Name the other environment's folders in a ``.pth`` file."""
    folders = sorted({str(path.parent) for path in installed()})
    (packages / "others.pth").write_text("\n".join(folders))


def by_file_links(packages: Path) -> None:
    """Make every file of numpy a link, as installers with a cache do; link the rest as a whole."""
    link_packages(packages, without=["numpy"])
    source = Path(numpy.__file__).parent
    for name in ("numpy", "numpy.libs"):
        if (source.parent / name).is_dir():
            shutil.copytree(source.parent / name, packages / name, copy_function=os.symlink)


def by_linked_python(packages: Path) -> None:
    """Reach the program through a link to its folder, as the versions of uv are reached."""
    by_path_file(packages)
    environment = packages.parents[2]
    version = environment.parent / "version"
    version.symlink_to(sys.base_prefix)
    program = Path(os.path.realpath(sys.executable)).name
    (environment / "bin" / "python").unlink()
    (environment / "bin" / "python").symlink_to(version / "bin" / program)


@pytest.mark.parametrize(
    "fill", [by_path_file, link_packages, by_file_links, by_linked_python], ids=lambda f: f.__name__
)
def test_a_script_finds_python_and_its_packages(place: Path, fill: Callable[[Path], None]) -> None:
    need_isolation()
    python, packages = bare_venv(place / "en v")
    fill(packages)
    (packages / "seesame.pth").write_text(str(Path(seesame.__file__).parents[1]))
    done = subprocess.run(
        [python, "-c", PROGRAM, place / "work"], capture_output=True, text=True, cwd="/"
    )
    assert done.stdout == f"2.0 {place / 'en v'}\n", done.stderr


def test_the_working_folder_is_not_shown(place: Path) -> None:
    need_isolation()
    (place / "secret").write_text("secret")
    program = PROGRAM.replace("python -c 'import", f'ls \\"{place}\\"; python -c \'import')
    kept = {**os.environ, "PYTHONPATH": str(Path(seesame.__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, "-c", program, place / "work"],
        capture_output=True, text=True, cwd=place, env=kept,
    )  # fmt: skip
    assert "2.0" in done.stdout, done.stderr
    assert "secret" not in done.stdout
