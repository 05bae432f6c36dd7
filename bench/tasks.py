"""Tasks of a benchmark: each runs in a process of its own, several at once, and can be resumed.

A task is a function and its arguments, with a key that names it in the results. Its rows are
appended to the results file when it ends; with ``--go-on`` a task whose key is there already is
skipped. Ctrl-C stops the tasks that run; they leave no rows.
"""

import argparse
import contextlib
import json
import multiprocessing as mp
import os
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch

from common import SHARED, Results

Row = dict[str, Any]
CLIPS = SHARED / "data" / "clips"


@dataclass(frozen=True)
class Task:
    """One piece of work of a benchmark.

    Args:
        key: names it; goes into each of its rows.
        function: of a module; gets ``arguments`` as keywords and returns rows.
        arguments: plain values.
    """

    key: Mapping[str, Any]
    function: Callable[..., list[Row]]
    arguments: Mapping[str, Any] = field(default_factory=dict)


def options(description: str, name: str, clips: Sequence[str]) -> argparse.ArgumentParser:
    """Return a parser with the options of every benchmark; ``name`` is that of its results file."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clips", nargs="+", default=list(clips), help="names or paths")
    parser.add_argument("--parallel", type=int, default=1, help="tasks at once")
    parser.add_argument("--threads", type=int, default=1, help="threads of each task")
    parser.add_argument("--go-on", action="store_true", help="skip tasks that have results")
    parser.add_argument("--name", default=name, help="name of the results file")
    parser.add_argument("--folder", type=Path, help="folder of the results file")
    parser.add_argument("--stack", default="lite")
    parser.add_argument("--seed", type=int, default=0)
    return parser


def find_clip(name: str) -> Path:
    """Return the path of a clip beside the checkout by its name, or of any clip by its path."""
    return path if (path := CLIPS / name).exists() else Path(name)


def matches(row: Mapping[str, Any], key: Mapping[str, Any]) -> bool:
    """Return true if a row of a results file belongs to a key."""
    plain = json.loads(json.dumps(dict(key)))
    return all(name in row and row[name] == value for name, value in plain.items())


def run_tasks(tasks: list[Task], results: Results, args: argparse.Namespace) -> None:
    """Run the tasks, several at once; each one's rows are appended when it ends.

    Raises:
        SystemExit: a task failed (the others were run), or Ctrl-C.
    """
    if args.go_on:
        there = results.rows()
        tasks = [task for task in tasks if not any(matches(row, task.key) for row in there)]
    print(f"{len(tasks)} tasks to do", file=sys.stderr)
    failed = []
    lock = threading.Lock()

    def one(number: int, task: Task) -> None:
        print(f"task {number + 1} of {len(tasks)}: {json.dumps(dict(task.key))}", file=sys.stderr)
        rows = _in_process(task, args.threads)
        with lock:
            if rows is None:
                failed.append(task)
            stamp = time.time_ns()
            for row in rows or []:
                results.add({**task.key, **row, "run": stamp})

    pool = ThreadPoolExecutor(args.parallel)
    try:
        for future in [pool.submit(one, number, task) for number, task in enumerate(tasks)]:
            future.result()
    except KeyboardInterrupt:
        pool.shutdown(wait=False, cancel_futures=True)
        for process in mp.active_children():
            process.terminate()
        raise SystemExit("stopped; go on with --go-on") from None
    pool.shutdown()
    if failed:
        raise SystemExit(f"{len(failed)} of {len(tasks)} tasks failed; try them with --go-on")


def _in_process(task: Task, threads: int) -> list[Row] | None:
    """Return the rows of a task that runs in a fresh process; None when it failed."""
    context = mp.get_context("spawn")
    receive, send = context.Pipe(duplex=False)
    os.environ["OMP_NUM_THREADS"] = str(threads)  # read by torch when the child imports it
    process = context.Process(target=_child, args=(send, task, threads, os.getpid()))
    process.start()
    send.close()
    rows = None
    with contextlib.suppress(EOFError):
        rows = receive.recv()
    process.join()
    return rows


def _child(send: Connection, task: Task, threads: int, parent: int) -> None:
    # Ctrl-C would reach the whole group, and an encoder would take it for the end of its budget.
    os.setsid()
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    torch.set_num_threads(threads)
    send.send(task.function(**task.arguments))


def _end_with(parent: int) -> None:
    """End this process soon after its parent, whatever ended that."""
    while os.getppid() == parent:
        time.sleep(2)
    os._exit(1)


@dataclass
class Spent:
    """The CPU and wall seconds since it was made, of the whole process and its threads."""

    cpu: float = field(default_factory=time.process_time)
    wall: float = field(default_factory=time.monotonic)

    def row(self) -> Row:
        """Return both for a results row."""
        return {
            "cpu_s": round(time.process_time() - self.cpu, 1),
            "wall_s": round(time.monotonic() - self.wall, 1),
        }
