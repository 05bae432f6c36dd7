"""The ONNX operators that move values about and work out shapes; see ``onnx_ops.py``."""

from math import prod
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from seesame.perception.onnx.ops import (
    MAX_ELEMENTS,
    Inputs,
    Node,
    Operator,
    Unsupported,
    bounded,
    integers,
    registrar,
)

SHAPES: dict[str, Operator] = {}
"""The operators of this file by name."""
_operator = registrar(SHAPES)

TYPES = {
    1: torch.float32,
    2: torch.uint8,
    3: torch.int8,
    6: torch.int32,
    7: torch.int64,
    9: torch.bool,
    10: torch.float16,
    11: torch.float64,
}
"""ONNX's numbers for the types that are covered."""


@_operator("Cast")
def _cast(node: Node, inputs: Inputs) -> Tensor:
    kind = TYPES.get(node.get("to"))
    if kind is None:
        raise Unsupported(f"Cast to type {node.get('to')}")
    result: Tensor = inputs[0].to(kind)
    return result


@_operator("Constant")
def _constant(node: Node, inputs: Inputs) -> Tensor:
    for name in ("value", "value_float", "value_int", "value_floats", "value_ints"):
        value = node.get(name)
        if value is not None:
            return value if isinstance(value, Tensor) else torch.tensor(value)
    raise Unsupported("Constant of another kind")


@_operator("ConstantOfShape")
def _constant_of_shape(node: Node, inputs: Inputs) -> Tensor:
    value = node.get("value")
    value = torch.zeros(1) if value is None else value
    return value.reshape(()).expand(bounded(inputs[0].tolist())).clone()


@_operator("Shape")
def _shape(node: Node, inputs: Inputs) -> Tensor:
    shape = list(inputs[0].shape)
    return torch.tensor(shape[node.get("start", 0) : node.get("end", len(shape))])


@_operator("Reshape")
def _reshape(node: Node, inputs: Inputs) -> Tensor:
    x: Tensor = inputs[0]
    shape = inputs[1].tolist()
    if not node.get("allowzero", 0):
        shape = [x.shape[i] if n == 0 else n for i, n in enumerate(shape)]
    return x.reshape(shape)


@_operator("Transpose")
def _transpose(node: Node, inputs: Inputs) -> Tensor:
    x: Tensor = inputs[0]
    return x.permute(node.get("perm") or list(range(x.ndim))[::-1])


@_operator("Flatten")
def _flatten(node: Node, inputs: Inputs) -> Tensor:
    x: Tensor = inputs[0]
    axis = node.get("axis", 1)
    axis += x.ndim if axis < 0 else 0
    return x.reshape(prod(x.shape[:axis]), -1)


@_operator("Squeeze")
def _squeeze(node: Node, inputs: Inputs) -> Tensor:
    x: Tensor = inputs[0]
    axes = integers(node, inputs, 1, "axes")
    return x.squeeze() if axes is None else x.squeeze(tuple(axes))


@_operator("Unsqueeze")
def _unsqueeze(node: Node, inputs: Inputs) -> Tensor:
    x: Tensor = inputs[0]
    axes = integers(node, inputs, 1, "axes") or []
    rank = x.ndim + len(axes)
    for axis in sorted(axis % rank for axis in axes):
        x = x.unsqueeze(axis)
    return x


@_operator("Concat")
def _concat(node: Node, inputs: Inputs) -> Tensor:
    return torch.cat(list(inputs), dim=node.get("axis"))


@_operator("Split")
def _split(node: Node, inputs: Inputs) -> Any:
    x, axis = inputs[0], node.get("axis", 0)
    sizes = integers(node, inputs, 1, "split")
    if sizes is None:
        return x.tensor_split(len(node.outputs), dim=axis)
    return x.split(sizes, dim=axis)


@_operator("Slice")
def _slice(node: Node, inputs: Inputs) -> Tensor:
    x: Tensor = inputs[0]
    starts, ends = integers(node, inputs, 1, "starts"), integers(node, inputs, 2, "ends")
    if starts is None or ends is None:
        raise Unsupported("Slice without its ends")
    axes = integers(node, inputs, 3, "axes") or list(range(len(starts)))
    steps = integers(node, inputs, 4, "steps") or [1] * len(starts)
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        if step > 0:
            window: list[slice] = [slice(None)] * (axis % x.ndim)
            x = x[(*window, slice(start, end, step))]
            continue
        picked = torch.arange(x.shape[axis])[slice(start, end if end >= -x.shape[axis] else None)]
        if abs(step) == 1 and start in (-1, x.shape[axis] - 1):
            picked = torch.arange(x.shape[axis] - 1, -1, -1)[: x.shape[axis] - max(end + 1, 0)]
            x = x.index_select(axis, picked.to(x.device))
        else:
            raise Unsupported("Slice backwards from the middle")
    return x


