"""Portable files: everything of the source is in them, to the tick and to the byte."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from recordings import HEIGHT, QUARTER, WIDTH, beside, record, samples, shown
from tiny_stack import TinyStack

from seesame.errors import UserError
from seesame.jobs.portable import judged_portable, write_portable
from seesame.jobs.workbench import Workbench
from seesame.perception.registry import load_stack
from seesame.video.clip import ArrayClip
from seesame.video.reading.reader import open_clip

CHEAP = {
    "x264": {"crf": 20, "preset": "superfast"},
    "x265": {"crf": 20, "preset": "superfast"},
    "svtav1": {"crf": 20, "preset": "12"},
    "vp9": {"crf": 20, "preset": "8"},
}


def bench(source: Path, notes: list[str] | None = None) -> Workbench:
    tell = (lambda line: None) if notes is None else notes.append
    return Workbench(open_clip(source), None, path=source, note=tell)


def write(source: Path, out: Path, codec: str = "x264", **more):
    settings = CHEAP[codec] | more.pop("settings", {})
    notes = more.pop("notes", None)
    more = {"judge": False, "max_share": 100.0} | more
    return write_portable(bench(source, notes), codec, settings, out, **more)


@pytest.mark.parametrize("codec", CHEAP)
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_times_sound_and_data_come_back(tmp_path: Path, codec: str, suffix: str) -> None:
    tick = Fraction(1, 1000) if suffix == ".mkv" else Fraction(1, 90000)
    source = record(tmp_path / f"drive{suffix}", tick=tick)
    found = write(source, tmp_path / f"out{suffix}", codec)
    assert shown(found.path) == shown(source)
    assert beside(found.path) == beside(source)
    assert len(beside(source)) == (3 if suffix == ".mkv" else 2)
    assert samples(found.path) == samples(source)
    assert found.other_bytes == sum(
        len(packet[3])
        for track, kept in beside(source).items()
        if track != "attachment"
        for packet in kept
    )
    frames = np.concatenate(list(open_clip(found.path).batches(16))).astype(int)
    close = np.concatenate(list(open_clip(source).batches(16))).astype(int)
    assert np.abs(frames - close).mean() < 6


@pytest.mark.parametrize("suffix", [".mp4", ".mov"])
def test_a_late_start_is_kept(tmp_path: Path, suffix: str) -> None:
    source = record(tmp_path / f"drive{suffix}", start=1234)
    found = write(source, tmp_path / f"out{suffix}")
    assert shown(source)[0] == Fraction(1234, 90000)
    assert shown(found.path) == shown(source)
    assert beside(found.path) == beside(source)


@pytest.mark.parametrize("codec", CHEAP)
def test_tags_of_the_picture_are_kept(tmp_path: Path, codec: str) -> None:
    aspect = Fraction(4, 3)
    source = record(tmp_path / "drive.mp4", turn=QUARTER, matrix=1, aspect=aspect)
    found = write(source, tmp_path / "out.mp4", codec)
    with av.open(str(found.path)) as new, av.open(str(source)) as old:
        for name in ("colorspace", "color_primaries", "color_trc"):
            after, before = (
                getattr(one.streams.video[0].codec_context, name) for one in (new, old)
            )
            assert after == before == 1
        assert new.streams.video[0].sample_aspect_ratio == aspect
        assert new.streams.video[0].codec_context.width == WIDTH
        assert next(new.decode(video=0)).rotation == next(old.decode(video=0)).rotation != 0
        assert new.metadata["title"] == "a drive"
        assert new.metadata["creation_time"] == old.metadata["creation_time"]
    assert (found.width, found.height) == (HEIGHT, WIDTH)
    clip = open_clip(found.path)
    assert (clip.width, clip.height) == (HEIGHT, WIDTH)
    first, second = (next(open_clip(path).batches(1))[0] for path in (source, found.path))
    assert np.abs(first.astype(int) - second.astype(int)).mean() < 6


@pytest.mark.parametrize(("codec", "tag"), [("x265", "hvc1"), ("svtav1", "av01"), ("vp9", "vp09")])
def test_players_know_the_codec(tmp_path: Path, codec: str, tag: str) -> None:
    found = write(record(tmp_path / "drive.mp4"), tmp_path / "out.mp4", codec)
    with av.open(str(found.path)) as container:
        assert container.streams.video[0].codec_context.codec_tag == tag
    data = found.path.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")


@pytest.mark.parametrize("codec", CHEAP)
def test_without_b_frames_decoding_follows_showing(tmp_path: Path, codec: str) -> None:
    out = tmp_path / "out.mp4"
    write(record(tmp_path / "drive.mp4"), out, codec, settings={"bframes": 0, "gop": 50})
    with av.open(str(out)) as container:
        stamps = [(p.pts, p.dts) for p in container.demux(video=0) if p.pts is not None]
    assert len(stamps) == 12
    assert all(pts == dts for pts, dts in stamps)


def test_a_key_frame_comes_every_two_seconds(tmp_path: Path) -> None:
    clip = ArrayClip(np.zeros((50, 64, 64, 3), np.uint8), fps=10)
    out = tmp_path / "out.mp4"
    write_portable(Workbench(clip), "x264", CHEAP["x264"], out, judge=False, max_share=100)
    with av.open(str(out)) as container:
        keys = [packet.is_keyframe for packet in container.demux(video=0) if packet.size]
    assert [number for number, key in enumerate(keys) if key] == [0, 20, 40]


def test_a_track_that_does_not_fit_is_refused_before_the_encode(
    tmp_path: Path, monkeypatch
) -> None:
    source = record(tmp_path / "drive.mp4", telemetry=False)
    monkeypatch.setattr("seesame.jobs.portable.encode_to", lambda *_: pytest.fail("encoded"))
    with pytest.raises(UserError, match=r"cannot hold track 2 \(subtitles, mov_text\).*write .mp4"):
        write(source, tmp_path / "out.mkv")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["drive.mp4"]


def test_dropped_tracks_and_rounded_times_are_told(tmp_path: Path) -> None:
    source, notes = record(tmp_path / "drive.mp4"), []
    found = write(source, tmp_path / "out.mkv", tracks=False, notes=notes)
    assert beside(found.path) == {}
    assert len(notes) == 1
    assert "milliseconds" in notes[0]
    for new, old in zip(shown(found.path), shown(source), strict=True):
        assert abs(new - old) <= Fraction(1, 2000)


@pytest.mark.parametrize(
    ("settings", "out", "words"),
    [
        ({"sharpen": 1.0}, "out.mp4", "sharpen acts when an .ssm file is decoded"),
        ({"up": "nearest"}, "out.mp4", "up acts when"),
        ({"scale": 0.3}, "out.mp4", "too small"),
        ({"nonsense": 1}, "out.mp4", "no setting 'nonsense'"),
        ({}, "out.avi", "is not written"),
    ],
)
def test_what_no_plain_file_can_have_is_refused(tmp_path, settings, out, words) -> None:
    with pytest.raises(UserError, match=words):
        write(record(tmp_path / "drive.mp4"), tmp_path / out, settings=settings)


def test_other_codecs_and_sizes_are_refused(tmp_path: Path) -> None:
    source = record(tmp_path / "drive.mp4")
    with pytest.raises(UserError, match=r"makes .* files only"):
        write_portable(bench(source), "hnerv", {}, tmp_path / "out.mp4", judge=False)
    with pytest.raises(UserError, match="cannot hold AV1"):
        write(source, tmp_path / "out.mov", "svtav1")
    odd = Workbench(ArrayClip(np.zeros((2, 75, 101, 3), np.uint8)))
    with pytest.raises(UserError, match=r"101x75.*even sides"):
        write_portable(odd, "x264", {}, tmp_path / "out.mp4", judge=False)


def test_ten_bits_of_a_709_clip_are_refused(tmp_path: Path) -> None:
    source = record(tmp_path / "drive.mp4", matrix=1)
    with pytest.raises(UserError, match="take depth=8"):
        write(source, tmp_path / "out.mp4", settings={"depth": 10})
    found = write(record(tmp_path / "plain.mp4"), tmp_path / "out.mp4", settings={"depth": 10})
    first, second = (next(open_clip(p).batches(1))[0] for p in (tmp_path / "plain.mp4", found.path))
    assert np.abs(first.astype(int) - second.astype(int)).mean() < 6


@pytest.mark.parametrize("out", ["out.mp4", "out.mkv"])
def test_a_source_that_is_smaller_is_kept(tmp_path: Path, out: str) -> None:
    source, notes = record(tmp_path / "drive.mp4", telemetry=out == "out.mp4"), []
    if out == "out.mkv":
        source = write(source, tmp_path / "quiet.mp4", tracks=False).path
    found = write(source, tmp_path / out, notes=notes, max_share=0.01)
    assert found.kept_source
    assert "the source itself was copied" in notes[-1]
    if out == "out.mp4":
        assert found.path.read_bytes() == source.read_bytes()
    else:
        frames, old = (next(iter(open_clip(path).batches(99))) for path in (found.path, source))
        assert np.array_equal(frames, old)


def test_a_failed_verification_leaves_nothing(tmp_path: Path, monkeypatch) -> None:
    source, out = record(tmp_path / "drive.mp4"), tmp_path / "out.mp4"
    out.write_bytes(b"before")

    def fail(*_) -> None:
        raise UserError("does not come back")

    monkeypatch.setattr("seesame.video.writing.verify.check_copied", lambda *a: None)
    monkeypatch.setattr("seesame.video.writing.verify._check_video", fail)
    with pytest.raises(UserError, match="does not come back"):
        write(source, out, overwrite=True)
    assert out.read_bytes() == b"before"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["drive.mp4", "out.mp4"]


def test_a_scaled_file_is_judged_at_its_own_size(tmp_path: Path) -> None:
    source = record(tmp_path / "drive.mp4")
    work = Workbench(open_clip(source), load_stack("lite"), path=source, cache=False)
    small = write_portable(
        work, "x264", CHEAP["x264"] | {"scale": 0.7}, tmp_path / "out.mp4", max_share=100
    )
    assert (small.width, small.height) == (90, 68)
    assert small.evaluation is not None
    assert (small.evaluation.width, small.evaluation.height) == (90, 68)
    assert small.score.rate == small.bytes / source.stat().st_size
    assert small.reader.startswith("PyAV")
    with pytest.raises(UserError, match="tiny gives classes at the size of the frames"):
        judged_portable(replace(work, stack=TinyStack(), outputs=None), small)
