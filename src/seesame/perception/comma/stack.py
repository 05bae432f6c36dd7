"""The nets that judge the comma.ai video compression challenge (2026), from published weights.

Segmentation: a U-Net with an EfficientNet-B2 encoder, five classes, read from the second frame.
Pose: FastViT-T12 on the YUV6 planes of both frames, a summariser and one head of 12 values, of
which the first 6 are judged. The sizes, names and normalisation are those of the challenge's
``modules.py``, so that its safetensors files load strictly by name.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from seesame.errors import DamagedError, MissingExtraError, UserError
from seesame.perception.comma.fetch import NETWORKS, models_folder, sha256_of
from seesame.perception.stack import Stack
from seesame.video.colour import rgb_to_yuv6
from seesame.video.resize import resize

INPUT_SIZE = (384, 512)
CLASSES = ("road", "lane markings", "undrivable", "movable", "my car")
POSE_CHANNELS = 12
VISION_FEATURES = 2048
SUMMARY_FEATURES = 512
HEAD_FEATURES = 32
POSE_VALUES = 12
JUDGED = 6
NORM_EPS = 1e-3
NORM_MOMENTUM = 1e-2
PREPROCESSING = b"comma 384x512 bilinear yuv6 1"
"""Part of the fingerprint: to be changed with any change of what the nets are fed."""
COUNTER = ".num_batches_tracked"
MAX_NAMED = 3
"""The largest number of wrong tensors that an error names."""


class SharedNorm(nn.Module):
    """Batch norm with one mean, variance, scale and shift for all features together."""

    def __init__(self) -> None:
        super().__init__()
        self.bn = nn.BatchNorm1d(1, NORM_EPS, NORM_MOMENTUM)

    def forward(self, x: Tensor) -> Tensor:
        """Normalise ``(B, F)``."""
        normed: Tensor = self.bn(x.reshape(-1, 1)).reshape(x.shape)
        return normed


def _widening(features: int) -> list[nn.Module]:
    """Return linear layers to twice the features and back, each followed by the shared norm."""
    wider, back = nn.Linear(features, 2 * features), nn.Linear(2 * features, features)
    return [wider, SharedNorm(), nn.ReLU(), back, SharedNorm()]


class ResidualBlock(nn.Module):
    """Two widening branches, each added to its input; ReLU before the second and at the end."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.block_a = nn.Sequential(*_widening(features))
        self.block_b = nn.Sequential(nn.ReLU(), *_widening(features))

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, F)`` to ``(B, F)``."""
        first: Tensor = x + self.block_a(x)
        # The challenge's second branch starts with an in-place ReLU, so that its shortcut, too,
        # carries the rectified value.
        first = first.relu()
        second: Tensor = first + self.block_b(first)
        return second.relu()


class PoseHead(nn.Module):
    """The head of the challenge's pose net; the one task it kept is called ``pose``."""

    def __init__(self, features: int, hidden: int, out: int) -> None:
        super().__init__()
        self.resblock = ResidualBlock(features)
        self.in_layer = nn.ModuleDict({"pose": nn.Linear(features, hidden)})
        residual = nn.Sequential(nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, hidden))
        self.res_layer = nn.ModuleDict({"pose": residual})
        self.final_layer = nn.ModuleDict({"pose": nn.Linear(hidden, out)})

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, F)`` to ``(B, out)``."""
        x = self.in_layer["pose"](self.resblock(x)).relu()
        x = (x + self.res_layer["pose"](x)).relu()
        values: Tensor = self.final_layer["pose"](x)
        return values


class PoseNet(nn.Module):
    """YUV6 planes of both frames ``(B, 12, 192, 256)`` in 0..255 to pose values ``(B, 12)``."""

    _mean: Tensor
    _std: Tensor

    def __init__(self) -> None:
        super().__init__()
        timm, _ = libraries()
        shape = (1, POSE_CHANNELS, 1, 1)
        self.register_buffer("_mean", torch.full(shape, 255 / 2))
        self.register_buffer("_std", torch.full(shape, 255 / 4))
        self.vision = timm.create_model(
            "fastvit_t12",
            pretrained=False,
            num_classes=VISION_FEATURES,
            in_chans=POSE_CHANNELS,
            act_layer=timm.layers.get_act_layer("gelu_tanh"),
        )
        self.summarizer = nn.Sequential(
            nn.Linear(VISION_FEATURES, SUMMARY_FEATURES),
            nn.ReLU(),
            ResidualBlock(SUMMARY_FEATURES),
        )
        self.hydra = PoseHead(SUMMARY_FEATURES, HEAD_FEATURES, POSE_VALUES)

    def forward(self, planes: Tensor) -> Tensor:
        """Normalise the planes and read the pose."""
        features = self.vision((planes - self._mean) / self._std)
        values: Tensor = self.hydra(self.summarizer(features))
        return values


def segment_net() -> nn.Module:
    """Return the segmentation net with random weights: RGB in 0..255 to ``(B, 5, h, w)``."""
    _, smp = libraries()
    net: nn.Module = smp.Unet(
        "tu-efficientnet_b2", encoder_weights=None, classes=len(CLASSES), activation=None
    )
    return net


class CommaStack(Stack):
    """The challenge's two networks as a stack. Make one with :meth:`load` or from two networks.

    Args:
        segment: maps RGB ``(B, 3, 384, 512)`` in 0..255 to logits.
        pose: a :class:`PoseNet`.
        fingerprint: hex digest of the weights and the preprocessing.
        official: whether both files are the published ones, so that scores are the challenge's.
    """

    name = "comma"
    classes = CLASSES
    input_size = INPUT_SIZE
    judged = JUDGED
    shared_input = True
    challenge_rule = True

    def __init__(
        self, segment: nn.Module, pose: nn.Module, fingerprint: str = "", official: bool = False
    ) -> None:
        self.fingerprint = fingerprint
        self.official = official
        self._segment = segment.eval().requires_grad_(False)
        self._pose = pose.eval().requires_grad_(False)

    @classmethod
    def load(cls, folder: Path | None = None) -> Self:
        """Load ``segnet.safetensors`` and ``posenet.safetensors``, strictly by name and shape.

        Args:
            folder: where they are; the folder that ``seesame fetch comma`` fills when None.

        Raises:
            UserError: files absent, or tensors missing, extra or of another shape.
            MissingExtraError: a library is absent.
            DamagedError: not a safetensors file.
        """
        hint = "run: seesame fetch comma" if folder is None else "or run: seesame fetch comma"
        folder = models_folder() if folder is None else folder
        paths = [folder / file.name for file in NETWORKS]
        for path in paths:
            if not path.is_file():
                raise UserError(f"{path} is missing; {hint}")
        digests = [sha256_of(path) for path in paths]
        libraries()
        with torch.device("meta"):  # no memory yet, and no time for random weights
            nets = (segment_net(), PoseNet())
        for net, path in zip(nets, paths, strict=True):
            load_strictly(net, path)
        official = digests == [file.sha256 for file in NETWORKS]
        digest = hashlib.sha256(PREPROCESSING + "".join(digests).encode()).hexdigest()
        return cls(*nets, fingerprint=digest, official=official)

    def segment(self, rgb: Tensor) -> Tensor:
        """Return logits ``(B, 5, 384, 512)`` of frames ``(B, 3, H, W)`` in 0..255."""
        # The challenge's frames keep the order of their bytes, colours last, and convolutions round
        # differently in another.
        frames = resize(rgb, INPUT_SIZE).contiguous(memory_format=torch.channels_last)
        logits: Tensor = self._segment(frames)
        return logits

    def pose(self, pairs: Tensor) -> Tensor:
        """Return pose values ``(B, 12)`` of pairs ``(B, 2, 3, H, W)`` in 0..255."""
        planes = rgb_to_yuv6(resize(pairs.flatten(0, 1), INPUT_SIZE))
        values: Tensor = self._pose(planes.reshape(-1, POSE_CHANNELS, *planes.shape[-2:]))
        return values

    def to(self, device: torch.device) -> Self:
        """Move the networks to a device."""
        self._segment.to(device)
        self._pose.to(device)
        return self


def load_strictly(net: nn.Module, path: Path) -> None:
    """Load a safetensors file into a net; every name, shape and type must be the net's own.

    Names and shapes are compared from the file's header, before any tensor is read. Batch norm's
    counters (``num_batches_tracked``) may be absent, as they are from the published pose net:
    a frozen net does not read them.

    Raises:
        UserError: the file cannot be read, or tensors are missing, extra, of another shape or
            type; the message names the first few.
        DamagedError: not a safetensors file.
    """
    state = net.state_dict()
    try:
        with safe_open(path, framework="pt") as file:
            names = set(file.keys())
            _check_names(path, state, names)
            shapes = {name: tuple(file.get_slice(name).get_shape()) for name in names}
            wrong = sorted(name for name in names if shapes[name] != tuple(state[name].shape))
            if wrong:
                raise UserError(f"{path}: wrong shape of {_few(wrong)}; not the expected net")
            tensors = {name: file.get_tensor(name) for name in names}
    except SafetensorError as error:
        raise DamagedError(f"{path}: not a safetensors file; fetch it again") from error
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror or error})") from error
    wrong = sorted(name for name in names if tensors[name].dtype != state[name].dtype)
    if wrong:
        raise UserError(f"{path}: wrong number type of {_few(wrong)}; not the expected net")
    counters = {name: torch.zeros_like(state[name], device="cpu") for name in set(state) - names}
    net.load_state_dict({**counters, **tensors}, strict=True, assign=True)


def _check_names(path: Path, state: Mapping[str, Tensor], names: set[str]) -> None:
    needed = {name for name in state if not name.endswith(COUNTER)}
    missing, extra = sorted(needed - names), sorted(names - set(state))
    found = {"lacks": missing, "has extra": extra}
    problems = [f"{word} {_few(some)}" for word, some in found.items() if some]
    if problems:
        raise UserError(f"{path}: {' and '.join(problems)}; not the expected net")


def _few(names: list[str]) -> str:
    rest = len(names) - MAX_NAMED
    return ", ".join(names[:MAX_NAMED]) + (f" and {rest} more" if rest > 0 else "")


def libraries() -> tuple[Any, Any]:
    """Return timm and segmentation_models_pytorch, which are heavy and optional.

    Raises:
        MissingExtraError: one of them is not installed.
    """
    try:
        import segmentation_models_pytorch as smp
        import timm
    except ImportError as error:
        raise MissingExtraError(
            f"the comma stack needs {error.name}; run: pip install 'seesame[comma]'"
        ) from error
    return timm, smp
