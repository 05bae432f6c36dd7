"""A stack of the user's own nets: one or two ONNX files and a ``stack.toml``.

Scoring runs through onnxruntime. For training the graph is turned into torch where its operators
allow it, and compared with onnxruntime when it is loaded.
"""

import hashlib
from pathlib import Path

import torch
from torch import Tensor

from seesame.errors import UserError
from seesame.perception.onnx.config import Config, PoseConfig, SegmentConfig, read_config
from seesame.perception.onnx.detector.config import DetectConfig
from seesame.perception.onnx.net import OnnxNet, output_of
from seesame.perception.onnx.values import CONFIG_NAME
from seesame.perception.stack import Stack
from seesame.video.colour import rgb_to_yuv6
from seesame.video.resize import resize


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
        if isinstance(config, DetectConfig):
            raise UserError(
                f"{folder / CONFIG_NAME}: describes a detector, which can only judge files that "
                "another stack has scored; a stack has [segment]"
            )
        feed = config.segment.feed
        layers = tuple(layer.output for layer in config.segment.layers)
        segment = OnnxNet(
            folder / feed.file, feed, 3, feed.size, layers or _names(config.segment.output)
        )
        pose = None
        if config.pose is not None:
            feed, (height, width) = config.pose.feed, config.pose.feed.size
            sides = (height // 2, width // 2) if config.pose.yuv6 else (height, width)
            channels, read = 12 if config.pose.yuv6 else 6, _names(config.pose.output)
            pose = OnnxNet(folder / feed.file, feed, channels, sides, read)
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


def _names(output: str | None) -> tuple[str, ...]:
    return (output,) if output else ()


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
    maps = output_of(outputs, name, path)
    if maps.ndim != 4:
        raise UserError(f"{path}: a class output must have 4 axes, not {list(maps.shape)}")
    return maps.permute(0, 3, 1, 2) if config.feed.channels_last else maps


def pose_values(config: PoseConfig, outputs: dict[str, Tensor], path: Path) -> Tensor:
    """Return a pose net's values ``(B, P)``, the judged ones divided by their ``value_std``."""
    values = output_of(outputs, config.output, path).flatten(1)
    if values.shape[1] < config.judged:
        raise UserError(
            f"{path}: gives {values.shape[1]} values, but {CONFIG_NAME} judges {config.judged}"
        )
    judged = values[:, : config.judged] / values.new_tensor(config.value_std)
    return torch.cat([judged, values[:, config.judged :]], dim=1)
