"""Signals and child processes: nothing that a process started lives on when it ends."""

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import Pipe, resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from multiprocessing.util import spawnv_passfds
from pathlib import Path
from typing import Any

import psutil
import pytest
from fleets import until

from seesame.contest.isolation.guard import guarded
from seesame.fleet.engines.local import LocalPool, PoolTuning
from seesame.fleet.plan import Task
from seesame.processes import Worker, WorkerPool, ending_as_ctrl_c, signals_held

SLEEPING = """
import time
from seesame.processes import WorkerPool
from workers import pid
if __name__ == "__main__":
    with WorkerPool(2) as pool:
        print(*pool.map(pid, [0.5, 0.5]), flush=True)
        list(pool.map(time.sleep, [60, 60]))
"""
WORKERS = """
import os, tempfile, time
def pid(wait):
    tempfile.mkdtemp()
    time.sleep(wait)
    return os.getpid()
"""


def gone(numbers: list[int], seconds: float = 10.0) -> bool:
    """Wait for the end of processes; return whether all have ended."""
    end = time.monotonic() + seconds
    while any(psutil.pid_exists(one) for one in numbers) and time.monotonic() < end:
        time.sleep(0.02)
    return not any(psutil.pid_exists(one) for one in numbers)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_workers_end_with_the_process_that_started_them(
    tmp_path: Path, number: signal.Signals
) -> None:
    """Also where it is killed, and at once, although each waits for work that never comes."""
    (tmp_path / "workers.py").write_text(WORKERS)
    (tmp_path / "main.py").write_text(SLEEPING)
    (tmp_path / "tmp").mkdir()
    environment = os.environ | {"TMPDIR": str(tmp_path / "tmp")}
    process = subprocess.Popen(
        [sys.executable, tmp_path / "main.py"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    workers = [int(word) for word in process.stdout.readline().split()]
    others = [one.pid for one in psutil.Process(process.pid).children(recursive=True)]
    assert len(workers) == 2
    assert set(workers) <= set(others)
    process.send_signal(number)
    process.communicate(timeout=20)
    assert gone(others), [psutil.Process(one).cmdline() for one in others if psutil.pid_exists(one)]
    if number == signal.SIGINT:
        assert list((tmp_path / "tmp").iterdir()) == []


def test_a_pool_works_and_an_error_ends_it_at_once() -> None:
    with WorkerPool(1) as pool:
        assert list(pool.map(abs, [-1, 2])) == [1, 2]
    start = time.monotonic()

    def fail() -> None:
        with WorkerPool(1) as pool:
            pool.submit(time.sleep, 60)
            raise ValueError("wrong")

    with pytest.raises(ValueError, match="wrong"):
        fail()
    assert time.monotonic() - start < 30


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_sigterm_does_what_ctrl_c_does_now(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with ending_as_ctrl_c():
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)
        heard: list[int] = []
        usual = signal.signal(signal.SIGINT, lambda number, frame: heard.append(number))
        try:
            os.kill(os.getpid(), number)
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # as in the background of a shell
            with pytest.raises(KeyboardInterrupt):
                os.kill(os.getpid(), number)
        finally:
            signal.signal(signal.SIGINT, usual)
        assert heard == [signal.SIGINT]
    assert signal.getsignal(number) == before


def test_a_signal_that_is_ignored_stays_so() -> None:
    usual = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # nohup
    try:
        with ending_as_ctrl_c():
            os.kill(os.getpid(), signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, usual)


@pytest.mark.parametrize(("script", "code"), [("exit 7", 7), ("kill -9 $$", 137), ("true", 0)])
def test_a_guard_ends_as_its_command_does(script: str, code: int) -> None:
    ran = subprocess.run(guarded(["bash", "-c", f"echo said; {script}"]), stdout=subprocess.PIPE)
    assert (ran.returncode, ran.stdout) == (code, b"said\n")


def test_a_guard_without_a_command() -> None:
    assert subprocess.run(guarded(["/no/such/program"])).returncode == 127


@pytest.mark.parametrize("end", ["caller", "guard", "script"])
def test_all_that_a_script_starts_ends_with_the_caller(tmp_path: Path, end: str) -> None:
    """In sessions of their own too, and with SIGTERM ignored."""
    script = tmp_path / "script.sh"
    script.write_text(
        f"trap '' TERM INT HUP\necho $$ >> {tmp_path}/pids\n"
        f"setsid bash -c 'trap \"\" TERM; echo $$ >> {tmp_path}/pids; sleep 300' &\n"
        f"(setsid nohup bash -c 'echo $$ >> {tmp_path}/pids; sleep 300' &)\n"
        + ("sleep 1; exit 0\n" if end == "script" else "while true; do sleep 1; done\n")
    )
    program = (
        "import subprocess, sys; from seesame.contest.isolation.guard import guarded; "
        f"subprocess.run(guarded(['bash', {str(script)!r}]), start_new_session=True)"
    )
    caller = subprocess.Popen([sys.executable, "-c", program])
    pids = tmp_path / "pids"
    until(lambda: pids.exists() and len(pids.read_text().split()) == 3)
    found = [int(word) for word in pids.read_text().split()]
    (guard,) = psutil.Process(caller.pid).children()
    if end == "caller":
        caller.kill()
    elif end == "guard":
        guard.terminate()
    caller.wait(20)
    assert gone([*found, guard.pid])


def test_a_signal_waits_until_things_are_put_away() -> None:
    done = []

    def put_away(*numbers: signal.Signals) -> None:
        with signals_held():
            for number in numbers:
                os.kill(os.getpid(), number)
            done.append("put away")

    with ending_as_ctrl_c():
        for numbers in ([signal.SIGTERM, signal.SIGINT], [signal.SIGINT], [signal.SIGHUP]):
            done.clear()
            with pytest.raises(KeyboardInterrupt):
                put_away(*numbers)
            assert done == ["put away"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    with signals_held():
        done.append("nothing came")
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_a_signal_that_waited_does_what_its_handler_says() -> None:
    heard: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: heard.append(number))
    ignored = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with signals_held():
            os.kill(os.getpid(), signal.SIGHUP)  # ignored, as before
            os.kill(os.getpid(), signal.SIGTERM)
            assert heard == []
        assert heard == [signal.SIGTERM]
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGTERM, before)
        signal.signal(signal.SIGHUP, ignored)


def test_a_process_ends_by_a_signal_that_waited() -> None:
    program = (
        "import os, signal; from seesame.processes import signals_held\n"
        "with signals_held():\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "    print('put away', flush=True)\n"
        "print('went on', flush=True)\n"
    )
    ran = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE)
    assert (ran.returncode, ran.stdout) == (-signal.SIGTERM, b"put away\n")


