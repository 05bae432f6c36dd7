"""Outputs and surroundings through the real command line, for every command and every flag."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from command import Ran
from PIL import Image

from seesame.files import reserved

Run = Callable[..., Ran]
LATIN = os.fsdecode(b"caf\xe9")
SRC = Path(__file__).resolve().parents[1] / "src"


@pytest.fixture(scope="module")
def made(drive: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the drive as ``clip.mp4`` and, through x264, as ``k.ssm``."""
    from seesame.cli.main import main

    folder = tmp_path_factory.mktemp("made")
    shutil.copy(drive, folder / "clip.mp4")
    words = ["compress", drive, "-o", folder / "k.ssm", "--codec", "x264", "--no-score", "-q"]
    assert main([str(word) for word in words]) == 0
    return folder


@pytest.fixture
def here(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder: a copy of ``made``, with a folder of the user's own in it."""
    for path in made.iterdir():
        shutil.copy(path, tmp_path)
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "notes.txt").write_text("mine")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def refused(ran: Ran, *words: str) -> None:
    assert ran.code == 2, ran
    lines = [line for line in ran.err.splitlines() if line.startswith("seesame: error: ")]
    assert len(lines) == 1, ran.err
    assert any(word in lines[0] for word in words), lines


OUTPUTS = {
    "compress": ("compress", "clip.mp4", "--codec", "x264", "-o", "OUT.ssm"),
    "compress --log": ("compress", "clip.mp4", "-o", "o.ssm", "--log", "OUT.jsonl"),
    "decompress": ("decompress", "k.ssm", "-o", "OUT.mkv"),
    "decompress to .raw": ("decompress", "k.ssm", "-o", "OUT.raw"),
    "decompress to a folder": ("decompress", "k.ssm", "-o", "OUT"),
    "score --report": ("score", "clip.mp4", "k.ssm", "--report", "OUT.txt"),
    "report": ("report", "clip.mp4", "k.ssm", "-o", "OUT.html"),
    "report to a folder": ("report", "clip.mp4", "k.ssm", "-o", "OUT"),
    "search": ("search", "clip.mp4", "-o", "OUT"),
    "search --log": ("search", "clip.mp4", "--log", "OUT.jsonl"),
    "contest pack": ("contest", "pack", "k.ssm", "-o", "OUT"),
}


def named(words: tuple[str, ...], name: str) -> tuple[tuple[str, ...], str]:
    """Return the words with a name for ``OUT``, and the output's whole name."""
    filled = tuple(word.replace("OUT", name) for word in words)
    return filled, next(a for a, b in zip(filled, words, strict=True) if a != b)


@pytest.mark.parametrize("words", OUTPUTS.values(), ids=OUTPUTS.keys())
def test_what_would_fail_in_the_end_is_refused_at_once(
    seesame: Run, here: Path, words: tuple[str, ...]
) -> None:
    before = files(here)
    refused(seesame(*named(words, "n" * 256)[0]), "too long")
    refused(seesame(*named(words, "nowhere/o")[0]), "does not exist")
    refused(seesame(*named(words, "/proc/o")[0]), "not writable")
    chosen, name = named(words, "pipe")
    os.mkfifo(name)
    refused(seesame(*chosen, "--overwrite"), "is a pipe")
    chosen, name = named(words, "dir")
    shutil.copytree("own", name)
    before[f"{name}/notes.txt"] = b"mine"
    refused(seesame(*chosen, "--overwrite"), "is a folder", "notes.txt")
    chosen, name = named(words, "busy")
    with reserved(here / name):
        holder = [sys.executable, "-m", "seesame.cli", *chosen]
        found = subprocess.run(
            holder, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(SRC)},
            check=False,
        )  # fmt: skip
        refused(Ran(found.returncode, found.stdout, found.stderr), "another run is writing it")
    assert files(here) == before


