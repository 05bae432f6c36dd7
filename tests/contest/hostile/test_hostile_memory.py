"""Memory in every form that a program can hold it in: all of it counts."""

import pytest
from trial import BOTH, Attack

START = """
import array, ctypes, mmap, os, socket, sys, time
MIB = 1 << 20
page = b"x" * MIB
def wait():
    print("not stopped", flush=True)
    time.sleep(15)
"""

ANYWHERE = {
    "own": "held = [b'y' * MIB * 8 for _ in range(60)]",
    "locked": """
held = mmap.mmap(-1, 480 * MIB, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
address = ctypes.addressof(ctypes.c_char.from_buffer(held))
ctypes.CDLL(None).mlock(ctypes.c_void_p(address), ctypes.c_size_t(480 * MIB))
for i in range(480): held[i * MIB:(i + 1) * MIB] = page
""",
    "many children": """
for _ in range(12):
    if os.fork() == 0:
        held = b"z" * (40 * MIB)
        wait()
""",
    "memfd": """
handle = os.memfd_create("x")
for _ in range(480): os.write(handle, page)
""",
    "many memfds": """
for _ in range(120):
    handle = os.memfd_create("x")
    for _ in range(4): os.write(handle, page)
""",
    "memfd under a child": """
if os.fork() == 0:
    handle = os.memfd_create("x")
    for _ in range(480): os.write(handle, page)
    wait()
""",
    "removed from shm": """
for i in range(12):
    handle = os.open(f"/dev/shm/seesame-hostile-{os.getpid()}-{i}", os.O_CREAT | os.O_RDWR, 0o600)
    os.unlink(f"/dev/shm/seesame-hostile-{os.getpid()}-{i}")
    try:
        for _ in range(40): os.write(handle, page)
    except OSError: pass
""",
    "mapped by many": """
held = mmap.mmap(-1, 480 * MIB)
for i in range(480): held[i * MIB:(i + 1) * MIB] = page
if os.fork() == 0: wait()
""",
    "memfd that is mapped only": """
for _ in range(60):
    handle = os.memfd_create("x")
    os.truncate(handle, 8 * MIB)
    held = mmap.mmap(handle, 8 * MIB)
    os.close(handle)
    for i in range(8): held[i * MIB:(i + 1) * MIB] = page
    globals()[f"held{_}"] = held
""",
    "memfd on its way": """
ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
for _ in range(8):
    handle = os.memfd_create("x")
    for _ in range(60):
        os.write(handle, page)
        time.sleep(0.004)
    socket.send_fds(ours, [b"x"], [handle])
    os.close(handle)
""",
    "sockets": """
held = []
for _ in range(1500):
    one, other = socket.socketpair()
    one.setblocking(False)
    try:
        while True: one.send(page)
    except BlockingIOError: pass
    held += [one, other]
""",
}
"""Programs that hold 480 MiB where 160 are allowed."""

SHARED = """
for i in range(480):
    with open(f"/dev/shm/{i}", "wb") as file: file.write(page)
"""


@BOTH
@pytest.mark.parametrize("name", ANYWHERE)
def test_memory_is_counted(attack: Attack, name: str, isolate: bool) -> None:
    outcome = attack(START + ANYWHERE[name] + "\nwait()", isolate, bytes=1 << 30)
    assert outcome.stopped == "took more than 0.15625 GiB of memory", outcome.log


@BOTH
def test_a_program_that_hides_is_stopped(attack: Attack, isolate: bool) -> None:
    hide = "ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)\n"
    outcome = attack(START + hide + ANYWHERE["memfd"] + "\nwait()", isolate, bytes=1 << 30)
    hid = outcome.stopped == "hid the files that it has open"
    assert hid or outcome.stopped == "took more than 0.15625 GiB of memory"


def test_files_in_shared_memory_are_counted_or_refused(attack: Attack) -> None:
    outcome = attack(START + SHARED + "\nwait()")
    counted = outcome.stopped == "took more than 0.15625 GiB of memory"
    assert counted or "No space left" in outcome.log