@contextmanager
def interrupted_start(monkeypatch: pytest.MonkeyPatch, late: bool) -> Iterator[None]:
    """Ctrl-C before or after a process is made, in a process that has other threads."""
    usual = SpawnProcess.start

    def start(process: SpawnProcess) -> None:
        if late:
            usual(process)
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.1)
        if not late:
            usual(process)

    end = threading.Event()
    thread = threading.Thread(target=end.wait)
    thread.start()
    monkeypatch.setattr(SpawnProcess, "start", start)
    try:
        yield
    finally:
        end.set()
        thread.join()


@pytest.mark.parametrize("late", [False, True])
def test_ctrl_c_loses_no_process_that_starts(monkeypatch: pytest.MonkeyPatch, late: bool) -> None:
    worker = Worker(None, target=time.sleep, args=(60,))
    with interrupted_start(monkeypatch, late), pytest.raises(KeyboardInterrupt):
        worker.start()
    assert worker.is_alive()
    worker.kill()
    worker.join()


@pytest.mark.parametrize("late", [False, True])
def test_ctrl_c_loses_no_worker_of_a_fleet(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, late: bool
) -> None:
    pool = LocalPool(1, tmp_path, "", 1000, tuning=PoolTuning(worker_bytes=100))
    task = Task("in", "out", "", "x264", {}, {}, "s", "fail", "cpu", 0, "r", "f")
    before = psutil.Process().children()
    ends = pool.run([task], lambda task: None)
    with interrupted_start(monkeypatch, late), pytest.raises(KeyboardInterrupt):
        next(ends)
    others = [one for one in psutil.Process().children() if one not in before]
    assert [one for one in others if "spawn_main" in " ".join(one.cmdline())] == []
    assert list(tmp_path.iterdir()) == []


def mask(pipe: Connection) -> None:
    """Tell which signals are blocked."""
    pipe.send(signal.pthread_sigmask(signal.SIG_BLOCK, []))


def test_a_worker_is_born_with_signals_blocked_and_unblocks_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also the first one, for which Python starts a process of its own and unblocks them."""
    masks = []
    usual = spawnv_passfds

    def spawn(path: bytes, *given: Any) -> int:
        masks.append(signal.pthread_sigmask(signal.SIG_BLOCK, []))
        return usual(path, *given)

    monkeypatch.setattr("multiprocessing.util.spawnv_passfds", spawn)
    monkeypatch.setattr(resource_tracker._resource_tracker, "_fd", None)
    monkeypatch.setattr(resource_tracker._resource_tracker, "_pid", None)
    ours, theirs = Pipe()
    worker = Worker(None, target=mask, args=(theirs,))
    worker.start()
    assert ours.poll(60)
    assert ours.recv() == set()
    worker.join()
    resource_tracker._resource_tracker._stop()
    assert masks[-1] == {signal.SIGINT, signal.SIGTERM}
    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == set()


def test_a_pool_whose_process_does_not_start_shows_why_and_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def refuse(process: SpawnProcess) -> None:
        raise BlockingIOError("no more processes")

    monkeypatch.setattr(SpawnProcess, "start", refuse)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(BlockingIOError, match="no more processes"), WorkerPool(2) as pool:
        pool.submit(abs, -1)
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_at_the_end_of_a_pool_ends_its_processes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def wait_in_vain() -> None:
        with WorkerPool(1) as pool:
            pids.append(pool.submit(os.getpid).result())
            until(pool.submit(time.sleep, 60).running)  # else the end of the block cancels it
            threading.Timer(0.5, os.kill, [os.getpid(), signal.SIGINT]).start()

    pids: list[int] = []
    with pytest.raises(KeyboardInterrupt):
        wait_in_vain()
    assert gone(pids)
    assert list(tmp_path.iterdir()) == []
