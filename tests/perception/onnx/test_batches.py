"""ONNX nets that do not keep the frames of a batch apart, and what onnxruntime says of them."""

from pathlib import Path

import pytest
import torch
from onnx_nets import POSE, SIMPLE, frames, head, ints, model, node, value, write

from seesame.errors import UserError
from seesame.perception.onnx.stack import OnnxStack
from seesame.perception.registry import load_stack

BATCHES = {
    "reshape baked to 1": (
        [node("Conv", "x", "w", out="c"), node("Reshape", "c", "shape")],
        {"shape": ints(1, 2, 6, 8)},
    ),
    "frames mixed, output of 1": (
        [node("Conv", "x", "w", out="c"), node("Reshape", "c", "shape", out="r"),
         node("Slice", "r", "zero", "two", "one")],
        {"shape": ints(1, -1, 6, 8), "zero": ints(0), "two": ints(2), "one": ints(1)},
    ),
    "concatenated with a constant of 1": (
        [node("Conv", "x", "w", out="c"), node("Concat", "c", "more", out="d", axis=1),
         node("Slice", "d", "zero", "two", "one")],
        {"more": value(1, 1, 6, 8), "zero": ints(0), "two": ints(2), "one": ints(1)},
    ),
    "added over the batch": (
        [node("Conv", "x", "w", out="c"), node("ReduceMean", "c", out="m", axes=[0]),
         node("Add", "c", "m")],
        {},
    ),
    "softmax over the batch": (
        [node("Conv", "x", "w", out="c"), node("Softmax", "c", out="m", axis=0),
         node("Mul", "c", "m")],
        {},
    ),
    "tiled": (
        [node("Conv", "x", "w", out="c"), node("Tile", "c", "times", out="d"),
         node("Slice", "d", "zero", "one", "zero")],
        {"times": ints(3, 1, 1, 1), "zero": ints(0), "one": ints(1)},
    ),
    "two frames at most": (
        [node("Conv", "x", "w", out="c"), node("Slice", "c", "zero", "two", "zero")],
        {"zero": ints(0), "two": ints(2)},
    ),
    "channels last, baked": (
        [node("MatMul", "x", "v", out="c"), node("Reshape", "c", "shape")],
        {"v": value(3, 2) / 100, "shape": ints(1, 6, 8, 2)},
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BATCHES)
def test_a_net_that_does_not_keep_frames_apart_is_run_frame_by_frame(
    tmp_path: Path, case: str, capfd: pytest.CaptureFixture[str]
) -> None:
    nodes, constants = BATCHES[case]
    last = case.startswith("channels last")
    shape = ["n", 6, 8, 3] if last else ["n", 3, 6, 8]
    if not last:
        constants = {"w": value(2, 3, 1, 1) / 100, **constants}
    toml = SIMPLE + 'layout = "nhwc"\n' if last else SIMPLE
    stack = load_stack(f"onnx:{write(tmp_path, toml, s=model(nodes, constants, shape))}")
    rgb = frames(5, 3, 6, 8)
    found = stack.segment(rgb)
    assert found.shape == (5, 2, 6, 8)
    assert torch.equal(found, torch.cat([stack.segment(one) for one in rgb.split(1)]))
    assert stack.differentiable
    trained = stack.segment(rgb.requires_grad_(True))
    assert torch.allclose(trained, found, atol=1e-4)
    trained.square().sum().backward()
    assert (rgb.grad.abs().amax(dim=(1, 2, 3)) > 0).all()
    assert capfd.readouterr() == ("", "")


def test_a_pose_net_with_a_baked_batch(tmp_path: Path) -> None:
    nodes = [node("Conv", "x", "w", out="c"), node("GlobalAveragePool", "c", out="p"),
             node("Reshape", "p", "shape")]  # fmt: skip
    net = model(nodes, {"w": value(2, 6, 3, 3), "shape": ints(1, 2)}, ("n", 6, 6, 8))
    stack = OnnxStack.load(write(tmp_path, SIMPLE + POSE, s=head(3, 6, "n"), p=net))
    pairs = frames(4, 2, 3, 6, 8)
    alone = torch.cat([stack.pose(one) for one in pairs.split(1)])
    assert torch.equal(stack.pose(pairs), alone)


def test_an_output_without_a_batch_axis_is_refused(tmp_path: Path) -> None:
    nodes = [node("Conv", "x", "w", out="c"), node("ReduceMean", "c", axes=[0, 2, 3], keepdims=0)]
    net = model(nodes, {"w": value(2, 6, 3, 3)}, ("n", 6, 6, 8))
    with pytest.raises(UserError, match="must have a batch axis"):
        OnnxStack.load(write(tmp_path, SIMPLE + POSE, s=head(3, 6), p=net))


def test_outputs_that_are_not_read_do_not_matter(tmp_path: Path) -> None:
    nodes = [node("Conv", "x", "w"), node("ReduceMean", "y", out="loss", keepdims=0)]
    net = model(nodes, {"w": value(2, 3, 1, 1)}, ("n", 3, 6, 8), outputs=("y", "loss"))
    toml = SIMPLE + 'output = "y"\n'
    assert OnnxStack.load(write(tmp_path, toml, s=net)).segment(frames(3, 3, 6, 8)).shape[0] == 3


def test_a_failing_net_is_one_short_line_without_logs(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    nodes = [node("Conv", "x", "w", out="c"), node("Reshape", "c", "shape")]
    net = model(nodes, {"w": value(2, 3, 1, 1), "shape": ints(4, 2, 6, 8)}, ("n", 3, 6, 8))
    with pytest.raises(UserError, match="onnxruntime failed") as caught:
        OnnxStack.load(write(tmp_path, SIMPLE, s=net))
    assert len(str(caught.value)) < 400
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_a_description_with_a_mark(tmp_path: Path) -> None:
    folder = write(tmp_path, "\ufeff" + SIMPLE, s=head(3, 6))
    assert OnnxStack.load(folder).name == "n"
    (folder / "stack.toml").write_text(SIMPLE, encoding="utf-16")
    with pytest.raises(UserError, match="UTF-16; save it as UTF-8"):
        OnnxStack.load(folder)


@pytest.mark.parametrize("name", ["onnx_mixes_batch", "onnx_reshape_baked"])
def test_nets_of_others_that_mix_a_batch(shared: Path, name: str) -> None:
    stack = OnnxStack.load(shared / "data" / "faults" / name)
    rgb = frames(3, 3, 48, 64)
    assert torch.equal(stack.segment(rgb), torch.cat([stack.segment(x) for x in rgb.split(1)]))
