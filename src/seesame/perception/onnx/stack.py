"""A stack of the user's own nets: one or two ONNX files and a ``stack.toml``.

Scoring runs through onnxruntime. For training the graph is turned into torch where its operators
allow it, and compared with onnxruntime when it is loaded. ONNX files are not trusted: size
is bounded, weights in other files and custom operators are refused, nothing in them is code.
"""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seesame.errors import DamagedError, UserError
from seesame.perception.onnx.config import (
    CONFIG_NAME,
    Config,
    Feed,
    PoseConfig,
    SegmentConfig,
    read_config,
)
from seesame.perception.onnx.graph import Graph
from seesame.perception.onnx.ops import Unsupported
from seesame.perception.stack import Stack
from seesame.video.colour import rgb_to_yuv6
from seesame.video.resize import resize

MAX_FILE = 1 << 30
"""Bytes; a larger ONNX file is refused."""
TOLERANCE = 1e-4
"""The largest distance of torch from onnxruntime, relative to the largest output or to 1."""
DOMAINS = ("", "ai.onnx", "com.microsoft")
"""The domains of onnxruntime's built-in operators."""


class OnnxNet:
    """One ONNX file: run through onnxruntime, or through torch where gradients are asked for.

    Args:
        path: the file.
        feed: how it is fed.
        channels: how many channels its input has.
        sides: ``(height, width)`` of its input.

    Raises:
        UserError: libraries absent, file absent or refused, input that the file does not take.
        DamagedError: not an ONNX file.
    """

    def __init__(self, path: Path, feed: Feed, channels: int, sides: tuple[int, int]) -> None:
        self.path = path
        self.feed = feed
        data = _read(path)
        self.digest = hashlib.sha256(data).hexdigest()
        model = _parse(path, data)
        self._session = _session(path, data)
        self._input, self._fixed = self._check_input(channels, sides)
        self.outputs = [str(o.name) for o in self._session.get_outputs()]
        self.device = torch.device("cpu")
        self.mean = torch.tensor(feed.mean).reshape(1, -1, 1, 1)
        self.std = torch.tensor(feed.std).reshape(1, -1, 1, 1)
        self.graph: Graph | None = None
        self.reason = ""
        """The reason why the graph gives no gradients; empty when it does."""
        noise = torch.rand(1, channels, *sides, generator=torch.Generator().manual_seed(0)) * 255
        x = self._prepared(noise)
        self.probe = self._score(x)
        """Outputs on noise, to check shapes with."""
        try:
            self.graph = Graph(model)
            self._compare(x, self.probe)
        except Unsupported as error:
            self.graph, self.reason = None, str(error)

    def _check_input(self, channels: int, sides: tuple[int, int]) -> tuple[str, bool]:
        """Return the input's name, and whether its batch size is fixed to 1."""
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
            limit = TOLERANCE * max(1.0, float(wanted.abs().max()))
            if not float((value.detach() - wanted).abs().max()) <= limit:
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
        if not self._fixed or x.shape[0] == 1:
            outputs: dict[str, Tensor] = function(x)
            return outputs
        # A file exported for a batch of one: its reshapes would mix up a larger batch.
        singles = [function(x[i : i + 1]) for i in range(x.shape[0])]
        return {name: torch.cat([one[name] for one in singles]) for name in singles[0]}

    def to(self, device: torch.device) -> None:
        """Move the weights of the converted graph."""
        self.device = device
        self.mean, self.std = self.mean.to(device), self.std.to(device)
        if self.graph is not None:
            self.graph.to(device)


