"""Small ONNX nets, and folders that make stacks of them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

pytest.importorskip("onnx", reason="needs onnx (the onnx extra)")
from onnx import TensorProto, helper, numpy_helper

RNG = np.random.default_rng(0)


def value(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype(np.float32)


def ints(*numbers: int) -> np.ndarray:
    return np.array(numbers, dtype=np.int64)


def model(
    nodes: Sequence[Any],
    constants: dict[str, np.ndarray],
    shape: Sequence[Any],
    outputs: Sequence[str] = ("y",),
    opset: int = 17,
) -> Any:
    graph = helper.make_graph(
        list(nodes),
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, list(shape))],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def node(op: str, *inputs: str, out: str | Sequence[str] = "y", **attributes: Any) -> Any:
    return helper.make_node(op, list(inputs), [out] if isinstance(out, str) else out, **attributes)


SIMPLE = 'name = "n"\n[segment]\nfile = "s.onnx"\nsize = [6, 8]\nclasses = ["a", "b"]\n'
POSE = '[pose]\nfile = "p.onnx"\njudged = 2\n'


def head(channels: int, size: int, batch: Any = 1, values: int = 0) -> Any:
    """A 3x3 convolution; with ``values``, pooled to that many pose values."""
    shape = [batch, channels, size, size + 2]
    weight = value(values or 2, channels, 3, 3) / 100
    nodes = [node("Conv", "x", "w", out="c" if values else "y", pads=[1, 1, 1, 1])]
    nodes += [node("GlobalAveragePool", "c")] if values else []
    return model(nodes, {"w": weight}, shape)


def write(folder: Path, toml: str, **nets: Any) -> Path:
    (folder / "stack.toml").write_text(toml)
    for name, net in nets.items():
        (folder / f"{name}.onnx").write_bytes(net.SerializeToString())
    return folder


def frames(*shape: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(3)) * 255
