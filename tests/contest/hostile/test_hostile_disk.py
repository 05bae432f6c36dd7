"""Files in every form that a program can make them in: all of them count, and all are removed."""

import pytest
from trial import BOTH, MIB, Attack

START = """
import errno, mmap, os, socket, sys, time
MIB = 1 << 20
page = os.urandom(MIB)
archive, out, names = sys.argv[1:]
os.chdir(out)
def wait():
    print("not stopped", flush=True)
    time.sleep(15)
"""

BYTES = {
    "one file": """
with open("big", "wb") as file:
    for _ in range(47): file.write(page)
with open("more", "wb") as file:
    for _ in range(47): file.write(page)
""",
    "small files": """
for i in range(2000):
    with open(str(i), "wb") as file: file.write(page)
""",
    "removed": """
held = []
for i in range(16):
    file = open(str(i), "wb", buffering=0)
    os.unlink(str(i))
    for _ in range(40): file.write(page)
    held.append(file)
""",
    "never named": """
held = [os.open(".", os.O_TMPFILE | os.O_RDWR) for i in range(16)]
for handle in held:
    for _ in range(40): os.write(handle, page)
""",
    "removed in tmp": """
import tempfile
held = [tempfile.TemporaryFile() for _ in range(16)]
for file in held:
    for _ in range(40): file.write(page)
""",
    "removed under a child": """
if os.fork() == 0:
    os.setsid()
    held = [os.open(".", os.O_TMPFILE | os.O_RDWR) for i in range(16)]
    for handle in held:
        for _ in range(40): os.write(handle, page)
    wait()
""",
    "removed and mapped": """
held = []
for i in range(16):
    file = open(str(i), "wb+", buffering=0)
    for _ in range(40): file.write(page)
    held.append(mmap.mmap(file.fileno(), 40 * MIB))
    os.unlink(str(i))
    file.close()
""",
    "removed and on its way": """
ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
for i in range(8):
    handle = os.open(".", os.O_TMPFILE | os.O_RDWR)
    for _ in range(40):
        os.write(handle, page)
        time.sleep(0.004)
    socket.send_fds(ours, [b"x"], [handle])
    os.close(handle)
""",
    "reserved": """
for i in range(16): os.posix_fallocate(os.open(str(i), os.O_CREAT | os.O_RDWR), 0, 40 * MIB)
""",
    "deep down": """
for i in range(60):
    os.mkdir("d" * 250)
    os.chdir("d" * 250)
for i in range(16):
    with open(str(i), "wb") as file:
        for _ in range(40): file.write(page)
""",
    "beside its archive": """
for i in range(16):
    with open(f"{archive}/../{i}", "wb") as file:
        for _ in range(40): file.write(page)
""",
    "in its archive": """
for i in range(16):
    with open(f"{archive}/{i}", "wb") as file:
        for _ in range(40): file.write(page)
""",
}
"""Programs that hold hundreds of MiB where 48 are allowed."""


@BOTH
@pytest.mark.parametrize("name", BYTES)
def test_bytes_are_counted(attack: Attack, name: str, isolate: bool) -> None:
    outcome = attack(START + BYTES[name] + "\nwait()", isolate, memory=1 << 30)
    assert outcome.stopped == "wrote more than 50,331,648 bytes", outcome.log


NUMBERS = {
    "files": ("for i in range(2_000): open(str(i), 'w').close()", "made more than 500 files"),
    "folders": ("for i in range(501): os.mkdir(str(i))", "made more than 500 files"),
    "links": ("for i in range(2_000): os.symlink('/', str(i))", "made more than 500 files"),
    "names": (
        "open('x', 'w')\nfor i in range(2_000): os.link('x', str(i))",
        "made more than 500 files",
    ),
}


@BOTH
@pytest.mark.parametrize("name", NUMBERS)
def test_files_are_counted(attack: Attack, name: str, isolate: bool) -> None:
    program, said = NUMBERS[name]
    assert attack(f"{START}\n{program}\nwait()", isolate).stopped == said


NEST = """
here = os.open(".", os.O_RDONLY)
for i in range(1500):
    os.mkdir("d", dir_fd=here)
    inner = os.open("d", os.O_RDONLY, dir_fd=here)
    os.close(here)
    here = inner
os.symlink("/", "link", dir_fd=here)
"""


@BOTH
def test_deep_folders_are_stopped_and_removed(attack: Attack, isolate: bool) -> None:
    outcome = attack(START + NEST, isolate)
    assert outcome.stopped == "nested folders more than 128 deep"


@BOTH
def test_files_of_strange_names_are_removed(attack: Attack, isolate: bool) -> None:
    program = r"""
for name in (b"\xe9", b"a\nb", b"\x1b[31m", b"-rf", b" ", b"x" * 255, "\u202e".encode()):
    os.mkdir(name)
    os.symlink(b"..", name + b"/.." + b"x") if len(name) < 250 else None
    os.mkfifo(name + b"/fifo")
    os.chmod(name, 0)
"""
    outcome = attack(START + program, isolate)
    assert outcome.exit_code == 0 or outcome.stopped == "made a folder that cannot be read"


@BOTH
def test_an_empty_file_as_long_as_a_disk(attack: Attack, isolate: bool) -> None:
    outcome = attack(START + "os.truncate(os.open('x', os.O_CREAT | os.O_RDWR), 1 << 40)", isolate)
    assert "File too large" in outcome.log


def test_nothing_but_its_own_folder_can_be_written(attack: Attack) -> None:
    program = """
done = set()
for top, folders, files in os.walk("/"):
    folders[:] = [f for f in folders if f not in ("proc", "site-packages") and top.count("/") < 5]
    try: os.close(os.open(f"{top}/mark", os.O_CREAT | os.O_WRONLY))
    except OSError: continue
    done.add("/".join(top.split("/")[:2]) if top[:5] != "/dev/" else top)
print(*sorted(done))
"""
    assert attack(START + program).log == "/dev/shm /submission /tmp\n"


def test_no_place_takes_bytes_that_no_limit_counts(attack: Attack) -> None:
    """Write 1,280 MiB in each where less than 200 are allowed."""
    program = """
for place in ("", "/dev", "/etc", "/run", "/proc", "/var/tmp", "/dev/shm"):
    try:
        with open(f"{place}/x", "wb") as file:
            for _ in range(1280): file.write(page)
    except OSError as error: print(place, errno.errorcode[error.errno], flush=True)
"""
    outcome = attack(START + program, memory=200 * MIB, bytes=2 << 30)
    refused = " EROFS\n/dev EROFS\n/etc EROFS\n/run ENOENT\n/proc ENOENT\n/var/tmp ENOENT\n"
    assert outcome.log.startswith(refused)
    assert "/dev/shm ENOSPC" in outcome.log or "memory" in str(outcome.stopped)
