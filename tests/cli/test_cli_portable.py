"""``seesame compress`` with the suffix of a video."""

import json
from pathlib import Path

import av
import pytest
from recordings import beside, record, shown

CHEAP = ("--set", "crf=30", "--set", "preset=12", "--max-share", "100", "--no-score")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return record(tmp_path / "drive.mp4")


def test_the_usual_codec_is_av1(seesame, source: Path, tmp_path: Path) -> None:
    out = tmp_path / "small.mp4"
    found = seesame("compress", source, "-o", out, *CHEAP, "--json")
    assert found.code == 0
    values = json.loads(found.out)
    assert values["codec"] == "svtav1"
    assert values["bytes"] == out.stat().st_size
    assert values["other_tracks_bytes"] > 0
    assert not values["kept_source"]
    assert shown(out) == shown(source)
    assert beside(out) == beside(source)


def test_dropped_tracks_and_key_frames(seesame, source: Path, tmp_path: Path) -> None:
    out = tmp_path / "small.mp4"
    more = ("--drop-tracks", "--gop", "3", "--codec", "x264", "--set", "crf=30")
    found = seesame("compress", source, "-o", out, *more, "--max-share", "100", "--no-score")
    assert found.code == 0
    assert beside(out) == {}
    with av.open(str(out)) as container:
        keys = [packet.is_keyframe for packet in container.demux(video=0) if packet.size]
    assert keys == [True, False, False] * 4


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("-o", "x.mp4", "--codec", "hnerv"), "makes .ssm files only"),
        (("-o", "x.mp4", "--budget", "5m"), "--budget is for"),
        (("-o", "x.mp4", "--gop", "often"), "give a time"),
        (("-o", "x.mp4", "--gop", "2s", "--set", "gop=3"), "given by --gop already"),
        (("-o", "x.mov"), "cannot hold AV1"),
        (("-o", "x.mp4", "--set", "up=nearest"), "no such step"),
        (("-o", "x.ssm", "--codec", "x264", "--gop", "2s"), "--gop is for a .mp4, .mkv or .mov"),
        (
            (
                "-o",
                "x.avi",
            ),
            "or a .mp4, .mkv or .mov",
        ),
    ],
)
def test_a_mistake_is_one_line(seesame, source: Path, words, line, monkeypatch) -> None:
    monkeypatch.chdir(source.parent)
    found = seesame("compress", source, *words, "--no-score")
    assert found.code == 2
    assert line in found.err
    assert found.err.strip().count("\n") == 0
    assert [path.name for path in source.parent.iterdir()] == ["drive.mp4"]


def test_no_file_is_written_that_is_no_smaller(seesame, source: Path, tmp_path: Path) -> None:
    out = tmp_path / "small.mp4"
    found = seesame("compress", source, "-o", out, "--max-share", "0.01", "--no-score")
    assert found.code == 0
    assert "the source itself was copied" in found.err
    assert "a copy of the source" in found.out
    assert out.read_bytes() == source.read_bytes()


def test_score_takes_a_scaled_file(seesame, source: Path, tmp_path: Path) -> None:
    out = tmp_path / "half.mp4"
    seesame("compress", source, "-o", out, *CHEAP, "--set", "scale=0.7")
    found = seesame("score", source, out, "--no-cache")
    assert found.code == 0
    assert "is scaled, 90x68 for 128x96" in found.err
