"""A page of a real drive: its figures are those of score."""

import itertools
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from command import Ran
from seesame.video.reader import open_clip
from seesame.video.writer import write_clip

pytestmark = pytest.mark.real

Run = Callable[..., Ran]


def test_the_beginning_of_highway(seesame: Run, shared: Path, tmp_path: Path) -> None:
    source = open_clip(shared / "data" / "clips" / "highway.mp4")
    clip = tmp_path / "highway.mp4"
    beginning = itertools.islice(source.batches(6), 1)
    write_clip(clip, beginning, fps=source.fps, width=source.width, height=source.height, crf=14)
    file = tmp_path / "highway.ssm"
    settings = ("--set", "preset=ultrafast", "--set", "crf=38", "--set", "scale=0.5")
    made = seesame("compress", clip, "-o", file, "--codec", "x264", *settings, "--no-score", "-q")
    assert made.code == 0, made
    ran = seesame("report", clip, file, "-o", tmp_path / "page.html", "--json", "-q")
    assert ran.code == 0, ran
    told = json.loads(ran.out)
    for name, value in json.loads(seesame("score", clip, file, "--json", "-q").out).items():
        assert told[name] == value
    assert 20 < told["psnr"] < 45
    assert 0.7 < told["ms_ssim"] < 1
    assert (tmp_path / "page.html").stat().st_size < 2_000_000
