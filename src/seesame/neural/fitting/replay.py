"""A training step as CUDA graphs: its kernels are captured once and then launched as a whole.

A step is a great many small kernels. A GPU runs them in less time than Python needs to ask for
them one by one. A captured step reads its inputs from where they were when it was captured, and so
do all numbers that change from step to step.
"""

from collections.abc import Callable, Hashable, Mapping
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

T = TypeVar("T")
R = TypeVar("R")
WARM_UP = 3
"""Steps of a kind before it is captured: libraries choose their kernels while they run."""


class Captured(Generic[T]):
    """Captured work.

    Args:
        work: from inputs to whatever it finds; no part of it may wait for the GPU.
        inputs: tensors on the GPU; their contents are replaced before every replay.
        stream: where to capture.
        pool: memory of other captured work whose results this one reads.
    """

    def __init__(
        self,
        work: Callable[[Mapping[str, Tensor]], T],
        inputs: Mapping[str, Tensor],
        stream: torch.cuda.Stream | None,
        pool: Any = None,
    ) -> None:
        self._inputs = {name: value.clone() for name, value in inputs.items()}
        self._graph = torch.cuda.CUDAGraph()
        # Not "global": what else the process does with the GPU meanwhile is no business of ours.
        with torch.cuda.graph(
            self._graph, pool=pool, stream=stream, capture_error_mode="thread_local"
        ):
            self._found = work(self._inputs)

    @property
    def pool(self) -> Any:
        """The memory that the results lie in."""
        return self._graph.pool()

    def __call__(self, inputs: Mapping[str, Tensor]) -> T:
        """Return the results, which the next call overwrites."""
        for name, held in self._inputs.items():
            held.copy_(inputs[name], non_blocking=True)
        self._graph.replay()
        return self._found


class Replay(Generic[T]):
    """Runs steps of two parts, and captures each kind of them when it has been seen often enough.

    Between the parts the host reads what the first one found and decides what the second one does.

    Args:
        second: a step's second part, from ``factor``; it reads what the first one left behind.
        device: of the training.
        capturing: whether to capture anything; otherwise steps are run as they are.
    """

    def __init__(
        self,
        second: Callable[[Mapping[str, Tensor]], None],
        device: torch.device,
        capturing: bool,
    ) -> None:
        self._second, self._device, self.capturing = second, device, capturing
        self._stream: torch.cuda.Stream | None = None
        if capturing:
            self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._kind: Hashable = None
        self._seen: dict[Hashable, int] = {}
        self._captured: dict[Hashable, tuple[Captured[T], Captured[None]]] = {}
        self.refused = ""
        """The reason why nothing can be captured; empty while it can."""

    def forget(self) -> None:
        """Capture anew: the tensors that steps change are no longer the same ones."""
        self._captured.clear()
        self._seen.clear()

    def first(
        self,
        kind: Hashable,
        work: Callable[[Mapping[str, Tensor]], T],
        inputs: Mapping[str, Tensor],
    ) -> T:
        """Run a step's first part and return its results.

        Args:
            kind: what decides which kernels run, in the second part as well.
            work: what is done.
            inputs: what it reads, on the device.
        """
        self._kind = kind
        self._seen[kind] = self._seen.get(kind, 0) + 1
        often = self.capturing and self._seen[kind] > WARM_UP
        if often and kind not in self._captured and not self.refused:
            try:
                first = Captured(work, inputs, self._stream)
                second = Captured(self._second, self._inputs(1.0), self._stream, first.pool)
            except RuntimeError as error:  # a net that waits for the GPU, or copies from the host
                self.refused = " ".join(str(error).split())[:200]
                torch.cuda.synchronize()
            else:
                self._captured[kind] = first, second
        if kind in self._captured:
            return self._captured[kind][0](inputs)
        return self._beside(lambda: work(inputs))

    def second(self, factor: float) -> None:
        """Run the second part of the step whose first part was the last one."""
        inputs = self._inputs(factor)
        if self._kind in self._captured:
            self._captured[self._kind][1](inputs)
        else:
            self._beside(lambda: self._second(inputs))

    def _inputs(self, factor: float) -> Mapping[str, Tensor]:
        return {"factor": torch.tensor(factor, device=self._device)}

    def _beside(self, work: Callable[[], R]) -> R:
        """Run on the stream that is captured later: autograd remembers where it ran."""
        if self._stream is None:
            return work()
        here = torch.cuda.current_stream(self._device)
        self._stream.wait_stream(here)
        with torch.cuda.stream(self._stream):
            found = work()
        here.wait_stream(self._stream)
        return found
