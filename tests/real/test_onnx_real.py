"""A stranger's net, TwinLiteNet, through the description that docs/stacks.md prints."""

import re
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from torch import Tensor

from seesame.perception.onnx.stack import OnnxStack

pytest.importorskip("onnx", reason="needs onnx (the onnx extra)")
onnxruntime = pytest.importorskip("onnxruntime", reason="needs onnxruntime (the onnx extra)")

pytestmark = pytest.mark.real
DOCS = Path(__file__).resolve().parents[2] / "docs" / "stacks.md"
MODEL = "twinlitenet_360x640.onnx"


@pytest.fixture(scope="module")
def stack(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> OnnxStack:
    folder = tmp_path_factory.mktemp("twinlitenet")
    example = re.search(r"```toml\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)
    assert example is not None
    (folder / "stack.toml").write_text(example[1])
    (folder / MODEL).write_bytes((shared / "models" / MODEL).read_bytes())
    return OnnxStack.load(folder)


@pytest.fixture(scope="module")
def frame(shared: Path) -> Tensor:
    """The first frame of the highway at the net's own size: ``(1, 3, 360, 640)``, whole values."""
    with av.open(shared / "data" / "clips" / "highway.mp4") as clip:
        image = next(clip.decode(video=0)).reformat(640, 360, format="rgb24").to_ndarray()
    return torch.from_numpy(image).permute(2, 0, 1)[None].float()


def test_classes_are_the_painted_masks(stack: OnnxStack, frame: Tensor, shared: Path) -> None:
    session = onnxruntime.InferenceSession(shared / "models" / MODEL)
    drivable, lane = session.run(["da", "ll"], {"images": (frame / 255).numpy()})
    painted = (drivable[0, 1] > drivable[0, 0]).astype(np.int64)
    painted[lane[0, 1] > lane[0, 0]] = 2
    shares = [(painted == i).mean() for i in range(3)]
    assert min(shares) > 0.003  # a real road, with lanes on it
    found = stack.segment(frame).argmax(1)[0].numpy()
    assert np.array_equal(found, painted)


def test_training_sees_the_same_as_scoring(stack: OnnxStack, frame: Tensor) -> None:
    assert stack.differentiable
    x = frame.clone().requires_grad_(True)
    trained = stack.segment(x)
    assert (trained.detach() - stack.segment(frame)).abs().max() < 1e-3
    (gradient,) = torch.autograd.grad(trained[:, 2].sum(), x)
    assert gradient.isfinite().all()
    assert gradient.abs().max() > 0


def test_a_batch_is_run_frame_by_frame(stack: OnnxStack, frame: Tensor) -> None:
    both = stack.segment(torch.cat([frame, frame.flip(3)]))
    assert torch.equal(both[1:], stack.segment(frame.flip(3)))
    assert not torch.equal(both[:1], both[1:])
