"""Nets of strangers that ask for much, or break the rules: refused in one line, soon, cheaply."""

import contextlib
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import torch
from onnx_nets import SIMPLE, frames, head, ints, model, node, value, write

from seesame.errors import UserError
from seesame.perception.onnx.config import read_config
from seesame.perception.onnx.graph import Graph
from seesame.perception.onnx.limits import NetLimits
from seesame.perception.onnx.ops import Unsupported
from seesame.perception.onnx.stack import OnnxStack

pytest.importorskip("onnxruntime", reason="needs onnxruntime (the onnx extra)")
from hostile_nets import BROKEN, COSTLY, deep_subgraphs, external, loop_of_batch

LONGEST_S = 20.0
"""On the cores, which a busy machine does not change."""
MOST = 1_200 << 20


def cpu_seconds() -> float:
    """Return the seconds on the cores of the children that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@contextmanager
def most_memory() -> Iterator[list[int]]:
    """Yield a list to which the peaks of the memory of the nets' processes are added, in bytes."""
    peaks, done = [0], threading.Event()

    def watch() -> None:
        while not done.wait(0.01):
            for child in psutil.Process().children():
                with suppress(psutil.Error, OSError, StopIteration):
                    if any(word.endswith("worker.py") for word in child.cmdline()):
                        lines = Path(f"/proc/{child.pid}/status").read_text().splitlines()
                        peak = next(line for line in lines if line.startswith("VmHWM"))
                        peaks.append(int(peak.split()[1]) << 10)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield peaks
    finally:
        done.set()
        watcher.join()


def refused(folder: Path, match: str | None = None) -> str:
    """Return the one line with which a stack is refused."""
    start = cpu_seconds()
    with most_memory() as peaks, pytest.raises(UserError, match=match) as caught:
        OnnxStack.load(folder).segment(frames(6, 3, 6, 8))
    text = str(caught.value)
    assert "\n" not in text
    assert text.isprintable()
    assert len(text) < 700
    assert cpu_seconds() - start < LONGEST_S
    assert max(peaks) < MOST
    return text


@pytest.mark.parametrize("case", COSTLY)
def test_a_net_that_asks_for_much_is_refused(
    tmp_path: Path, case: str, capfd: pytest.CaptureFixture[str]
) -> None:
    refused(write(tmp_path, SIMPLE, s=COSTLY[case]()))
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("case", BROKEN)
def test_a_net_whose_outputs_are_no_class_maps(tmp_path: Path, case: str) -> None:
    refused(write(tmp_path, SIMPLE, s=BROKEN[case]()), "output|for one frame")


def test_a_net_that_costs_much_only_for_a_larger_batch(tmp_path: Path) -> None:
    stack = OnnxStack.load(write(tmp_path, SIMPLE, s=loop_of_batch()))
    assert stack.segment(frames(2, 3, 6, 8)).shape == (2, 2, 6, 8)
    with pytest.raises(UserError, match="took longer than a net may"):
        stack.segment(frames(6, 3, 6, 8))
    with pytest.raises(UserError, match="has ended"):
        stack.segment(frames(2, 3, 6, 8))


def test_outputs_whose_shape_changes_with_the_pixels(tmp_path: Path) -> None:
    nodes = [
        node("Conv", "x", "w", out="c", pads=[1, 1, 1, 1]),
        node("ReduceMax", "x", out="top", keepdims=0),
        node("Div", "top", "hundred", out="share"),
        node("Cast", "share", out="rows", to=7),
        node("Reshape", "rows", "one", out="end"),
        node("Slice", "c", "zero", "end", "axis"),
    ]
    constants = {"w": value(2, 3, 3, 3), "hundred": np.float32(50), "one": ints(1)}
    constants |= {"zero": ints(0), "axis": ints(2)}
    stack = OnnxStack.load(write(tmp_path, SIMPLE, s=model(nodes, constants, ("n", 3, 6, 8))))
    with pytest.raises(UserError, match="the shape of y changes with the frames"):
        stack.segment(torch.full((1, 3, 6, 8), 100.0))


