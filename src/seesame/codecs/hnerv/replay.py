"""A training step as CUDA graphs: its kernels are recorded once and then launched as a whole.

A step is some two thousand small kernels. A GPU runs them in less time than Python needs to ask
for them one by one. A recorded step reads its inputs from where they were when it was recorded,
and so do all numbers that change from step to step.
"""

from collections.abc import Callable, Hashable, Mapping
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

T = TypeVar("T")
R = TypeVar("R")
WARM_UP = 3
"""Steps of a kind before it is recorded: libraries choose their kernels while they run."""


class Recording(Generic[T]):
    """Recorded work.

    Args:
        work: from inputs to whatever it finds; no part of it may wait for the GPU.
        inputs: tensors on the GPU; their contents are replaced before every replay.
        stream: where to record.
        pool: memory of another recording whose results this one reads.
    """

    def __init__(
        self,
        work: Callable[[Mapping[str, Tensor]], T],
        inputs: Mapping[str, Tensor],
        stream: torch.cuda.Stream,
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
        """The results, which the next call overwrites."""
        for name, held in self._inputs.items():
            held.copy_(inputs[name], non_blocking=True)
        self._graph.replay()
        return self._found


class Replay(Generic[T]):
    """Two-part steps, each kind of them recorded when it has been seen often enough.

    Between the parts the host reads what the first one found and decides what the second one does.

    Args:
        second: a step's second part, from ``factor``; it reads what the first one left behind.
        device: of the training.
    """

    def __init__(
        self, second: Callable[[Mapping[str, Tensor]], None], device: torch.device
    ) -> None:
        self._second = second
        self._factor = {"factor": torch.ones((), device=device)}
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._seen: dict[Hashable, int] = {}
        self._recorded: dict[Hashable, tuple[Recording[T], Recording[None]]] = {}
        self.refused = ""
        """Why nothing can be recorded; empty while it can."""

    def forget(self) -> None:
        """Record anew: the tensors that steps change are no longer the same ones."""
        self._recorded.clear()
        self._seen.clear()

    def first(
        self,
        kind: Hashable,
        work: Callable[[Mapping[str, Tensor]], T],
        inputs: Mapping[str, Tensor],
    ) -> T:
        """A step's first part.

        Args:
            kind: what decides which kernels run.
            work: what is done.
            inputs: what it reads, on the GPU.
        """
        self._seen[kind] = self._seen.get(kind, 0) + 1
        if self._seen[kind] > WARM_UP and kind not in self._recorded and not self.refused:
            self._record(kind, work, inputs)
        if kind in self._recorded:
            return self._recorded[kind][0](inputs)
        return self._beside(lambda: work(inputs))

    def second(self, kind: Hashable, inputs: Mapping[str, Tensor]) -> None:
        """The same step's second part."""
        if kind in self._recorded:
            self._recorded[kind][1](inputs)
        else:
            self._beside(lambda: self._second(inputs))

    def _record(
        self,
        kind: Hashable,
        work: Callable[[Mapping[str, Tensor]], T],
        inputs: Mapping[str, Tensor],
    ) -> None:
        try:
            first = Recording(work, inputs, self._stream)
            second = Recording(self._second, self._factor, self._stream, first.pool)
        except RuntimeError as error:  # a net that waits for the GPU, or copies from the host
            self.refused = " ".join(str(error).split())[:200]
            torch.cuda.synchronize()
        else:
            self._recorded[kind] = first, second

    def _beside(self, work: Callable[[], R]) -> R:
        """Run on the stream that is recorded later: autograd remembers where it ran."""
        here = torch.cuda.current_stream(self._stream.device)
        self._stream.wait_stream(here)
        with torch.cuda.stream(self._stream):
            found = work()
        here.wait_stream(self._stream)
        return found
