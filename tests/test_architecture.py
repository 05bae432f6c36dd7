"""The house stands as drawn: imports point down only, no cycles, files of readable length."""

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

SRC = Path(__file__).resolve().parents[1] / "src"
MAX_LINES = 420

# A room may import rooms of a lower floor and itself; rooms of one floor do not know each other.
FLOORS = (
    ("bitstream", "video"),
    ("scene", "perception"),
    ("metric",),
    ("context",),
    ("runlog",),
    ("neural",),
    ("codecs",),
    ("decoders",),
    ("jobs",),
    ("search", "contest", "report"),
    # A clip of a fleet is done as one of ``compress``: limits choose its quality, by a search.
    ("fleet",),
    ("api", "cli"),
)
LEVEL = {room: level for level, rooms in enumerate(FLOORS) for room in rooms}
API = "seesame"
"""The package itself gives names of any module lazily; others read only its version."""
FOR_ALL = {API} | {
    f"{API}.{name}"
    for name in ("bounds", "errors", "files", "inputs", "processes", "removal", "temporary")
}


def module_name(path: Path, root: Path) -> str:
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path, root: Path, modules: set[str]) -> set[str]:
    """Modules of the package that a file imports, wherever in the file the import stands."""
    found: set[str] = set()
    here = module_name(path, root).split(".")
    package = here if path.name == "__init__.py" else here[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            name = ".".join([*base, *([node.module] if node.module else [])])
            for alias in node.names:
                inner = f"{name}.{alias.name}"
                found.add(inner if inner in modules else name)
    return {name for name in found if name.split(".")[0] == "seesame"}


def graph(root: Path = SRC) -> dict[str, set[str]]:
    files = sorted((root / "seesame").rglob("*.py"))
    modules = {module_name(path, root) for path in files}
    return {module_name(path, root): imports(path, root, modules) for path in files}


def room(module: str) -> str:
    return module.split(".")[1]


def bad_imports(links: dict[str, set[str]]) -> list[str]:
    problems = []
    for module, targets in sorted(links.items()):
        if module == API:
            continue
        if module in FOR_ALL:
            problems += [f"{module} -> {t}" for t in sorted(targets - FOR_ALL)]
            continue
        for target in sorted(targets - FOR_ALL):
            same = room(module) == room(target)
            if not same and LEVEL[room(target)] >= LEVEL[room(module)]:
                problems.append(f"{module} -> {target}")
    return problems


def cycle(links: dict[str, set[str]]) -> list[str]:
    try:
        TopologicalSorter({m: t for m, t in links.items() if m != API}).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def test_every_module_stands_in_a_room() -> None:
    assert {room(m) for m in graph() if m not in FOR_ALL} <= set(LEVEL)


def test_imports_point_down_only() -> None:
    assert bad_imports(graph()) == []


def test_no_module_imports_itself_in_a_circle() -> None:
    assert cycle(graph()) == []


@pytest.mark.parametrize("path", sorted(SRC.rglob("*.py")), ids=lambda p: str(p.relative_to(SRC)))
def test_files_are_short(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MAX_LINES


@pytest.mark.parametrize(
    ("file", "line", "problem"),
    [
        ("video/a.py", "import seesame.bitstream.b", "seesame.video.a -> seesame.bitstream.b"),
        ("video/a.py", "from seesame.cli import c", "seesame.video.a -> seesame.cli.c"),
        ("video/a.py", "from ..bitstream import b", "seesame.video.a -> seesame.bitstream.b"),
        ("search/a.py", "from seesame import fleet", "seesame.search.a -> seesame.fleet"),
        ("files.py", "from seesame.video import a", "seesame.files -> seesame.video.a"),
        (
            "video/a.py",
            "def f():\n    from seesame.metric import d",
            "seesame.video.a -> seesame.metric.d",
        ),
    ],
)
def test_the_check_sees_a_wrong_import(tmp_path: Path, file: str, line: str, problem: str) -> None:
    for name in ("bitstream/b.py", "cli/c.py", "metric/d.py", "video/a.py", "search/a.py"):
        path = tmp_path / "seesame" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    for name in ("__init__.py", "fleet/__init__.py", "files.py"):
        path = tmp_path / "seesame" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    (tmp_path / "seesame" / file).write_text(line)
    assert bad_imports(graph(tmp_path)) == [problem]


def test_the_check_sees_a_circle() -> None:
    assert cycle({"a": {"b"}, "b": {"c"}, "c": {"a"}})
    assert not cycle({"a": {"b"}, "b": {"c"}, "c": set()})
