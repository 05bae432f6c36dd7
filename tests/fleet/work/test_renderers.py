"""The renderer of a semantic fleet: named by its content, in the target, fetched once, verified."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from fleets import make_fleet
from small_semantic import SmallStack, small_renderer

from seesame.codecs.semantic import installed
from seesame.decoders import open_clip
from seesame.errors import DamagedError, MissingRendererError, UserError
from seesame.fleet.driver import Run, run_batch
from seesame.fleet.plan import Defaults, make_tasks
from seesame.fleet.sources.listing import list_source
from seesame.fleet.target.state import DONE, StateFolder
from seesame.fleet.work.renderers import fetch, pinned, publish
from seesame.perception.registry import load_stack

STACK = "small_semantic:SmallStack"
HELPERS = Path(__file__).resolve().parents[2] / "helpers"


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A renderer that is installed nowhere."""
    monkeypatch.setenv("SEESAME_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(installed, "_GIVEN", {})
    fetch.cache_clear()
    path = tmp_path / "small.renderer"
    small_renderer().write(path)
    yield path
    fetch.cache_clear()


def test_a_worker_fetches_the_renderer_of_the_run(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(HELPERS), prepend=os.pathsep)
    make_fleet(tmp_path / "in", 2)
    target = str(tmp_path / "out")
    settings = {"renderer": str(file)}
    defaults = Defaults(codec="semantic", settings=settings, stack=STACK)
    tasks = make_tasks(list_source(str(tmp_path / "in"), target), target, defaults, load_stack)
    digest = small_renderer().digest
    assert {task.settings["renderer"] for task in tasks} == {digest}
    assert run_batch(tasks, target, Run(jobs=1)).failed == 0
    states = list(StateFolder(target).all())
    assert [state.status for state in states] == [DONE] * 2
    kept = tmp_path / "out" / ".seesame" / "renderers" / f"{digest}.renderer"
    assert kept.read_bytes() == file.read_bytes()
    assert open_clip(tmp_path / "out" / states[0].out).width == 64


def test_another_renderer_is_another_recipe(file: Path, tmp_path: Path) -> None:
    make_fleet(tmp_path / "in", 1)

    def recipe() -> str:
        defaults = Defaults(codec="semantic", settings={"renderer": str(file)}, stack=STACK)
        (task,) = make_tasks(list_source(str(tmp_path / "in"), "out"), "out", defaults, load_stack)
        return task.recipe

    first = recipe()
    assert recipe() == first
    small_renderer(seed=1).write(file, overwrite=True)
    assert recipe() != first


def test_bytes_that_are_not_those_of_the_name(file: Path, tmp_path: Path) -> None:
    target = str(tmp_path / "out")
    settings = pinned("semantic", {"renderer": str(file)}, SmallStack())
    digest = settings["renderer"]
    publish(target, [digest])
    place = tmp_path / "out" / ".seesame" / "renderers" / f"{digest}.renderer"
    place.write_bytes(small_renderer(seed=1).data)
    installed._GIVEN.clear()
    with pytest.raises(UserError, match="are not those of its name"):
        fetch(target, digest)
    place.unlink()
    with pytest.raises(UserError, match="has gone"):
        fetch(target, digest)
    pinned("semantic", {"renderer": str(file)}, SmallStack())
    place.write_bytes(b"half of it")
    publish(target, [digest])
    assert place.read_bytes() == file.read_bytes()


def test_a_renderer_by_uri(file: Path) -> None:
    pytest.importorskip("fsspec")
    settings = pinned("semantic", {"renderer": f"file://{file}", "simplify": 3}, SmallStack())
    assert settings == {"renderer": small_renderer().digest, "simplify": 3}
    with pytest.raises(UserError, match="not found"):
        pinned("semantic", {"renderer": f"file://{file}.none"}, SmallStack())


def test_what_is_wrong_is_said_before_the_run(file: Path) -> None:
    with pytest.raises(MissingRendererError):
        pinned("semantic", {}, SmallStack())
    file.write_bytes(b"no renderer")
    with pytest.raises(DamagedError):
        pinned("semantic", {"renderer": str(file)}, SmallStack())
    assert pinned("semantic", {"embed": True}, SmallStack()) == {"embed": True}
    assert pinned("x264", {"crf": 3}, SmallStack()) == {"crf": 3}
