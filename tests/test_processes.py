"""Signals and child processes: nothing that a process started lives on when it ends."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from fleets import until

from seesame.contest.isolation.guard import guarded
from seesame.processes import WorkerPool, ending_as_ctrl_c, signals_held

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

    def put_away() -> None:
        with signals_held():
            os.kill(os.getpid(), signal.SIGTERM)
            os.kill(os.getpid(), signal.SIGINT)
            done.append("put away")

    with pytest.raises(KeyboardInterrupt):
        put_away()
    assert done == ["put away"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    with signals_held():
        done.append("nothing came")
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
