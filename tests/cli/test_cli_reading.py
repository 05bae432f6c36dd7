"""How the commands tell what is odd in a clip, and the flags that say how it is read."""

from collections.abc import Callable
from pathlib import Path

import pytest
from command import Ran
from videos import make_frames, make_video, remux, without

Run = Callable[..., Ran]
UNSCORED = ("--codec", "x264", "--no-score", "--overwrite")


@pytest.fixture
def odd(tmp_path: Path) -> Path:
    """A clip with a clock that jumps."""
    pts = [k + (25 * 7200 if k > 3 else 0) for k in range(8)]
    return make_video(tmp_path / "odd.mkv", make_frames(8), pts=pts, encoder={"bf": "0"})


@pytest.fixture
def lossy(tmp_path: Path) -> Path:
    """A clip with two pictures lost."""
    whole = make_video(tmp_path / "whole.mp4", make_frames(12), encoder={"bf": "0", "g": "50"})
    return remux(whole, tmp_path / "lossy.mkv", without(4, 5))


def test_a_broken_clock_is_a_note(seesame: Run, odd: Path, tmp_path: Path) -> None:
    out = tmp_path / "a.ssm"
    ran = seesame("compress", odd, "-o", out, *UNSCORED)
    assert ran.code == 0
    note = f"note: {odd}: timestamps jump by 2:00:00 after frame 3; they are joined there"
    assert ran.err.count(note) == 1
    assert "25 fps, 8 frames" in ran.out
    assert "note" not in seesame("compress", odd, "-o", out, *UNSCORED, "--quiet").err
    assert note in seesame("score", odd, out, "--no-cache").err


def test_damage_is_refused_or_counted(seesame: Run, lossy: Path, tmp_path: Path) -> None:
    out = tmp_path / "a.ssm"
    ran = seesame("compress", lossy, "-o", out, *UNSCORED)
    assert (ran.code, out.exists()) == (2, False)
    assert "pictures are missing before packet 4" in ran.err
    ran = seesame("compress", lossy, "-o", out, *UNSCORED, "--allow-damage")
    assert ran.code == 0
    assert "damage is allowed: 2 pictures are missing" in ran.err
    assert seesame("score", lossy, out, "--no-cache").code == 2
    assert seesame("score", lossy, out, "--no-cache", "--allow-damage").code == 0


def test_a_video_that_is_not_there(seesame: Run, odd: Path, tmp_path: Path) -> None:
    ran = seesame("compress", odd, "-o", tmp_path / "a.ssm", *UNSCORED, "--stream", 1)
    assert ran.code == 2
    assert "has 1 video, numbered from 0; there is no video 1" in ran.err
