"""Programs that multiply, hide, resist or outlive; each is stopped and none of it is left."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from trial import BOTH, Attack, need_isolation

START = """
import ctypes, errno, mmap, os, resource, signal, socket, subprocess, sys, threading, time
libc = ctypes.CDLL(None, use_errno=True)
def wait():
    print("not stopped", flush=True)
    time.sleep(15)
def refused(call, *words):
    if call(*words) != -1: return print("granted")
    print(errno.errorcode[ctypes.get_errno()])
"""

STOPPED = {
    "threads": (
        "for _ in range(900): threading.Thread(target=time.sleep, args=(20,)).start()",
        "started more than 768 threads",
    ),
    "open files": (
        """
for _ in range(12):
    if os.fork() == 0:
        held = [os.open("/", 0) for _ in range(2000)]
        wait()
""",
        "opened more than 16,384 files",
    ),
    "daemons": (
        """
for _ in range(40):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0: wait()
        os._exit(0)
""",
        "started more than 24 processes",
    ),
    "stopped by itself": ("os.kill(os.getpid(), signal.SIGSTOP)", "ran past 2 s"),
    "without outputs": ("os.closerange(0, 3); time.sleep(20)", "ran past 2 s"),
    "all signals blocked": (
        "signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))",
        "ran past 2 s",
    ),
    "games with the clock": (
        """
signal.signal(signal.SIGALRM, lambda *_: None)
signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
end = time.monotonic() + 15
while time.monotonic() < end: os.sched_yield()
""",
        "ran past 2 s",
    ),
}


@BOTH
@pytest.mark.parametrize("name", STOPPED)
def test_it_is_stopped(attack: Attack, name: str, isolate: bool) -> None:
    program, said = STOPPED[name]
    seconds = 2 if "ran past" in said else 60
    outcome = attack(f"{START}{program}\nwait()", isolate, seconds=seconds)
    if name == "threads" and not isolate and outcome.stopped is None:
        assert "can't start new thread" in outcome.log  # the system's own limit holds for this user
    else:
        assert outcome.stopped == said, outcome.log


@BOTH
def test_one_process_cannot_open_many_files(attack: Attack, isolate: bool) -> None:
    outcome = attack(START + "held = [os.dup(1) for _ in range(5000)]", isolate)
    assert "Too many open files" in outcome.log


def test_its_parent_cannot_be_killed(attack: Attack) -> None:
    """In a sandbox that process is the sandbox's own first one."""
    attack(START + "os.kill(os.getppid(), 9); os.kill(-1, 9)\nwait()", seconds=2)


@BOTH
def test_gigabytes_of_print(attack: Attack, isolate: bool) -> None:
    program = "data = b'y' * (1 << 20)\nfor i in range(2048): os.write(1 + i % 2, data)\n"
    outcome = attack(START + program + "os.write(2, b'the end')", isolate)
    assert outcome.exit_code == 0
    assert outcome.log.endswith("the end")
    assert len(outcome.log) < 100_000


@BOTH
def test_a_limit_cannot_be_raised(attack: Attack, isolate: bool) -> None:
    program = """
for which in (resource.RLIMIT_FSIZE, resource.RLIMIT_NOFILE):
    try: resource.setrlimit(which, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    except (ValueError, OSError): print("refused")
    else: print("granted")
try:
    with open(sys.argv[2] + "/x", "wb") as file: file.truncate(60 << 20)
except OSError: print("too large")
"""
    outcome = attack(START + program, isolate)
    if isolate or "refused" in outcome.log:
        assert outcome.log == "refused\nrefused\ntoo large\n"
    else:  # a privileged user may raise its own, and is then stopped by the watch
        assert outcome.stopped == "wrote more than 50,331,648 bytes"


@BOTH
def test_a_huge_command_line(attack: Attack, isolate: bool) -> None:
    program = """
words = ["x" * 120_000] * 12
print(subprocess.run(["/bin/true", *words]).returncode)
try: subprocess.run(["/bin/true", "x" * (3 << 20)])
except OSError as error: print(errno.errorcode[error.errno])
"""
    assert attack(START + program, isolate).log == "0\nE2BIG\n"


