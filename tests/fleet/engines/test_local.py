"""The workers: memory, deaths, and that none of them is left."""

import os
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import psutil
import pytest

from seesame.fleet.engines.local import LocalPool, PoolTuning, free_memory
from seesame.fleet.engines.worker import DONE as SAYS_DONE
from seesame.fleet.engines.worker import MEMORY, NEED
from seesame.fleet.plan import Task
from seesame.fleet.target.state import DONE, FAILED

TUNING = PoolTuning(worker_bytes=100, pixel_bytes=1, patience=2.0)
PLAIN: dict[str, Any] = {"codec": "x264", "settings": {}, "limits": {}, "stack": "s", "recipe": "r"}
PLAIN |= {"on_miss": "fail", "device": "cpu", "seed": 0, "fingerprint": "f"}


def act(connection: Connection, scratch: str, incoming: str) -> None:
    """A worker that does what the names of its tasks say.

    A task's name has words: ``kill`` and ``exit`` end the worker, ``once`` only the first time, a
    number asks for so many bytes, ``memory`` is too little memory, ``wait`` takes its time.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Path(scratch).mkdir(parents=True)
    (Path(scratch) / "rest").write_text("of work")
    while (task := connection.recv()) is not None:
        words = task.out.split("-")
        mark = Path(task.target) / task.out
        first = not mark.exists()
        mark.touch()
        numbers = [int(word) for word in words if word.isdecimal()]
        if numbers:
            connection.send((NEED, numbers[0]))
            connection.recv()
        (Path(task.target) / f"{task.out}.begun").write_text(str(time.monotonic()))
        if "wait" in words:
            time.sleep(0.3)
        if "once" not in words or first:
            if "kill" in words:
                os.kill(os.getpid(), signal.SIGKILL)
            if "exit" in words:
                os._exit(3)
            if "memory" in words:
                connection.send((MEMORY, None))
                continue
        (Path(task.target) / f"{task.out}.ended").write_text(str(time.monotonic()))
        connection.send((SAYS_DONE, task.state(status=DONE)))


def task(folder: Path, out: str) -> Task:
    return Task(uri=f"in/{out}", out=out, target=str(folder), **PLAIN)


@pytest.fixture
def pool(tmp_path: Path) -> Iterator[Any]:
    """A pool of such workers; afterwards no process and no file of theirs is left."""
    before = {process.pid for process in psutil.Process().children()}
    made = []

    def make(jobs: int = 1, memory: int = 1000, **more: Any) -> LocalPool:
        tuning = replace(TUNING, **more)
        one = LocalPool(jobs, tmp_path / "scratch", "", memory, tuning=tuning, worker=act)
        made.append(one)
        return one

    yield make
    left = [
        p
        for p in psutil.Process().children()
        if p.pid not in before and "spawn_main" in " ".join(p.cmdline())
    ]
    assert left == []
    assert list((tmp_path / "scratch").iterdir()) == []


def outcomes(pool: LocalPool, tasks: list[Task]) -> dict[str, Any]:
    begun: list[str] = []
    found = {end.state.out: end.state for end in pool.run(tasks, lambda t: begun.append(t.out))}
    assert sorted(begun) == sorted(t.out for t in tasks)
    return found


def test_a_dead_worker_is_replaced_and_its_clip_tried_once_more(pool: Any, tmp_path: Path) -> None:
    names = ["a", "kill-b", "exit-once-c", "memory-d", "memory-once-e", "f"]
    told: list[str] = []
    one = pool()
    one.tell = lambda event, **facts: told.append(f"{event} {facts['out']}")
    found = outcomes(one, [task(tmp_path, name) for name in names])
    assert {name for name in names if found[name].status == FAILED} == {"kill-b", "memory-d"}
    assert [found[name].attempts for name in names] == [1, 2, 2, 2, 2, 1]
    assert found["kill-b"].error == (
        "in/kill-b: its worker was killed (signal 9), perhaps for want of memory, 2 times"
    )
    assert "too little memory" in found["memory-d"].error
    twice = ["died kill-b", "memory memory-d"]
    assert sorted(told) == sorted([*twice, *twice, "died exit-once-c", "memory memory-once-e"])


def test_clips_wait_for_memory(pool: Any, tmp_path: Path) -> None:
    """Of 1,000 bytes two workers take 200; 500 and 400 do not fit in the rest together."""
    names = ["wait-500-a", "wait-400-b", "wait-9999-c"]
    one = pool(jobs=2)
    assert one.size == 2
    found = outcomes(one, [task(tmp_path, name) for name in names])
    assert [found[name].status for name in names] == [DONE] * 3  # the last one alone
    times = sorted(
        (float((tmp_path / f"{n}.begun").read_text()), float((tmp_path / f"{n}.ended").read_text()))
        for n in names
    )
    assert all(end <= begin for (_, end), (begin, _) in pairwise(times))
    assert one.left == 800


def test_there_are_no_more_workers_than_memory(pool: Any, tmp_path: Path) -> None:
    (tmp_path / "scratch").mkdir()
    assert pool(jobs=8, memory=350).size == 3
    assert pool(jobs=8, memory=5).size == 1
    assert pool(jobs=2, memory=10**6).size == 2


def test_a_run_that_is_given_up_ends_its_workers_at_once(pool: Any, tmp_path: Path) -> None:
    tasks = [task(tmp_path, name) for name in ("a", "wait-b")]
    ends = pool(jobs=2).run(tasks, lambda task: None)
    next(ends)
    ends.close()


def test_free_memory_is_a_number() -> None:
    assert 0 < free_memory() < 1 << 50
