"""User folders that cannot be entered, read or written: a command does without, in one line."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from permissions import permissions_bind
from tiny_stack import TinyStack

from seesame.codecs.semantic.installed import find_renderer, installed
from seesame.errors import MissingRendererError
from seesame.inputs import NoHomeError, data_folder
from seesame.metric.storage.cache import cache_folder, cache_home, cached_reference_outputs
from seesame.perception.comma.fetch import available
from seesame.perception.registry import stacks
from seesame.video.reading.reader import open_clip

PLACES = ["file", "loop", "long", "pipe", "closed", "read-only"]


@pytest.fixture(params=PLACES)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A path that cannot be used as a folder."""
    kind, path = request.param, tmp_path / "place"
    if kind == "file":
        path.write_text("")
    elif kind == "loop":
        path.symlink_to("place")
    elif kind == "long":
        path = tmp_path / ("n" * 5000)
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.mkdir()
        path.chmod(0 if kind == "closed" else 0o555)
    with permissions_bind():
        yield path
    if kind in ("closed", "read-only"):
        path.chmod(0o755)


@pytest.mark.parametrize("variable", ["SEESAME_CACHE", "SEESAME_HOME", "XDG_CACHE_HOME", "HOME"])
def test_scoring_does_without_a_cache(
    place: Path, variable: str, drive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("SEESAME_CACHE", "SEESAME_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, str(place))
    lines: list[str] = []
    for _ in range(2):
        lines.clear()
        stack = TinyStack()
        cached_reference_outputs(drive, open_clip(drive), stack, tell=lines.append)
        assert stack.batches
        assert len(lines) == 1
        assert "\n" not in lines[0]


def test_renderers_and_stacks_are_listed(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEESAME_HOME", str(place))
    shipped = [one.data for one in installed() if not one.own]
    assert shipped
    assert not available()
    assert stacks()
    with pytest.raises(MissingRendererError):
        find_renderer("0" * 64)


def refuse(path: Path, *_: object, **__: object) -> object:
    raise PermissionError(13, "Permission denied", str(path))


def test_a_folder_that_cannot_be_entered_even_by_root(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the system answers for a folder without the right to enter it."""
    monkeypatch.setenv("SEESAME_HOME", str(tmp_path))
    for name in ("is_file", "is_dir", "exists", "stat"):
        monkeypatch.setattr(type(tmp_path), name, refuse)
    assert not available()
    unread: list[str] = []
    monkeypatch.setattr("seesame.codecs.semantic.installed.files", lambda _: Package())
    assert installed(unread) == []
    assert "Permission denied" in unread[0]


class Package:
    """A package without renderers."""

    def joinpath(self, _: str) -> "Package":
        return self

    def is_dir(self) -> bool:
        return False


@pytest.mark.parametrize("kind", ["pipe", "folder", "absent", "endless"])
def test_a_renderer_that_cannot_be_read_hides_no_other(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEESAME_HOME", str(tmp_path))
    path = data_folder("renderers") / "a.renderer"
    path.parent.mkdir()
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to("absent" if kind == "absent" else "/dev/zero")
    unread: list[str] = []
    found = installed(unread)
    assert found
    assert not any(one.own for one in found)
    assert len(unread) == 1
    assert str(path) in unread[0]


@pytest.mark.parametrize("home", ["relative", "", "~", "."])
def test_a_home_that_is_no_absolute_path_is_none(
    home: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("SEESAME_CACHE", "SEESAME_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", home)
    for folder in (cache_home, cache_folder, lambda: data_folder("comma")):
        with pytest.raises(NoHomeError, match="HOME"):
            folder()
    assert not available()


def test_base_folders_that_are_relative_are_ignored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("SEESAME_CACHE", "SEESAME_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", "here")
    monkeypatch.setenv("XDG_DATA_HOME", "./there")
    assert cache_home() == tmp_path / ".cache" / "seesame"
    assert data_folder("comma") == tmp_path / ".local" / "share" / "seesame" / "comma"


@pytest.mark.parametrize("kind", ["pipe", "endless", "loop", "nothing"])
def test_an_entry_that_is_no_file(kind: str, drive: Path, tmp_path: Path) -> None:
    source = Path(shutil.copy(drive, tmp_path / "drive.mp4"))
    folder, lines = tmp_path / "references", list[str]()

    def ran() -> int:
        stack = TinyStack()
        lines.clear()
        more = {"folder": folder, "tell": lines.append}
        cached_reference_outputs(source, open_clip(source), stack, **more)  # type: ignore[arg-type]
        return len(stack.batches)

    assert ran() == 1
    (entry,) = folder.iterdir()
    entry.unlink()
    if kind == "pipe":
        os.mkfifo(entry)
    else:
        target = {"endless": "/dev/zero", "loop": entry.name, "nothing": "absent"}
        entry.symlink_to(target[kind])
    assert ran() == 1
    assert len(lines) <= 1
