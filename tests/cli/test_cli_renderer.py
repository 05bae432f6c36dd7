"""``seesame renderer`` from end to end on a small drive and a stack of three grey levels."""

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from command import Ran

Run = Callable[..., Ran]
STACK = ("--stack", "tiny_stack:TinyStack")
SHORT = ("--budget", "1s", "--synthetic", "0")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SEESAME_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def drives(drive: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "drives"
    (folder / "monday").mkdir(parents=True)
    shutil.copy(drive, folder / "monday" / "one.mp4")
    (folder / "notes.txt").write_text("no clip")
    return folder


def test_a_renderer_is_trained_installed_and_listed(
    seesame: Run, drive: Path, drives: Path, tmp_path: Path
) -> None:
    out = tmp_path / "tiny.renderer"
    words = ("renderer", "train", *STACK, *SHORT, "--drives", drives, "--test", drive)
    ran = seesame(*words, "-o", out, "--json", "-q")
    assert ran.code == 0, ran
    made = json.loads(ran.out)
    assert (made["stack"], made["width"], made["height"]) == ("tiny", 64, 48)
    assert made["masks"] == made["tests"][0]["masks"] == 12
    assert 0 <= made["tests"][0]["mean"] <= made["tests"][0]["worst"] <= 1
    assert made["bytes"] == out.stat().st_size

    ran = seesame("renderer", "info", out, "--json")
    assert json.loads(ran.out)["sha256"] == made["sha256"]
    assert made["sha256"] in seesame("renderer", "info", out).out

    assert made["sha256"] not in seesame("renderer", "list", "--json").out
    assert seesame("renderer", "install", out).code == 0
    listed = [json.loads(line) for line in seesame("renderer", "list", "--json").out.splitlines()]
    assert [one["own"] for one in listed if one["sha256"] == made["sha256"]] == [True]
    assert made["sha256"][:16] in seesame("renderer", "list").out


def test_a_damaged_renderer_is_listed_as_such(seesame: Run, home: Path, tmp_path: Path) -> None:
    (home / "renderers").mkdir(parents=True)
    (home / "renderers" / "bad.renderer").write_bytes(b"\x89SSR\x01nothing")
    ran = seesame("renderer", "list")
    assert ran.code == 0
    assert "damaged" in ran.out
    ran = seesame("renderer", "install", home / "renderers" / "bad.renderer")
    assert ran.code == 2
    assert len(ran.err.splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("-o", "a.ssm"), "a.renderer"),
        (("-o", "a.renderer", "--synthetic", "0"), "--drives"),
        (("-o", "a.renderer", "--budget", "soon"), "--budget"),
        (("-o", "no/folder/a.renderer"), "does not exist"),
        (("-o", "there.renderer"), "--overwrite"),
        (("-o", "a.renderer", "--drives", "nowhere"), "nowhere"),
        (("-o", "a.renderer", "--drives", "empty"), "holds no clip"),
        (("-o", "a.renderer", "--stack", "nothing"), "unknown stack"),
        (("-o", "a.renderer", "--start", "nowhere.renderer"), "no such file"),
        (("-o", "there.renderer", "--start", "there.renderer", "--overwrite"), "itself read"),
        (("-o", "a.renderer", "--test", "nowhere.mp4", "--synthetic", "0"), "--drives"),
        (("-o", "a.renderer", "--test", "nowhere.mp4"), "nowhere.mp4"),
    ],
)
def test_a_mistake_gets_one_line(
    seesame: Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...],
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "there.renderer").write_bytes(b"")
    stack = () if "--stack" in words else STACK
    ran = seesame("renderer", "train", *stack, *words)
    assert ran.code == 2, ran
    assert len(ran.err.splitlines()) == 1, ran.err
    assert said in ran.err
    assert not (tmp_path / "a.renderer").exists()


def test_a_clip_cannot_be_trained_on_and_tested(seesame: Run, drive: Path, tmp_path: Path) -> None:
    words = ("renderer", "train", *STACK, *SHORT, "--drives", drive, "--test", drive)
    ran = seesame(*words, "-o", tmp_path / "a.renderer", "-q")
    assert ran.code == 2
    assert "choose one" in ran.err


def test_a_clip_that_cannot_be_read_is_told_and_left_out(
    seesame: Run, drives: Path, tmp_path: Path
) -> None:
    (drives / "broken.mp4").write_bytes(b"no video at all")
    words = ("renderer", "train", *STACK, *SHORT, "--drives", drives)
    ran = seesame(*words, "-o", tmp_path / "a.renderer", "--json")
    assert ran.code == 0
    assert json.loads(ran.out)["masks"] == 12
    assert "broken.mp4" in ran.err


def test_ctrl_c_leaves_what_can_be_gone_on_with(seesame: Run, drives: Path, tmp_path: Path) -> None:
    out = tmp_path / "tiny.renderer"
    words = ["renderer", "train", *STACK, "--synthetic", "0", "--drives", str(drives)]
    words += ["-o", str(out)]
    code = f"import sys; sys.path.append({str(Path(__file__).parents[1] / 'helpers')!r}); "
    code += f"from seesame.cli.main import main; sys.exit(main({[*words, '--budget', '10m']!r}))"
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True)
    work = tmp_path / "tiny.work"
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("train renderer"):
            break
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert err.splitlines()[-1] == "seesame: error: interrupted"
    assert "Traceback" not in err
    assert not out.exists()
    assert (work / "checkpoint.safetensors").exists()
    ran = seesame(*words, "--budget", "1s", "--resume", "--json", "-q")
    assert ran.code == 0, ran
    assert out.exists()
    assert not work.exists()