def test_values_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    from fake_stack import tiny_clip

    from seesame.metric.evaluator import reference_outputs

    net = head(3, 6)
    net.graph.initializer[0].raw_data = np.full((2, 3, 3, 3), np.nan, np.float32).tobytes()
    stack = OnnxStack.load(write(tmp_path, SIMPLE, s=net))
    with pytest.raises(UserError, match="not finite"):
        reference_outputs(tiny_clip(4), stack)


def test_graphs_in_graphs_are_run(tmp_path: Path) -> None:
    stack = OnnxStack.load(write(tmp_path, SIMPLE, s=deep_subgraphs()))
    assert stack.segment(frames(3, 3, 6, 8)).shape == (3, 2, 6, 8)


@pytest.mark.parametrize("where", ["constant", "attribute", "sparse", "inside"])
@pytest.mark.parametrize("place", ["../../etc/passwd", "/etc/passwd", "link", "beside"])
def test_weights_in_other_files(tmp_path: Path, where: str, place: str) -> None:
    (tmp_path / "beside").write_bytes(bytes(4))
    (tmp_path / "link").symlink_to("/etc/passwd")
    refused(write(tmp_path, SIMPLE, s=external(place, where)), "weights in another file; refused")


def special(path: Path, kind: str) -> None:
    """Make something at a path that is no file with a net."""
    match kind:
        case "endless":
            path.symlink_to("/dev/zero")
        case "full":
            path.symlink_to("/dev/full")
        case "pipe":
            os.mkfifo(path)
        case "link to a pipe":
            os.mkfifo(path.with_name("pipe"))
            path.symlink_to("pipe")
        case "loop":
            path.symlink_to(path.name)
        case "nothing":
            path.symlink_to("absent")
        case "folder":
            path.mkdir()
        case "socket":
            server = socket.socket(socket.AF_UNIX)
            with contextlib.chdir(path.parent):  # a socket's name may have 108 bytes
                server.bind(path.name)
            server.close()
        case "huge":
            with path.open("wb") as file:
                file.truncate(3 << 30)
        case "zeros":
            with path.open("wb") as file:
                file.truncate(64 << 20)
        case "many small parts":
            path.write_bytes(b"\x3a\x83\x80\x80\x05" + b"\x0a\x00" * 5_242_881)


KINDS = ["endless", "full", "pipe", "link to a pipe", "loop", "nothing", "folder", "socket", "huge"]


@pytest.mark.parametrize("kind", [*KINDS, "zeros", "many small parts"])
def test_a_model_that_is_no_file_with_a_net(tmp_path: Path, kind: str) -> None:
    special(write(tmp_path, SIMPLE) / "s.onnx", kind)
    refused(tmp_path, r"s\.onnx: ")


@pytest.mark.parametrize("kind", KINDS)
def test_a_description_that_is_no_file(tmp_path: Path, kind: str) -> None:
    special(tmp_path / "stack.toml", kind)
    refused(tmp_path)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (r'file = "s\u0000.onnx"', "control characters"),
        (r'file = "\u001b[2J.onnx"', "control characters"),
        (f'file = "{"s" * 5000}"', "255 characters at most"),
        ('file = ".."', "Is a directory"),
        (r'name = "\u001b]0;title\u0007"', "control characters"),
        (r'classes = ["a", "b\u009b"]', "control characters"),
        (f"scale = {'9' * 5000}", "not valid TOML"),
        (f"scale = {'9' * 4000}", "scale must be a number"),
        (f"size = [6, {'9' * 4000}]", "size must be"),
        ("size = [8192, 8192]", "pixels at most"),
        (f"mean = {'[' * 20_000}", "not valid TOML"),
        ("mean = " + "{a=" * 9_000, "not valid TOML"),
        (r'"\u001b[31m" = 1', "unknown"),
    ],
)
def test_descriptions_that_break_the_reader(tmp_path: Path, line: str, message: str) -> None:
    key = line.split(" ")[0]
    lines = [one for one in SIMPLE.splitlines() if not one.startswith(f"{key} ")]
    at = 0 if key == "name" else len(lines)
    text = "\n".join([*lines[:at], line, *lines[at:]])
    refused(write(tmp_path, text, s=head(3, 6)), message)