@pytest.mark.parametrize(
    ("words", "victim"),
    [
        (("compress", "in.ssm", "--codec", "x264", "-o", "in.ssm"), "in.ssm"),
        (("decompress", "in.mkv", "-o", "in.mkv"), "in.mkv"),
        (("decompress", "k.ssm", "-o", "link.mkv"), "k.ssm"),
        (("score", "clip.mp4", "k.ssm", "--report", "clip.mp4"), "clip.mp4"),
        (("score", "clip.mp4", "k.ssm", "--report", "link.mkv"), "k.ssm"),
        (("score", "clip.mp4", "clip.mp4", "--compressed", "k.ssm", "--report", "k.ssm"), "k.ssm"),
        (("score", "frames", "k.ssm", "--report", "frames/000000.png"), "frames/000000.png"),
        (("score", "clip.mp4", "k.ssm", "--stack", "onnx:nets", "--report", "nets/stack.toml"),
         "nets/stack.toml"),
        (("report", "clip.mp4", "in.html", "-o", "in.html"), "in.html"),
        (("report", "run.jsonl", "-o", "run.html"), "run.jsonl"),
        (("search", "run.jsonl", "--log", "run.jsonl"), "run.jsonl"),
        (("demo", "--clip", "demo/demo.png", "--out", "demo"), "demo/demo.png"),
        (("demo", "--clip", "demo/hnerv-draft.ssm", "--out", "demo"), "demo/hnerv-draft.ssm"),
        (("contest", "leaderboard", "sub", "--html", "sub/report.json"), "sub/report.json"),
        (("contest", "evaluate", "sub", "--videos", ".", "--names", "sub/report.txt", "--stack",
          "lite"), "sub/report.txt"),
    ],
)  # fmt: skip
def test_no_flag_writes_over_an_input(
    seesame: Run, here: Path, words: tuple[str, ...], victim: str
) -> None:
    for name in ("in.ssm", "in.mkv", "in.html", "demo/hnerv-draft.ssm", "demo/demo.png"):
        (here / name).parent.mkdir(exist_ok=True)
        shutil.copy("k.ssm", name)
    for name in ("run.jsonl", "nets/stack.toml", "sub/report.json", "sub/report.txt"):
        (here / name).parent.mkdir(exist_ok=True)
        (here / name).write_text("{}")
    (here / "frames").mkdir()
    Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save("frames/000000.png")
    Path("link.mkv").symlink_to("k.ssm")
    Path("run.html").symlink_to("run.jsonl")
    before = files(here)
    refused(seesame(*words, "--overwrite"), "read by this command")
    assert files(here) == before
    assert (here / victim).is_file()


def test_a_folder_of_pictures_is_replaced_and_links_are_kept(seesame: Run, here: Path) -> None:
    assert seesame("decompress", "k.ssm", "-o", "album").code == 0
    assert len(list(Path("album").iterdir())) == 12
    Path("album/000012.png").touch()  # of a longer clip, once
    Path("link").symlink_to("album")
    assert seesame("decompress", "k.ssm", "-o", "link", "--overwrite").code == 0
    assert len(list(Path("album").iterdir())) == 12
    assert Path("link").is_symlink()
    Path("report.txt").symlink_to("own/r.txt")
    words = ("score", "clip.mp4", "k.ssm", "--report", "report.txt", "-q")
    assert seesame(*words).code == 0
    refused(seesame(*words), "exists already")
    assert seesame(*words, "--overwrite").code == 0
    assert Path("report.txt").is_symlink()
    assert "score" in Path("own/r.txt").read_text()


@pytest.mark.parametrize("fps", ["1e12", "1e-12", "4294967296/3"])
@pytest.mark.parametrize("codec", ["x264", "hnerv"])
def test_an_odd_rate_is_refused_before_the_encode(
    seesame: Run, here: Path, monkeypatch: pytest.MonkeyPatch, fps: str, codec: str
) -> None:
    from seesame.codecs.registry import get_codec

    def encode(*_: object) -> None:
        raise AssertionError("the encode began")

    monkeypatch.setattr(type(get_codec(codec)), "encode", encode)
    words = ("compress", "clip.mp4", "-o", "o.ssm", "--codec", codec, "--no-score")
    refused(seesame(*words, "--fps", fps), "clip.mp4")


def test_size_and_rate_are_refused_where_the_clip_has_its_own(seesame: Run, here: Path) -> None:
    seesame("decompress", "k.ssm", "-o", "frames")
    for clip in ("clip.mp4", "k.ssm", "frames"):
        made = ("compress", clip, "-o", "o.ssm", "--codec", "x264")
        for words in (made, ("score", clip, "k.ssm"), ("report", clip, "k.ssm"), ("search", clip)):
            refused(seesame(*words, "--size", "160x120"), "of its own")
    refused(seesame("score", "k.ssm", "clip.mp4", "--fps", "20"), "of its own")
    refused(seesame("demo", "--clip", "clip.mp4", "--size", "64x48"), "has its own")
    seesame("decompress", "k.ssm", "-o", "o.raw")
    assert seesame("score", "o.raw", "o.raw", "--size", "160x120", "--fps", "20").code == 0


