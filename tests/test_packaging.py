"""The wheel holds the package alone, with its types; what belongs to a release agrees."""

import ast
import email
import importlib.metadata
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from datetime import datetime
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

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


@pytest.fixture
def strangers(wheel: Path, tmp_path: Path) -> Path:
    """A new environment in which the wheel lies as pip would put it: its site-packages."""
    venv.create(tmp_path / "environment", symlinks=True)
    (packages,) = (tmp_path / "environment").glob("lib/python*/site-packages")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(packages)
    return packages


def checked_types(packages: Path, checker: str) -> "subprocess.CompletedProcess[str]":
    """Let a type checker look at a program that uses the package in an environment."""
    python = packages.parents[2] / "bin" / "python"
    command = [sys.executable, str(ROOT / "tools" / "check_types.py"), "--checker", checker]
    command += ["--python", str(python)]
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(command, env=clean, capture_output=True, text=True, check=False)


def test_mypy_sees_the_types(strangers: Path) -> None:
    ran = checked_types(strangers, "mypy")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    (strangers / "seesame" / "py.typed").unlink()
    without = checked_types(strangers, "mypy")
    assert without.returncode == 1
    assert "is not found" in without.stdout


def test_pyright_sees_the_types(strangers: Path) -> None:
    if importlib.util.find_spec("pyright") is None:
        pytest.skip("pyright is not installed; `make package` runs it")
    # In its strict mode the types of numpy and torch must be known as well.
    (strangers / "others.pth").write_text(sysconfig.get_path("purelib"))
    ran = checked_types(strangers, "pyright")
    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.parametrize("name", ["dev", "fleet"])
def test_the_pins_are_complete(name: str) -> None:
    """What a pinned package needs is pinned as well; torch alone pins what it brings."""
    lines = (ROOT / "requirements" / f"{name}.txt").read_text("utf-8").splitlines()
    pinned = {canonical(line) for line in lines if line and not line.startswith("#")}
    missing = []
    for one in sorted(pinned - {"torch"}):
        try:
            needs = importlib.metadata.requires(one) or []
        except importlib.metadata.PackageNotFoundError:
            continue
        asked = [Requirement(text) for text in needs]
        missing += [
            f"{one} needs {need.name}"
            for need in asked
            if (need.marker is None or need.marker.evaluate({"extra": ""}))
            and canonical(need.name) not in pinned
        ]
    assert missing == []


def canonical(requirement: str) -> str:
    """Return the name of a requirement as indexes write it."""
    return name_of(requirement).replace("_", "-").replace(".", "-")


def test_every_dependency_has_its_licence_in_the_docs() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = project["optional-dependencies"]
    asked = [*project["dependencies"]]
    asked += [one for name in extras if name != "dev" for one in extras[name]]
    page = (ROOT / "docs" / "licences.md").read_text("utf-8")
    rows = re.findall(r"^\| ([^|]+) \|", page, re.MULTILINE)
    table = {name.strip() for row in rows for name in row.split(",")}
    assert {name_of(one) for one in asked} <= table


def test_the_release_has_one_version() -> None:
    """Of the package, the changelog's newest entry, and the citation, with one date."""
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    changes = (ROOT / "CHANGELOG.md").read_text("utf-8")
    newest = re.search(r"^## (\S+), (\d+ \w+ \d{4})$", changes, re.MULTILINE)
    assert newest is not None
    assert newest[1] == cited["version"] == version()
    assert datetime.strptime(newest[2], "%d %B %Y").date().isoformat() == cited["date-released"]
    assert {"cff-version", "message", "title", "authors", "license"} <= set(cited)


def test_the_image_copies_what_is_there() -> None:
    """Every file that the Dockerfile copies exists, and ``.dockerignore`` lets it through."""
    text = (ROOT / "Dockerfile").read_text("utf-8")
    copied = [line.split()[1:-1] for line in text.splitlines() if line.startswith("COPY ")]
    files = [name for names in copied if not names[0].startswith("--from") for name in names]
    assert files
    allowed = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    assert [name for name in files if not (ROOT / name).exists() or f"!{name}" not in allowed] == []
    variants = set(re.findall(r"VARIANT=(\w+)", text))
    assert variants == {"cpu", "cuda"}


def test_the_image_is_linted() -> None:
    own = ROOT / ".venv-release" / "bin" / "hadolint"
    hadolint = own if own.exists() else shutil.which("hadolint")
    if hadolint is None:
        pytest.skip("needs hadolint (`make package` installs it)")
    ran = subprocess.run(
        [hadolint, "Dockerfile"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stdout
