"""The process in which onnxruntime works on a stranger's net: bounded, quiet, and easily ended.

This file is run as a script, and imports nothing of the package, so that it starts quickly. Each
line on stdin is a request, each line on stdout its answer, both JSON. Values pass through a file in
memory that both processes have open. The process ends when its stdin does, so that it never
outlives the process that started it.

Requests, in this order:

- ``{"file", "size", "memory", "threads"}``: check and open the net in the first ``size`` bytes of
  the file. Answer: ``inputs``, each with name, shape and type, and the names of the ``outputs``.
- ``{"input", "shape", "outputs"}``: run it on the float32 values in the file. Answer: ``outputs``,
  each as type and shape, or null for what is no tensor; their values lie in the file one after the
  other.

Where a request fails, the answer is ``{"error", "kind"}``, and the process goes on.
"""

import ctypes
import json
import mmap
import os
import queue
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from math import prod
from typing import Any

DOMAINS = ("", "ai.onnx", "com.microsoft")
"""The domains of onnxruntime's built-in operators."""
MAX_PARTS = 1 << 16
"""Operators and constants in a graph and all graphs inside it; more are refused."""
PARSED = 128 << 20
"""Bytes of memory that a parsed file may take beyond four times its own size."""
STACK = 16 << 20
"""Bytes of memory that a thread of onnxruntime may take for itself."""
MAX_MESSAGE = 200
"""Characters of an error of onnxruntime that are shown."""
FATAL = 4
"""onnxruntime's level of logging: what fails is raised as an error, and need not be logged too."""


class RefusedError(Exception):
    """A net that is not run; ``kind`` is ``refused``, or ``damaged`` for what is no net."""

    def __init__(self, text: str, kind: str = "refused") -> None:
        super().__init__(text)
        self.kind = kind


def parsed(data: bytes) -> Any:
    """Return the net in the bytes of a file as ``onnx.ModelProto``.

    Raises:
        RefusedError: it is no net, needs other files, custom operators or functions of its own, or
            has more parts than any net.
    """
    import onnx

    try:
        model = onnx.load_model_from_string(data)
    except MemoryError:
        raise
    except Exception as error:  # protobuf's errors are not part of onnx's interface
        raise RefusedError("not an ONNX file", "damaged") from error
    if not model.graph.node:
        raise RefusedError("not an ONNX file, or one without any operators", "damaged")
    external, parts = onnx.TensorProto.EXTERNAL, 0
    for graph in _graphs(model.graph):
        tensors = [*graph.initializer, *_dense(graph.sparse_initializer)]
        for node in graph.node:
            if node.domain not in DOMAINS:
                raise RefusedError(f"custom operator {node.domain}.{node.op_type}; refused")
            for item in node.attribute:
                tensors += [item.t, *item.tensors]
                tensors += _dense([item.sparse_tensor, *item.sparse_tensors])
        if any(tensor.data_location == external for tensor in tensors):
            raise RefusedError("keeps its weights in another file; refused, save it as one file")
        parts += len(graph.node) + len(graph.initializer) + len(graph.sparse_initializer)
        if parts > MAX_PARTS:
            raise RefusedError(f"has more than {MAX_PARTS:,} operators and constants; refused")
    if len(model.functions) > 0:
        raise RefusedError("has functions of its own, which are not read; export it inlined")
    if not model.graph.output:
        raise RefusedError("has no output")
    return model


def _graphs(graph: Any) -> Iterator[Any]:
    """Yield a graph and all graphs in attributes of its operators."""
    waiting = [graph]
    while waiting:
        one = waiting.pop()
        yield one
        for node in one.node:
            for item in node.attribute:
                waiting += [item.g] * item.HasField("g") + [*item.graphs]


def _dense(tensors: Any) -> list[Any]:
    return [dense for sparse in tensors for dense in (sparse.values, sparse.indices)]


