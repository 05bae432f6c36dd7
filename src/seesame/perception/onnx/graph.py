"""Turning an ONNX graph into differentiable torch: a small interpreter for the common operators.

Why not a library: the converters on the package index were last released in 2024, bring
torchvision, and do not bound what a file may allocate.
"""

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from seesame.perception.onnx.limits import NetLimits
from seesame.perception.onnx.ops import ARITHMETIC, Node, Unsupported
from seesame.perception.onnx.shapes import SHAPES

OPERATORS = {**ARITHMETIC, **SHAPES}
PLAIN_DOMAINS = ("", "ai.onnx")


class Graph(nn.Module):
    """An ONNX graph as a torch module. Weights are constants: gradients go to the input only.

    Args:
        model: an ``onnx.ModelProto`` without external data.

    Raises:
        Unsupported: names the first operator that is not covered.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        graph = model.graph
        opset = max((o.version for o in model.opset_import if o.domain in PLAIN_DOMAINS), default=1)
        self._nodes = [_node(node, opset) for node in graph.node]
        self._small: dict[str, Tensor] = {}
        self._buffer_of: dict[str, str] = {}
        for number, initializer in enumerate(graph.initializer):
            tensor = _tensor(initializer)
            if tensor.is_floating_point():
                self._buffer_of[initializer.name] = f"constant_{number}"
                self.register_buffer(f"constant_{number}", tensor, persistent=False)
            else:
                self._small[initializer.name] = tensor  # shapes and indices stay on the CPU
        inputs = [i.name for i in graph.input if i.name not in self._known()]
        if len(inputs) != 1:
            raise Unsupported(f"a graph with {len(inputs)} inputs")
        self.input = inputs[0]
        self.outputs = [o.name for o in graph.output]
        self._last_use = self._plan()

    def _known(self) -> set[str]:
        return set(self._small) | set(self._buffer_of)

    def _plan(self) -> list[list[str]]:
        """Return names that are not read after each node, so that their memory can go."""
        last = {name: i for i, node in enumerate(self._nodes) for name in node.inputs}
        plan: list[list[str]] = [[] for _ in self._nodes]
        for name, i in last.items():
            if name and name not in self.outputs:
                plan[i].append(name)
        return plan

    def forward(self, x: Tensor, limits: NetLimits | None = None) -> dict[str, Tensor]:
        """Run the graph: ``{output name: tensor}``.

        Args:
            x: the input.
            limits: give a run up that takes more memory, or more seconds on the cores.

        Raises:
            Unsupported: an operator fails, or the run is given up.
        """
        values: dict[str, Tensor | None] = {"": None, self.input: x, **self._small}
        for name, buffer in self._buffer_of.items():
            values[name] = getattr(self, buffer)
        live, start = 0, time.process_time()
        for node, done in zip(self._nodes, self._last_use, strict=True):
            try:
                inputs = _together([values[name] for name in node.inputs], x.device)
                result = OPERATORS[node.op](node, inputs)
            except (RuntimeError, IndexError, ValueError, TypeError, KeyError) as error:
                text = str(error).splitlines()[0] if str(error) else type(error).__name__
                raise Unsupported(f"{node.op} here ({text})") from error
            results = [result] if isinstance(result, Tensor) else list(result)
            values.update(zip(node.outputs, results, strict=False))
            live += sum(_nbytes(one) for one in results)
            took = time.process_time() - start
            if limits is not None and (live > limits.memory or took > limits.seconds):
                raise Unsupported("a graph that takes so much memory or time in torch")
            for name in done:
                live -= _nbytes(values.pop(name, None))
            values[""] = None
        wanted = {name: values[name] for name in self.outputs}
        return {name: value for name, value in wanted.items() if value is not None}


def _nbytes(value: Any) -> int:
    return value.nbytes if isinstance(value, Tensor) else 0


def _together(inputs: Sequence[Tensor | None], device: torch.device) -> list[Tensor | None]:
    """Bring float scalars and tables that were made on the CPU to the others' device."""
    if device.type == "cpu":
        return list(inputs)
    return [v.to(device) if v is not None and v.is_floating_point() else v for v in inputs]


def _node(node: Any, opset: int) -> Node:
    if node.domain not in PLAIN_DOMAINS or node.op_type not in OPERATORS:
        raise Unsupported(f"the operator {node.domain + '.' if node.domain else ''}{node.op_type}")
    attributes = {item.name: _attribute(node.op_type, item) for item in node.attribute}
    return Node(node.op_type, tuple(node.input), tuple(node.output), attributes, opset)


def _attribute(op: str, item: Any) -> Any:
    import onnx

    value = onnx.helper.get_attribute_value(item)
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, onnx.TensorProto):
        return _tensor(value)
    if isinstance(value, (onnx.GraphProto, onnx.SparseTensorProto)):
        raise Unsupported(f"the operator {op} with a graph or sparse tensor inside")
    return value


def _tensor(proto: Any) -> Tensor:
    import onnx

    array = np.array(onnx.numpy_helper.to_array(proto))
    try:
        return torch.from_numpy(array)
    except TypeError as error:
        raise Unsupported(f"a constant of type {array.dtype}") from error
