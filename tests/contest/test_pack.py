"""Packing: the smallest zip, a script that stands alone, and the round trip's score."""

import json
import shutil
import subprocess
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from command import Ran
from trial import ROOMY, Judge, bare_venv, link_packages, need_isolation

from seesame.bitstream.container import Container, Section
from seesame.bitstream.varint import pack_varint
from seesame.cli.main import main
from seesame.codecs.registry import get_codec
from seesame.codecs.semantic.sections import read_head
from seesame.contest.evaluate import Bench, evaluate_submission
from seesame.contest.isolation.limits import FolderLimits
from seesame.contest.submission import open_submission

ZIP_BYTES = 100
"""Of a zip with one entry, beside the payload and twice the name: 30 + 46 + 22, and 2 names."""


EVERY_KIND = pytest.mark.parametrize("ssm", ["svtav1", "hnerv", "semantic"], indirect=True)


@pytest.fixture(scope="module", params=["svtav1"])
def ssm(
    request: pytest.FixtureRequest, drive: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The drive, compressed."""
    path = tmp_path_factory.mktemp("compressed") / "drive.ssm"
    more = [] if request.param == "svtav1" else ["--set", "steps=4"]
    more += ["--set", "embed=true"] if request.param == "semantic" else []
    words = ["compress", str(drive), "-o", str(path), "--codec", request.param, "--quiet"]
    assert main([*words, *more]) == 0
    return path


@pytest.fixture(scope="module")
def packed(ssm: Path) -> Path:
    """The submission's folder; tests that change it take a copy."""
    folder = ssm.parent / "entry"
    assert main(["contest", "pack", str(ssm), "-o", str(folder), "--quiet"]) == 0
    return folder


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of an environment without pip, in which seesame is not installed."""
    python, packages = bare_venv(tmp_path_factory.mktemp("bare") / "environment")
    link_packages(packages, without=["seesame", "pip", "uv", "google_crc32c"])
    for name in ("bash", "dirname", "mktemp", "rm", "ln"):
        (python.parent / name).symlink_to(str(shutil.which(name)))
    return python.parent


def linked_package(name: str, folder: Path) -> Path:
    """A folder with one of the installed packages in it."""
    folder.mkdir()
    everything = folder.parent / f"{folder.name} everything"
    everything.mkdir()
    link_packages(everything)
    for path in everything.glob(f"{name}*"):
        path.rename(folder / path.name)
    return folder


def run(folder: Path, programs: Path, work: Path, **more: str) -> subprocess.CompletedProcess[str]:
    """Run ``inflate.sh`` as the challenge does, with nothing on its PATH but ``programs``."""
    (work / "names.txt").write_text("drive.mp4\n")
    with zipfile.ZipFile(folder / "archive.zip") as archive:
        archive.extractall(work / "archive")
    return subprocess.run(
        [programs / "bash", folder / "inflate.sh", "archive", "inflated", "names.txt"],
        env={"PATH": str(programs), **more}, cwd=work, capture_output=True, text=True,
    )  # fmt: skip


@EVERY_KIND
def test_the_round_trip(
    ssm: Path, packed: Path, videos: Path, seesame: Callable[..., Ran], judge: Judge
) -> None:
    result = judge(packed, ROOMY)
    assert result.verdict == "scored"
    assert result.total is not None
    assert result.submission is not None
    assert result.submission.uncounted == ()
    scored = seesame("score", videos / "drive.mp4", ssm, "--json", "--quiet",
                     "--compressed", packed / "archive.zip")  # fmt: skip
    wanted = json.loads(scored.out)
    assert result.total.score.total == pytest.approx(wanted["score"], abs=1e-9)
    assert result.total.score.seg == wanted["seg"] > 0
    assert result.total.score.pose == wanted["pose"] > 0


@EVERY_KIND
def test_the_zip_is_the_smallest(ssm: Path, packed: Path) -> None:
    payload = Container.read(ssm).to_bytes(contest=True)
    assert len(payload) < ssm.stat().st_size
    assert (packed / "archive.zip").stat().st_size == len(payload) + ZIP_BYTES
    with zipfile.ZipFile(packed / "archive.zip") as archive:
        (entry,) = archive.infolist()
        assert archive.testzip() is None
        assert (entry.filename, entry.extra, entry.comment) == ("0", b"", b"")
        assert archive.read("0") == payload


@EVERY_KIND
def test_the_folder_passes_where_seesame_is_not_installed(
    ssm: Path, packed: Path, bare: Path, tmp_path: Path, seesame: Callable[..., Ran]
) -> None:
    probe = "import importlib.util as u, sys; sys.exit(u.find_spec('seesame') is not None)"
    assert subprocess.run([bare / "python", "-c", probe], cwd="/", env={}).returncode == 0
    work = tmp_path / "a:b c"
    work.mkdir()
    folder = shutil.copytree(packed, work / "entry")
    # A folder of the same name where the script is started is not the decoder.
    (work / "seesame").mkdir()
    (work / "seesame" / "__init__.py").write_text("raise SystemExit(42)")
    more = linked_package("google_crc32c", tmp_path / "more")
    done = run(folder, bare, work, PYTHONPATH=str(more))
    assert done.returncode == 0, done.stderr
    seesame("decompress", ssm, "-o", tmp_path / "ours.raw", "--quiet")
    assert (work / "inflated" / "drive.raw").read_bytes() == (tmp_path / "ours.raw").read_bytes()
    assert not list(folder.rglob("__pycache__"))


def test_missing_packages_are_installed_alone(packed: Path, bare: Path, tmp_path: Path) -> None:
    programs = shutil.copytree(bare, tmp_path / "bin", symlinks=True)
    shutil.copy(bare.parent / "pyvenv.cfg", tmp_path)
    (tmp_path / "lib").symlink_to(bare.parent / "lib")
    more = linked_package("google_crc32c", tmp_path / "more")
    (programs / "uv").write_text(
        f"""#!/bin/bash
echo "$@" >&2
while [ "$1" != --target ]; do shift; done
ln -s "{more}"/* "$2"
"""
    )
    (programs / "uv").chmod(0o755)
    done = run(packed, programs, tmp_path)
    assert done.returncode == 0, done.stderr
    assert "--no-deps" in done.stderr
    assert "google-crc32c==" in done.stderr
    assert "numpy" not in done.stderr
    assert "pillow" not in done.stderr


def test_nothing_to_install_with_is_one_line(packed: Path, bare: Path, tmp_path: Path) -> None:
    done = run(packed, bare, tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("inflate.sh: this Python lacks google-crc32c==")
    assert "neither uv nor pip" in done.stderr
    assert done.stderr.count("\n") == 1


def test_another_environment_is_one_line(packed: Path, tmp_path: Path) -> None:
    python, _ = bare_venv(tmp_path / "empty")
    for name in ("bash", "dirname"):
        (python.parent / name).symlink_to(str(shutil.which(name)))
    done = run(packed, python.parent, tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("inflate.sh: this Python lacks torch numpy av")
    assert done.stderr.count("\n") == 1
    (python.parent / "python").unlink()
    (python.parent / "python3").unlink()
    assert "there is no python" in run(packed, python.parent, tmp_path).stderr


@EVERY_KIND
def test_the_folder_holds_only_the_decoder_as_short_text(packed: Path) -> None:
    assert open_submission(packed).uncounted == ()
    for path in packed.rglob("*"):
        if path.is_file() and path.name != "archive.zip":
            assert path.stat().st_size <= FolderLimits().script_bytes
            path.read_text("utf-8")
    held = {path.name for path in (packed / "seesame").iterdir()}
    assert {"bitstream", "codecs", "video"} <= held
    assert held.isdisjoint({"cli", "jobs", "report", "scene", "search"})


def test_a_packed_folder_is_not_overwritten_unasked(
    ssm: Path, packed: Path, tmp_path: Path, seesame: Callable[..., Ran]
) -> None:
    folder = shutil.copytree(packed, tmp_path / "entry")
    (folder / "mine.txt").write_text("mine")
    ran = seesame("contest", "pack", ssm, "-o", folder)
    assert ran.code == 2
    assert "--overwrite" in ran.err
    assert (folder / "mine.txt").exists()


@pytest.mark.parametrize("ssm", ["semantic"], indirect=True)
def test_a_file_without_its_renderer_is_refused(
    ssm: Path, tmp_path: Path, seesame: Callable[..., Ran]
) -> None:
    container = Container.read(ssm)
    head = replace(read_head(container), renderer=bytes(32))
    sections = {**container.sections, Section.MODEL: head.pack()}
    del sections[Section.RENDERER]
    shared = replace(container, sections=sections)
    data = shared.to_bytes(contest=True)
    parts = {Section.STREAM: pack_varint(len(data)) + data}
    whole = replace(container, codec_id=get_codec("segments").codec_id, sections=parts)
    for number, one in enumerate([shared, whole]):
        path = tmp_path / f"{number}.ssm"
        one.write(path)
        ran = seesame("contest", "pack", path, "-o", tmp_path / "entry", "--quiet")
        assert ran.code == 2
        assert "--set embed=true" in ran.err
        assert ran.err.count("\n") == 1
        assert not (tmp_path / "entry").exists()


def test_what_is_no_ssm_is_refused(tmp_path: Path, seesame: Callable[..., Ran]) -> None:
    path = tmp_path / "x.ssm"
    path.write_bytes(b"nonsense")
    ran = seesame("contest", "pack", path, "-o", tmp_path / "entry")
    assert ran.code == 2
    assert str(path) in ran.err
    assert not (tmp_path / "entry").exists()


def test_a_file_that_cannot_be_decoded_is_refused(
    ssm: Path, tmp_path: Path, seesame: Callable[..., Ran]
) -> None:
    container = Container.read(ssm)
    torn = {name: data[: len(data) // 2] for name, data in container.sections.items()}
    (tmp_path / "torn.ssm").write_bytes(replace(container, sections=torn).to_bytes())
    ran = seesame("contest", "pack", tmp_path / "torn.ssm", "-o", tmp_path / "entry", "--quiet")
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert list(tmp_path.iterdir()) == [tmp_path / "torn.ssm"]


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
