"""The log of an encode: whole lines, appended; a work folder that is done keeps none of it."""

import json
from pathlib import Path
from typing import Any

import pytest

from seesame import runlog
from seesame.context import EncodeContext
from seesame.errors import UserError
from seesame.metric.score import Score
from seesame.runlog import RUN_FILE, RunLog, logged
from seesame.scene import SceneClip, SceneConfig


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds, moved by hand."""
    now = [100.0]
    monkeypatch.setattr(runlog.time, "monotonic", lambda: now[0])
    return now


def test_steps_are_sparse_and_a_new_stage_starts_with_one(
    clock: list[float], tmp_path: Path
) -> None:
    log, asked = RunLog([tmp_path / "a.jsonl"]), []
    log.stage("training")
    for number in range(40):
        clock[0] = 100 + 0.25 * number
        if number == 21:
            log.stage("quantised")
        log.stage("training" if number < 21 else "quantised")
        log.step(lambda number=number: asked.append(number) or {"step": number})
    found = lines(tmp_path / "a.jsonl")
    assert [one["stage"] for one in found if one["kind"] == "stage"] == ["training", "quantised"]
    steps = [one["step"] for one in found if one["kind"] == "step"]
    assert steps == asked == [0, 4, 8, 12, 16, 20, 21, 25, 29, 33, 37]
    clock[0] = 100 + 86_400
    log.step(lambda: {"step": 1})
    clock[0] += 80
    log.step(lambda: {"step": 2})  # a run of a day writes every 86 seconds
    assert lines(tmp_path / "a.jsonl")[-1]["step"] == 1


def test_no_file_costs_nothing() -> None:
    log = RunLog()
    log.step(lambda: pytest.fail("asked"))
    assert log.candidate(Score(0.1, 0.2, 0.3), 10, 0.0, True) == 1


def test_what_is_not_finite_is_null(tmp_path: Path) -> None:
    log = RunLog([tmp_path / "a.jsonl"])
    log.write("step", loss=float("nan"), terms={"seg": float("inf"), "pose": 1.5})
    (found,) = lines(tmp_path / "a.jsonl")
    assert (found["loss"], found["terms"]) == (None, {"seg": None, "pose": 1.5})


def test_resuming_appends_and_ends_a_torn_line(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"kind":"step","t":1}\n{"kind":"st')
    RunLog([path], resume=True).write("stage", stage="x")
    texts = path.read_text().splitlines()
    assert texts[1] == '{"kind":"st'
    assert json.loads(texts[2])["stage"] == "x"
    RunLog([path]).write("stage", stage="new")
    assert len(lines(path)) == 1


def test_a_log_that_fails_does_not_stop_the_encode(tmp_path: Path) -> None:
    log = RunLog([tmp_path / "a.jsonl", tmp_path / "b.jsonl"])
    log._files[0].close()
    log._files[0] = open("/dev/full", "wb", buffering=0)  # noqa: SIM115
    log.write("stage", stage="x")
    log.write("stage", stage="y")
    assert [one["stage"] for one in lines(tmp_path / "b.jsonl")] == ["x", "y"]


def test_a_place_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written"):
        RunLog([tmp_path / "file" / "run.jsonl"])


def begun(context: EncodeContext, **more: Any) -> Any:
    clip = SceneClip(SceneConfig(width=64, height=48), 4)
    plain = {"seconds": 60.0, "steps": None, "resume": False}
    return logged("hnerv", clip, context, {"preset": "fast"}, **(plain | more))


def test_the_work_folder_keeps_it_as_long_as_the_state(tmp_path: Path) -> None:
    work, log = tmp_path / "a.work", tmp_path / "kept.jsonl"
    with begun(EncodeContext(work=work, log=log)):
        assert (work / RUN_FILE).read_bytes() == log.read_bytes()
        (first,) = lines(log)
    assert not work.exists()
    assert first["clip"]["frames"] == 4
    assert (first["codec"], first["settings"], first["seconds"]) == (
        "hnerv",
        {"preset": "fast"},
        60.0,
    )
    with begun(EncodeContext(work=work), steps=30):
        (work / "checkpoint.safetensors").write_bytes(b"state")
    (first,) = lines(work / RUN_FILE)
    assert (first["seconds"], first["steps"]) == (None, 30)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), UserError("no such clip")])
def test_what_fails_says_so_and_leaves_nothing(tmp_path: Path, error: BaseException) -> None:
    work, log = tmp_path / "a.work", tmp_path / "kept.jsonl"
    with pytest.raises(type(error)), begun(EncodeContext(work=work, log=log)):
        raise error
    assert not work.exists()
    assert lines(log)[-1]["kind"] == "end"
    assert lines(log)[-1]["why"] in ("stopped", "failed")