@_operator("Gather")
def _gather(node: Node, inputs: Inputs) -> Tensor:
    x, index = inputs
    axis = node.get("axis", 0) % x.ndim
    index = index.to(device=x.device, dtype=torch.int64)
    index = torch.where(index < 0, index + x.shape[axis], index)
    picked: Tensor = x.index_select(axis, index.reshape(-1))
    return picked.reshape(x.shape[:axis] + index.shape + x.shape[axis + 1 :])


@_operator("Expand")
def _expand(node: Node, inputs: Inputs) -> Tensor:
    x: Tensor = inputs[0]
    wanted = bounded(inputs[1].tolist())
    rank = max(x.ndim, len(wanted))
    have = [1] * (rank - x.ndim) + list(x.shape)
    wanted = [1] * (rank - len(wanted)) + wanted
    return x.expand(bounded([max(h, w) for h, w in zip(have, wanted, strict=True)]))


@_operator("Tile")
def _tile(node: Node, inputs: Inputs) -> Tensor:
    x: Tensor = inputs[0]
    repeats = inputs[1].tolist()
    bounded([n * r for n, r in zip(x.shape, repeats, strict=True)])
    return x.repeat(repeats)


@_operator("Range")
def _range(node: Node, inputs: Inputs) -> Tensor:
    start, end, step = (value.item() for value in inputs)
    if step == 0 or abs((end - start) / step) > MAX_ELEMENTS:
        raise Unsupported("Range of that length")
    return torch.arange(start, end, step, dtype=inputs[0].dtype)


@_operator("Pad")
def _pad(node: Node, inputs: Inputs) -> Tensor:
    x: Tensor = inputs[0]
    pads = integers(node, inputs, 1, "pads") or []
    value = inputs[2] if len(inputs) > 2 else None
    fill = float(node.get("value", 0.0) if value is None else value)
    axes = integers(node, inputs, 3, "axes") or list(range(x.ndim))
    before, after = [0] * x.ndim, [0] * x.ndim
    for place, axis in enumerate(axes):
        before[axis], after[axis] = pads[place], pads[place + len(axes)]
    if not any(before) and not any(after):
        return x
    mode = node.get("mode", "constant")
    if mode not in ("constant", "reflect", "edge") or (mode != "constant" and any(before[:-2])):
        raise Unsupported(f"Pad with mode {mode}")
    bounded([n + b + a for n, b, a in zip(x.shape, before, after, strict=True)])
    pairs = [n for axis in reversed(range(x.ndim)) for n in (before[axis], after[axis])]
    if mode == "constant":
        return F.pad(x, pairs, value=fill)
    return F.pad(x, pairs[:4], mode="replicate" if mode == "edge" else "reflect")


@_operator("Resize", "Upsample")
def _resize(node: Node, inputs: Inputs) -> Tensor:
    x: Tensor = inputs[0]
    size = inputs[3] if len(inputs) > 3 else None
    if size is None:
        scales = inputs[1] if node.op == "Upsample" or len(inputs) == 2 else inputs[2]
        shape = [int(n * s) for n, s in zip(x.shape, scales.tolist(), strict=True)]
    else:
        shape = [int(n) for n in size.tolist()]
    if x.ndim != 4 or shape[:2] != list(x.shape[:2]) or node.get("antialias", 0):
        raise Unsupported("Resize of other than the two spatial axes, or with antialiasing")
    bounded(shape)
    mode = node.get("mode", "nearest")
    default = "asymmetric" if node.op == "Upsample" else "half_pixel"
    where = node.get("coordinate_transformation_mode", default)
    if mode == "nearest":
        kernel = "nearest" if where == "asymmetric" else "nearest-exact"
        return F.interpolate(x, shape[2:], mode=kernel)
    kernel = {"linear": "bilinear", "cubic": "bicubic"}.get(mode, "")
    if not kernel or where not in ("half_pixel", "pytorch_half_pixel", "align_corners"):
        raise Unsupported(f"Resize with {mode}, {where}")
    return F.interpolate(x, shape[2:], mode=kernel, align_corners=where == "align_corners")


@_operator("DepthToSpace", "SpaceToDepth")
def _depth_space(node: Node, inputs: Inputs) -> Tensor:
    x: Tensor = inputs[0]
    block: int = node.get("blocksize")
    b, c, h, w = x.shape
    if node.op == "SpaceToDepth":
        split = x.reshape(b, c, h // block, block, w // block, block)
        return split.permute(0, 3, 5, 1, 2, 4).reshape(b, -1, h // block, w // block)
    if node.get("mode", "DCR") == "CRD":
        return F.pixel_shuffle(x, block)
    split = x.reshape(b, block, block, c // block**2, h, w)
    return split.permute(0, 3, 4, 1, 5, 2).reshape(b, -1, h * block, w * block)
