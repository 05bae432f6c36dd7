"""The clips that a folder, a pattern, one file or a manifest names."""

from pathlib import Path

import pytest

from seesame.errors import MissingExtraError, UserError
from seesame.fleet.sources.listing import list_source
from seesame.fleet.storage import storage


@pytest.fixture
def drives(tmp_path: Path) -> Path:
    """A folder with three videos, and files that are none."""
    names = (
        "b.MP4",
        "a/c.mkv",
        "a/b/d.ts",
        "a/e.ssm",
        "f.txt",
        ".g.mp4",
        ".h/i.mp4",
        "small/j.mp4",
    )
    for number, name in enumerate(names):
        path = tmp_path / "drives" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * (number + 1))
    return tmp_path / "drives"


def test_a_folder_gives_its_videos_without_hidden_ones_and_the_target(drives: Path) -> None:
    target = str(drives / "small")
    entries = list_source(str(drives) + "/", target)
    assert [entry.name for entry in entries] == ["b.MP4", "a/c.mkv", "a/b/d.ts"]
    assert [entry.found.size for entry in entries if entry.found] == [1, 2, 3]
    assert all(entry.uri == str(drives / entry.name) for entry in entries)


def test_a_pattern_gives_names_below_what_is_fixed_in_it(
    drives: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entries = list_source(f"{drives}/a/**/*", "small")
    assert [entry.name for entry in entries] == ["b/d.ts", "c.mkv", "e.ssm"]
    monkeypatch.chdir(drives)
    assert [e.name for e in list_source("*/*.m*", "small")] == ["a/c.mkv"]
    assert [e.name for e in list_source("*/*.m*", "t")] == ["a/c.mkv", "small/j.mp4"]


def test_one_clip(drives: Path) -> None:
    (entry,) = list_source(str(drives / "a/c.mkv"), "small")
    assert (entry.name, entry.uri) == ("c.mkv", str(drives / "a/c.mkv"))


def test_paths_in_a_manifest_are_below_its_folder(drives: Path) -> None:
    absolute = drives / "b.MP4"
    (drives / "fleet.csv").write_text(f"uri,out\na/c.mkv,x.ssm\n{absolute},\nnone.mp4,\n")
    entries = list_source(str(drives / "fleet.csv"), "small")
    assert [entry.uri for entry in entries] == [
        f"{drives}/a/c.mkv",
        str(absolute),
        f"{drives}/none.mp4",
    ]
    assert [entry.out for entry in entries] == ["x.ssm", None, None]
    assert [entry.name for entry in entries] == ["c.mkv", "b.MP4", "none.mp4"]
    assert entries[2].found is None


@pytest.mark.parametrize("source", ["none", "none/*.mp4", "empty", "x\0y"])
def test_what_names_no_clip_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    with pytest.raises(UserError, match=r"not found|no video|no file|not a file name"):
        list_source(source, "small")


def test_uris_go_through_fsspec(drives: Path) -> None:
    pytest.importorskip("fsspec")
    entries = list_source(f"file://{drives}", str(drives / "small"))
    assert sorted(entry.name for entry in entries) == [
        *("a/b/d.ts", "a/c.mkv", "b.MP4", "small/j.mp4")
    ]
    assert all(entry.uri.startswith("file:///") for entry in entries)
    assert all(entry.found and entry.found.size and entry.found.stamp for entry in entries)
    (one,) = list_source(f"file://{drives}/a/*.mkv", "small")
    assert (one.uri, one.name) == (f"file://{drives}/a/c.mkv", "c.mkv")


def test_memory_uris() -> None:
    pytest.importorskip("fsspec")
    place = storage("memory://fleet")
    place.write("memory://fleet/a/b.mp4", b"video")
    place.write("memory://fleet/fleet.jsonl", b'{"uri": "a/b.mp4"}\n')
    for source in ("memory://fleet", "memory://fleet/fleet.jsonl", "memory://fleet/**/*.mp4"):
        (entry,) = list_source(source, "small")
        assert entry.name in ("a/b.mp4", "b.mp4")
        assert place.read(entry.uri) == b"video"
    with pytest.raises(UserError, match="not found"):
        list_source("memory://none", "small")


def test_a_scheme_that_nothing_reads_is_told() -> None:
    pytest.importorskip("fsspec")
    with pytest.raises(UserError, match="nosuch"):
        list_source("nosuch://bucket/drives", "small")


def test_a_scheme_whose_library_is_absent_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "fsspec", None)
    with pytest.raises(MissingExtraError, match=r"seesame\[fleet\]"):
        list_source("absent://bucket/drives", "small")
