"""Packing: the smallest zip, a script that stands alone, and the round trip's score."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from command import Ran
from trial import QUICK, Judge, need_isolation

from seesame.bitstream.container import Container
from seesame.cli.main import main
from seesame.contest.evaluate import Bench, evaluate_submission
from seesame.contest.limits import FolderLimits
from seesame.contest.submission import open_submission

ROOMY = replace(QUICK, memory=4 << 30, processes=128)

ZIP_BYTES = 100
"""Of a zip with one entry, beside the payload and twice the name: 30 + 46 + 22, and 2 names."""


@pytest.fixture(scope="module", params=["svtav1", "hnerv"])
def compressed(
    request: pytest.FixtureRequest, drive: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The drive, compressed."""
    path = tmp_path_factory.mktemp("compressed") / "drive.ssm"
    more = ["--set", "steps=4"] if request.param == "hnerv" else []
    words = ["compress", str(drive), "-o", str(path), "--codec", request.param, "--quiet"]
    assert main([*words, *more]) == 0
    return path


@pytest.fixture
def ssm(compressed: Path, videos: Path, tmp_path: Path) -> Path:
    """A copy of it beside a contest's videos."""
    return shutil.copy(compressed, tmp_path / "drive.ssm")


def pack(seesame: Callable[..., Ran], ssm: Path) -> Path:
    folder = ssm.parent / "entry"
    ran = seesame("contest", "pack", ssm, "-o", folder)
    assert ran.code == 0, ran.err
    return folder


def test_the_round_trip(
    ssm: Path, bench: Bench, videos: Path, tmp_path: Path, seesame: Callable[..., Ran], judge: Judge
) -> None:
    folder = pack(seesame, ssm)
    result = judge(folder, ROOMY)
    assert result.verdict == "scored"
    assert result.total is not None
    assert result.submission is not None
    assert result.submission.uncounted == ()
    scored = seesame("score", videos / "drive.mp4", ssm, "--json", "--quiet",
                     "--compressed", folder / "archive.zip")  # fmt: skip
    wanted = json.loads(scored.out)
    assert result.total.score.total == pytest.approx(wanted["score"], abs=1e-9)
    assert result.total.score.seg == wanted["seg"] > 0
    assert result.total.score.pose == wanted["pose"] > 0


def test_the_zip_is_the_smallest(ssm: Path, seesame: Callable[..., Ran]) -> None:
    folder = pack(seesame, ssm)
    payload = Container.read(ssm).to_bytes(contest=True)
    assert len(payload) < ssm.stat().st_size
    assert (folder / "archive.zip").stat().st_size == len(payload) + ZIP_BYTES
    with zipfile.ZipFile(folder / "archive.zip") as archive:
        (entry,) = archive.infolist()
        assert archive.testzip() is None
        assert (entry.filename, entry.extra, entry.comment) == ("0", b"", b"")
        assert archive.read("0") == payload


def test_the_folder_passes_as_the_challenge_runs_it(
    ssm: Path, tmp_path: Path, seesame: Callable[..., Ran]
) -> None:
    """``unzip``, then ``inflate.sh``, with the decoder in the folder and no seesame installed."""
    folder = pack(seesame, ssm)
    archive, out = tmp_path / "archive", tmp_path / "inflated"
    if shutil.which("unzip") is None:
        pytest.skip("needs unzip")
    subprocess.run(["unzip", "-q", folder / "archive.zip", "-d", archive], check=True)
    # A folder of its own on the path that hides the installed package would be found first.
    names = tmp_path / "names.txt"
    bare = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", folder / "inflate.sh", archive, out, names],
        env=bare, cwd="/", capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    seesame("decompress", ssm, "-o", tmp_path / "ours.raw", "--quiet")
    assert (out / "drive.raw").read_bytes() == (tmp_path / "ours.raw").read_bytes()


def test_the_decoder_in_the_folder_is_the_one_that_runs(
    ssm: Path, seesame: Callable[..., Ran], tmp_path: Path
) -> None:
    folder = pack(seesame, ssm)
    broken = folder / "seesame" / "contest" / "inflate.py"
    broken.write_text("raise SystemExit(42)\n")
    done = subprocess.run(
        ["bash", folder / "inflate.sh", "a", "b", "c"],
        env={"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}, cwd="/",
    )  # fmt: skip
    assert done.returncode == 42


def test_the_folder_holds_only_short_text(ssm: Path, seesame: Callable[..., Ran]) -> None:
    folder = pack(seesame, ssm)
    assert open_submission(folder).uncounted == ()
    for path in folder.rglob("*"):
        if path.is_file() and path.name != "archive.zip":
            assert path.stat().st_size <= FolderLimits().script_bytes
            path.read_text("utf-8")


def test_a_packed_folder_is_not_overwritten_unasked(ssm: Path, seesame: Callable[..., Ran]) -> None:
    folder = pack(seesame, ssm)
    (folder / "mine.txt").write_text("mine")
    ran = seesame("contest", "pack", ssm, "-o", folder)
    assert ran.code == 2
    assert "--overwrite" in ran.err
    assert (folder / "mine.txt").exists()


def test_what_is_no_ssm_is_refused(tmp_path: Path, seesame: Callable[..., Ran]) -> None:
    path = tmp_path / "x.ssm"
    path.write_bytes(b"nonsense")
    ran = seesame("contest", "pack", path, "-o", tmp_path / "entry")
    assert ran.code == 2
    assert str(path) in ran.err
    assert not (tmp_path / "entry").exists()


def test_two_videos_in_one_archive(
    videos: Path, tmp_path: Path, seesame: Callable[..., Ran], bench: Bench
) -> None:
    need_isolation()
    shutil.copy(videos / "drive.mp4", videos / "second.mp4")
    files = []
    for name, crf in (("drive", 30), ("second", 60)):
        files.append(tmp_path / f"{name}.ssm")
        ran = seesame("compress", videos / f"{name}.mp4", "-o", files[-1], "--quiet",
                      "--codec", "svtav1", "--set", f"crf={crf}")  # fmt: skip
        assert ran.code == 0, ran.err
    assert seesame("contest", "pack", *files, "-o", tmp_path / "entry").code == 0
    both = (
        bench.videos[0],
        replace(bench.videos[0], name="second.mp4", path=videos / "second.mp4"),
    )
    result = evaluate_submission(
        tmp_path / "entry", replace(bench, videos=both), ROOMY, work=tmp_path
    )
    assert result.verdict == "scored"
    (_, fine), (_, coarse) = result.videos
    assert fine.score.seg < coarse.score.seg
