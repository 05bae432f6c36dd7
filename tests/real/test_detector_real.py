"""NanoDet through the description that docs/stacks.md prints, against its reference code."""

import importlib.util
import re
from pathlib import Path

import numpy as np
import pytest

from seesame.metric.judges import judgement, observations
from seesame.perception.onnx.detector.decode import iou
from seesame.perception.onnx.detector.judge import Detector
from seesame.perception.registry import load_judge
from seesame.video.clip import ArrayClip
from seesame.video.reading.reader import open_clip

pytest.importorskip("cv2", reason="needs OpenCV (the judges extra)")
pytest.importorskip("onnxruntime", reason="needs onnxruntime (the onnx extra)")
pytestmark = pytest.mark.real
DOCS = Path(__file__).resolve().parents[2] / "docs" / "stacks.md"
ROAD = (0, 1, 2, 3, 5, 6, 7)


@pytest.fixture(scope="module")
def detector(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Detector:
    folder, models = tmp_path_factory.mktemp("nanodet"), shared / "models" / "nanodet"
    found = re.search(r"```toml\n(name = \"nanodet\".*?)```", DOCS.read_text("utf-8"), re.DOTALL)
    assert found is not None
    labels = (models / "labels.txt").read_text().split("\n")[:80]
    shown = re.search(r"classes = \[(.*?)\]", found[1])
    assert shown is not None
    assert [name.strip(' "') for name in shown[1].split(",")] == labels[:8]
    rest = "".join(f', "{name}"' for name in labels[8:])
    whole = found[1].replace(shown[0], shown[0][:-1] + rest + "]")
    (folder / "stack.toml").write_text(whole, encoding="utf-8")
    (folder / "nanodet_416.onnx").write_bytes((models / "nanodet_416.onnx").read_bytes())
    judge = load_judge(f"onnx:{folder}")
    assert isinstance(judge, Detector)
    return judge


@pytest.mark.parametrize("name", ["highway.mp4", "dusk.mp4"])
def test_boxes_are_those_of_the_reference_code(detector: Detector, shared: Path, name: str) -> None:
    place = shared / "models" / "nanodet" / "nanodet.py"
    spec = importlib.util.spec_from_file_location("nanodet", place)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    net, seen = module.NanoDet(), 0
    clip = open_clip(shared / "data" / "clips" / name)
    for batch in clip.batches(60):
        ours = detector.observe(batch[:1])
        sides, scores, kinds = net(np.ascontiguousarray(batch[0, ..., ::-1]), 0.4, classes=ROAD)
        size = np.array([clip.width, clip.height] * 2, np.float32)
        for box, score, kind in zip(sides, scores, kinds, strict=True):
            near = iou(box.astype(np.float32), ours.sides * size)
            best = int(near.argmax())
            # Frames are made smaller by another filter, so that the values differ a little.
            assert near[best] > 0.8
            # A car that is a truck as well counts once, with the higher of the two scores.
            assert ours.scores[best] > score - 0.08
            assert ours.kinds[best] == (2 if kind in (2, 5, 6, 7) else kind)
            seen += 1
    assert seen >= 3


def test_a_blurred_file_keeps_fewer(detector: Detector, shared: Path) -> None:
    import cv2

    frames = next(open_clip(shared / "data" / "clips" / "highway.mp4").batches(13))
    source = observations(detector, ArrayClip(frames, 25, 1000))
    assert judgement(detector, source, ArrayClip(frames, 25, 1000)).figures["recall"] == 1
    blurred = np.stack([cv2.GaussianBlur(frame, (0, 0), 6) for frame in frames])
    found = judgement(detector, source, ArrayClip(blurred, 25, 1000)).figures["recall"]
    assert found is not None
    assert found < 0.6
