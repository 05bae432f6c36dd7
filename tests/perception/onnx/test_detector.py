"""Detectors from a ``stack.toml``: decoding, matching, what a file keeps, and what is refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx_nets import model, node, write

from seesame.errors import UserError
from seesame.metric.judges import judgement, observations
from seesame.perception.onnx.config import read_config
from seesame.perception.onnx.detector.config import DetectConfig
from seesame.perception.onnx.detector.decode import (
    Boxes,
    decoded,
    iou,
    matched,
    non_max_suppression,
)
from seesame.perception.onnx.detector.judge import Detector
from seesame.perception.onnx.process import NetProcess
from seesame.perception.registry import load_judge, load_stack
from seesame.video.clip import ArrayClip

pytest.importorskip("onnxruntime", reason="needs onnxruntime (the onnx extra)")

PIXELS = (
    'name = "d"\n[detect]\nfile = "s.onnx"\nsize = [32, 64]\ndecoding = "pixels"\nstep = 1\n'
    'scale = 255.0\nclasses = ["car", "dog"]\n'
)
BINS = PIXELS.replace('"pixels"', '"bins"') + "strides = [8, 16]\nbins = 5\n"
OFFSETS = PIXELS.replace('"pixels"', '"offsets"') + "strides = [8, 16]\n"


def lamp(columns: int = 6) -> Any:
    """A net that sees a car at one place, as surely as the frame is bright."""
    box = np.array([[[16.0, 16.0, 16.0, 8.0] + [0.0] * (columns - 6)]], np.float32)
    nodes = [
        node("ReduceMean", "x", out="m", axes=[1, 2, 3], keepdims=1),
        node("Reshape", "m", "shape", out="s"),
        node("Mul", "s", "zero", out="z"),
        node("Add", "box", "z", out="b"),
        node("Concat", "b", "s", "z", axis=2),
    ]
    constants = {"box": box, "zero": np.float32(0), "shape": np.array([0, 1, 1])}
    return model(nodes, constants, [1, 3, 32, 64])


def config(tmp_path: Path, toml: str) -> DetectConfig:
    found = read_config(write(tmp_path, toml))
    assert isinstance(found, DetectConfig)
    return found


def clip(*shades: int, size: tuple[int, int] = (48, 96)) -> ArrayClip:
    frames = np.zeros((len(shades), *size, 3), np.uint8)
    frames[:] = np.array(shades, np.uint8)[:, None, None, None]
    return ArrayClip(frames, 20, 1000)


def test_bright_frames_keep_their_car(tmp_path: Path) -> None:
    detector = load_judge(f"onnx:{write(tmp_path, PIXELS, s=lamp())}")
    assert isinstance(detector, Detector)
    source = observations(detector, clip(255, 200, 150, 20))
    assert [len(one.sides) for one in source] == [1, 1, 1, 0]
    assert source[0].sides[0] == pytest.approx([8 / 64, 12 / 32, 24 / 64, 20 / 32])
    found = judgement(detector, source, clip(255, 80, 20, 200))
    # 80 is enough to match and too little to be a detection; the last frame's car is new.
    assert found.figures == {
        "recall": 2 / 3,
        "precision": 1 / 2,
        "source_boxes": 3,
        "file_boxes": 2,
    }
    assert found.quality == 2 / 3
    assert "66.7% of 3 detections found again" in found.text
    same = judgement(detector, source, clip(255, 200, 150, 20, size=(24, 48)))  # scaled
    assert (same.figures["recall"], same.figures["precision"]) == (1, 1)
    assert found.text.endswith("50.0% of the file's are new")
    none = judgement(detector, observations(detector, clip(0)), clip(0))
    assert none.figures["recall"] is none.quality is None


def test_a_letterboxed_frame_gives_boxes_of_the_frame(tmp_path: Path) -> None:
    detector = load_judge(f"onnx:{write(tmp_path, PIXELS, s=lamp())}")
    (tall,) = observations(detector, clip(255, size=(64, 64)))
    # The frame fills the middle half of the input's width, and half of the light is padding.
    assert tall.scores[0] == pytest.approx(0.5)
    assert tall.sides[0] == pytest.approx([0, 12 / 32, 8 / 32, 20 / 32])


def test_bins_and_offsets_are_decoded_as_published(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    bins = config(tmp_path, BINS)
    locations = 4 * 8 + 2 * 4
    output = random.normal(size=(locations, 2 + 20)).astype(np.float32)
    sides, scores = decoded(bins, output)
    assert np.array_equal(scores, output[:, :2])
    for row, (stride, y, x) in (
        (0, (8, 0, 0)),
        (13, (8, 1, 5)),
        (32, (16, 0, 0)),
        (39, (16, 1, 3)),
    ):
        logits = output[row, 2:].reshape(4, 5).astype(float)
        shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
        left, top, right, bottom = stride * (shares @ np.arange(5))
        middle = (x + 0.5) * stride, (y + 0.5) * stride
        wanted = middle[0] - left, middle[1] - top, middle[0] + right, middle[1] + bottom
        assert sides[row] == pytest.approx(wanted, rel=1e-4)
    offsets = config(tmp_path, OFFSETS.replace("step = 1", 'logits = "yes"'))
    output = random.normal(size=(locations, 7)).astype(np.float32)
    sides, scores = decoded(offsets, output)
    cx, cy, w, h, there, car, _ = output[13].astype(float)
    middle = (5 + cx) * 8, (1 + cy) * 8
    half = 4 * np.exp(w), 4 * np.exp(h)
    assert sides[13] == pytest.approx(
        [middle[0] - half[0], middle[1] - half[1], middle[0] + half[0], middle[1] + half[1]],
        rel=1e-4,
    )
    assert scores[13, 0] == pytest.approx(1 / (1 + np.exp(-there)) / (1 + np.exp(-car)), rel=1e-4)


def test_alike_classes_are_one_thing(tmp_path: Path) -> None:
    sides = np.array([[0, 0, 10, 10], [1, 0, 11, 10], [40, 0, 50, 10]], np.float32)
    scores = np.array([[0.9, 0.0], [0.1, 0.8], [0.0, 0.7]], np.float32)
    apart = non_max_suppression(config(tmp_path, PIXELS), sides, scores)
    assert apart.kinds.tolist() == [0, 1, 1]
    alike = non_max_suppression(
        config(tmp_path, PIXELS + 'alike = [["car", "dog"]]\n'), sides, scores
    )
    assert alike.kinds.tolist() == [0, 0]
    assert alike.scores.tolist() == pytest.approx([0.9, 0.7])
    cars = non_max_suppression(config(tmp_path, PIXELS + 'judged = ["car"]\n'), sides, scores)
    assert cars.kinds.tolist() == [0]


def boxes(*sides: tuple[float, float, float, float], kinds: tuple[int, ...] = ()) -> Boxes:
    count = len(sides)
    return Boxes(
        np.array(sides, np.float32).reshape(count, 4),
        np.linspace(0.9, 0.5, count, dtype=np.float32),
        np.array(kinds or [0] * count),
    )


def test_each_box_finds_one() -> None:
    near = boxes((0, 0, 10, 10), (1, 0, 11, 10))
    assert matched(near, boxes((0, 0, 10, 10)), 0.5) == 1
    assert matched(near, near, 0.5) == 2
    assert matched(boxes((0, 0, 10, 10)), boxes((0, 0, 10, 10), kinds=(1,)), 0.5) == 0
    assert matched(boxes((0, 0, 10, 10)), boxes((0, 6, 10, 16)), 0.5) == 0
    assert matched(boxes(), near, 0.5) == matched(near, boxes(), 0.5) == 0
    assert iou(near.sides[0], near.sides) == pytest.approx([1, 90 / 110])


@pytest.mark.parametrize(
    ("toml", "words"),
    [
        (PIXELS.replace("classes", "clases"), "unknown clases"),
        (PIXELS.replace('["car", "dog"]', "[]"), "classes must be 1 or more"),
        (PIXELS + 'judged = ["cat"]\n', "'cat' is not among classes"),
        (PIXELS + 'alike = [["car", "dog"], ["dog"]]\n', "one group"),
        (PIXELS + "score = 0.2\n", "match must be at most score"),
        (PIXELS + "nms = 1.5\n", "nms must be above 0"),
        (PIXELS + "pad = 300\n", "pad must be"),
        (PIXELS.replace("step = 1", "step = 0"), "step must be"),
        (BINS.replace("strides = [8, 16]\n", ""), "strides is missing"),
        (BINS.replace("[8, 16]", "[8, 0]"), "strides must be"),
        (BINS.replace("[8, 16]", "[8, 4096]"), "strides must be"),
        (BINS.replace("bins = 5", "bins = 1000"), "bins must be"),
        (PIXELS + "[segment]\n", "unknown segment"),
        ("[detect]\n" + 'file = "../s.onnx"\nsize = [2, 2]\nclasses = ["a"]\n', "plain file name"),
        ("detect = 3\n", "detect must be a table"),
    ],
)
def test_a_wrong_description_is_one_line(tmp_path: Path, toml: str, words: str) -> None:
    with pytest.raises(UserError, match=words) as caught:
        load_judge(f"onnx:{write(tmp_path, toml)}")
    assert "\n" not in str(caught.value)
    assert "stack.toml" in str(caught.value)


def test_a_net_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="a location has 6 values"):
        load_judge(f"onnx:{write(tmp_path, PIXELS, s=lamp(7))}")
    with pytest.raises(UserError, match="a location has 22 values"):
        load_judge(f"onnx:{write(tmp_path, BINS, s=lamp())}")
    with pytest.raises(UserError, match=r"1 locations, but .* there are 40"):
        load_judge(f"onnx:{write(tmp_path, BINS, s=lamp(22))}")
    named = write(tmp_path, PIXELS + "output = 'z1'\n", s=lamp())
    with pytest.raises(UserError, match="has no output 'z1'"):
        load_judge(f"onnx:{named}")


def test_names_of_outputs_steer_no_terminal(tmp_path: Path) -> None:
    net = lamp()
    odd = "\x1b[31mred\n"
    net.graph.node.append(node("Identity", "y", out=odd))
    net.graph.output.add().CopyFrom(net.graph.output[0])
    net.graph.output[1].name = odd
    for more, told in (("", "several outputs; name one: y"), ("output = 'z'\n", "no output 'z'")):
        with pytest.raises(UserError, match=told) as refused:
            load_judge(f"onnx:{write(tmp_path, PIXELS + more, s=net)}")
        assert str(refused.value).isprintable()
        assert r"\x1b[31mred" in str(refused.value)


def test_boxes_must_be_float32(tmp_path: Path) -> None:
    net = lamp()
    net.graph.node[-1].output[0] = "single"
    net.graph.node.append(node("Cast", "single", to=11))
    net.graph.output[0].type.tensor_type.elem_type = 11
    with pytest.raises(UserError, match=r"must be float32, not torch\.float64"):
        load_judge(f"onnx:{write(tmp_path, PIXELS, s=net)}")


def test_values_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    net = lamp()
    net.graph.initializer[0].float_data[:] = []
    for tensor in net.graph.initializer:
        if tensor.name == "zero":
            tensor.raw_data = np.float32(np.nan).tobytes()
    with pytest.raises(UserError, match="not finite"):
        load_judge(f"onnx:{write(tmp_path, PIXELS, s=net)}")


def test_nothing_is_made_ready_for_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr("seesame.perception.onnx.net.Graph")
    asked: list[int] = []
    usual = NetProcess.run

    def noted(self: NetProcess, name: str, values: Any, outputs: Any) -> Any:
        asked.append(len(values))
        return usual(self, name, values, outputs)

    monkeypatch.setattr(NetProcess, "run", noted)
    detector = load_judge(f"onnx:{write(tmp_path, PIXELS, s=lamp())}")
    assert asked == [1]
    assert isinstance(detector, Detector)
    assert len(observations(detector, clip(255, 255))) == 2
    assert asked == [1, 1, 1]


def test_a_detector_is_no_stack(tmp_path: Path) -> None:
    folder = write(tmp_path, PIXELS, s=lamp())
    with pytest.raises(UserError, match="can only judge"):
        load_stack(f"onnx:{folder}")
