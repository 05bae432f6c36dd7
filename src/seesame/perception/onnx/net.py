"""One ONNX file: run through onnxruntime, or through torch where gradients are asked for.

ONNX files are not trusted: size is bounded, weights in other files and custom operators are
refused, nothing in them is code.
"""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seesame.errors import DamagedError, UserError
from seesame.perception.onnx.graph import Graph
from seesame.perception.onnx.ops import Unsupported
from seesame.perception.onnx.values import CONFIG_NAME, Feed

MAX_FILE = 1 << 30
"""Bytes; a larger ONNX file is refused."""
TOLERANCE = 1e-4
"""The largest distance of torch from onnxruntime, relative to the largest output or to 1."""
FATAL = 4
"""onnxruntime's level of logging: what fails is raised as an error, and need not be logged too."""
MAX_MESSAGE = 200
"""Characters of an error of onnxruntime that are shown."""
DOMAINS = ("", "ai.onnx", "com.microsoft")
"""The domains of onnxruntime's built-in operators."""


class OnnxNet:
    """One ONNX file: run through onnxruntime, or through torch where gradients are asked for.

    Args:
        path: the file.
        feed: how it is fed.
        channels: how many channels its input has.
        sides: ``(height, width)`` of its input.
        read: names of the outputs that are read; empty for the only one.

    Raises:
        UserError: libraries absent, file absent or refused, input that the file does not take.
        DamagedError: not an ONNX file.
    """

    def __init__(
        self,
        path: Path,
        feed: Feed,
        channels: int,
        sides: tuple[int, int],
        read: tuple[str, ...] = (),
    ) -> None:
        self.path = path
        self.feed = feed
        data = _read(path)
        self.digest = hashlib.sha256(data).hexdigest()
        model = _parse(path, data)
        self._session = _session(path, data)
        self._input, self._singly = self._check_input(channels, sides)
        has = [str(o.name) for o in self._session.get_outputs()]
        self.outputs = list(read) if read and set(read) <= set(has) else has
        self.device = torch.device("cpu")
        self.mean = torch.tensor(feed.mean).reshape(1, -1, 1, 1)
        self.std = torch.tensor(feed.std).reshape(1, -1, 1, 1)
        self.graph: Graph | None = None
        self.reason = ""
        """The reason why the graph gives no gradients; empty when it does."""
        noise = torch.rand(2, channels, *sides, generator=torch.Generator().manual_seed(0)) * 255
        x = self._prepared(noise)
        self.probe = self._score(x[:1])
        """Outputs on noise, to check shapes with."""
        self._singly = self._singly or not self._keeps_apart(x)
        try:
            self.graph = Graph(model)
            self._compare(x[:1], self.probe)
        except Unsupported as error:
            self.graph, self.reason = None, str(error)

    def _check_input(self, channels: int, sides: tuple[int, int]) -> tuple[str, bool]:
        """Return the input's name, and whether it declares a batch of 1."""
        inputs = {i.name: i for i in self._session.get_inputs()}
        name = self.feed.input or next(iter(inputs), "")
        if name not in inputs or len(inputs) != 1:
            raise UserError(
                f"{self.path}: needs one input, called as in {CONFIG_NAME}; it has: "
                f"{', '.join(inputs) or 'none'}"
            )
        wanted = (*sides, channels) if self.feed.channels_last else (channels, *sides)
        shape, kind = inputs[name].shape, inputs[name].type
        fits = len(shape) == 4 and all(
            not isinstance(n, int) or n == w for n, w in zip(shape[1:], wanted, strict=True)
        )
        batch_fits = bool(shape) and (not isinstance(shape[0], int) or shape[0] == 1)
        if not fits or not batch_fits or kind != "tensor(float)":
            raise UserError(
                f"{self.path}: takes {kind} {shape}, but {CONFIG_NAME} feeds float32 "
                f"[1, {', '.join(map(str, wanted))}]; correct size, layout or planes"
            )
        return name, isinstance(shape[0], int)

    def _keeps_apart(self, x: Tensor) -> bool:
        """Return whether a batch of two ``x`` gives what each frame of it gives by itself.

        An exporter may name the batch axis and still build a batch of one into a reshape, or mix
        the frames of a batch up.
        """
        try:
            together = self._score(x)
        except UserError:
            return False
        apart = (self.probe, self._score(x[1:]))
        for name, value in together.items():
            alone = [one[name] for one in apart]
            if any(one.ndim == 0 or one.shape[0] != 1 for one in alone):
                return False
            wanted = torch.cat(alone)
            if value.shape != wanted.shape:
                return False
            if value.is_floating_point() and not self._is_near(value, wanted):
                return False
        return True

    @staticmethod
    def _is_near(value: Tensor, wanted: Tensor) -> bool:
        limit = TOLERANCE * max(1.0, float(wanted.abs().max()))
        return float((value - wanted).abs().max()) <= limit

    def _compare(self, x: Tensor, theirs: dict[str, Tensor]) -> None:
        """Compare torch with onnxruntime on noise, and check that the input's gradient can flow.

        Raises:
            Unsupported: they differ, or no output depends on the input differentiably.
        """
        assert self.graph is not None
        with torch.enable_grad():
            ours = self.graph(x.requires_grad_(True))
        for name, wanted in theirs.items():
            value = ours.get(name)
            if value is None or value.shape != wanted.shape:
                raise Unsupported(f"{name} comes out in another shape in torch")
            if not self._is_near(value.detach(), wanted):
                raise Unsupported(f"{name} differs between torch and onnxruntime")
        if not any(value.requires_grad for value in ours.values()):
            raise Unsupported("no gradient arrives at the input")

    def _prepared(self, x: Tensor) -> Tensor:
        """Convert ``(B, C, h, w)`` in 0..255 to the input that the file takes."""
        x = (x / self.feed.scale - self.mean) / self.std
        return x.permute(0, 2, 3, 1) if self.feed.channels_last else x

    def _score(self, x: Tensor) -> dict[str, Tensor]:
        array: NDArray[np.float32] = x.detach().cpu().contiguous().numpy()
        try:
            results = self._session.run(self.outputs, {self._input: array})
        except Exception as error:  # onnxruntime's errors share no base class
            raise UserError(f"{self.path}: onnxruntime failed: {_first_line(error)}") from error
        return {
            name: torch.from_numpy(result).to(x.device)
            for name, result in zip(self.outputs, results, strict=True)
            if isinstance(result, np.ndarray)
        }

    def run(self, x: Tensor) -> dict[str, Tensor]:
        """Return every output by name for ``(B, C, h, w)`` in 0..255, of the declared size.

        Raises:
            UserError: gradients are asked for, but the graph gives none.
        """
        training = torch.is_grad_enabled() and x.requires_grad
        if training and self.graph is None:
            raise UserError(f"{self.path}: cannot be trained against: {self.reason}; scoring works")
        x = self._prepared(x)
        # On a GPU the converted graph saves the way through the CPU.
        through_torch = training or (self.graph is not None and self.device.type != "cpu")
        function = self.graph if through_torch and self.graph is not None else self._score
        if not self._singly or x.shape[0] == 1:
            outputs: dict[str, Tensor] = function(x)
            if all(value.shape[:1] == x.shape[:1] for value in outputs.values()):
                return outputs
            self._singly = True  # it keeps two frames apart, but not as many as these
        # A file made for a batch of one: its reshapes would mix up a larger batch.
        singles = [function(x[i : i + 1]) for i in range(x.shape[0])]
        return {name: torch.cat([one[name] for one in singles]) for name in self.outputs}

    def to(self, device: torch.device) -> None:
        """Move the weights of the converted graph."""
        self.device = device
        self.mean, self.std = self.mean.to(device), self.std.to(device)
        if self.graph is not None:
            self.graph.to(device)


