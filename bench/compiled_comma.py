"""Comma's networks compiled by OpenVINO, as ``cpu_runtime.py`` measures them.

OpenVINO folds batch norm into the weights, fuses activations and sums into the convolutions, and
runs one picture a thread. The sums are taken in another order than the challenge's, so that single
pixels whose two best classes are almost equal may change their class; docs/metric.md gives the
measured difference. Needs openvino, which no extra of seesame brings.
"""

import copy
import hashlib
import importlib
import sys
import warnings
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from seesame.errors import MissingExtraError, UserError
from seesame.perception.comma.stack import (
    INPUT_SIZE,
    POSE_CHANNELS,
    CommaStack,
    PoseNet,
    libraries,
)
from seesame.video.colour import rgb_to_yuv6
from seesame.video.resize import resize


class CompiledCommaStack(CommaStack):
    """Comma's networks on OpenVINO where no gradient is asked for, else on torch; CPU only.

    Args:
        segment: as of :class:`~seesame.perception.comma.stack.CommaStack`.
        pose: a :class:`~seesame.perception.comma.stack.PoseNet`.
        fingerprint: hex digest of the weights and the preprocessing. This stack's own also depends
            on OpenVINO's version.
        official: whether both files are the published ones.

    Raises:
        MissingExtraError: OpenVINO is not installed.
    """

    name = "comma-openvino"

    def __init__(
        self, segment: nn.Module, pose: PoseNet, fingerprint: str = "", official: bool = False
    ) -> None:
        openvino = _openvino()
        own = f"{fingerprint} openvino {openvino.__version__}"
        digest = hashlib.sha256(own.encode()).hexdigest() if fingerprint else ""
        super().__init__(segment, pose, digest, official)
        height, width = INPUT_SIZE
        merged = copy.deepcopy(pose)
        merged.vision = libraries()[0].utils.reparameterize_model(merged.vision)
        self._compiled_segment = _Compiled(openvino, segment, (3, height, width))
        self._compiled_pose = _Compiled(openvino, merged, (POSE_CHANNELS, height // 2, width // 2))

    def segment(self, rgb: Tensor) -> Tensor:
        """Return logits ``(B, 5, 384, 512)`` of frames ``(B, 3, H, W)`` in 0..255."""
        if _training(rgb):
            return super().segment(rgb)
        return self._compiled_segment(resize(rgb, INPUT_SIZE))

    def pose(self, pairs: Tensor) -> Tensor:
        """Return pose values ``(B, 12)`` of pairs ``(B, 2, 3, H, W)`` in 0..255."""
        if _training(pairs):
            return super().pose(pairs)
        planes = rgb_to_yuv6(resize(pairs.flatten(0, 1), INPUT_SIZE))
        return self._compiled_pose(planes.reshape(-1, POSE_CHANNELS, *planes.shape[-2:]))

    def to(self, device: torch.device) -> Self:
        """Return the stack. Raises UserError for any device but the CPU."""
        if device.type != "cpu":
            raise UserError(
                f"the {self.name} stack runs on the CPU only; use comma on the device {device}"
            )
        return super().to(device)


class _Compiled:
    """One network, compiled for single pictures of one size; a batch is shared out over threads.

    Every picture is the work of one thread, so that its outputs depend neither on the number of
    threads nor on its batch.
    """

    def __init__(self, openvino: Any, net: nn.Module, shape: tuple[int, int, int]) -> None:
        threads = torch.get_num_threads()
        settings = {
            "INFERENCE_PRECISION_HINT": "f32",  # else it takes bfloat16 where there is hardware
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": threads,
        }
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # tracing warns of the networks' checks of their input
            traced = torch.jit.trace(net, torch.zeros(1, *shape), check_trace=False)  # type: ignore[no-untyped-call]
            frozen = torch.jit.freeze(traced)  # a graph a third the size, converted in no time
        model = openvino.convert_model(frozen, input=[((1, *shape), openvino.Type.f32)])
        compiled = openvino.compile_model(model, "CPU", settings)
        self._shape = tuple(compiled.output(0).shape)[1:]
        self._queue = openvino.AsyncInferQueue(compiled, threads)
        self._queue.set_callback(_keep)

    def __call__(self, batch: Tensor) -> Tensor:
        """Run the network on ``(B, C, h, w)``."""
        found = np.empty((len(batch), *self._shape), np.float32)
        pictures: NDArray[np.float32] = batch.detach().contiguous().numpy()
        for index in range(len(pictures)):
            self._queue.start_async({0: pictures[index : index + 1]}, found[index])
        self._queue.wait_all()
        return torch.from_numpy(found)


def _keep(request: Any, place: NDArray[np.float32]) -> None:
    """Copy a finished request's output to its place in the batch."""
    place[...] = request.get_output_tensor(0).data[0]


def _training(frames: Tensor) -> bool:
    return torch.is_grad_enabled() and frames.requires_grad


def _openvino() -> Any:
    """Return the library, imported without the telemetry that it would send at every import."""
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    try:
        return importlib.import_module("openvino")
    except ImportError as error:
        raise MissingExtraError(
            "the measurement needs openvino; run: pip install openvino"
        ) from error
