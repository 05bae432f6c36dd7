"""Running a stranger's script: isolated by bubblewrap, watched, stopped at its limits.

Inside, the script sees the system's programs, this Python environment and its own folder, and
nothing else: no network, no home, no source video. From outside, its processes, memory, files
and time are counted several times a second, and all of it is killed at the first limit passed.
"""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import seesame
from seesame.contest.watch import Limits, Outcome, watch
from seesame.errors import UserError

INSIDE = Path("/submission")
"""Where the script finds its folder when it is isolated."""
SHM_BYTES = 1 << 30
"""Size of ``/dev/shm`` inside: it is memory that belongs to no process."""
_SYSTEM = ("/usr", "/opt", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/nix")
_ETC = (
    *("alternatives", "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "passwd", "group"),
    *("nsswitch.conf", "localtime", "fonts", "OpenCL"),
)
"""What programs need of ``/etc``: the rest may hold secrets."""
THREADS = 32
"""Threads a process that the system's own limit leaves room for, where it holds (not for root)."""
_LIMITED = 'ulimit -c 0; ulimit -f "$1"; ulimit -u "$2" 2>/dev/null; shift 2; exec bash "$@"'
"""Shell that limits itself and its children (KiB a file, threads), then runs the script."""


@dataclass(frozen=True)
class Room:
    """The folder in which a script runs; everything in it is the script's to change.

    ``script``, ``archive``, ``out`` and ``names`` lie below ``folder``, and so does ``tmp``, its
    ``/tmp``.
    """

    folder: Path
    script: Path
    archive: Path
    out: Path
    names: Path
    tmp: Path


@cache
def why_not_isolated() -> str | None:
    """Why a script cannot be isolated on this machine; None when it can."""
    bwrap = shutil.which("bwrap")
    if bwrap is None:
        return "bubblewrap (bwrap) is not installed"
    try:
        done = subprocess.run(
            [bwrap, *_walls(), "--", "true"], capture_output=True, text=True, timeout=30
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"bubblewrap does not run ({error})"
    if done.returncode:
        return f"bubblewrap is not allowed to ({' '.join(done.stderr.split())[:200]})"
    return None


def run_inflate(
    room: Room,
    limits: Limits,
    *,
    isolate: bool = True,
    hidden: tuple[Path, ...] = (),
    gpu: bool = False,
) -> Outcome:
    """Run ``inflate.sh ARCHIVE_DIR OUT_DIR NAMES`` and see that nothing of it is left.

    Args:
        room: the folder that it runs in.
        limits: where it is stopped.
        isolate: without network and without sight of anything but the system, Python and
            ``room``; False leaves only the limits.
        hidden: folders never shown to it, should they lie below what it can see.
        gpu: show it the NVIDIA devices.

    Returns:
        How it ended; a limit passed or an exit code other than 0 is the caller's to judge.

    Raises:
        UserError: it cannot be isolated on this machine.
    """
    if isolate and (why := why_not_isolated()):
        raise UserError(
            f"inflate.sh cannot be isolated here: {why}; install bubblewrap (apt install "
            "bubblewrap), or pass --no-isolation to run it with limits only, with the network "
            "and the source videos within its reach"
        )
    base = INSIDE if isolate else room.folder
    words = [str(limits.bytes // 1024 + 1), str(THREADS * limits.processes)]
    words += [
        str(base / path.relative_to(room.folder))
        for path in (room.script, room.archive, room.out, room.names)
    ]
    command = ["bash", "-c", _LIMITED, "inflate", *words]
    tmp = Path("/tmp") if isolate else room.tmp
    if isolate:
        walls = _walls(_inside(hidden), gpu)
        binds = ["--bind", str(room.folder), str(INSIDE), "--bind", str(room.tmp), "/tmp"]
        start = ["--chdir", str(INSIDE), "--"]
        command = [str(shutil.which("bwrap")), *walls, *binds, *start, *command]
    return watch(command, room.folder, environment(tmp), limits)


def environment(tmp: Path) -> dict[str, str]:
    """The whole environment that a script gets: no name or secret of the user's."""
    folders = [str(Path(sys.executable).parent), "/usr/local/bin", "/usr/bin", "/bin"]
    kept = {name: os.environ[name] for name in ("CUDA_VISIBLE_DEVICES",) if name in os.environ}
    return {
        "PATH": os.pathsep.join(dict.fromkeys(folders)),
        "HOME": str(tmp),
        "TMPDIR": str(tmp),
        "LANG": "C.UTF-8",
        **kept,
    }


def _walls(masked: tuple[str, ...] = (), gpu: bool = False) -> list[str]:
    """Bubblewrap's options but for the script's own folder."""
    words = ["--unshare-all", "--die-with-parent", "--new-session", "--cap-drop", "ALL"]
    for name in _SYSTEM:
        path = Path(name)
        if path.is_symlink():
            words += ["--symlink", os.readlink(path), name]
        elif path.is_dir():
            words += ["--ro-bind", name, name]
    for name in _ETC:
        words += ["--ro-bind-try", f"/etc/{name}", f"/etc/{name}"]
    for path in _python_folders():
        words += ["--ro-bind", str(path), str(path)]
    words += ["--proc", "/proc", "--dev", "/dev"]
    words += ["--size", str(SHM_BYTES), "--tmpfs", "/dev/shm"]
    if gpu:
        words += ["--ro-bind-try", "/sys", "/sys"]
        for device in sorted(Path("/dev").glob("nvidia*")):
            words += ["--dev-bind-try", str(device), str(device)]
    for name in masked:
        words += ["--size", "4096", "--tmpfs", name]
    return words


def _python_folders() -> list[Path]:
    """Where this Python, its packages and seesame itself lie, but for what the system holds."""
    places = [Path(sys.prefix), Path(sys.base_prefix), Path(seesame.__file__).parent]
    found = dict.fromkeys(form for place in places for form in (place, place.resolve()))
    return [place for place in found if not any(place.is_relative_to(root) for root in _SYSTEM)]


def _inside(hidden: tuple[Path, ...]) -> tuple[str, ...]:
    """Those of the hidden folders that would be seen inside."""
    roots = [*map(Path, _SYSTEM), *_python_folders()]
    paths = dict.fromkeys(path.resolve() for path in hidden)
    return tuple(str(path) for path in paths if any(path.is_relative_to(root) for root in roots))