class Server:
    """Answers requests with one net.

    Args:
        file: descriptor of the file through which values pass.
    """

    def __init__(self, file: int) -> None:
        self._file = file
        self._session: Any = None

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Return the answer to a request."""
        try:
            return self._run(request) if self._session is not None else self._open(request)
        except RefusedError as error:
            return {"error": str(error), "kind": error.kind}
        except MemoryError:
            return {"error": "", "kind": "memory"}
        except Exception as error:  # onnxruntime's errors share no base class
            text = first_line(error)
            short = any(word in str(error).lower() for word in ("bad_alloc", "bad allocation"))
            short = short or "allocate memory" in str(error).lower()
            kind = "memory" if short else "failed" if self._session is not None else "refuses"
            return {"error": text, "kind": kind}

    def _open(self, request: dict[str, Any]) -> dict[str, Any]:
        import onnxruntime

        onnxruntime.set_default_logger_severity(FATAL)
        size, memory = request["size"], request["memory"]
        data = b"".join(_pieces(self._file, size))
        if len(data) != size:
            raise RefusedError("was cut off on its way")
        if memory:
            limit_memory(memory + request["threads"] * STACK)
        before = data_bytes()
        model = parsed(data)
        if memory and data_bytes() - before > PARSED + 4 * size:
            raise RefusedError("has more small parts than any net; refused")
        del model
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = request["threads"]
        options.log_severity_level = FATAL
        self._session = onnxruntime.InferenceSession(
            data, options, providers=["CPUExecutionProvider"]
        )
        inputs = [[one.name, one.shape, one.type] for one in self._session.get_inputs()]
        return {"inputs": inputs, "outputs": [one.name for one in self._session.get_outputs()]}

    def _run(self, request: dict[str, Any]) -> dict[str, Any]:
        import numpy as np

        shape = request["shape"]
        values = mmap.mmap(self._file, 4 * prod(shape), access=mmap.ACCESS_READ)
        fed = np.frombuffer(values, np.float32).reshape(shape)
        found = self._session.run(request["outputs"], {request["input"]: fed})
        del fed, values
        answer: list[list[Any] | None] = []
        place = 0
        os.ftruncate(self._file, 0)
        for value in found:
            tensor = isinstance(value, np.ndarray) and value.dtype.kind in "fiub"
            answer.append([value.dtype.str, list(value.shape)] if tensor else None)
            if tensor and value.size:
                data = np.ascontiguousarray(value).data.cast("B")
                while data:
                    done = os.pwrite(self._file, data, place)
                    data, place = data[done:], place + done
        return {"outputs": answer}


def _pieces(file: int, size: int) -> Iterator[bytes]:
    place = 0
    while place < size:
        piece = os.pread(file, min(size - place, 1 << 24), place)
        if not piece:
            return
        place += len(piece)
        yield piece


def first_line(error: Exception) -> str:
    """Return the first line of an error's text, or its name; never more than 200 characters."""
    text = str(error).strip()
    return text.splitlines()[0][:MAX_MESSAGE] if text else type(error).__name__


def data_bytes() -> int:
    """Return how much memory of its own this process has asked for; 0 where none can tell."""
    try:
        with open("/proc/self/status", encoding="ascii") as lines:
            return next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmData"))
    except (OSError, StopIteration, ValueError):
        return 0


def limit_memory(more: int) -> None:
    """Let this process have so many bytes more than it has now, where the system can tell."""
    import resource

    now = data_bytes()
    if now:
        hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
        most = now + more if hard == resource.RLIM_INFINITY else min(now + more, hard)
        resource.setrlimit(resource.RLIMIT_DATA, (most, most))


def keep_freed_memory() -> None:
    """Do as ``seesame.metric.memory`` does for the process that started this one."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # not glibc
        return
    mallopt(-4, 0)
    mallopt(-1, 2**31 - 1)


def serve(file: int) -> None:
    """Answer the requests on stdin until it ends.

    Args:
        file: descriptor of the file through which values pass.
    """
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    null = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):  # onnxruntime writes to both
        os.dup2(null, stream)
    keep_freed_memory()
    waiting: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(waiting.put,), daemon=True).start()
    server = Server(file)
    while True:
        answer = server.answer(json.loads(waiting.get()))
        print(json.dumps(answer), file=answers, flush=True)


def _listen(put: Callable[[str], None]) -> None:
    """Pass requests on; when there can be no more, end the process, whatever it is doing."""
    for line in sys.stdin:
        put(line)
    os._exit(0)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that started it
    serve(int(sys.argv[1]))
