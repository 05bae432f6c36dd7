import json
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from command import Ran

from seesame.metric import Evaluation, Score, json_report, plain_report, text_report


@pytest.fixture
def evaluation() -> Evaluation:
    return Evaluation(
        score=Score(seg=0.0125, pose=0.4, rate=0.025),
        seg=np.array([0.0, 0.025], np.float32),
        pose=np.array([0.3, 0.5], np.float32),
        compressed_bytes=25_000,
        source_bytes=1_000_000,
        stack="tiny",
        fingerprint="ab" * 32,
        width=64,
        height=48,
        fps=Fraction(30000, 1001),
    )


def test_text_is_the_challenges_form(evaluation: Evaluation) -> None:
    text = text_report(evaluation, {"device": "cpu", "batch_size": 16})
    assert text == (
        "=== Evaluation config ===\n"
        "  batch_size: 16\n"
        "  device: cpu\n"
        "=== Evaluation results over 2 samples ===\n"
        "  Average PoseNet Distortion: 0.40000000\n"
        "  Average SegNet Distortion: 0.01250000\n"
        "  Submission file size: 25,000 bytes\n"
        "  Original uncompressed size: 1,000,000 bytes\n"
        "  Compression Rate: 0.02500000\n"
        "  Final score: 100*segnet_dist + sqrt(10*posenet_dist) + 25*rate = 3.88\n"
        "  Score in full precision: 3.875\n"
    )


def test_text_without_config_names_the_stack(evaluation: Evaluation) -> None:
    first, *lines = text_report(evaluation).splitlines()
    assert first == "=== Evaluation config ==="
    assert "  stack: tiny" in lines
    assert "  size: 64x48" in lines


def test_json_holds_every_figure_exactly(evaluation: Evaluation) -> None:
    text = json_report(evaluation)
    assert "\n" not in text
    values = json.loads(text)
    assert values["score"] == evaluation.score.total
    assert values["samples"] == 2
    assert values["pairs"]["seg"] == evaluation.seg.tolist()
    assert values["pairs"]["pose"] == evaluation.pose.tolist()
    assert (values["stack"], values["width"], values["height"]) == ("tiny", 64, 48)
    assert "config" not in values
    assert json.loads(json_report(evaluation, {"device": "cpu"}))["config"] == {"device": "cpu"}


def test_plain_text_names_every_figure(evaluation: Evaluation) -> None:
    other = replace(evaluation, stack="other", score=Score(seg=0.5, pose=0.25, rate=0.025))
    assert plain_report(evaluation, "a.mp4", "a.ssm", [other]) == (
        "clip    a.mp4  64x48, 29.97 fps, 2 pairs of frames\n"
        "file    a.ssm\n"
        "bytes   25,000 of the source's 1,000,000\n"
        "rate    0.025000\n"
        "seg     0.012500  share of pixels whose class changes, on second frames\n"
        "worst   at 0.10 s (frame 3) 2.50% of the pixels change class\n"
        "pose    0.400000  mean squared difference of the pose values\n"
        "score   3.8750  100*seg + 25*rate + sqrt(10*pose); lower is better\n"
        "stack   tiny\n"
        "judged by other as well: seg 0.500000, pose 0.250000\n"
    )


def test_every_frame_has_its_own_lines(evaluation: Evaluation) -> None:
    every = replace(
        evaluation,
        first_seg=np.array([0.5, 0.1, 0.0], np.float32),
        lost=(("road", 0.01), ("lane markings", 0.125)),
    )
    lines = plain_report(every, "a.mp4", "a.ssm").splitlines()
    assert "seg     0.012500  share of pixels whose class changes, on second frames" in lines
    assert "frames  0.125000  seg on every frame" in lines
    assert "class   lane markings loses 12.50% of its pixels" in lines
    assert "worst   at 0.00 s (frame 0) 50.00% of the pixels change class" in lines
    frames = json.loads(json_report(every))["frames"]
    assert (frames["rule"], frames["seg"]) == ("every frame", pytest.approx(0.125))
    assert frames["worst_class"] == {"name": "lane markings", "lost": 0.125}
    assert frames["worst_moment"] == {"frame": 0, "seconds": 0.0, "seg": 0.5}
    assert json.loads(json_report(every))["seg"] == 0.0125


def test_the_command_speaks_plainly_unless_asked(
    drive: Path, tmp_path: Path, seesame: Callable[..., Ran]
) -> None:
    report = tmp_path / "report.txt"
    words = ("score", drive, drive, "--quiet", "--device", "cpu", "--report", report)
    plain = seesame(*words)
    assert plain.code == 0, plain.err
    names = [line.split()[0] for line in plain.out.splitlines()]
    judged = ["seg", "frames", "class", "worst", "pose", "score"]
    assert names == ["clip", "file", "bytes", "rate", *judged, "stack"]
    assert report.read_text() == plain.out
    assert not any(
        word in plain.out for word in ("PoseNet", "SegNet", "Submission", "uncompressed", "finger")
    )
    form = seesame(*words, "--contest-form", "--overwrite")
    assert form.out.startswith("=== Evaluation config ===")
    assert "  Submission file size:" in form.out
    assert report.read_text() == form.out
