"""Codec semantic by the commands that make, describe and judge files."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from command import Ran

Run = Callable[..., Ran]
GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "semantic"
STACK = ("--stack", "small_semantic:SmallStack")


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch) -> None:
    """The golden renderer is that of the tests' small stack."""
    monkeypatch.setenv("SEESAME_HOME", str(GOLDEN))


def test_a_file_is_made_described_and_judged(seesame: Run, drive: Path, tmp_path: Path) -> None:
    out = tmp_path / "drive.ssm"
    words = ("compress", drive, "-o", out, "--codec", "semantic", *STACK)
    ran = seesame(*words, "--json", "-q")
    assert ran.code == 0, ran
    made = json.loads(ran.out)
    assert made["bytes"] == out.stat().st_size
    assert made["seg"] < 0.02
    judged = json.loads(seesame("score", drive, out, *STACK, "--json", "-q").out)
    assert judged["score"] == made["score"]
    told = json.loads(seesame("info", out, "--json").out)
    assert told["codec"] == "semantic"
    assert told["config"] == {"every_frame": False, "simplify": 10}
    assert told["notes"]["masks"] == "6 of 64x48, 3 classes, every second frame"
    ran = seesame("decompress", out, "-o", tmp_path / "drive.mkv", "-q")
    assert ran.code == 0
    assert "160x120" in ran.out


def test_limits_find_simplify_and_bind_every_frame(
    seesame: Run, drive: Path, tmp_path: Path
) -> None:
    out = tmp_path / "drive.ssm"
    words = ("compress", drive, "-o", out, "--codec", "semantic", *STACK, "-q")
    ran = seesame(*words, "--max-seg", "0.02", "--json")
    assert ran.code == 0, ran
    told = json.loads(seesame("info", out, "--json").out)
    assert told["config"]["every_frame"] is True
    assert told["notes"]["masks"].startswith("12 of")
    ran = seesame(*words, "--max-seg", "0", "--set", "simplify=30", "--overwrite")
    assert ran.code in (0, 4)
    assert json.loads(seesame("info", out, "--json").out)["config"]["simplify"] == 30


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--set", "simplify=99"), "from 0 to 30, not 99"),
        (("--budget", "10s"), "--budget is for"),
        (("--target-score", "1"), "--codec semantic takes --set name=value\n"),
        (("--stack", "small_semantic:StillStack"), "seesame renderer train"),
        (("--set", "renderer=nowhere.renderer"), "nowhere.renderer"),
    ],
)
def test_mistakes_get_one_line(
    seesame: Run, drive: Path, tmp_path: Path, words: tuple[str, ...], said: str
) -> None:
    stack = () if "--stack" in words else STACK
    ran = seesame(
        "compress", drive, "-o", tmp_path / "drive.ssm", "--codec", "semantic", *stack, *words, "-q"
    )
    assert ran.code == 2, ran
    assert len(ran.err.splitlines()) == 1
    assert said in ran.err
    assert not list(tmp_path.iterdir())