def _read(path: Path) -> bytes:
    try:
        if path.stat().st_size > MAX_FILE:
            raise UserError(f"{path}: larger than {MAX_FILE >> 20} MiB; refused")
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error


def _parse(path: Path, data: bytes) -> Any:
    """Return the graph as protobuf; refuse one that needs other files or custom operators."""
    onnx, _ = _libraries()
    try:
        model = onnx.load_model_from_string(data)
    except Exception as error:  # protobuf's errors are not part of onnx's interface
        raise DamagedError(f"{path}: not an ONNX file") from error
    if not model.graph.node:
        raise DamagedError(f"{path}: not an ONNX file, or one without any operators")
    _check_graph(path, model.graph, onnx)
    if len(model.functions) > 0:
        raise UserError(f"{path}: has functions of its own, which are not read; export it inlined")
    return model


def _check_graph(path: Path, graph: Any, onnx: Any) -> None:
    tensors = list(graph.initializer)
    for node in graph.node:
        if node.domain not in DOMAINS:
            raise UserError(f"{path}: custom operator {node.domain}.{node.op_type}; refused")
        for item in node.attribute:
            tensors += [item.t, *item.tensors]
            for inner in (item.g, *item.graphs):
                _check_graph(path, inner, onnx)
    if any(tensor.data_location == onnx.TensorProto.EXTERNAL for tensor in tensors):
        raise UserError(f"{path}: keeps its weights in another file; refused, save it as one file")


def _session(path: Path, data: bytes) -> Any:
    _, runtime = _libraries()
    options = runtime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = FATAL
    try:
        return runtime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's errors share no base class
        raise UserError(f"{path}: onnxruntime refuses it: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    text = str(error).strip()
    return text.splitlines()[0][:MAX_MESSAGE] if text else type(error).__name__


def _libraries() -> tuple[Any, Any]:
    try:
        import onnx
        import onnxruntime
    except ImportError as error:
        raise UserError(
            f"the onnx stack needs {error.name}; run: pip install 'seesame[onnx]'"
        ) from error
    onnxruntime.set_default_logger_severity(FATAL)
    return onnx, onnxruntime
