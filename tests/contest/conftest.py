"""A small contest: one synthetic video, and submissions made of a script and an archive."""

import shutil
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import psutil
import pytest
from trial import QUICK, Submit, need_isolation

from seesame.contest.evaluate import Bench, Result, evaluate_submission
from seesame.contest.isolation.limits import Limits
from seesame.contest.videos import open_videos, read_names


@pytest.fixture
def videos(tmp_path: Path, drive: Path) -> Path:
    """A folder with ``drive.mp4``, and beside it ``names.txt``."""
    folder = tmp_path / "videos"
    folder.mkdir()
    shutil.copy(drive, folder / "drive.mp4")
    (tmp_path / "names.txt").write_text("drive.mp4\n")
    return folder


@pytest.fixture
def bench(videos: Path) -> Bench:
    """The contest, judged by the stack ``lite``."""
    found, source_bytes = open_videos(videos, read_names(videos.parent / "names.txt"))
    return Bench(found, source_bytes, videos, "lite", cached=False)


@pytest.fixture
def submit(tmp_path: Path) -> Submit:
    """Make a submission: ``submit("exit 0", {"0": b"payload"})``."""

    def make(script: str, payloads: Mapping[str, bytes] | None = None, name: str = "entry") -> Path:
        folder = tmp_path / name
        folder.mkdir()
        (folder / "inflate.sh").write_text(f"#!/usr/bin/env bash\n{script}\n")
        with zipfile.ZipFile(folder / "archive.zip", "w") as archive:
            for entry, payload in (payloads or {"0": b"x"}).items():
                archive.writestr(entry, payload)
        return folder

    return make


@pytest.fixture
def judge(bench: Bench, tmp_path: Path) -> Iterator[Callable[..., Result]]:
    """Evaluate a submission, and see afterwards that no process and no file of it is left."""
    work = tmp_path / "work"
    work.mkdir()
    before = set(psutil.pids())

    def run(folder: Path, limits: Limits = QUICK, isolate: bool = True) -> Result:
        if isolate:
            need_isolation()
        children = psutil.Process().children()
        result = evaluate_submission(folder, bench, limits, isolate=isolate, work=work)
        assert psutil.Process().children() == children
        assert list(work.iterdir()) == []
        assert "\n" not in result.verdict
        assert len(result.verdict) < 500
        return result

    yield run
    for process in psutil.process_iter(["pid", "cmdline"]):
        if process.pid not in before:
            assert str(work) not in " ".join(process.info["cmdline"] or [])
