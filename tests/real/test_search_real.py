"""A search on a real drive: its figures are those of the file that its command makes."""

import itertools
import json
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
from command import Ran

from seesame.video.reading.reader import open_clip
from seesame.video.writing.writer import write_clip

pytestmark = pytest.mark.real

Run = Callable[..., Ran]


def test_the_best_of_a_grid_is_what_compress_makes(
    seesame: Run, shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    source = open_clip(shared / "data" / "clips" / "motorway.mp4")
    clip = tmp_path / "motorway.mp4"
    beginning = itertools.islice(source.batches(16), 2)
    write_clip(clip, beginning, fps=source.fps, width=source.width, height=source.height, crf=12)
    one = [f"--grid={text}" for text in ("gop=240", "preset=ultrafast", "down=area", "up=bicubic")]
    grid = ["--method", "grid", "--codec", "x264", "--grid", "crf=24,34", "--grid", "scale=0.3"]
    ran = seesame("search", clip, *grid, *one, "--json", "-q")
    assert ran.code == 0, ran
    found = json.loads(ran.out)
    coarse, fine = found["front"]
    assert coarse["bytes"] < fine["bytes"]
    assert found["best"]["score"] == min(coarse["score"], fine["score"])
    made = seesame(*shlex.split(found["command"])[1:], "--json", "-q")
    assert made.code == 0, made
    values = json.loads(made.out)
    for name in ("bytes", "seg", "pose", "score"):
        assert values[name] == found["best"][name]
