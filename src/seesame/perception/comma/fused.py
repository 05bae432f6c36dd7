"""Frozen convolutions for scoring on the CPU: folded, fused, one picture a thread.

Batch norm goes into the weights (in float64), activations and sums into oneDNN's convolution, and
weights are laid out for it once. Pictures are handled one at a time, each by one thread: its
activations are then small enough for the allocator to keep, and threads never wait for each other.
None of this has gradients.
"""

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

ACTIVATIONS = {
    "Identity": ("none", ""),
    "NoneType": ("none", ""),
    "ReLU": ("relu", ""),
    "SiLU": ("swish", ""),
    "GELUTanh": ("gelu", "tanh"),
}
"""oneDNN's name and variant of an activation module, by its class."""


class NotFusable(Exception):
    """This torch, processor or net does not allow it; the plain net does the work."""


def folded(conv: nn.Module, norm: nn.Module | None) -> tuple[Tensor, Tensor]:
    """Weight and bias, float64, of a convolution and the batch norm behind it."""
    assert isinstance(conv, nn.Conv2d)
    weight = conv.weight.detach().double()
    bias = weight.new_zeros(len(weight)) if conv.bias is None else conv.bias.detach().double()
    if norm is None or isinstance(norm, nn.Identity):
        return weight, bias
    if not isinstance(norm, nn.BatchNorm2d) or norm.running_mean is None:
        raise NotFusable(f"{type(norm).__name__} behind a convolution")
    assert norm.running_var is not None
    scale = norm.weight.detach().double() / (norm.running_var.double() + norm.eps).sqrt()
    shift = norm.bias.detach().double() - norm.running_mean.double() * scale
    return weight * scale[:, None, None, None], bias * scale + shift


class FusedConv:
    """A convolution with bias and activation in one oneDNN call.

    Args:
        weight: ``(O, I / groups, kh, kw)``.
        bias: ``(O,)``.
        stride, padding: of rows and columns.
        groups: as of ``nn.Conv2d``.
        activation: a module of :data:`ACTIVATIONS`, or None.

    Raises:
        NotFusable: an activation that oneDNN does not have.
    """

    def __init__(
        self,
        weight: Tensor,
        bias: Tensor,
        stride: Sequence[int] = (1, 1),
        padding: Sequence[int] = (1, 1),
        groups: int = 1,
        activation: nn.Module | None = None,
    ) -> None:
        name = type(activation).__name__
        if name not in ACTIVATIONS:
            raise NotFusable(f"{name} behind a convolution")
        self.weight = weight.float().contiguous(memory_format=torch.channels_last)
        self.bias = bias.float()
        self.geometry = (list(padding), list(stride), [1, 1], groups)
        self.activation, self.variant = ACTIVATIONS[name]
        self._packed: tuple[torch.Size, Tensor] = (torch.Size(), self.weight)

    @classmethod
    def of(
        cls,
        conv: nn.Module,
        norm: nn.Module | None = None,
        activation: nn.Module | None = None,
        scale: Tensor | None = None,
    ) -> "FusedConv":
        """From modules in the order they run; ``scale``, ``(O,)``, multiplies the result."""
        weight, bias = folded(conv, norm)
        assert isinstance(conv, nn.Conv2d)
        if conv.dilation != (1, 1) or conv.padding_mode != "zeros" or isinstance(conv.padding, str):
            raise NotFusable("a convolution with dilation or its own padding")
        if scale is not None:
            scale = scale.detach().double().flatten()
            weight, bias = weight * scale[:, None, None, None], bias * scale
        return cls(weight, bias, conv.stride, conv.padding, conv.groups, activation)

    def __call__(self, x: Tensor) -> Tensor:
        """``(1, I, h, w)``, channels last, to ``(1, O, h', w')``."""
        ops = torch.ops.mkldnn
        found: Tensor = ops._convolution_pointwise(
            x, self._weights(x), self.bias, *self.geometry, self.activation, [], self.variant
        )
        return found

    def add_to(self, total: Tensor, x: Tensor) -> Tensor:
        """The activation of ``total`` and the convolution of ``x``; overwrites ``total``."""
        after = None if self.activation == "none" else self.activation
        ops = torch.ops.mkldnn
        found: Tensor = ops._convolution_pointwise_.binary(
            total, x, self._weights(x), self.bias, *self.geometry, "add", None, after, [], None
        )
        return found

    def _weights(self, x: Tensor) -> Tensor:
        size, packed = self._packed
        if size != x.shape:
            ops = torch.ops.mkldnn
            packed = ops._reorder_convolution_weight(self.weight, *self.geometry, list(x.shape))
            self._packed = (x.shape, packed)
        return packed


