"""Many files at once, on this machine and in a store."""

from pathlib import Path
from typing import Any

import pytest

from seesame.fleet.plan import Defaults, make_tasks, to_do
from seesame.fleet.sources.listing import list_source
from seesame.fleet.storage import TUNING, Found, storage
from seesame.fleet.target.state import DONE, StateFolder


@pytest.fixture(params=["local", "memory"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "local":
        return str(tmp_path)
    fsspec = pytest.importorskip("fsspec", reason="needs fsspec (the extra fleet)")
    fsspec.filesystem("memory").store.clear()
    return "memory://fleet"


def test_many_are_as_each(root: str) -> None:
    place, names = storage(root), [f"{n % 3}/f{n}" for n in range(2 * TUNING.listed)]
    for name in names:
        place.write(f"{root}/{name}", name.encode())
    place.write(f"{root}/one/alone", b"alone")
    paths = [f"{root}/{name}" for name in (*names, "0/none", "no/folder", "one/alone", "1")]
    found = place.stat_many(paths)
    assert found == [place.stat(path) for path in paths]
    assert [one and one.size for one in found[-4:]] == [None, None, 5, None]
    assert list(place.read_many(paths[:-1])) == [*(n.encode() for n in names), None, None, b"alone"]
    assert list(place.read_many([])) == []
    assert place.stat_many([]) == []


def test_a_walk_goes_into_folders_and_past_hidden_ones(root: str) -> None:
    place = storage(root)
    for name in ("b/x.mp4", "b/c/y.mp4", "a/z.mp4", ".hid/n.mp4", "b/.n.mp4", "top.mp4"):
        place.write(f"{root}/{name}", b"12")
    found = dict(place.walk(root))
    below = {path.partition("fleet/" if "://" in path else f"{root}/")[2] for path in found}
    assert below == {"top.mp4", "a/z.mp4", "b/x.mp4", "b/c/y.mp4"}
    assert {one.size for one in found.values()} == {2}


def test_a_file_is_replaced_by_a_local_one(root: str, tmp_path: Path) -> None:
    place = storage(root)
    place.write(f"{root}/t/file", b"old")
    (tmp_path / "made").write_bytes(b"new")
    place.put(tmp_path / "made", f"{root}/t/file", f"{root}/t/coming")
    assert place.read(f"{root}/t/file") == b"new"
    assert place.names(f"{root}/t") == ["file"]
    assert not (tmp_path / "made").exists()


def test_what_a_killed_writer_has_left_is_overwritten(tmp_path: Path) -> None:
    place = storage(str(tmp_path))
    (tmp_path / ".a.json.tmp").write_text("half")
    place.write(str(tmp_path / "a.json"), b"whole")
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


@pytest.mark.fleet
def test_a_large_fleet_takes_few_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fleet in a store is listed by folders; nothing is asked of each clip that is new."""
    fsspec = pytest.importorskip("fsspec")
    files = fsspec.filesystem("memory")
    files.store.clear()
    for number in range(300):
        files.pipe_file(f"memory://fleet/in/cam{number % 3}/d{number}.mp4", b"1" * (number + 1))
    asked: list[str] = []

    def counted(name: str) -> Any:
        inner = getattr(files, name)

        def count(path: str, *given: Any, **more: Any) -> Any:
            asked.append(f"{name} {path}")
            return inner(path, *given, **more)

        return count

    for name in ("info", "ls", "cat_file"):
        monkeypatch.setattr(files, name, counted(name))
    target = "memory://fleet/out"
    defaults = Defaults(codec="copy", stack="lite")
    tasks = make_tasks(list_source("memory://fleet/in", target), target, defaults, load_lite)
    missing, rest = to_do(tasks, StateFolder(target), False, False)
    assert (len(missing), rest) == (300, [])
    assert missing[0].found == Found(300, missing[0].found.stamp if missing[0].found else "")
    listed = [line for line in asked if line.startswith("ls")]
    assert len(listed) < 30
    assert len(asked) < 60
    folder = StateFolder(target)
    for one in tasks[:50]:
        folder.put(one.state(status=DONE, bytes=1))
        files.pipe_file(f"{target}/{one.out}", b"1")
    missing, rest = to_do(tasks, folder, False, False)
    assert (len(missing), len(rest)) == (250, 50)


def load_lite(name: str) -> Any:
    from seesame.perception.registry import load_stack

    return load_stack(name)
