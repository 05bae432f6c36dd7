"""One ONNX file: run through onnxruntime, or through torch where gradients are asked for.

ONNX files are not trusted: size is bounded, weights in other files and custom operators are
refused, nothing in them is code, and onnxruntime works in a process of its own
(``seesame.perception.onnx.process``).
"""

import hashlib
import os
import stat
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from seesame.errors import UserError
from seesame.files import file_kind
from seesame.inputs import visible
from seesame.perception.onnx.graph import Graph
from seesame.perception.onnx.limits import LIMITS
from seesame.perception.onnx.ops import Unsupported
from seesame.perception.onnx.process import NetProcess, TooLargeError
from seesame.perception.onnx.values import CONFIG_NAME, Feed, listed
from seesame.perception.onnx.worker import parsed

MAX_FILE = 1 << 30
"""Bytes; a larger ONNX file is refused."""
TOLERANCE = 1e-4
"""The largest distance of torch from onnxruntime, relative to the largest output or to 1."""


class OnnxNet:
    """One ONNX file: run through onnxruntime, or through torch where gradients are asked for.

    Args:
        path: the file.
        feed: how it is fed.
        channels: how many channels its input has.
        sides: ``(height, width)`` of its input.
        read: names of the outputs that are read; empty for the only one.
        frozen: it is never trained against and is run frame by frame, so that no torch graph is
            made, and no batch is tried.

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
        frozen: bool = False,
    ) -> None:
        self.path = path
        self.feed = feed
        _check_libraries()
        data = _read(path)
        self.digest = hashlib.sha256(data).hexdigest()
        self._process = NetProcess(path, data)
        self._input, self._singly = self._check_input(channels, sides)
        has = self._process.outputs
        self.outputs = list(read) if read and set(read) <= set(has) else has
        self.device = torch.device("cpu")
        self.mean = torch.tensor(feed.mean).reshape(1, -1, 1, 1)
        self.std = torch.tensor(feed.std).reshape(1, -1, 1, 1)
        self.graph: Graph | None = None
        self.reason = ""
        """The reason why the graph gives no gradients; empty when it does."""
        noise = torch.rand(2, channels, *sides, generator=torch.Generator().manual_seed(0)) * 255
        x = self._prepared(noise)
        del noise
        self.probe = self._score(x[:1])
        """Outputs on noise, to check shapes with."""
        if len(self.probe) < len(self.outputs):
            raise UserError(f"{path}: an output is no tensor of numbers")
        for name, value in self.probe.items():
            if value.numel() == 0 or (value.ndim > 1 and value.shape[0] != 1):
                raise UserError(f"{path}: {name} has the shape {[*value.shape]} for one frame")
        self._shapes = {name: value.shape for name, value in self.probe.items()}
        if frozen:
            self._singly, self.reason = True, "it is loaded to judge alone"
            return
        self._singly = self._singly or not self._keeps_apart(x)
        try:
            self.graph = Graph(parsed(data))
            self._compare(x[:1], self.probe)
        except Unsupported as error:
            self.graph, self.reason = None, str(error)

    def _check_input(self, channels: int, sides: tuple[int, int]) -> tuple[str, bool]:
        """Return the input's name, and whether it declares a batch of 1."""
        inputs = {name: (shape, kind) for name, shape, kind in self._process.inputs}
        name = self.feed.input or next(iter(inputs), "")
        if name not in inputs or len(inputs) != 1:
            raise UserError(
                f"{self.path}: needs one input, called as in {CONFIG_NAME}; it has: "
                f"{listed(inputs) or 'none'}"
            )
        wanted = (*sides, channels) if self.feed.channels_last else (channels, *sides)
        shape, kind = inputs[name]
        fits = len(shape) == 4 and all(
            not isinstance(n, int) or n == w for n, w in zip(shape[1:], wanted, strict=True)
        )
        batch_fits = bool(shape) and (not isinstance(shape[0], int) or shape[0] == 1)
        if not fits or not batch_fits or kind != "tensor(float)":
            raise UserError(
                f"{self.path}: takes {kind} {visible(str(shape)[:80])}, but {CONFIG_NAME} feeds "
                f"float32 [1, {', '.join(map(str, wanted))}]; correct size, layout or planes"
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
        limits = None if self._process.trusted else LIMITS
        # No step back is taken, so that nothing is kept for one.
        with torch.enable_grad(), saved_tensors_hooks(lambda _: None, lambda _: x):
            ours = self.graph(x.requires_grad_(True), limits)
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
        x = (x / self.feed.scale).sub_(self.mean).div_(self.std)
        return x.permute(0, 2, 3, 1) if self.feed.channels_last else x

    def _score(self, x: Tensor) -> dict[str, Tensor]:
        array: NDArray[np.float32] = x.detach().cpu().contiguous().numpy()
        results = self._process.run(self._input, array, self.outputs)
        return {
            name: torch.from_numpy(result).to(x.device)
            for name, result in zip(self.outputs, results, strict=True)
            if result is not None
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
            try:
                outputs: dict[str, Tensor] = function(x)
            except TooLargeError:
                if x.shape[0] == 1 or not self._process.close.alive:
                    raise
                outputs = {}
            if outputs and all(value.shape[:1] == x.shape[:1] for value in outputs.values()):
                return self._checked(outputs)
            self._singly = True  # it keeps two frames apart, but not as many as these
        # A file made for a batch of one: its reshapes would mix up a larger batch.
        singles = [self._checked(function(x[i : i + 1])) for i in range(x.shape[0])]
        return {name: torch.cat([one[name] for one in singles]) for name in singles[0]}

    def _checked(self, outputs: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return the outputs. Raises UserError where a frame's have another shape than before."""
        for name, value in outputs.items():
            if value.shape[1:] != self._shapes[name][1:]:
                raise UserError(
                    f"{self.path}: the shape of {name} changes with the frames, from "
                    f"{[*self._shapes[name][1:]]} to {[*value.shape[1:]]}; it must not"
                )
        return outputs

    def to(self, device: torch.device) -> None:
        """Move the weights of the converted graph."""
        self.device = device
        self.mean, self.std = self.mean.to(device), self.std.to(device)
        if self.graph is not None:
            self.graph.to(device)


def output_of(outputs: dict[str, Tensor], name: str | None, path: Path) -> Tensor:
    """Return an output, float32 with a batch axis and at least one more.

    Args:
        outputs: of a net, by name.
        name: of the output; None for the only one.
        path: of the net, for errors.

    Raises:
        UserError: there is none of that name, or it has another form.
    """
    if name is None and len(outputs) > 1:
        raise UserError(f"{path}: has several outputs; name one: {listed(outputs)}")
    if name is not None and name not in outputs:
        raise UserError(f"{path}: has no output {name!r}; it has: {listed(outputs)}")
    value = outputs[name] if name is not None else next(iter(outputs.values()))
    if value.ndim < 2:
        raise UserError(f"{path}: an output must have a batch axis, not the shape {[*value.shape]}")
    if value.dtype != torch.float32:
        raise UserError(f"{path}: an output must be float32, not {value.dtype}")
    return value


def _read(path: Path) -> bytes:
    """Return the bytes of a file. Raises UserError for what is none, or is too large."""
    try:
        # A pipe would wait for a writer, a device might never end.
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with open(handle, "rb") as file:
            status = os.fstat(handle)
            if not stat.S_ISREG(status.st_mode):
                kind = file_kind(status.st_mode) or "a folder"
                raise UserError(f"{path}: is {kind}, and a net must be a file")
            if status.st_size > MAX_FILE:
                raise UserError(f"{path}: larger than {MAX_FILE >> 20} MiB; refused")
            return file.read(status.st_size)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error


def _check_libraries() -> None:
    """Raise UserError where a library is not installed; none is loaded, which takes long."""
    for name in ("onnx", "onnxruntime"):
        if find_spec(name) is None:
            raise UserError(f"the onnx stack needs {name}; run: pip install 'seesame[onnx]'")
