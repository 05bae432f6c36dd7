"""An .ssm file keeps its source's time and, when asked, the tracks beside the video."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from recordings import TICKS, beside, record, samples, shown

from seesame.bitstream.container import Container, Section
from seesame.decoders import decode_file, open_clip
from seesame.errors import DamagedError
from seesame.jobs.workbench import Workbench
from seesame.video.clip import ArrayClip
from seesame.video.times import clip_times

GOLDEN = Path(__file__).parents[1] / "golden" / "times" / "uneven.ssm"
CHEAP = {
    "x264": {"crf": 40, "preset": "superfast"},
    "x265": {"crf": 40, "preset": "superfast"},
    "svtav1": {"crf": 50, "preset": "12"},
    "vp9": {"crf": 50, "preset": "8"},
}


def packed(source: Path, codec: str = "x264", tracks: bool = True) -> Path:
    out = source.with_name(f"{source.stem}.ssm")
    bench = Workbench(open_clip(source), None, path=source, tracks=tracks)
    bench.encode(codec, CHEAP[codec], out=out, judge=False)
    return out


@pytest.mark.parametrize("codec", CHEAP)
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_everything_comes_back(seesame, tmp_path: Path, codec: str, suffix: str) -> None:
    tick = Fraction(1, 1000) if suffix == ".mkv" else Fraction(1, 90000)
    source = record(tmp_path / f"drive{suffix}", tick=tick)
    file, out = packed(source, codec), tmp_path / f"out{suffix}"
    times = clip_times(decode_file(file))
    assert times is not None
    assert [int(stamp) * times.time_base for stamp in times.pts] == shown(source)
    assert seesame("decompress", file, "-o", out).code == 0
    assert shown(out) == shown(source)
    assert beside(out) == beside(source)
    assert samples(out) == samples(source)
    frames = np.concatenate(list(open_clip(out).batches(16)))
    assert np.array_equal(frames, np.concatenate(list(decode_file(file).batches(16))))


def test_a_source_without_times_makes_the_same_file_as_ever(tmp_path: Path) -> None:
    clip = ArrayClip(np.zeros((4, 64, 64, 3), np.uint8), fps=25)
    Workbench(clip).encode("x264", CHEAP["x264"], out=tmp_path / "a.ssm", judge=False)
    container = Container.read(tmp_path / "a.ssm")
    assert set(container.sections) == {Section.CONFIG, Section.STREAM}
    assert clip_times(decode_file(tmp_path / "a.ssm")) is None


def test_tracks_are_kept_only_when_asked_and_handed_on(tmp_path: Path) -> None:
    source = record(tmp_path / "drive.mp4")
    plain = Container.read(packed(source, tracks=False))
    assert Section.TIMES in plain.sections
    assert Section.TRACKS not in plain.sections
    (tmp_path / "drive.ssm").unlink()
    packed(source).rename(tmp_path / "first.ssm")
    second = tmp_path / "second.ssm"
    bench = Workbench(open_clip(tmp_path / "first.ssm"), None, tracks=True)
    bench.encode("x264", CHEAP["x264"], out=second, judge=False)
    before, after = (
        Container.read(tmp_path / f"{name}.ssm").sections for name in ("first", "second")
    )
    assert after[Section.TRACKS] == before[Section.TRACKS]
    assert after[Section.TIMES] == before[Section.TIMES]


def test_info_tells_of_times_and_tracks(seesame, tmp_path: Path) -> None:
    found = seesame("info", packed(record(tmp_path / "drive.mp4", start=900)))
    assert found.code == 0
    assert "ticks of 1/90000 s, from 0.01 s" in found.out
    assert "bytes beside the video" in found.out


@pytest.mark.parametrize("section", [Section.TIMES, Section.TRACKS])
def test_a_damaged_section_is_one_line(seesame, tmp_path: Path, section: Section) -> None:
    file = packed(record(tmp_path / "drive.mp4"))
    container = Container.read(file)
    container.sections[section] = b"\0\xff\xff"
    container.write(file, overwrite=True)
    found = seesame("decompress", file, "-o", tmp_path / "out.mp4")
    assert found.code == 2
    assert found.err.strip().count("\n") == 0
    assert not (tmp_path / "out.mp4").exists()


def test_hostile_times_cost_no_memory(tmp_path: Path) -> None:
    container = Container.read(packed(record(tmp_path / "drive.mp4")))
    container.num_frames = (1 << 31) - 1
    container.write(tmp_path / "hostile.ssm")
    with pytest.raises(DamagedError, match="2,147,483,647 frames, more than"):
        decode_file(tmp_path / "hostile.ssm")


def test_the_recording_is_uneven(tmp_path: Path) -> None:
    gaps = np.diff([float(stamp) for stamp in shown(record(tmp_path / "drive.mp4"))])
    assert len(gaps) == len(TICKS) - 1
    assert gaps.max() > 2 * gaps.min()


def test_an_earlier_file_gives_the_same_times_and_tracks(tmp_path: Path) -> None:
    """The file was written by the first version that had these sections."""
    clip = decode_file(GOLDEN)
    times = clip_times(clip)
    assert times is not None
    assert times.pts.tolist() == [1234 + ticks for ticks in TICKS]
    assert (times.time_base, times.duration) == (Fraction(1, 90000), 3000)
    (tmp_path / "tracks.mp4").write_bytes(clip.tracks)
    found = beside(tmp_path / "tracks.mp4")
    assert {name: len(packets) for name, packets in found.items()} == {
        "audio aac": 16,
        "data bin_data": 5,
    }
    assert Container.read(GOLDEN).to_bytes() == GOLDEN.read_bytes()
