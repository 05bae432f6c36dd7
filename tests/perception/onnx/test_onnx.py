"""Small ONNX nets made here: onnxruntime against torch, layers, pose, and what is refused."""

import contextlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx_nets import POSE, SIMPLE, frames, head, ints, model, node, value, write

from seesame.errors import DamagedError, UserError
from seesame.perception.onnx.config import read_config
from seesame.perception.onnx.graph import OPERATORS, Graph
from seesame.perception.onnx.stack import OnnxStack
from seesame.perception.registry import load_stack
from seesame.video.colour import rgb_to_yuv6

onnx = pytest.importorskip("onnx", reason="needs onnx (the onnx extra)")
onnxruntime = pytest.importorskip("onnxruntime", reason="needs onnxruntime (the onnx extra)")
from onnx import TensorProto  # noqa: E402


def one(op: str, opset: int = 17, **attributes: Any) -> Any:
    """A case of one operator on ``x`` and constants ``a``, ``b``, ... given as ``with_``."""
    constants = dict(zip("abcdef", attributes.pop("with_", ()), strict=False))
    inputs = ["x", *constants]
    for place in attributes.pop("skip", ()):
        inputs.insert(place, "")
    return [node(op, *inputs, **attributes)], constants, opset


CASES = {
    "conv": one("Conv", with_=(value(4, 3, 3, 3), value(4)), pads=[1, 1, 1, 1], strides=[2, 2]),
    "conv uneven": one("Conv", with_=(value(3, 1, 2, 2),), group=3, pads=[0, 1, 1, 0]),
    "conv same": one("Conv", with_=(value(2, 3, 3, 3),), auto_pad="SAME_UPPER", strides=[2, 2]),
    "transposed": one("ConvTranspose", with_=(value(3, 2, 2, 2), value(2)), strides=[2, 2]),
    "batch norm": one("BatchNormalization", with_=(value(3), value(3), value(3), value(3) ** 2)),
    "layer norm": one("LayerNormalization", with_=(value(8), value(8))),
    "prelu": one("PRelu", with_=(value(3, 1, 1),)),
    "clip": one("Clip", with_=(np.float32(-0.5), np.float32(0.5))),
    "hard swish": one("HardSwish"),
    "old softmax": one("Softmax", opset=12, axis=1),
    "softmax": one("Softmax", axis=1),
    "max pool": one("MaxPool", kernel_shape=[3, 3], pads=[1, 1, 1, 1], strides=[2, 2]),
    "ceil pool": one("MaxPool", kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1),
    "average pool": one("AveragePool", kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
    "global pool": one("GlobalAveragePool"),
    "reshape": one("Reshape", with_=(ints(0, -1, 8),)),
    "transpose": one("Transpose", perm=[0, 2, 3, 1]),
    "slice": one("Slice", with_=(ints(1, -1), ints(-1, -100), ints(2, 3), ints(2, -1))),
    "gather": one("Gather", with_=(ints(2, -3),), axis=1),
    "pad": one("Pad", with_=(ints(0, 0, 1, 2, 0, 0, 0, 1), np.float32(3.0))),
    "reflect": one("Pad", with_=(ints(0, 0, 1, 2, 0, 0, 0, 1),), mode="reflect"),
    "expand": one("Expand", with_=(ints(2, 1, 1, 1),)),
    "tile": one("Tile", with_=(ints(1, 2, 1, 1),)),
    "reduce": one("ReduceMax", axes=[2, 3]),
    "reduce all": one("ReduceMean", keepdims=0),
    "linear": one("Resize", with_=(ints(1, 3, 9, 20),), skip=(1, 2), mode="linear"),
    "corners": one(
        "Resize",
        with_=(ints(1, 3, 9, 20),),
        skip=(1, 2),
        mode="linear",
        coordinate_transformation_mode="align_corners",
    ),
    "nearest": one(
        "Resize",
        with_=(np.array([1, 1, 2, 3], dtype=np.float32),),
        skip=(1,),
        coordinate_transformation_mode="asymmetric",
        nearest_mode="floor",
    ),
    "shuffle": one("SpaceToDepth", blocksize=2),
    "flatten": one("Flatten", axis=2),
    "unsqueeze": one("Unsqueeze", with_=(ints(0, -1),)),
    "matmul": one("MatMul", with_=(value(8, 5),)),
    "split": (
        [node("Split", "x", "a", out=["p", "q"], axis=1), node("Mul", "p", "q")],
        {"a": ints(1, 2)},
        17,
    ),
    "shapes": (
        [
            node("Shape", "x", out="s"),
            node("Gather", "s", "two", out="h", axis=0),
            node("Div", "h", "two", out="half"),
            node("Concat", "minus", "half", out="t", axis=0),
            node("Reshape", "x", "t"),
        ],
        {"two": ints(2), "minus": ints(-1)},
        17,
    ),
    "gemm": (
        [node("Flatten", "x", out="f"), node("Gemm", "f", "a", "b", alpha=0.5, transB=1)],
        {"a": value(4, 144), "b": value(4)},
        17,
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_operators_agree_with_onnxruntime(case: str) -> None:
    nodes, constants, opset = CASES[case]
    net = model(nodes, constants, (1, 3, 6, 8), opset=opset)
    session = onnxruntime.InferenceSession(net.SerializeToString())
    x = value(1, 3, 6, 8)
    (wanted,) = session.run(None, {"x": x})
    given = torch.from_numpy(x).requires_grad_(True)
    found = Graph(net)(given)["y"]
    assert found.shape == wanted.shape
    assert np.abs(found.detach().numpy() - wanted).max() <= 1e-5
    (found**2).sum().backward()
    assert given.grad.abs().max() > 0


def test_every_operator_name_is_onnx() -> None:
    known = {schema.name for schema in onnx.defs.get_all_schemas_with_history()}
    assert set(OPERATORS) <= known


@pytest.mark.parametrize("batch", [1, "n"])
def test_scoring_and_training_agree(tmp_path: Path, batch: Any) -> None:
    stack = load_stack(f"onnx:{write(tmp_path, SIMPLE, s=head(3, 6, batch))}")
    assert (stack.name, stack.input_size, stack.classes) == ("n", (6, 8), ("a", "b"))
    assert (stack.has_pose, stack.judged, stack.differentiable) == (False, 0, True)
    rgb = frames(3, 3, 12, 10)
    scored = stack.segment(rgb)
    trained = stack.segment(rgb.requires_grad_(True))
    assert scored.shape == (3, 2, 6, 8)
    assert torch.allclose(scored, trained, atol=1e-4)
    trained.square().sum().backward()
    assert (rgb.grad.abs().amax(dim=(1, 2, 3)) > 0).all()
    assert stack.pose(frames(3, 2, 3, 6, 8)).shape == (3, 0)


def test_feeding(tmp_path: Path) -> None:
    toml = SIMPLE.replace(
        "classes", 'scale = 255\nmean = [0.1, 0.2, 0.3]\nstd = 0.5\ncolour = "bgr"\nclasses'
    )
    net = model(
        [node("Conv", "x", "w")],
        {"w": np.eye(3, dtype=np.float32)[:2, :, None, None]},
        (1, 3, 6, 8),
    )
    stack = OnnxStack.load(write(tmp_path, toml, s=net))
    rgb = frames(1, 3, 6, 8)
    wanted = torch.stack([(rgb[0, 2] / 255 - 0.1) / 0.5, (rgb[0, 1] / 255 - 0.2) / 0.5])
    assert torch.allclose(stack.segment(rgb)[0], wanted, atol=1e-6)


def test_channels_last(tmp_path: Path) -> None:
    toml = SIMPLE.replace("classes", 'layout = "nhwc"\nclasses')
    net = model([node("MatMul", "x", "w")], {"w": value(3, 2)}, (1, 6, 8, 3))
    stack = OnnxStack.load(write(tmp_path, toml, s=net))
    assert stack.segment(frames(2, 3, 6, 8)).shape == (2, 2, 6, 8)
    assert stack.differentiable


@pytest.mark.parametrize("planes", ["rgb", "yuv6"])
def test_pose(tmp_path: Path, planes: str) -> None:
    toml = SIMPLE + POSE + f'planes = "{planes}"\nvalue_std = [2.0, 4.0]\n'
    net = head(6, 6, values=3) if planes == "rgb" else model(
        [node("Conv", "x", "w", out="c"), node("GlobalAveragePool", "c")],
        {"w": value(3, 12, 1, 1)}, (1, 12, 3, 4))  # fmt: skip
    stack = OnnxStack.load(write(tmp_path, toml, s=head(3, 6), p=net))
    assert (stack.has_pose, stack.judged) == (True, 2)
    pairs = frames(2, 2, 3, 6, 8)
    found = stack.pose(pairs)
    fed = (rgb_to_yuv6(pairs) if planes == "yuv6" else pairs).flatten(1, 2)
    raw = torch.cat([Graph(net)(one_pair)["y"] for one_pair in fed.split(1)]).flatten(1)
    assert torch.allclose(found, raw / torch.tensor([2.0, 4.0, 1.0]), atol=1e-3)
    pairs.requires_grad_(True)
    stack.pose(pairs).sum().backward()
    assert (pairs.grad.abs().amax(dim=(2, 3, 4)) > 0).all()


def test_layers_give_what_painting_gives(tmp_path: Path) -> None:
    toml = (
        '[segment]\nfile = "s.onnx"\nsize = [6, 8]\nscale = 255\nmean = 0.5\n'
        'classes = ["none", "lane", "road", "kerb"]\n'
        'layers = [{ output = "y", classes = ["road", "kerb"] },'
        ' { output = "z", classes = ["lane"], threshold = 0.25 }]\n'
    )
    nodes = [node("Conv", "x", "v"), node("Conv", "x", "w", out="z")]
    constants = {"v": value(3, 3, 1, 1), "w": value(1, 3, 1, 1)}
    net = model(nodes, constants, (1, 3, 6, 8), outputs=("y", "z"))
    stack = OnnxStack.load(write(tmp_path, toml, s=net))
    rgb = frames(4, 3, 6, 8)
    logits = stack.segment(rgb)
    outputs = [Graph(net)(x / 255 - 0.5) for x in rgb.split(1)]
    road = torch.cat([o["y"] for o in outputs])
    painted = torch.tensor([0, 2, 3])[road.argmax(1)]
    painted[torch.cat([o["z"] for o in outputs])[:, 0] > 0.25] = 1
    assert painted.unique().tolist() == [0, 1, 2, 3]
    assert torch.equal(logits.argmax(1), painted)


def test_a_net_that_cannot_be_trained_against_still_scores(tmp_path: Path) -> None:
    weight = (value(2, 3, 1, 1) / 100,)
    nodes = [node("Conv", "x", "w", out="c"), node("Selu", "c")]
    stack = OnnxStack.load(write(tmp_path, SIMPLE, s=model(nodes, {"w": weight[0]}, (1, 3, 6, 8))))
    assert not stack.differentiable
    assert stack.segment(frames(2, 3, 6, 8)).shape == (2, 2, 6, 8)
    with pytest.raises(UserError, match=r"cannot be trained against: the operator Selu"):
        stack.segment(frames(2, 3, 6, 8).requires_grad_(True))


def test_the_fingerprint_changes_with_file_and_description(tmp_path: Path) -> None:
    first, second = head(3, 6), head(3, 6)
    cases = [(SIMPLE, first), (SIMPLE, first), (SIMPLE, second), (SIMPLE + "scale = 2", first)]
    prints = [OnnxStack.load(write(tmp_path, t, s=net)).fingerprint for t, net in cases]
    assert prints[0] == prints[1]
    assert len(set(prints)) == 3


@pytest.mark.parametrize(
    ("toml", "message"),
    [
        ("[segment", "not valid TOML"),
        ("a = " + "[" * 3000, "not valid TOML"),
        ("a = " + "9" * 5000, "not valid TOML"),
        ("", "segment is missing"),
        (SIMPLE + "colr = 1", "unknown colr in .segment.; known: classes"),
        (SIMPLE.replace("[6, 8]", "[6]"), r"size must be \[height, width\]"),
        (SIMPLE.replace("[6, 8]", "[6, 99999]"), r"size must be \[height, width\]"),
        (SIMPLE.replace("s.onnx", "../s.onnx"), "must be a plain file name"),
        (SIMPLE.replace("s.onnx", "t.onnx"), r"t\.onnx: cannot be read"),
        (SIMPLE.replace('["a", "b"]', '["a", "a"]'), "different names"),
        (SIMPLE.replace('"b"]', '"b", "c"]'), "gives 2 channels, but stack.toml names 3"),
        (SIMPLE + "scale = 0", "scale and std must be above 0"),
        (SIMPLE + "mean = [1, 2]", "mean must be one number or 3"),
        (SIMPLE + 'colour = "grey"', "colour must be rgb or bgr, not 'grey'"),
        (SIMPLE + 'output = "q"', "has no output 'q'; it has: y"),
        (SIMPLE + 'input = "q"', "it has: x"),
        (
            SIMPLE + 'layers = [{ output = "y", classes = ["c"] }]',
            "must be among .segment. classes",
        ),
        (SIMPLE.replace("[6, 8]", "[8, 8]"), r"feeds float32 \[1, 3, 8, 8\]"),
        (SIMPLE + POSE, r"feeds float32 \[1, 6, 6, 8\]"),
    ],
)
def test_wrong_descriptions_get_one_line(tmp_path: Path, toml: str, message: str) -> None:
    folder = write(tmp_path, toml, s=head(3, 6), p=head(3, 6, values=2))
    with pytest.raises(UserError, match=message) as caught:
        OnnxStack.load(folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("data", [b"", b"text, not a net", b"\x08\x07" * 50])
def test_other_files_are_refused(tmp_path: Path, data: bytes) -> None:
    folder = write(tmp_path, SIMPLE)
    (folder / "s.onnx").write_bytes(data)
    with pytest.raises(DamagedError, match="not an ONNX file"):
        OnnxStack.load(folder)


def test_weights_in_other_files_are_refused(tmp_path: Path) -> None:
    net = head(3, 6)
    tensor = net.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "../../etc/passwd"
    with pytest.raises(UserError, match="keeps its weights in another file; refused"):
        OnnxStack.load(write(tmp_path, SIMPLE, s=net))


def test_custom_operators_are_refused(tmp_path: Path) -> None:
    net = head(3, 6)
    net.graph.node[0].domain = "evil.org"
    with pytest.raises(UserError, match=r"custom operator evil\.org\.Conv; refused"):
        OnnxStack.load(write(tmp_path, SIMPLE, s=net))


def test_huge_tensors_are_not_made_in_torch() -> None:
    from seesame.perception.onnx.ops import Unsupported

    net = model([node("Expand", "x", "s")], {"s": ints(1 << 20, 1, 1 << 20, 1)}, (1, 3, 1, 1))
    with pytest.raises(Unsupported, match="a tensor of shape"):
        Graph(net)(torch.zeros(1, 3, 1, 1))


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"stack\.toml is missing; docs/stacks\.md says"):
        OnnxStack.load(tmp_path)
    with pytest.raises(UserError, match="is not a folder"):
        OnnxStack.load(tmp_path / "absent")


VALUES = st.recursive(
    st.integers(-9, 99) | st.floats(allow_nan=True) | st.booleans() | st.sampled_from("ab\u00e9/"),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=5,
)


KEYS = ("file", "size", "classes", "layers", "scale", "mean", "std", "judged", "value_std")


def as_toml(item: Any) -> str:
    if isinstance(item, list):
        return "[" + ", ".join(map(as_toml, item)) + "]"
    if isinstance(item, bool):
        return str(item).lower()
    return f'"{item}"' if isinstance(item, str) else str(item)


@given(
    key=st.sampled_from(
        [
            "file",
            "size",
            "classes",
            "layers",
            "scale",
            "mean",
            "std",
            "judged",
            "value_std",
            "planes",
        ]
    ),
    item=VALUES,
    pose=st.booleans(),
)
@settings(max_examples=150, deadline=None)
def test_any_value_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, key: str, item: Any, pose: bool
) -> None:
    text = "\n".join(line for line in (SIMPLE + POSE * pose).splitlines() if key not in line)
    folder = tmp_path_factory.mktemp("fuzz")
    (folder / "stack.toml").write_text(f"{text}\n{key} = {as_toml(item)}\n", encoding="utf-8")
    with contextlib.suppress(UserError):
        feed = read_config(folder).segment.feed
        assert len(feed.mean) == len(feed.std) == 3
        assert min(feed.std) > 0
