"""Small ONNX files that ask for much, or break the rules of the format."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper
from onnx_nets import head, ints, model, node, value

FLOAT, INT64, BOOL = TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL
SHAPE = ("n", 3, 6, 8)


def floats(*numbers: float) -> np.ndarray:
    return np.array(numbers, dtype=np.float32)


def info(name: str, kind: int, shape: Sequence[int] | None = None) -> Any:
    return helper.make_tensor_value_info(name, kind, shape)


def spinning(trips: str, name: str = "y", start: str = "c") -> Any:
    """A Loop that adds 1 to the value ``start`` as often as the value ``trips`` says."""
    body = helper.make_graph(
        [
            node("Identity", "go", out="go_on"),
            node("Add", "sum", "sum_one", out="next"),
        ],
        "body",
        [info("i", INT64, []), info("go", BOOL, []), info("sum", FLOAT)],
        [info("go_on", BOOL, []), info("next", FLOAT)],
        [numpy_helper.from_array(floats(1), "sum_one")],
    )
    return node("Loop", trips, "true", start, out=name, body=body)


def plain(*more: Any, out: str = "c", **constants: np.ndarray) -> Any:
    """A net of a sound head, whose output is ``c``, and more operators after it."""
    nodes = [node("Conv", "x", "w", out=out, pads=[1, 1, 1, 1]), *more]
    constants = {"w": value(2, 3, 3, 3) / 100, "true": np.array(True), **constants}
    return model(nodes, constants, SHAPE)


def loop() -> Any:
    return plain(spinning("trips"), trips=np.array(2**62))


def loop_of_pixels() -> Any:
    nodes = [
        node("ReduceMax", "x", out="top", keepdims=0),
        node("Mul", "top", "much", out="far"),
        node("Cast", "far", out="trips", to=INT64),
    ]
    return plain(*nodes, spinning("trips"), much=np.float32(2.0**50))


def loop_of_batch() -> Any:
    """A net that is quick for a batch of one or two, and never ends for a larger one."""
    nodes = [
        node("Shape", "x", out="shape"),
        node("Gather", "shape", "zero", out="batch"),
        node("Div", "batch", "three", out="many"),
        node("Mul", "many", "much", out="trips"),
    ]
    constants = {"zero": np.array(0), "three": np.array(3), "much": np.array(2**60)}
    return plain(*nodes, spinning("trips"), **constants)


def growing_loop() -> Any:
    """A Loop whose value doubles at every turn."""
    body = helper.make_graph(
        [
            node("Identity", "go", out="go_on"),
            node("Concat", "sum", "sum", out="next", axis=0),
        ],
        "body",
        [info("i", INT64, []), info("go", BOOL, []), info("sum", FLOAT)],
        [info("go_on", BOOL, []), info("next", FLOAT)],
    )
    loop = node("Loop", "trips", "true", "c", out="y", body=body)
    return plain(loop, trips=np.array(60))


def nested_loops() -> Any:
    """Loops in loops, each of 2^20 turns."""
    inner: list[Any] = [node("Add", "sum2", "one", out="next2")]
    for level in (2, 1, 0):
        body = helper.make_graph(
            [node("Identity", f"go{level}", out=f"go_on{level}"), *inner],
            "body",
            [
                info(f"i{level}", INT64, []),
                info(f"go{level}", BOOL, []),
                info(f"sum{level}", FLOAT),
            ],
            [info(f"go_on{level}", BOOL, []), info(f"next{level}", FLOAT)],
        )
        start, end = (f"sum{level - 1}", f"next{level - 1}") if level else ("c", "y")
        inner = [node("Loop", "trips", "true", start, out=end, body=body)]
    return plain(*inner, trips=np.array(2**20), one=floats(1))


def _sized(make: Any, **constants: np.ndarray) -> Any:
    """A net that makes a large value ``big`` and adds its mean to a sound output."""
    nodes = [make, node("ReduceMean", "big", out="mean"), node("Add", "c", "mean")]
    return plain(*nodes, **constants)


def constant_of_shape() -> Any:
    return _sized(node("ConstantOfShape", "s", out="big"), s=ints(2**20, 2**20))


def constant_of_shape_of_pixels() -> Any:
    """As much as the brightest pixel says, so that nothing can be folded beforehand."""
    nodes = [
        node("ReduceMax", "x", out="top", keepdims=0),
        node("Mul", "top", "much", out="far"),
        node("Cast", "far", out="count", to=INT64),
        node("Reshape", "count", "one", out="shape"),
        node("ConstantOfShape", "shape", out="big"),
        node("ReduceMean", "big", out="mean"),
        node("Add", "c", "mean"),
    ]
    return plain(*nodes, much=np.float32(2.0**25), one=ints(1))


def expand() -> Any:
    return _sized(node("Expand", "true_one", "s", out="big"), true_one=floats(1), s=ints(2**36))


def tile() -> Any:
    return _sized(node("Tile", "x", "s", out="big"), s=ints(1, 1, 2**14, 2**14))


def range_() -> Any:
    wide = np.float32(2.0**34)
    make = node("Range", "from", "to", "by", out="big")
    return _sized(make, **{"from": np.float32(0), "to": wide, "by": np.float32(1)})


def resize() -> Any:
    make = node("Resize", "x", "", "s", out="big", mode="nearest")
    return _sized(make, s=floats(1, 1, 2e4, 2e4))


def pad() -> Any:
    return _sized(node("Pad", "x", "s", out="big"), s=ints(0, 0, 0, 0, 0, 0, 2**18, 2**18))


def large_output() -> Any:
    """A net within its memory, whose output is more than its reader should hold several times."""
    nodes = [node("ReduceMean", "x", out="mean", axes=[1, 2, 3]), node("Expand", "mean", "s")]
    return model(nodes, {"s": ints(1, 2, 7000, 7000)}, SHAPE)


def random_values() -> Any:
    return _sized(node("RandomNormal", out="big", shape=[2**18, 2**18]))


def outer_products() -> Any:
    nodes = [
        node("Reshape", "x", "column", out="a0"),
        node("Transpose", "a0", out="b0"),
        node("MatMul", "a0", "b0", out="m0"),
        node("Reshape", "m0", "column", out="a1"),
        node("Transpose", "a1", out="b1"),
        node("MatMul", "a1", "b1", out="m1"),
        node("ReduceMean", "m1", out="mean"),
        node("Add", "c", "mean"),
    ]
    return plain(*nodes, column=ints(-1, 1))


def doubling() -> Any:
    nodes = [node("Concat", f"d{i}", f"d{i}", out=f"d{i + 1}", axis=3) for i in range(40)]
    start = node("Identity", "x", out="d0")
    ends = [node("ReduceMean", "d40", out="mean"), node("Add", "c", "mean")]
    return plain(start, *nodes, *ends)


def slow_convolutions() -> Any:
    """A thousand convolutions with kernels of 255x255 on a picture of 512x512."""
    nodes = [node("Resize", "x", "", "s", out="d0", mode="nearest")]
    nodes += [node("Conv", f"d{i}", "k", out=f"d{i + 1}", pads=[127] * 4) for i in range(1000)]
    nodes += [node("ReduceMean", "d1000", out="mean"), node("Add", "c", "mean")]
    kernel = np.zeros((3, 3, 255, 255), np.float32)
    return plain(*nodes, s=floats(1, 1, 512 / 6, 512 / 8), k=kernel)


def declared() -> Any:
    """A constant that says it has 2^40 values, and has none."""
    net = _sized(node("Identity", "huge", out="big"))
    tensor = net.graph.initializer.add()
    tensor.name, tensor.data_type = "huge", FLOAT
    tensor.dims.extend([2**20, 2**20])
    return net


def declared_negative() -> Any:
    net = declared()
    net.graph.initializer[-1].dims[:] = [-1, -(2**40)]
    return net


def declared_overflowing() -> Any:
    net = declared()
    net.graph.initializer[-1].dims[:] = [2**32, 2**32]
    net.graph.initializer[-1].raw_data = b"\0" * 16
    return net


def sparse_declared() -> Any:
    net = _sized(node("Identity", "huge", out="big"))
    values, indices = numpy_helper.from_array(floats(1), "huge"), numpy_helper.from_array(ints(0))
    net.graph.sparse_initializer.append(helper.make_sparse_tensor(values, indices, [2**20, 2**20]))
    return net


def many_operators() -> Any:
    nodes = [node("Identity", f"d{i}", out=f"d{i + 1}") for i in range(70_000)]
    return plain(node("Identity", "c", out="d0"), *nodes, node("Identity", "d70000"))


def deep_subgraphs(depth: int = 30) -> Any:
    inner = helper.make_graph([node("Identity", "c", out="y0")], "g", [], [info("y0", FLOAT)])
    for level in range(1, depth):
        branch = node("If", "true", out=f"y{level}", then_branch=inner, else_branch=inner)
        inner = helper.make_graph([branch], "g", [], [info(f"y{level}", FLOAT)])
        if level > 4:  # one branch only, or the file itself would be huge
            inner.node[0].attribute[1].g.CopyFrom(
                helper.make_graph([node("Identity", "c", out="z")], "g", [], [info("z", FLOAT)])
            )
    return plain(node("If", "true", out="y", then_branch=inner, else_branch=inner))


def no_outputs() -> Any:
    net = head(3, 6)
    del net.graph.output[:]
    return net


def sequence_output() -> Any:
    net = plain(node("SequenceConstruct", "c", out="y"))
    kind = helper.make_tensor_type_proto(FLOAT, None)
    kind = helper.make_sequence_type_proto(kind)
    net.graph.output[0].CopyFrom(helper.make_value_info("y", kind))
    return net


def text_output() -> Any:
    net = plain(node("Cast", "c", out="y", to=TensorProto.STRING))
    net.graph.output[0].CopyFrom(info("y", TensorProto.STRING))
    return net


def empty_output() -> Any:
    return plain(
        node("Slice", "c", "from", "to", "axis"),
        **{"from": ints(0), "to": ints(0), "axis": ints(2)},
    )


def empty_batch() -> Any:
    return plain(
        node("Slice", "c", "from", "to", "axis"),
        **{"from": ints(0), "to": ints(0), "axis": ints(0)},
    )


def two_for_one() -> Any:
    return plain(node("Concat", "c", "c", axis=0))


def external(place: str, where: str) -> Any:
    """A net of which one constant lies in another file.

    Args:
        place: of the file.
        where: ``constant``, ``attribute``, ``sparse`` or ``inside``, a graph in the graph.
    """
    tensor = numpy_helper.from_array(floats(1), "far")
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", place
    if where == "attribute":
        return plain(node("Constant", out="far", value=tensor), node("Add", "c", "far"))
    if where == "inside":
        inner = helper.make_graph(
            [node("Add", "c", "far", out="z")], "g", [], [info("z", FLOAT)], [tensor]
        )
        return plain(node("If", "true", then_branch=inner, else_branch=inner))
    net = plain(node("Add", "c", "far"))
    if where == "sparse":
        indices = numpy_helper.from_array(ints(0))
        net.graph.sparse_initializer.append(helper.make_sparse_tensor(tensor, indices, [1]))
    else:
        net.graph.initializer.append(tensor)
    return net


COSTLY: dict[str, Callable[[], Any]] = {
    made.__name__: made
    for made in (
        *(loop, loop_of_pixels, growing_loop, nested_loops),
        *(constant_of_shape, constant_of_shape_of_pixels, expand, tile, range_, resize, pad),
        *(random_values, outer_products, doubling, slow_convolutions, large_output),
        *(declared, declared_negative, declared_overflowing, sparse_declared, many_operators),
    )
}
"""Nets that must be refused when they are opened."""
BROKEN: dict[str, Callable[[], Any]] = {
    made.__name__: made
    for made in (no_outputs, sequence_output, text_output, empty_output, empty_batch, two_for_one)
}
"""Nets whose outputs are no class maps."""
