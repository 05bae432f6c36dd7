"""The judge without weights: flow and motion of pictures whose motion is known."""

import builtins
import math
from typing import Any

import numpy as np
import pytest

from seesame.errors import MissingExtraError, UserError
from seesame.metric.judges import judgement, observations
from seesame.perception.flow import TUNING, FlowJudge
from seesame.perception.registry import load_judge, load_stack
from seesame.video.clip import ArrayClip, Frames

cv2 = pytest.importorskip("cv2", reason="needs OpenCV (the judges extra)")
SIZE = 360, 640


def texture(seed: int = 0) -> np.ndarray:
    """A picture with corners of many sizes, larger than a frame."""
    random = np.random.default_rng(seed)
    whole = np.zeros((2 * SIZE[0], 2 * SIZE[1], 3), np.float32)
    for cell in (8, 20, 50):
        small = random.uniform(0, 80, (whole.shape[0] // cell, whole.shape[1] // cell, 3))
        whole += cv2.resize(small.astype(np.float32), whole.shape[1::-1])
    return whole.clip(0, 255).astype(np.uint8)


def turned(degrees: float, forward: float = 0.0) -> Frames:
    """Two frames of a wall of varying depth, the camera turned to the right in between."""
    picture = texture()
    height, width = SIZE
    y, x = np.mgrid[:height, :width].astype(np.float32)
    focal = TUNING.focal * width
    ray = np.stack([(x - width / 2) / focal, (y - height / 2) / focal, np.ones_like(x)], 2)
    angle = math.radians(degrees)
    turn = np.array(
        [[math.cos(angle), 0, math.sin(angle)], [0, 1, 0], [-math.sin(angle), 0, math.cos(angle)]]
    )
    frames = []
    for rotation, ahead in ((np.eye(3), 0.0), (turn, forward)):
        seen = ray @ rotation.T
        # Left half of the world is a wall at depth 4, right half one at depth 8.
        depth = np.where(seen[..., :1] / seen[..., 2:] < 0, 4.0, 8.0) - ahead
        place = seen / seen[..., 2:] * depth
        spots = place[..., :2] / (depth + ahead) * focal + np.array([width, height])
        u, v = (spots[..., i].astype(np.float32) for i in (0, 1))
        frames.append(cv2.remap(picture, u, v, cv2.INTER_LINEAR))
    return np.stack(frames)


def test_a_turn_is_measured() -> None:
    judge = FlowJudge()
    straight, right = judge.observe(turned(0.0, 0.2)), judge.observe(turned(1.0, 0.2))
    assert straight.moves
    assert right.moves
    figures = judge.figures([(straight, right)])
    assert figures["rotation_deg"] == pytest.approx(1.0, abs=0.25)
    shift = math.tan(math.radians(1.0)) * TUNING.focal * 640
    assert figures["flow_px"] == pytest.approx(shift, rel=0.15)
    assert straight.direction is not None
    assert abs(straight.direction[2]) > 0.95  # ahead


def test_a_file_like_its_source_agrees_and_noise_does_not() -> None:
    judge = FlowJudge()
    frames = np.concatenate([turned(0.3, 0.2), turned(-0.2, 0.3)])
    source = observations(judge, ArrayClip(frames, 20, 1000))
    same = judgement(judge, source, ArrayClip(frames, 20, 1000))
    wanted = {
        "flow_px": 0,
        "flow_db": 60,
        "rotation_deg": 0,
        "direction_deg": 0,
        "agree": 1,
        "pairs": 2,
    }
    assert same.figures == pytest.approx(wanted, abs=1e-5)
    half = np.stack([cv2.resize(f, (320, 180), interpolation=cv2.INTER_AREA) for f in frames])
    scaled = judgement(judge, source, ArrayClip(half, 20, 1000))
    assert scaled.figures["agree"] == 1
    assert scaled.figures["flow_px"] is not None
    assert scaled.figures["flow_px"] < 1
    noise = np.random.default_rng(0).integers(0, 256, frames.shape, dtype=np.uint8)
    lost = judgement(judge, source, ArrayClip(noise, 20, 1000))
    assert lost.figures["agree"] == 0
    assert lost.figures["flow_px"] is not None
    assert lost.figures["flow_px"] > 2
    assert "agrees in 0.0% of 2 pairs" in lost.text


def test_a_standing_camera_has_no_direction() -> None:
    judge = FlowJudge()
    still = np.repeat(turned(0.0)[:1], 2, axis=0)
    seen = observations(judge, ArrayClip(still, 20, 1000))
    assert not seen[0].moves
    found = judgement(judge, seen, ArrayClip(still, 20, 1000))
    assert (found.figures["agree"], found.figures["pairs"], found.figures["flow_px"]) == (
        None,
        0,
        0,
    )
    black = ArrayClip(np.zeros_like(still), 20, 1000)
    assert judgement(judge, seen, black).figures["flow_px"] == 0


def test_an_odd_last_frame_forms_no_pair() -> None:
    judge = FlowJudge()
    frames = np.concatenate([turned(0.3, 0.2), turned(0.1)[:1]])
    assert len(observations(judge, ArrayClip(frames, 20, 1000))) == 1
    with pytest.raises(UserError, match="looks at 2 frames"):
        observations(judge, ArrayClip(frames[:1], 20, 1000))


def test_it_is_a_judge_and_no_stack(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_judge("flow").name == "flow"
    with pytest.raises(UserError, match="only judge"):
        load_stack("flow")
    usual = builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name == "cv2":
            raise ImportError("no cv2", name="cv2")
        return usual(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtraError, match=r"seesame\[judges\]"):
        load_judge("flow")
