"""One clip's work: the source goes through the stack once, and a job says everything."""

import pickle
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny_stack import TinyStack
from torch import Tensor

from seesame.bitstream.container import Container
from seesame.context import EncodeContext, Progress, no_progress
from seesame.errors import LimitsNotMetError, MissingStackError, OutputExistsError, UserError
from seesame.jobs.roundtrip import judge_file
from seesame.jobs.spec import Job, Source
from seesame.jobs.trial import Trial
from seesame.jobs.workbench import Workbench, run_job
from seesame.metric.limits import Bound, Limits
from seesame.video.clip import ArrayClip
from seesame.video.reading.reader import open_clip

SETTINGS = {"crf": 36, "preset": "ultrafast"}


@pytest.fixture
def job(drive: Path, tmp_path: Path) -> Job:
    return Job(Source(drive), "x264", SETTINGS, stack="lite", out=tmp_path / "a.ssm")


def test_a_job_goes_to_another_process(job: Job) -> None:
    assert pickle.loads(pickle.dumps(job)) == job


def test_the_outcome_is_the_file_on_disk(job: Job) -> None:
    outcome = run_job(job)
    assert job.out is not None
    assert outcome.path == job.out
    assert outcome.bytes == job.out.stat().st_size
    assert outcome.container.to_bytes() == job.out.read_bytes()
    bench = Workbench.open(job)
    assert bench.stack is not None
    judged = judge_file(bench.clip, job.out, bench.stack, "cpu")
    assert judged.score == outcome.score
    assert Trial.of(outcome).score == outcome.score
    with pytest.raises(OutputExistsError):
        run_job(job)
    assert run_job(replace(job, overwrite=True)).bytes == outcome.bytes


def test_the_source_goes_through_the_stack_once(drive: Path) -> None:
    stack = TinyStack()
    stages = []

    def told(label: str) -> "Stage":
        stages.append(label)
        return Stage()

    bench = Workbench(open_clip(drive), stack, stages=told)
    for crf in (30, 40):
        bench.encode("x264", {**SETTINGS, "crf": crf})
    # First and second frames of one batch of the source, and of one of either file.
    assert stack.batches == [6] * 6
    assert stages == ["compress x264", "source tiny", "score", "compress x264", "score"]


def test_the_challenge_rule_judges_second_frames(drive: Path) -> None:
    stack = TinyStack()
    bench = Workbench(open_clip(drive), stack, challenge_rule=True)
    found = bench.encode("x264", SETTINGS, limits=Limits(seg=0.5))
    assert stack.batches == [6] * 2
    assert found.limits == Limits(seg=0.5, challenge_rule=True)
    assert found.held[0].value == found.score.seg
    every = Workbench(open_clip(drive), TinyStack()).encode("x264", SETTINGS)
    assert every.score == found.score
    assert every.figures.seg != found.figures.seg
    stack.challenge_rule = True  # as that of the comma stack
    assert not Workbench(open_clip(drive), stack).every_frame


def test_a_limit_on_a_class_that_the_stack_does_not_have(drive: Path) -> None:
    bench = Workbench(open_clip(drive), TinyStack())
    with pytest.raises(UserError, match=r"'lane': it is no class.* dark, grey, bright"):
        bench.encode("x264", SETTINGS, limits=Limits(more=(Bound("seg", "lane", 0.1),)))


class Stage:
    """A stage whose progress nobody follows."""

    def __enter__(self) -> Progress:
        return no_progress

    def __exit__(self, *_: object) -> None:
        return None


class SlowStack(TinyStack):
    """Takes its time over every batch."""

    seconds = 0.3

    def segment(self, rgb: Tensor) -> Tensor:
        time.sleep(self.seconds)
        return super().segment(rgb)


def test_reference_outputs_reach_an_encoder_that_uses_the_stack(
    drive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from seesame.codecs.registry import get_codec

    seen: list[EncodeContext] = []

    class Watched:
        def __getattr__(self, name: str) -> object:
            return getattr(get_codec("x264"), name)

        def needs_stack(self, settings: object) -> bool:
            return True

        def encode(self, clip: object, settings: object, context: EncodeContext) -> Container:
            seen.append(context)
            return get_codec("x264").encode(clip, settings, context)  # type: ignore[arg-type]

    monkeypatch.setattr("seesame.jobs.workbench.get_codec", lambda name: Watched())
    slow = SlowStack()
    bench, began = Workbench(open_clip(drive), slow), time.monotonic()
    outcome = bench.encode("x264", SETTINGS)
    (context,) = seen
    assert context.outputs is bench.outputs is not None
    # The pass over the source counts, for a user's budget as for the figures.
    assert context.started == pytest.approx(began, abs=0.2)
    assert outcome.encode_s > SlowStack.seconds


def test_without_a_score_no_stack_is_needed(job: Job) -> None:
    outcome = run_job(replace(job, judge=False, stack="no such stack"))
    assert outcome.evaluation is None
    with pytest.raises(ValueError, match="not judged"):
        _ = outcome.score


def test_a_codec_that_needs_a_stack_says_so(drive: Path) -> None:
    bench = Workbench(open_clip(drive))
    with pytest.raises(MissingStackError, match="codec x264 needs perception networks"):
        bench.encode("x264", {**SETTINGS, "roi_qp": 3}, judge=False)


def test_bad_settings_are_found_before_the_source_is_read(drive: Path) -> None:
    stack = TinyStack()
    for codec, wrong in (("hnerv", "speed"), ("x264", "speed"), ("hybrid", "base.speed")):
        with pytest.raises(UserError, match="speed"):
            Workbench(open_clip(drive), stack).encode(codec, {wrong: 1})
    assert stack.batches == []


def test_one_frame_leaves_no_file(tmp_path: Path, drive: Path) -> None:
    frames = next(open_clip(drive).batches(1))
    bench = Workbench(ArrayClip(frames), TinyStack())
    with pytest.raises(UserError, match="one frame forms no pair"):
        bench.encode("x264", SETTINGS, out=tmp_path / "a.ssm")
    assert list(tmp_path.iterdir()) == []


def test_a_job_may_set_the_threads(job: Job) -> None:
    before = torch.get_num_threads()
    try:
        Workbench.open(replace(job, threads=before + 1, stack=None))
        assert torch.get_num_threads() == before + 1
    finally:
        torch.set_num_threads(before)


def test_a_part_counts_its_share_of_the_source(drive: Path) -> None:
    clip = Source(drive, source_bytes=1000).open()
    assert (clip.source_bytes, clip.num_frames) == (1000, 12)


def test_limits_are_compared_with_the_outcome(drive: Path) -> None:
    bench = Workbench(open_clip(drive), TinyStack())
    loose = bench.encode("x264", SETTINGS, limits=Limits(seg=1.0, bytes=10**6))
    assert loose.missed == []
    assert [held.name for held in loose.held] == ["seg", "bytes"]
    loose.check_limits()
    strict = bench.encode("x264", SETTINGS, limits=Limits(seg=1.0, bytes=1))
    assert strict.missed == [("bytes", strict.bytes, 1)]
    with pytest.raises(LimitsNotMetError, match=r"bytes is \d+, not 1 or less"):
        strict.check_limits()
