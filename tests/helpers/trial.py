"""Types, limits, and environments, shared by the tests of submissions."""

import os
import sys
import venv
from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from seesame.contest.evaluate import Result
from seesame.contest.isolation.limits import Limits
from seesame.contest.isolation.sandbox import why_not_isolated
from seesame.contest.isolation.watch import Outcome

Submit = Callable[..., Path]
Judge = Callable[..., Result]
Attack = Callable[..., Outcome]
BOTH = pytest.mark.parametrize("isolate", [True, False], ids=["isolated", "limits-only"])
MIB = 1 << 20
QUICK = Limits(seconds=60, memory=1 << 30, processes=32, bytes=64 * MIB)
ROOMY = replace(QUICK, memory=4 << 30, processes=128)


def need_isolation() -> None:
    """Skip where the system cannot isolate a script."""
    if why := why_not_isolated():
        pytest.skip(f"needs bubblewrap: {why}")


def bare_venv(folder: Path) -> tuple[Path, Path]:
    """Make a virtual environment without pip; returns its Python and its packages' folder."""
    venv.EnvBuilder(symlinks=True).create(folder)
    (packages,) = folder.glob("lib/python*/site-packages")
    return folder / "bin" / "python", packages


def installed() -> Iterator[Path]:
    """Yield everything that lies in the import folders of this environment."""
    for name in sys.path:
        if name.endswith(("site-packages", "dist-packages")) and Path(name).is_dir():
            yield from Path(name).iterdir()


def link_packages(packages: Path, without: Collection[str] = ()) -> None:
    """Link what is installed here into another environment, but for some packages."""
    for path in installed():
        left_out = any(path.name.startswith(name) for name in (*without, "__editable__"))
        if not left_out and path.suffix != ".pth" and not (packages / path.name).exists():
            os.symlink(path, packages / path.name)