@pytest.mark.parametrize("name", ["pipe.mp4", "pipe.ssm", "pipe.raw", "-", "/dev/null"])
def test_a_clip_that_can_be_read_once_is_refused(seesame: Run, here: Path, name: str) -> None:
    if name.startswith("pipe"):
        os.mkfifo(name)
    for words in (("compress", name, "-o", "o.ssm", "--codec", "x264"), ("score", name, "k.ssm"),
                  ("score", "clip.mp4", name), ("report", "clip.mp4", name), ("info", name),
                  ("decompress", name, "-o", "o.mkv"), ("search", name)):  # fmt: skip
        refused(seesame(*words), "must be a file or a folder")


# The environment. Each runs the command in a process of its own.


def ran(words: tuple[object, ...], before: tuple[str, ...] = (), **variables: str) -> Ran:
    env = os.environ | {"PYTHONPATH": str(SRC)} | variables
    command = [*before, sys.executable, "-m", "seesame.cli", *map(str, words)]
    done = subprocess.run(command, capture_output=True, env=env, check=False)
    return Ran(done.returncode, os.fsdecode(done.stdout), os.fsdecode(done.stderr))


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "latin-1"])
def test_a_name_in_latin_1_is_taken_under_any_locale(
    here: Path, tmp_path: Path, encoding: str
) -> None:
    clip, out = Path(f"{LATIN}.mp4"), Path(f"{LATIN}.ssm")
    try:
        shutil.copy("clip.mp4", clip)
    except OSError:
        pytest.skip("the file system takes only UTF-8")
    for words in (
        ("compress", clip, "-o", out, "--codec", "x264"),
        ("info", out, "--json"),
        ("score", clip, out, "--report", f"{LATIN}.txt", "--per-pair"),
        ("report", clip, out, "-o", f"{LATIN}.html"),
        ("decompress", out, "-o", LATIN),
        ("score", LATIN, out, "--json"),
    ):
        done = ran(words, PYTHONIOENCODING=encoding, PYTHONUTF8="1")
        assert done.code == 0, done
        assert "Error" not in done.err
    assert "caf\\xe9.mp4" in Path(f"{LATIN}.txt").read_text(encoding="utf-8")
    missing = ran(("info", f"{LATIN}.none"), PYTHONIOENCODING=encoding, PYTHONUTF8="1")
    assert missing.code == 2
    assert f"{LATIN}.none: there is no such file" in missing.err


def nobody() -> tuple[str, ...]:
    """The words before a command that has no home and no entry in the list of users."""
    unset = ("env", "-u", "HOME", "-u", "SEESAME_CACHE", "-u", "SEESAME_SEARCH")
    words = (*unset, "unshare", "-U", "--map-user=12345", "--map-group=12345")
    if subprocess.run([*words, "true"], capture_output=True, check=False).returncode:
        pytest.skip("needs user name spaces")
    return words


def test_no_home_and_no_user(here: Path) -> None:
    before = nobody()
    done = ran(("score", "clip.mp4", "k.ssm"), before)
    assert done.code == 0, done
    assert "computing without the cache" in done.err
    assert ran(("stacks",), before).code == 0
    refused(
        ran(("score", "clip.mp4", "k.ssm", "--stack", "comma"), before), "no home", "pip install"
    )
    words = ("search", "clip.mp4", "--codec", "x264", "--method", "grid", "--grid", "crf=30,40")
    done = ran((*words, "--grid", "scale=0.5", "-o", "found"), before)
    assert done.code == 0, done
    assert "are not kept" in done.err


def test_a_home_that_cannot_be_written(here: Path) -> None:
    """A cache that is a file in the place of the folder, as root may write everywhere."""
    home = here / "home"
    home.mkdir()
    (home / ".cache").write_text("")
    before = ("env", "-u", "SEESAME_CACHE", "-u", "SEESAME_SEARCH", "-u", "XDG_CACHE_HOME")
    assert ran(("score", "clip.mp4", "k.ssm"), before, HOME=str(home)).code == 0
    words = ("search", "clip.mp4", "--codec", "x264", "--method", "grid", "--grid", "crf=30")
    done = ran((*words, "--grid", "scale=0.5"), before, HOME=str(home))
    assert done.code == 0, done
    assert "are not kept" in done.err
    done = ran(words, SEESAME_SEARCH=str(home / ".cache" / "search.sqlite"))
    refused(done, "cannot be made")
