"""What an encode that trains writes into its log is what it did."""

import json
import signal
from pathlib import Path
from typing import Any

import pytest
from fake_stack import FakeStack, tiny_clip

from seesame import runlog
from seesame.bitstream.container import Container
from seesame.codecs.hnerv.codec import HnervCodec
from seesame.codecs.hybrid.codec import HybridCodec
from seesame.context import EncodeContext
from seesame.metric.evaluator import evaluate
from seesame.neural.fitting.checkpoint import NAME
from seesame.runlog import RUN_FILE

SETTINGS = {"steps": 12, "latent": 4, "bytes": 2000, "sidecar": False}


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every step is reported."""
    monkeypatch.setattr(runlog, "TUNING", runlog.LogTuning(least_s=0.0, every_share=0.0))


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def of(kind: str, found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [one for one in found if one["kind"] == kind]


@pytest.mark.usefixtures("often")
def test_the_log_tells_the_run(tmp_path: Path) -> None:
    clip, log, shown = tiny_clip(6), tmp_path / "run.jsonl", []
    context = EncodeContext(
        FakeStack(),
        work=tmp_path / "a.work",
        log=log,
        progress=lambda share, text: shown.append(text),
    )
    container = HnervCodec().encode(clip, SETTINGS, context)
    assert not (tmp_path / "a.work").exists()
    found = lines(log)
    assert [found[0]["kind"], found[-1]["kind"]] == ["begin", "end"]
    steps = of("step", found)
    assert [one["step"] for one in steps] == list(range(1, 13))
    assert all(0 <= one["seg"] <= 1 for one in steps)
    assert [one["bytes"] is None for one in steps] == [one["share"] < 0.35 for one in steps]
    assert steps[-1]["loss"] == pytest.approx(sum(steps[-1]["terms"].values()), rel=1e-5)
    stages = [one["stage"] for one in of("stage", found)]
    assert stages[:4] == ["reading the source", "training", "quantised", "judging"]
    (last,) = of("end", found)
    kept = next(one for one in of("candidate", found) if one["number"] == last["number"])
    data = container.to_bytes()
    decoded = HnervCodec().decode(Container.from_bytes(data))
    true = evaluate(clip, decoded, FakeStack(), len(data)).score
    assert kept["bytes"] == last["bytes"] == len(data)
    assert kept["score"] == last["score"] == pytest.approx(true.total, rel=1e-6)
    assert kept["best"]
    # The same on the progress line, for whoever only looks there.
    judged = [text for text in shown if "best score" in text]
    assert judged
    assert "bytes" in judged[-1]


def test_the_log_changes_no_byte(tmp_path: Path) -> None:
    made = [
        HnervCodec().encode(tiny_clip(4), SETTINGS, EncodeContext(FakeStack(), log=log)).to_bytes()
        for log in (None, tmp_path / "run.jsonl")
    ]
    assert made[0] == made[1]


def test_an_interrupted_run_is_continued_in_its_log(tmp_path: Path) -> None:
    def interrupt(share: float, text: str) -> None:
        if share > 0.3:
            signal.raise_signal(signal.SIGINT)

    log = tmp_path / RUN_FILE
    context = EncodeContext(FakeStack(), work=tmp_path, progress=interrupt)
    HnervCodec().encode(tiny_clip(6), SETTINGS, context)
    assert (tmp_path / NAME).exists()
    assert lines(log)[-1]["why"] == "interrupted"
    before = log.read_bytes()
    copy = tmp_path / "copy.jsonl"
    copy.write_bytes(before)
    context = EncodeContext(FakeStack(), work=tmp_path, log=copy)
    HnervCodec().encode(tiny_clip(6), {**SETTINGS, "resume": True}, context)
    found = lines(copy)
    assert copy.read_bytes().startswith(before)
    assert len(of("begin", found)) == 2
    assert found[-1]["why"] == "finished"
    assert not (tmp_path / NAME).exists()


@pytest.mark.usefixtures("often")
def test_hybrid_s_base_is_a_candidate(tmp_path: Path) -> None:
    log = tmp_path / "run.jsonl"
    settings = {"steps": 4, "base": "x264", "base.crf": 30}
    made = HybridCodec().encode(tiny_clip(6), settings, EncodeContext(FakeStack(), log=log))
    found = lines(log)
    assert [one["stage"] for one in of("stage", found)][:3] == [
        "encoding the base",
        "reading the source",
        "judging the base",
    ]
    assert len(of("candidate", found)) >= 2
    base = of("candidate", found)[0]["bytes"]
    estimates = [one["bytes"] for one in of("step", found) if one["bytes"] is not None]
    assert estimates
    assert min(estimates) > base  # the base's bytes are a part of what the file will take
    assert found[-1]["bytes"] == len(made.to_bytes())
