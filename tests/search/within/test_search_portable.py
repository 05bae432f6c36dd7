"""The search of portable files, with real encoders on a small drive."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import av
import pytest
from command import Ran
from tiny_stack import TinyStack

from seesame.context import no_progress
from seesame.errors import UserError
from seesame.jobs.spec import Job, Source
from seesame.jobs.workbench import Workbench
from seesame.metric.evaluator import evaluate
from seesame.metric.limits import Bound, Limits
from seesame.scene import SceneClip, SceneConfig
from seesame.search.within.found import PortableTuning, Start
from seesame.search.within.portable import find_portable, finds_portable
from seesame.video.reading.reader import open_clip
from seesame.video.writing.writer import write_clip

FAST = PortableTuning(presets={"svtav1": "12", "x264": "ultrafast"})


@pytest.fixture(scope="module")
def drive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("portable") / "drive.mp4"
    scene = SceneClip(SceneConfig(width=256, height=160, seed=3), 20)
    write_clip(path, scene.batches(4), fps=scene.fps, width=256, height=160, crf=10)
    return path


def find(drive: Path, out: Path, limits: Limits, codec: str = "x264", **more):
    bench = Workbench.open(Job(Source(drive), codec, stack="lite", limits=limits))
    settings = more.pop("settings", {})
    return find_portable(
        bench, codec, settings, limits, out, progress=no_progress, tuning=FAST, **more
    )


def measured(drive: Path, file: Path) -> float:
    bench = Workbench.open(Job(Source(drive), "x264", stack="lite"))
    assert bench.stack is not None
    decoded = open_clip(file)
    return evaluate(bench.clip, decoded, bench.stack, 1, every_frame=True, as_read=True).figures.seg


@pytest.mark.parametrize("codec", ["x264", "svtav1"])
def test_a_limit_is_kept_with_few_encodes(drive: Path, tmp_path: Path, codec: str) -> None:
    limits = Limits(seg=0.03)
    found = find(drive, tmp_path / "small.mp4", limits, codec)
    assert found.file.missed == []
    assert found.encodes <= FAST.most
    assert found.file.bytes < drive.stat().st_size / 4
    assert found.file.bytes == (tmp_path / "small.mp4").stat().st_size
    assert measured(drive, tmp_path / "small.mp4") == pytest.approx(found.file.figures.seg)
    assert 0.2 < found.forecast.bytes / found.first_bytes < 5  # of a second of video
    assert sorted(path.name for path in tmp_path.iterdir()) == ["small.mp4"]


def test_the_same_search_finds_the_same_file(drive: Path, tmp_path: Path) -> None:
    files = [tmp_path / f"{n}.mp4" for n in range(2)]
    for file in files:
        find(drive, file, Limits(seg=0.03))
    assert files[0].read_bytes() == files[1].read_bytes()


def test_corrections_need_limits_and_gradients(drive: Path, tmp_path: Path) -> None:
    assert find(drive, tmp_path / "a.mp4", Limits(seg=0.03), closed_loop=False).rounds == 0
    assert find(drive, tmp_path / "b.mp4", Limits(bytes=20_000)).rounds == 0
    assert find(drive, tmp_path / "c.mp4", Limits()).rounds == 0


def test_a_size_limit_alone_is_kept(drive: Path, tmp_path: Path) -> None:
    found = find(drive, tmp_path / "a.mp4", Limits(bytes=12_000))
    assert found.file.bytes <= 12_000
    assert found.file.missed == []


def test_given_scale_and_key_frames_hold(drive: Path, tmp_path: Path) -> None:
    settings = {"scale": 0.6, "gop": 7}
    find(drive, tmp_path / "a.mkv", Limits(seg=0.05), settings=settings)
    with av.open(str(tmp_path / "a.mkv")) as file:
        keys = [p.is_keyframe for p in file.demux(video=0) if p.size]
        assert (file.streams.video[0].width, file.streams.video[0].height) == (154, 96)
    assert [i for i, key in enumerate(keys) if key][:2] == [0, 7]


def test_what_no_quality_keeps_is_missed_and_told(drive: Path, tmp_path: Path) -> None:
    found = find(drive, tmp_path / "a.mp4", Limits(seg=1e-5), settings={"scale": 0.4})
    assert [held.name for held in found.file.missed] == ["seg"]
    assert found.file.advice


def test_limits_on_classes_reach_the_corrections(drive: Path, tmp_path: Path) -> None:
    limits = Limits(seg=0.05, more=(Bound("seg", "lane", 0.3),))
    found = find(drive, tmp_path / "a.mp4", limits)
    assert {held.name for held in found.file.held} == {"seg", "seg lane markings"}


def test_a_stack_without_gradients_still_finds_a_file(drive: Path, tmp_path: Path) -> None:
    class Plain(TinyStack):
        differentiable = False
        challenge_rule = False

        def segment(self, rgb):
            return super().segment(rgb[..., :48, :64])

    bench = Workbench.open(Job(Source(drive), "x264"))
    bench = replace(bench, stack=Plain())
    found = find_portable(
        bench, "x264", {}, Limits(seg=0.2), tmp_path / "a.mp4", progress=no_progress, tuning=FAST
    )
    assert found.rounds == 0
    assert found.file.missed == []


def test_a_file_that_is_no_smaller_gives_way_to_the_source(drive: Path, tmp_path: Path) -> None:
    small = tmp_path / "source.mp4"
    find(drive, small, Limits(seg=0.05))
    found = find(small, tmp_path / "again.mp4", Limits(seg=0.0005))
    assert found.file.kept_source
    assert (tmp_path / "again.mp4").read_bytes() == small.read_bytes()
    assert found.file.figures.seg == 0


def test_codecs_that_make_no_video_are_refused(drive: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"makes \.ssm files only"):
        find(drive, tmp_path / "a.mp4", Limits(seg=0.05), "hnerv")
    assert list(tmp_path.iterdir()) == []


def test_a_quality_leaves_nothing_to_find() -> None:
    assert finds_portable({"scale": 0.5})
    assert not finds_portable({"crf": 40})
    assert not finds_portable({"kbps": 100})


def test_the_command_tells_what_it_found(
    seesame: Callable[..., Ran], drive: Path, tmp_path: Path
) -> None:
    out = tmp_path / "small.mp4"
    flags = ["--codec", "h264", "--set", "preset=ultrafast", "--max-seg", "0.03"]
    ran = seesame("compress", drive, "-o", out, *flags)
    assert ran.code == 0, ran.err
    assert "limit  seg" in ran.out
    assert ": kept" in ran.out
    assert "encodes of the clip's length" in ran.out
    ran = seesame("compress", drive, "-o", out, *flags, "--overwrite", "--json")
    values = json.loads(ran.out)
    assert values["bytes"] == out.stat().st_size
    assert values["encodes"] <= FAST.most
    assert values["forecast"]["bytes"] > 0
    assert values["missed"] == {}


def test_a_missed_limit_is_told_with_a_code_of_its_own(
    seesame: Callable[..., Ran], drive: Path, tmp_path: Path
) -> None:
    flags = ["--codec", "h264", "--set", "preset=ultrafast", "--set", "scale=0.4"]
    ran = seesame("compress", drive, "-o", tmp_path / "a.mp4", *flags, "--max-seg", "0.00001")
    assert ran.code == 4
    assert ": missed" in ran.out
    assert "try    --set scale=1" in ran.out


def test_files_on_trial_are_not_spoken_of(drive: Path, tmp_path: Path) -> None:
    told: list[str] = []
    limits = Limits(seg=0.05)
    bench = Workbench.open(
        Job(Source(drive), "x264", stack="lite", limits=limits), note=told.append
    )
    for name in ("a.mkv", "b.mp4"):
        find_portable(bench, "x264", {}, limits, tmp_path / name, progress=no_progress, tuning=FAST)
    assert [line for line in told if "seesame-" in line] == []
    assert len(told) == len(set(told))


def test_what_won_on_another_clip_saves_encodes(drive: Path, tmp_path: Path) -> None:
    """The limits are confirmed on the whole clip all the same."""
    for name, limits in {"a": Limits(seg=0.02), "b": Limits(bytes=12_000), "c": Limits()}.items():
        alone = find(drive, tmp_path / f"{name}.mp4", limits)
        settings = alone.file.settings
        start = Start(settings.get("scale", 1.0), settings["crf"])
        found = find(drive, tmp_path / f"{name}2.mp4", limits, start=start)
        assert (found.shared, alone.shared, found.forecast) == (True, False, None)
        assert found.encodes <= 3 < alone.encodes
        assert found.file.missed == []
        assert found.file.bytes < 1.3 * alone.file.bytes
        if limits.seg:
            file = tmp_path / f"{name}2.mp4"
            assert measured(drive, file) == pytest.approx(found.file.figures.seg)


@pytest.mark.parametrize("start", [Start(0.7, 2), Start(0.123, 30)])
def test_a_clip_unlike_the_other_is_searched_by_itself(
    drive: Path, tmp_path: Path, start: Start
) -> None:
    limits = Limits(seg=0.03)
    found = find(drive, tmp_path / "a.mp4", limits, start=start)
    assert not found.shared
    assert found.forecast is not None
    assert found.file.missed == []
    alone = find(drive, tmp_path / "b.mp4", limits)
    assert found.file.bytes < 1.3 * alone.file.bytes