REFUSED = {
    "a user namespace": "refused(libc.unshare, 0x10000000)",
    "a user namespace by clone": "refused(libc.syscall, 56, 0x10000011, 0, 0, 0, 0)",
    "a file system in memory": "refused(libc.mount, b'x', b'/tmp', b'tmpfs', 0, None)",
    "the network's namespace": "refused(libc.unshare, 0x40000000)",
    "shared memory of System V": "refused(libc.shmget, 0, 1 << 30, 0o1600)",
    "queues of System V": "refused(libc.msgget, 0, 0o1600)",
    "semaphores of System V": "refused(libc.semget, 0, 9, 0o1600)",
    "a ring": "refused(libc.syscall, 425, 8, ctypes.create_string_buffer(120))",
    "secret memory": "refused(libc.syscall, 447, 0)",
    "keys": "refused(libc.syscall, 248, b'user', b'x', b'y', 1, -3)",
    "the clock": "refused(libc.clock_settime, 0, ctypes.create_string_buffer(16))",
    "another host name": "refused(libc.sethostname, b'x', 1)",
    "a device": "refused(libc.mknod, b'/tmp/device', 0o20666, 0x101)",
    "another root": "refused(libc.chroot, b'/tmp')",
    "precedence": "refused(libc.setpriority, 0, 0, -20)",
    "real time": "refused(libc.sched_setscheduler, 0, 1, ctypes.create_string_buffer(b'\\1', 16))",
    "a module": "refused(libc.syscall, 175, None, 0, b'')",
    "more privileges": "refused(libc.syscall, 126, ctypes.create_string_buffer(8), None)",
}


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="its system calls have other numbers")
@pytest.mark.parametrize("name", REFUSED)
def test_the_sandbox_refuses(attack: Attack, name: str) -> None:
    log = attack(START + REFUSED[name]).log.strip()
    assert log in ("EPERM", "ENOSYS", "EACCES", "EINVAL", "EFAULT"), log


def test_a_file_system_of_its_own_is_refused(attack: Attack) -> None:
    program = """
done = subprocess.run(["unshare", "-Urm", "mount", "-t", "tmpfs", "x", "/tmp"])
print(done.returncode != 0)
"""
    assert attack(START + program).log.endswith("True\n")


def test_nothing_of_the_system_can_be_read(attack: Attack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_SECRET", "hush")
    program = r"""
found = set()
for number in os.listdir("/proc"):
    for name in ("environ", "cmdline", "maps"):
        try: found.update(open(f"/proc/{number}/{name}", "rb").read().split(b"\0"))
        except OSError: pass
print(any(b"hush" in one for one in found), os.getppid() < 10)
for name in ("/etc/shadow", "/etc/hostname", "/var", "/proc/1/root/var", "/proc/kcore",
             "/dev/mem", "/dev/kmsg", "/dev/vda", "/dev/sda", "/sys/class"):
    try: print(name, len(os.listdir(name) if os.path.isdir(name) else open(name, "rb").read(9)))
    except OSError: pass
"""
    assert attack(START + program).log == "False True\n"


WATCHER = """
import sys, threading
from dataclasses import replace
from pathlib import Path
from seesame.contest.isolation.limits import Limits
from seesame.contest.isolation.sandbox import Workspace, run_inflate
workspace = Workspace(Path(sys.argv[1]), "entry")
for folder in (workspace.scripts, workspace.tmp): folder.mkdir(parents=True)
workspace.script.write_text("trap '' TERM INT HUP; (setsid sleep 99 &); echo > /tmp/up; sleep 99")
run_inflate(workspace, replace(Limits(), seconds=60))
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_script_does_not_survive_its_watcher(tmp_path: Path, number: int) -> None:
    need_isolation()
    watcher = subprocess.Popen(
        [sys.executable, "-c", WATCHER, tmp_path / "work"],
        stderr=subprocess.DEVNULL,
    )
    up = tmp_path / "work" / "tmp" / "up"
    deadline = time.monotonic() + 60
    while not up.exists():
        assert time.monotonic() < deadline
        assert watcher.poll() is None
        time.sleep(0.05)
    ours = [process.pid for process in psutil.Process(watcher.pid).children(recursive=True)]
    assert len(ours) >= 3
    watcher.send_signal(number)
    watcher.wait(timeout=60)
    deadline = time.monotonic() + 10
    while any(map(psutil.pid_exists, ours)):
        assert time.monotonic() < deadline, "it lives on"
        time.sleep(0.05)