class OnnxStack(Stack):
    """A stack from a folder with a ``stack.toml``. Make one with :meth:`load`."""

    def __init__(self, config: Config, segment: OnnxNet, pose: OnnxNet | None) -> None:
        self._config, self._segment, self._pose = config, segment, pose
        self.name = config.name
        digests = [segment.digest, pose.digest if pose else "", config.source.hex()]
        self.fingerprint = hashlib.sha256("\n".join(digests).encode()).hexdigest()
        self.classes = config.segment.classes
        self.input_size = config.segment.feed.size
        self.has_pose = pose is not None
        self.judged = config.pose.judged if config.pose else 0
        self.shared_input = config.pose is None or config.pose.feed.size == self.input_size
        self.differentiable = all(net.graph is not None for net in (segment, pose) if net)
        self._check_outputs()

    @classmethod
    def load(cls, folder: Path) -> "OnnxStack":
        """Load a folder's ``stack.toml`` and the ONNX files that it names.

        Raises:
            UserError: libraries or files absent, wrong keys, files that do not fit them.
            DamagedError: not an ONNX file.
        """
        config = read_config(folder)
        feed = config.segment.feed
        segment = OnnxNet(folder / feed.file, feed, 3, feed.size)
        pose = None
        if config.pose is not None:
            feed, (height, width) = config.pose.feed, config.pose.feed.size
            sides = (height // 2, width // 2) if config.pose.yuv6 else (height, width)
            pose = OnnxNet(folder / feed.file, feed, 12 if config.pose.yuv6 else 6, sides)
        return cls(config, segment, pose)

    def _check_outputs(self) -> None:
        """See whether the nets' outputs fit the description now, not in the middle of a clip."""
        class_logits(self._config.segment, self._segment.probe, self._segment.path)
        if self._config.pose is not None and self._pose is not None:
            pose_values(self._config.pose, self._pose.probe, self._pose.path)
            self._pose.probe.clear()
        self._segment.probe.clear()

    def segment(self, rgb: Tensor) -> Tensor:
        """Return class logits ``(B, C, h, w)`` of frames ``(B, 3, H, W)`` in 0..255."""
        config = self._config.segment
        x = resize(rgb, config.feed.size)
        outputs = self._segment.run(x.flip(1) if config.feed.bgr else x)
        return class_logits(config, outputs, self._segment.path)

    def pose(self, pairs: Tensor) -> Tensor:
        """Return pose values ``(B, P)`` of pairs ``(B, 2, 3, H, W)`` in 0..255; ``P`` may be 0."""
        config = self._config.pose
        if config is None or self._pose is None:
            return pairs.new_zeros((pairs.shape[0], 0))
        frames = resize(pairs.flatten(0, 1), config.feed.size)
        if config.yuv6:
            frames = rgb_to_yuv6(frames)
        elif config.feed.bgr:
            frames = frames.flip(1)
        stacked = frames.reshape(pairs.shape[0], -1, *frames.shape[-2:])
        outputs = self._pose.run(stacked)
        return pose_values(config, outputs, self._pose.path)

    def to(self, device: torch.device) -> "OnnxStack":
        """Move the converted graphs to a device; returns self."""
        for net in (self._segment, self._pose):
            if net is not None:
                net.to(device)
        return self


def class_logits(config: SegmentConfig, outputs: dict[str, Tensor], path: Path) -> Tensor:
    """Combine a segmentation net's outputs into class logits ``(B, C, h, w)``.

    One output: taken as it is. Layers: the background has logit 0, and each layer's class lies
    over what is below it, with the logit ``max(logits below) + (value - none)``, where ``none``
    is the layer's channel 0 if it has one more channel than classes, else its threshold. So a
    pixel's arg-max is the topmost layer that fires there (exactly what painting the layers' masks
    in order gives), and the gap to the next class is that layer's own margin, whose gradient
    reaches the net.
    """
    if not config.layers:
        found = _maps(config, outputs, config.output, path)
        if found.shape[1] != len(config.classes):
            raise UserError(
                f"{path}: gives {found.shape[1]} channels, but {CONFIG_NAME} names "
                f"{len(config.classes)} classes"
            )
        return found
    below: Tensor | None = None
    logits: dict[str, Tensor] = {}
    for layer in config.layers:
        maps = _maps(config, outputs, layer.output, path)
        extra = maps.shape[1] - len(layer.classes)
        if extra not in (0, 1):
            raise UserError(
                f"{path}: {layer.output} gives {maps.shape[1]} channels for "
                f"{len(layer.classes)} classes (one more, for none of them, is allowed)"
            )
        margin = maps[:, 1:] - maps[:, :1] if extra else maps - layer.threshold
        below = torch.zeros_like(margin[:, :1]) if below is None else below
        if below.shape[2:] != margin.shape[2:]:
            raise UserError(f"{path}: the layers' outputs differ in size")
        logits.setdefault(config.classes[0], torch.zeros_like(below))
        over = below + margin
        logits.update({name: over[:, i : i + 1] for i, name in enumerate(layer.classes)})
        below = torch.cat([below, over], dim=1).amax(1, keepdim=True)
    return torch.cat([logits[name] for name in config.classes], dim=1)


def _maps(
    config: SegmentConfig, outputs: dict[str, Tensor], name: str | None, path: Path
) -> Tensor:
    maps = _output(outputs, name, path)
    if maps.ndim != 4:
        raise UserError(f"{path}: a class output must have 4 axes, not {list(maps.shape)}")
    return maps.permute(0, 3, 1, 2) if config.feed.channels_last else maps


def pose_values(config: PoseConfig, outputs: dict[str, Tensor], path: Path) -> Tensor:
    """Return a pose net's values ``(B, P)``, the judged ones divided by their ``value_std``."""
    values = _output(outputs, config.output, path).flatten(1)
    if values.shape[1] < config.judged:
        raise UserError(
            f"{path}: gives {values.shape[1]} values, but {CONFIG_NAME} judges {config.judged}"
        )
    judged = values[:, : config.judged] / values.new_tensor(config.value_std)
    return torch.cat([judged, values[:, config.judged :]], dim=1)


def _output(outputs: dict[str, Tensor], name: str | None, path: Path) -> Tensor:
    if name is None and len(outputs) > 1:
        raise UserError(f"{path}: has several outputs; name one: {', '.join(outputs)}")
    if name is not None and name not in outputs:
        raise UserError(f"{path}: has no output {name!r}; it has: {', '.join(outputs)}")
    value = outputs[name] if name is not None else next(iter(outputs.values()))
    if value.dtype != torch.float32:
        raise UserError(f"{path}: an output must be float32, not {value.dtype}")
    return value


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
    options.log_severity_level = 3
    try:
        return runtime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's errors share no base class
        raise UserError(f"{path}: onnxruntime refuses it: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__


def _libraries() -> tuple[Any, Any]:
    try:
        import onnx
        import onnxruntime
    except ImportError as error:
        raise UserError(
            f"the onnx stack needs {error.name}; run: pip install 'seesame[onnx]'"
        ) from error
    return onnx, onnxruntime