def test_dotted_keys_without_end(tmp_path: Path) -> None:
    (tmp_path / "stack.toml").write_text(".".join("a" * 30_000) + " = 1\n")
    with pytest.raises(UserError):
        read_config(tmp_path)


def test_the_process_ends_with_the_one_that_started_it(tmp_path: Path) -> None:
    write(tmp_path, SIMPLE, s=head(3, 6))
    script = (
        "import sys, time; from pathlib import Path\n"
        "from seesame.perception.onnx.stack import OnnxStack\n"
        "stack = OnnxStack.load(Path(sys.argv[1]))\n"
        "print(stack._segment._process._process.pid, flush=True); time.sleep(600)\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        worker = int(parent.stdout.readline())
        os.kill(worker, 0)
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    deadline = time.monotonic() + 30
    while is_alive(worker):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def is_alive(process: int) -> bool:
    """Return whether a process runs; one that has ended and waits to be fetched does not."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_a_stack_that_goes_takes_its_process_along(tmp_path: Path) -> None:
    stack: Any = OnnxStack.load(write(tmp_path, SIMPLE, s=head(3, 6)))
    worker = stack._segment._process._process.pid
    before = len(os.listdir("/proc/self/fd"))
    assert is_alive(worker)
    del stack
    assert not is_alive(worker)
    assert len(os.listdir("/proc/self/fd")) == before - 3


def large_in_the_middle() -> Any:
    """Return a net that needs 64 MiB for a frame."""
    nodes = [
        node("Resize", "x", "", "s", out="large", mode="nearest"),
        node("ReduceMean", "large", out="mean", axes=[1, 2, 3]),
        node("Conv", "x", "w", out="c", pads=[1, 1, 1, 1]),
        node("Add", "c", "mean"),
    ]
    scales = np.array([1, 1, 2000 / 6, 2600 / 8], np.float32)
    return model(nodes, {"w": value(2, 3, 3, 3), "s": scales}, ("n", 3, 6, 8))


def test_trusted_nets_have_no_bounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from seesame.perception.onnx import process

    small = NetLimits(memory=1, memory_share=0)
    monkeypatch.setattr(process, "LIMITS", small)
    write(tmp_path, SIMPLE, s=large_in_the_middle())
    with pytest.raises(UserError, match=r"memory than a net may take.*SEESAME_TRUST_NETS=1"):
        OnnxStack.load(tmp_path)
    monkeypatch.setenv("SEESAME_TRUST_NETS", "1")
    assert OnnxStack.load(tmp_path).segment(frames(1, 3, 6, 8)).shape == (1, 2, 6, 8)


def test_a_run_in_torch_keeps_the_limits() -> None:
    graph, x = Graph(large_in_the_middle()), frames(1, 3, 6, 8)
    assert graph(x, NetLimits(memory=64 << 20))["y"].shape == (1, 2, 6, 8)
    for limits in (NetLimits(memory=32 << 20), NetLimits(seconds=0.0)):
        with pytest.raises(Unsupported, match="so much memory or time"):
            graph(x, limits)
    assert graph(x)["y"].shape == (1, 2, 6, 8)


def test_a_batch_that_is_too_large_is_run_frame_by_frame(tmp_path: Path) -> None:
    """A frame takes 64 MiB in the middle, so that sixteen are too much."""
    net = large_in_the_middle()
    stack = OnnxStack.load(write(tmp_path, SIMPLE, s=net))
    rgb = frames(16, 3, 6, 8)
    alone = torch.cat([stack.segment(one) for one in rgb.split(1)])
    assert torch.allclose(stack.segment(rgb), alone, atol=1e-3)
