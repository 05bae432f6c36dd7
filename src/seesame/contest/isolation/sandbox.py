"""Running a stranger's script: isolated by bubblewrap, watched, stopped at its limits.

Inside, the script sees the system's programs, this Python environment and its own folder, and
nothing else: no network, no home, no source video. From outside, its processes, memory, files
and time are counted several times a second, and all of it is killed at the first limit passed.
"""

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from seesame.contest.isolation.guard import guarded
from seesame.contest.isolation.interpreter import interpreter, is_below
from seesame.contest.isolation.limits import Limits
from seesame.contest.isolation.seccomp import has_filter, open_filter
from seesame.contest.isolation.watch import Outcome, watch
from seesame.contest.submission import INFLATED, SCRIPT, UNPACKED
from seesame.errors import UserError

INSIDE = Path("/submission")
"""The path of the script's folder inside the sandbox."""
_SYSTEM = tuple(
    map(Path, ("/usr", "/opt", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/nix"))
)
_ETC = (
    *("alternatives", "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "passwd", "group"),
    *("nsswitch.conf", "localtime", "fonts", "OpenCL"),
)
"""The parts of ``/etc`` that programs need; the rest may hold secrets."""
_SHARED = "/dev/shm"
_LIMITED = """
ulimit -c 0; ulimit -f "$1"; ulimit -u "$2" 2>/dev/null; ulimit -n "$3" 2>/dev/null
shift 3; exec bash "$@"
"""
"""Shell that limits itself and its children (KiB a file, threads, open files), then runs the
script. A limit that is lower already stays."""


class IsolationError(UserError):
    """This machine cannot isolate a script."""


class Workspace:
    """The folder that a script runs in, laid out as the challenge's repository.

    Everything in it is the script's to change.

    Args:
        folder: the root.
        name: the submission's.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self.folder = folder
        self.scripts = folder / "submissions" / name
        """The copy of the submission's folder."""
        self.script = self.scripts / SCRIPT
        """The script that is run."""
        self.archive = self.scripts / UNPACKED
        """The contents of ``archive.zip``."""
        self.out = self.scripts / INFLATED
        """The folder into which the script puts the raw videos."""
        self.names = folder / "public_test_video_names.txt"
        """The videos to make, one name a line."""
        self.tmp = folder / "tmp"
        """The script's ``/tmp``."""


def why_not_isolated() -> str | None:
    """Return why a script cannot be isolated on this machine; None when it can."""
    bwrap = shutil.which("bwrap")
    if bwrap is None:
        return "bubblewrap (bwrap) is not installed"
    if not has_filter():
        return f"system calls of {platform.machine()} are not known"
    try:
        with _filter() as (words, handle):
            done = subprocess.run(
                [bwrap, *_system_mounts(), *words, "--remount-ro", "/", "--", "true"],
                capture_output=True, text=True, timeout=30, pass_fds=(handle,),
            )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"bubblewrap does not run ({error})"
    if done.returncode:
        return f"bubblewrap is not allowed to ({' '.join(done.stderr.split())[:200]})"
    return None


def run_inflate(
    workspace: Workspace,
    limits: Limits,
    *,
    isolate: bool = True,
    hidden: tuple[Path, ...] = (),
    gpu: bool = False,
) -> Outcome:
    """Run ``inflate.sh ARCHIVE_DIR OUT_DIR NAMES`` and see that nothing of it is left.

    Args:
        workspace: the folder that it runs in.
        limits: where it is stopped.
        isolate: cut off the network and show only the system, Python and ``workspace``; False
            leaves only the limits.
        hidden: folders never shown to it, should they lie below what it can see.
        gpu: show it the NVIDIA devices.

    Returns:
        How it ended; a limit passed or an exit code other than 0 is the caller's to judge.

    Raises:
        IsolationError: it cannot be isolated on this machine.
    """
    if isolate and (why := why_not_isolated()):
        raise IsolationError(
            f"inflate.sh cannot be isolated here: {why}; install bubblewrap (apt install "
            "bubblewrap), or run it with the limits only, which leaves the network and the source "
            "videos within its reach"
        )
    base = INSIDE if isolate else workspace.folder
    numbers = (limits.bytes // 1024 + 1, limits.most_threads, limits.open_files)
    paths = (workspace.script, workspace.archive, workspace.out, workspace.names)
    words = [str(base / path.relative_to(workspace.folder)) for path in paths]
    command = ["bash", "-c", _LIMITED, "inflate", *map(str, numbers), *words]
    if not isolate:
        # Bubblewrap sees to it by itself that nothing outlives this process.
        return watch(guarded(command), workspace.folder, environment(workspace.tmp), limits)
    with _filter() as (refusing, handle):
        shared_memory = min(limits.shared_memory, limits.memory)
        mounts = [*_mounts(workspace, shared_memory, hidden, gpu), *refusing]
        command = [str(shutil.which("bwrap")), *mounts, "--chdir", str(INSIDE), "--", *command]
        folder, variables = workspace.folder, environment(Path("/tmp"))
        return watch(command, folder, variables, limits, handles=(handle,), shared=_SHARED)


@contextmanager
def _filter() -> Iterator[tuple[list[str], int]]:
    """Yield bubblewrap's option that refuses system calls, and the handle that it names."""
    handle = open_filter()
    try:
        yield ["--seccomp", str(handle)], handle
    finally:
        os.close(handle)


def environment(tmp: Path) -> dict[str, str]:
    """Return the whole environment that a script gets: no name or secret of the user's."""
    folders = [str(Path(sys.executable).parent), "/usr/local/bin", "/usr/bin", "/bin"]
    kept = {name: os.environ[name] for name in ("CUDA_VISIBLE_DEVICES",) if name in os.environ}
    return {
        "PATH": os.pathsep.join(dict.fromkeys(folders)),
        "HOME": str(tmp),
        "TMPDIR": str(tmp),
        "LANG": "C.UTF-8",
        **dict(interpreter().variables),
        **kept,
    }


def _system_mounts() -> list[str]:
    """Return bubblewrap's options that cut everything off and show the system's programs."""
    words = ["--unshare-all", "--die-with-parent", "--new-session", "--cap-drop", "ALL"]
    for path in _SYSTEM:
        if path.is_symlink():
            words += ["--symlink", os.readlink(path), str(path)]
        elif path.is_dir():
            words += ["--ro-bind", str(path), str(path)]
    for name in _ETC:
        words += ["--ro-bind-try", f"/etc/{name}", f"/etc/{name}"]
    return [*words, "--proc", "/proc", "--dev", "/dev"]


def _mounts(
    workspace: Workspace, shared_memory: int, hidden: Sequence[Path], gpu: bool
) -> list[str]:
    """Return bubblewrap's options for one run; later mounts cover earlier ones."""
    words = [*_system_mounts(), "--size", str(shared_memory), "--tmpfs", _SHARED]
    # Before Python's own folders, any of which may lie below /tmp.
    words += ["--bind", str(workspace.tmp), "/tmp"]
    python = interpreter()
    places = [place for place in python.places if not is_below(place, _SYSTEM)]
    for place in places:
        words += ["--ro-bind", str(place), str(place)]
    for end, link in python.links:
        if not is_below(link, _SYSTEM):
            words += ["--symlink", end, str(link)]
    if gpu:
        words += ["--ro-bind-try", "/sys", "/sys"]
        for device in sorted(Path("/dev").glob("nvidia*")):
            words += ["--dev-bind-try", str(device), str(device)]
    for folder in dict.fromkeys(path.resolve() for path in hidden):
        if is_below(folder, [*_SYSTEM, *places]):
            words += ["--size", "4096", "--tmpfs", str(folder), "--remount-ro", str(folder)]
    words += ["--bind", str(workspace.folder), str(INSIDE)]
    # Both are file systems in memory, of no size; everything that they need is in them by now.
    return [*words, "--remount-ro", "/dev", "--remount-ro", "/"]