class UpConv:
    """A 3x3 convolution of a picture doubled by nearest neighbour, beside a skip connection.

    Doubling repeats each pixel 2x2, so that the convolution is a transposed one of stride 2 whose
    4x4 kernel is the 3x3 one summed over 2x2: four products for each value instead of nine, and no
    doubled picture. (Shi et al. 2016, "Is the deconvolution layer the same as a convolutional
    layer?", has the equivalence.)

    Args:
        conv: takes the doubled channels first, then those of the skip connection.
        norm: the batch norm behind it.
        activation: the activation behind that.
        channels: how many channels are doubled.
    """

    def __init__(
        self, conv: nn.Module, norm: nn.Module, activation: nn.Module, channels: int
    ) -> None:
        weight, bias = folded(conv, norm)
        kernel = weight[:, :channels].transpose(0, 1).flip(2, 3)
        box = kernel.new_ones(1, 1, 2, 2)
        kernel = F.conv2d(kernel.flatten(0, 1)[:, None], box, padding=1)
        kernel = kernel.reshape(channels, len(weight), 4, 4)
        self.weight = kernel.float().contiguous(memory_format=torch.channels_last)
        self.geometry = ([1, 1], [0, 0], [2, 2], [1, 1], 1)
        self.skip = None
        self.bias: Tensor | None = bias.float()
        if weight.shape[1] > channels:
            self.skip = FusedConv(weight[:, channels:], bias, activation=activation)
            self.bias = None
        name, self.variant = ACTIVATIONS[type(activation).__name__]
        self.activation = "none" if self.skip else name
        self._packed: tuple[torch.Size, Tensor] = (torch.Size(), self.weight)

    def __call__(self, x: Tensor, skip: Tensor | None) -> Tensor:
        """``(1, I, h, w)`` and ``(1, S, 2h, 2w)`` or None to ``(1, O, 2h, 2w)``."""
        ops = torch.ops.mkldnn
        size, packed = self._packed
        if size != x.shape:
            packed = ops._reorder_convolution_transpose_weight(
                self.weight, *self.geometry, list(x.shape)
            )
            self._packed = (x.shape, packed)
        doubled: Tensor = ops._convolution_transpose_pointwise(
            x, packed, self.bias, *self.geometry, self.activation, [], self.variant
        )
        if self.skip is None or skip is None:
            return doubled
        return self.skip.add_to(doubled, skip)


class Workers:
    """Threads that run torch on one core each, whatever its thread count is elsewhere.

    Args:
        count: how many.
    """

    def __init__(self, count: int) -> None:
        everyone = threading.Barrier(count)

        def alone() -> None:
            torch.get_num_threads()  # torch sets a thread's count on its first question
            torch.set_num_threads(1)
            everyone.wait()

        before = torch.get_num_threads()
        self._pool = ThreadPoolExecutor(count, thread_name_prefix="nets")
        for started in [self._pool.submit(alone) for _ in range(count)]:
            started.result()
        torch.set_num_threads(before)  # the count of threads yet to start

    def map(self, function: Callable[[Tensor], Tensor], batch: Tensor) -> Tensor:
        """``function`` of every ``(1, ...)`` of a batch ``(B, ...)``, joined; without gradients."""

        def run(one: Tensor) -> Tensor:
            with torch.no_grad():
                return function(one)

        return torch.cat(list(self._pool.map(run, torch.split(batch, 1))))


@lru_cache(maxsize=4)
def workers(count: int) -> Workers:
    """The process's own threads; started on first use."""
    return Workers(count)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=workers.cache_clear)  # threads stay with the parent


def check_available() -> None:
    """Raise NotFusable where torch lacks oneDNN's fused convolutions."""
    names = (
        "_convolution_pointwise",
        "_convolution_pointwise_",
        "_convolution_transpose_pointwise",
        "_reorder_convolution_weight",
        "_reorder_convolution_transpose_weight",
    )
    ops: Any = torch.ops.mkldnn
    enabled: Any = torch.backends.mkldnn
    if not enabled.is_available() or not all(hasattr(ops, name) for name in names):
        raise NotFusable("this torch has no fused convolutions")
