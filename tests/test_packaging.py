"""The wheel holds the package and its data, nothing else, and stays small."""

import ast
import email
import importlib.util
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "seesame"
MOST_BYTES = 3_000_000


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel that is built from a copy of the tree, so that no old build folder leaks into it."""
    if importlib.util.find_spec("setuptools") is None:
        pytest.skip("needs setuptools to build a wheel")
    tree = tmp_path_factory.mktemp("a tree")
    for name in ("pyproject.toml", "README.md", "LICENSE", "MANIFEST.in"):
        shutil.copy(ROOT / name, tree)
    for name in ("src", "tests", "bench"):
        ignored = shutil.ignore_patterns("__pycache__", "*.egg-info", "golden", "results")
        shutil.copytree(ROOT / name, tree / name, ignore=ignored)
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation"]
    command += ["--no-index", "--quiet", "--wheel-dir", str(tree / "dist"), str(tree)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    (built,) = (tree / "dist").glob("*.whl")
    return built


@pytest.fixture(scope="module")
def names(wheel: Path) -> set[str]:
    """The paths of all files in the wheel."""
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def version() -> str:
    """Return ``__version__`` as ``seesame/__init__.py`` writes it, a literal."""
    for node in ast.parse((PACKAGE / "__init__.py").read_text("utf-8")).body:
        if isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if [t.id for t in targets if isinstance(t, ast.Name)] == ["__version__"]:
                return str(ast.literal_eval(node.value))  # type: ignore[arg-type]
    raise AssertionError("seesame/__init__.py has no __version__")


def test_it_holds_the_whole_package_and_nothing_else(names: set[str]) -> None:
    files = {
        path.relative_to(PACKAGE.parent).as_posix()
        for path in PACKAGE.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    info = f"seesame-{version()}.dist-info/"
    assert {name for name in names if not name.startswith(info)} == files


def test_it_is_small(wheel: Path) -> None:
    assert wheel.stat().st_size < MOST_BYTES


def test_its_metadata(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        head = archive.read(f"seesame-{version()}.dist-info/METADATA").decode()
        scripts = archive.read(f"seesame-{version()}.dist-info/entry_points.txt").decode()
    metadata = email.message_from_string(head)
    assert metadata["Version"] == version()
    assert set(metadata.get_all("Provides-Extra", [])) >= {
        "comma",
        "dev",
        "onnx",
        "search",
    }
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert "seesame = seesame.cli.main:main" in scripts


def test_the_package_reads_nothing_beside_the_checkout() -> None:
    """Code that reads ``../shared`` lies in ``bench/``, ``tools/`` or ``tests/``."""
    readers = [
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        if "../shared" in path.read_text("utf-8")
    ]
    assert readers == []


def test_the_pins_hold_what_the_package_asks_for() -> None:
    """``requirements/dev.txt`` has every dependency, also those of the extras that tests use."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = project["optional-dependencies"]
    asked = [*project["dependencies"], *extras["onnx"], *extras["search"], *extras["judges"]]
    asked += extras["dev"]
    wanted = {name_of(one) for one in asked} - {"seesame"}
    lines = (ROOT / "requirements" / "dev.txt").read_text("utf-8").splitlines()
    pinned = {name_of(line) for line in lines if line and not line.startswith("#")}
    assert wanted <= pinned


def name_of(requirement: str) -> str:
    """Return the name of a requirement without its extras and versions."""
    for mark in "[><=~! ":
        requirement = requirement.partition(mark)[0]
    return requirement.lower()
