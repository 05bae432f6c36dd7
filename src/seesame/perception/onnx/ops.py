"""The common ONNX operators in differentiable torch (https://onnx.ai/onnx/operators/).

Each takes its node and its inputs (None where an optional input is left out). What an operator
does not cover raises :class:`Unsupported`; the whole graph is compared with onnxruntime when a
stack is loaded, so that a rare attribute read wrongly here cannot go unseen.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

MAX_ELEMENTS = 1 << 28
"""Values in a tensor that an operator makes to a size given in the file (1 GiB of float32)."""


class Unsupported(Exception):
    """An operator, or an attribute of one, that cannot be converted."""


@dataclass(frozen=True)
class Node:
    """One step of a graph."""

    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Any]
    opset: int

    def get(self, name: str, default: Any = None) -> Any:
        """Return an attribute, or the default."""
        return self.attributes.get(name, default)


Inputs = Sequence[Any]
Operator = Callable[[Node, Inputs], Any]
ARITHMETIC: dict[str, Operator] = {}
"""The operators of this file by name."""


def registrar(table: dict[str, Operator]) -> Callable[..., Callable[[Operator], Operator]]:
    """Return a decorator that enters a function into ``table`` under one or more operator names."""

    def names(*operators: str) -> Callable[[Operator], Operator]:
        def register(function: Operator) -> Operator:
            table.update(dict.fromkeys(operators, function))
            return function

        return register

    return names


_operator = registrar(ARITHMETIC)


def _simple(name: str, function: Callable[..., Tensor]) -> None:
    ARITHMETIC[name] = lambda node, inputs: function(*inputs)


def integers(node: Node, inputs: Inputs, index: int, name: str) -> list[int] | None:
    """Return a list that newer opsets give as an input and older ones as an attribute."""
    if len(inputs) > index and inputs[index] is not None:
        return [int(n) for n in inputs[index].reshape(-1).tolist()]
    value = node.get(name)
    return None if value is None else [int(n) for n in value]


def bounded(shape: Sequence[int]) -> list[int]:
    """Return the shape; refuse it when a tensor of it would be too large."""
    if any(n < 0 for n in shape) or prod(shape) > MAX_ELEMENTS:
        raise Unsupported(f"a tensor of shape {list(shape)}")
    return list(shape)


_SIMPLE: dict[str, Callable[..., Tensor]] = {
    "Add": torch.add,
    "Sub": torch.sub,
    "Mul": torch.mul,
    "Pow": torch.pow,
    "Relu": torch.relu,
    "Sigmoid": torch.sigmoid,
    "Tanh": torch.tanh,
    "Exp": torch.exp,
    "Log": torch.log,
    "Sqrt": torch.sqrt,
    "Abs": torch.abs,
    "Neg": torch.neg,
    "Erf": torch.erf,
    "Floor": torch.floor,
    "Ceil": torch.ceil,
    "Reciprocal": torch.reciprocal,
    "Softplus": F.softplus,
    "HardSwish": F.hardswish,
    "MatMul": torch.matmul,
    "Equal": torch.eq,
    "Greater": torch.gt,
    "Less": torch.lt,
    "Not": torch.logical_not,
    "And": torch.logical_and,
    "Or": torch.logical_or,
    "Where": torch.where,
}
for _name, _function in _SIMPLE.items():
    _simple(_name, _function)


@_operator("Div")
def _div(node: Node, inputs: Inputs) -> Tensor:
    a, b = inputs
    return a / b if a.is_floating_point() else torch.div(a, b, rounding_mode="trunc")


@_operator("Identity", "Dropout")
def _identity(node: Node, inputs: Inputs) -> Any:
    return inputs[0]


@_operator("Min", "Max")
def _extreme(node: Node, inputs: Inputs) -> Tensor:
    function = torch.minimum if node.op == "Min" else torch.maximum
    result: Tensor = inputs[0]
    for other in inputs[1:]:
        result = function(result, other)
    return result


@_operator("PRelu")
def _prelu(node: Node, inputs: Inputs) -> Tensor:
    x, slope = inputs
    return torch.where(x < 0, x * slope, x)


@_operator("LeakyRelu", "Elu", "HardSigmoid", "Gelu")
def _activation(node: Node, inputs: Inputs) -> Tensor:
    x = inputs[0]
    if node.op == "LeakyRelu":
        return F.leaky_relu(x, node.get("alpha", 0.01))
    if node.op == "Elu":
        return F.elu(x, node.get("alpha", 1.0))
    if node.op == "Gelu":
        return F.gelu(x, approximate=node.get("approximate", "none"))
    line: Tensor = x * node.get("alpha", 0.2) + node.get("beta", 0.5)
    return line.clamp(0.0, 1.0)


@_operator("Clip")
def _clip(node: Node, inputs: Inputs) -> Tensor:
    low = inputs[1] if len(inputs) > 1 else node.get("min")
    high = inputs[2] if len(inputs) > 2 else node.get("max")
    x: Tensor = inputs[0]
    if low is not None:
        x = x.clamp(min=low)
    return x if high is None else x.clamp(max=high)


@_operator("Softmax", "LogSoftmax")
def _softmax(node: Node, inputs: Inputs) -> Tensor:
    function = F.softmax if node.op == "Softmax" else F.log_softmax
    x = inputs[0]
    axis = node.get("axis", -1 if node.opset >= 13 else 1)
    if node.opset >= 13 or axis in (-1, x.ndim - 1):
        return function(x, dim=axis)
    # Up to opset 12 the axes from there on count as one.
    return function(x.flatten(axis), dim=-1).reshape(x.shape)


def _padding(node: Node, x: Tensor, kernel: Sequence[int]) -> tuple[list[int], list[int]]:
    """Return padding before and after each spatial axis."""
    rank = len(kernel)
    auto = node.get("auto_pad", "NOTSET")
    if auto == "NOTSET":
        pads = node.get("pads") or [0] * (2 * rank)
        return list(pads[:rank]), list(pads[rank:])
    if auto == "VALID":
        return [0] * rank, [0] * rank
    strides = node.get("strides") or [1] * rank
    dilations = node.get("dilations") or [1] * rank
    before, after = [], []
    for size, k, stride, dilation in zip(x.shape[2:], kernel, strides, dilations, strict=True):
        total = max((-(-size // stride) - 1) * stride + (k - 1) * dilation + 1 - size, 0)
        small, large = total // 2, total - total // 2
        before.append(small if auto == "SAME_UPPER" else large)
        after.append(large if auto == "SAME_UPPER" else small)
    return before, after


def _pad_list(before: Sequence[int], after: Sequence[int]) -> list[int]:
    """Return the order of ``F.pad``: last axis first."""
    pairs = list(zip(before, after, strict=True))
    return [n for pair in reversed(pairs) for n in pair]


@_operator("Conv")
def _conv(node: Node, inputs: Inputs) -> Tensor:
    x, weight = inputs[0], inputs[1]
    bias = inputs[2] if len(inputs) > 2 else None
    rank = weight.ndim - 2
    if rank not in (1, 2):
        raise Unsupported("Conv over other than one or two axes")
    before, after = _padding(node, x, weight.shape[2:])
    padding = before
    if before != after:
        x, padding = F.pad(x, _pad_list(before, after)), [0] * rank
    function = F.conv1d if rank == 1 else F.conv2d
    return function(
        x,
        weight,
        bias,
        stride=node.get("strides") or [1] * rank,
        padding=padding,
        dilation=node.get("dilations") or [1] * rank,
        groups=node.get("group", 1),
    )


@_operator("ConvTranspose")
def _conv_transpose(node: Node, inputs: Inputs) -> Tensor:
    x, weight = inputs[0], inputs[1]
    bias = inputs[2] if len(inputs) > 2 else None
    pads = node.get("pads") or [0, 0, 0, 0]
    plain = node.get("auto_pad", "NOTSET") == "NOTSET" and not node.get("output_shape")
    if weight.ndim != 4 or not plain or list(pads[:2]) != list(pads[2:]):
        raise Unsupported("ConvTranspose with uneven or automatic padding")
    return F.conv_transpose2d(
        x,
        weight,
        bias,
        stride=node.get("strides") or [1, 1],
        padding=pads[:2],
        output_padding=node.get("output_padding") or [0, 0],
        groups=node.get("group", 1),
        dilation=node.get("dilations") or [1, 1],
    )


@_operator("BatchNormalization")
def _batch_norm(node: Node, inputs: Inputs) -> Tensor:
    if node.get("training_mode", 0):
        raise Unsupported("BatchNormalization in training mode")
    x, scale, shift, mean, var = inputs
    return F.batch_norm(x, mean, var, scale, shift, False, 0.0, node.get("epsilon", 1e-5))


@_operator("InstanceNormalization")
def _instance_norm(node: Node, inputs: Inputs) -> Tensor:
    x, scale, shift = inputs
    return F.instance_norm(x, weight=scale, bias=shift, eps=node.get("epsilon", 1e-5))


@_operator("LayerNormalization")
def _layer_norm(node: Node, inputs: Inputs) -> Tensor:
    x, scale = inputs[0], inputs[1]
    shift = inputs[2] if len(inputs) > 2 else None
    axis = node.get("axis", -1) % x.ndim
    return F.layer_norm(x, x.shape[axis:], scale, shift, node.get("epsilon", 1e-5))


@_operator("MaxPool", "AveragePool")
def _pool(node: Node, inputs: Inputs) -> Tensor:
    x = inputs[0]
    kernel = node.get("kernel_shape")
    if len(kernel) != 2 or len(node.outputs) > 1:
        raise Unsupported(f"{node.op} over other than two axes, or with indices")
    before, after = _padding(node, x, kernel)
    strides, ceil = node.get("strides") or [1, 1], bool(node.get("ceil_mode", 0))
    dilations = node.get("dilations") or [1, 1]
    if node.op == "MaxPool":
        if any(before) or any(after):
            x = F.pad(x, _pad_list(before, after), value=-torch.inf)
        return F.max_pool2d(x, kernel, strides, 0, dilations, ceil)
    if before != after or any(n != 1 for n in dilations):
        raise Unsupported("AveragePool with uneven padding or dilations")
    counted = bool(node.get("count_include_pad", 0))
    return F.avg_pool2d(x, kernel, strides, before, ceil, counted)


@_operator("GlobalAveragePool", "GlobalMaxPool")
def _global_pool(node: Node, inputs: Inputs) -> Tensor:
    x: Tensor = inputs[0]
    axes = tuple(range(2, x.ndim))
    return x.mean(axes, keepdim=True) if "Average" in node.op else x.amax(axes, keepdim=True)


@_operator("Gemm")
def _gemm(node: Node, inputs: Inputs) -> Tensor:
    a, b = inputs[0], inputs[1]
    product: Tensor = (a.T if node.get("transA", 0) else a) @ (b.T if node.get("transB", 0) else b)
    product = product * node.get("alpha", 1.0)
    if len(inputs) > 2 and inputs[2] is not None:
        product = product + inputs[2] * node.get("beta", 1.0)
    return product


@_operator("ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceL2")
def _reduce(node: Node, inputs: Inputs) -> Tensor:
    x: Tensor = inputs[0]
    axes = integers(node, inputs, 1, "axes")
    if not axes and node.get("noop_with_empty_axes", 0):
        return x
    dims = tuple(axes) if axes else tuple(range(x.ndim))
    keep = bool(node.get("keepdims", 1))
    if node.op == "ReduceL2":
        return x.square().sum(dims, keepdim=keep).sqrt()
    functions: dict[str, Callable[..., Tensor]] = {
        "ReduceMean": torch.mean,
        "ReduceSum": torch.sum,
        "ReduceMax": torch.amax,
        "ReduceMin": torch.amin,
    }
    return functions[node.op](x, dims, keepdim=keep)
