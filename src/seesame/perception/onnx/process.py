"""A net in a process of its own, whose memory and time are bounded.

The nets come from strangers, and what a graph costs cannot be read off it: loops, sizes that are
computed from the pixels, faults in onnxruntime itself. So every run is made by another process
(``worker.py``), which is ended when it takes too much.
"""

import json
import math
import os
import select
import subprocess
import sys
import tempfile
import threading
import time
import weakref
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from seesame.errors import DamagedError, UserError
from seesame.inputs import visible
from seesame.perception.onnx.limits import LIMITS

TRUST_VARIABLE = "SEESAME_TRUST_NETS"
"""Environment variable: 1 lifts the bounds on memory and time."""


class TooLargeError(UserError):
    """A run that needs more memory than a net may take."""


class NetProcess:
    """The process of one net; it ends with this object, and with this process.

    Args:
        path: of the net, for errors.
        data: the bytes of its file.

    Raises:
        UserError: the net is refused, or takes too much to be opened.
        DamagedError: not an ONNX file.
    """

    def __init__(self, path: Path, data: bytes) -> None:
        self.path = path
        self._lock, self._owner = threading.Lock(), os.getpid()
        self.trusted = os.environ.get(TRUST_VARIABLE, "0") not in ("", "0")
        self._frame_s = 0.0
        self._file = _file_in_memory()
        places = [place for place in sys.path if place]
        script = Path(__file__).with_name("worker.py")
        self._process = subprocess.Popen(
            [sys.executable, "-P", str(script), str(self._file)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            pass_fds=(self._file,),
            env={**os.environ, "PYTHONPATH": os.pathsep.join(places)},
            start_new_session=True,  # a signal to the group of this process is not for it
        )
        self.close = weakref.finalize(self, _end, self._process, self._file, self._owner)
        try:
            _put(self._file, memoryview(data))
            memory = LIMITS.memory + LIMITS.memory_share * len(data)
            answer = self._ask(
                {
                    "size": len(data),
                    "memory": 0 if self.trusted else memory,
                    "threads": torch.get_num_threads(),
                },
                0,
            )
        except BaseException:
            self.close()
            raise
        self.inputs = [(str(name), shape, str(kind)) for name, shape, kind in answer["inputs"]]
        """The name, shape and type of each input."""
        self.outputs = [str(name) for name in answer["outputs"]]
        """The names of the outputs."""

    def run(
        self, name: str, values: NDArray[np.float32], outputs: Sequence[str]
    ) -> list[NDArray[Any] | None]:
        """Return outputs for float32 values of the input ``name``; None for what is no tensor.

        Raises:
            TooLargeError: it takes more memory than a net may.
            UserError: onnxruntime fails, or it takes longer than a net may.
        """
        if os.getpid() != self._owner:
            raise UserError(f"{self.path}: load the stack in the process that uses it, not before")
        with self._lock:
            if not self.close.alive:
                raise UserError(f"{self.path}: the process that ran it has ended")
            start = time.monotonic()
            _put(self._file, np.ascontiguousarray(values).data.cast("B"))
            request = {"input": name, "shape": list(values.shape), "outputs": list(outputs)}
            found = [self._array(*one) for one in self._placed(self._ask(request, len(values)))]
            frame_s = (time.monotonic() - start) / max(1, len(values))
            self._frame_s = min(self._frame_s or frame_s, frame_s)
            return found

    def _placed(self, answer: dict[str, Any]) -> list[tuple[np.dtype[Any] | None, list[int], int]]:
        """Return type, shape and place in the file of each output. Raises TooLargeError."""
        found: list[tuple[np.dtype[Any] | None, list[int], int]] = []
        place = 0
        for one in answer["outputs"]:
            kind, shape = (None, []) if one is None else (np.dtype(one[0]), one[1])
            found.append((kind, shape, place))
            place += 0 if kind is None else kind.itemsize * math.prod(shape)
        if place > LIMITS.outputs and not self.trusted:
            raise TooLargeError(
                f"{self.path}: has outputs of {place >> 20} MiB, and a net may have "
                f"{LIMITS.outputs >> 20}; {TRUST_VARIABLE}=1 lifts that"
            )
        return found

    def _array(
        self, kind: np.dtype[Any] | None, shape: list[int], place: int
    ) -> NDArray[Any] | None:
        if kind is None:
            return None
        array = np.empty(shape, kind)
        data = array.reshape(-1).data.cast("B") if array.size else memoryview(b"")
        while data:
            done = os.preadv(self._file, [data], place)
            if not done:
                raise UserError(f"{self.path}: onnxruntime failed: its outputs were cut off")
            data, place = data[done:], place + done
        return array

    def _ask(self, request: dict[str, Any], frames: int) -> dict[str, Any]:
        """Return the answer to a request. Raises what :meth:`run` raises."""
        line = json.dumps(request).encode() + b"\n"
        text = b""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # it has ended: there is no answer
            self._process.stdin.write(line)
            self._process.stdin.flush()
            text = self._answer(frames)
        if not text.endswith(b"\n"):
            self.close()
            raise TooLargeError(
                f"{self.path}: the process that ran it has ended: it needs more memory than a net "
                "may take, or has crashed onnxruntime"
            )
        answer: dict[str, Any] = json.loads(text)
        if "error" not in answer:
            return answer
        kind, why = answer["kind"], visible(answer["error"])
        if kind == "memory":
            raise TooLargeError(
                f"{self.path}: needs more memory than a net may take, {LIMITS.memory >> 20} MiB "
                f"and {LIMITS.memory_share} times its size; {TRUST_VARIABLE}=1 lifts that"
            )
        if kind == "damaged":
            raise DamagedError(f"{self.path}: {why}")
        what = {"refuses": "onnxruntime refuses it: ", "failed": "onnxruntime failed: "}
        raise UserError(f"{self.path}: {what.get(kind, '')}{why}")

    def _answer(self, frames: int) -> bytes:
        """Return the line that the process answers; less than a line where it has ended.

        Raises:
            UserError: it takes too long, and is ended.
        """
        assert self._process.stdout is not None
        answers, text = self._process.stdout.fileno(), b""
        limit = LIMITS.seconds + LIMITS.more_seconds * frames * self._frame_s
        start, begun = time.monotonic(), self._cpu_seconds()
        while not text.endswith(b"\n"):
            if select.select([answers], [], [], LIMITS.poll)[0]:
                piece = os.read(answers, 1 << 16)
                if not piece:
                    break
                text += piece
                continue
            took = time.monotonic() - start
            busy = self._cpu_seconds() - begun > limit
            if not self.trusted and took > limit and (busy or took > LIMITS.stalled * limit):
                self.close()
                raise UserError(
                    f"{self.path}: took longer than a net may, {limit:.0f} s; "
                    f"{TRUST_VARIABLE}=1 lifts that"
                )
        return text

    def _cpu_seconds(self) -> float:
        """Return the seconds that the process has had on the cores; infinite if none can tell."""
        try:
            with open(f"/proc/{self._process.pid}/stat", "rb") as file:
                fields = file.read().rpartition(b")")[2].split()
            return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        except (OSError, ValueError, IndexError):
            return float("inf")


def _file_in_memory() -> int:
    """Return the descriptor of a file that has no name, in memory where the system has that."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("seesame-net", os.MFD_CLOEXEC)
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


def _put(file: int, data: memoryview) -> None:
    """Make bytes the whole content of a file."""
    os.ftruncate(file, len(data))
    place = 0
    while data:
        done = os.pwrite(file, data, place)
        data, place = data[done:], place + done


def _end(process: "subprocess.Popen[bytes]", file: int, owner: int) -> None:
    """End a process, unless this one was forked from the one that started it."""
    if os.getpid() != owner:
        return
    process.kill()
    for stream in (process.stdin, process.stdout):
        assert stream is not None
        with suppress(OSError):
            stream.close()
    process.wait()
    os.close(file)
