"""Temporary files and folders that the next run removes where a run was killed.

Each belongs to one process, which holds a lock (``flock``) for as long as it needs it. The lock
ends with the process, however that ends. Whoever makes another temporary file in the same folder
removes those of the same user whose lock nobody holds, and so never what another run is still at.
A file system without locks keeps what killed runs leave.

A file or folder beside an output is named ``.seesame-MACHINE-NUMBER`` and the output's suffix, its
lock ``.seesame-MACHINE-NUMBER.lock``. A folder for intermediate results, in the system's temporary
folder, is named ``seesame-tmp-MACHINE-NUMBER`` and is its own lock.
"""

import hashlib
import os
import re
import stat
import tempfile
import time
import uuid
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from seesame.removal import remove_tree

BESIDE = ".seesame-"
"""The start of the names of temporary files and locks that lie beside their output."""
_LOCK = ".lock"
_BESIDE = re.compile(re.escape(BESIDE) + r"(?P<machine>[0-9a-f]{8})-[0-9a-f]{12}")
_RESERVED = re.compile(re.escape(BESIDE) + r"[0-9a-f]{16}" + re.escape(_LOCK))
_FOLDER_START = "seesame-tmp-"
_FOLDER = re.compile(_FOLDER_START + r"(?P<machine>[0-9a-f]{8})-[0-9a-f]{12}")


@dataclass(frozen=True)
class TemporaryTuning:
    """The numbers of temporary files.

    Args:
        other_machine_s: seconds for which what another machine made must not have changed before
            it counts as left behind: some network file systems do not show its locks here.
        patience_s: seconds for which a lock may be held by a run that only looks whether anybody
            holds it.
        most_suffix: bytes; a longer suffix names no format, and is left out of the name.
    """

    other_machine_s: float = 86_400.0
    patience_s: float = 0.5
    most_suffix: int = 16


TUNING = TemporaryTuning()


def remove(path: Path) -> None:
    """Remove a file or folder if it is there."""
    if path.is_dir() and not path.is_symlink():
        remove_tree(path)
    else:
        path.unlink(missing_ok=True)


@contextmanager
def temporary(place: Path) -> Iterator[Path]:
    """Yield an unused path beside a file; what is there in the end is removed.

    It has the same suffix, because some writers choose the format by it, and a short name, so that
    it is never too long.
    """
    suffix = place.suffix
    if len(os.fsencode(suffix)) > TUNING.most_suffix or suffix == _LOCK:
        suffix = ""
    stem = f"{BESIDE}{_new_name()}"
    path, lock = place.with_name(f"{stem}{suffix}"), place.with_name(f"{stem}{_LOCK}")
    handle = hold(lock)
    try:
        yield path
    finally:
        remove(path)
        release(lock, handle)


class TemporaryFolder:
    """A folder that is removed with this object, or when the process that made it ends.

    A process that was forked from that one leaves it alone, unlike ``tempfile.TemporaryDirectory``.

    Args:
        top: the folder that it is made in; the system's temporary folder when None.

    Raises:
        OSError: it cannot be made.
    """

    def __init__(self, top: Path | None = None) -> None:
        top = Path(tempfile.gettempdir()) if top is None else top
        remove_dead_folders(top)
        handle = None
        while handle is None:
            self.path = top / f"{_FOLDER_START}{_new_name()}"
            self.path.mkdir(mode=0o700)
            handle = _locked_folder(self.path, wait=True)
        self._remove = weakref.finalize(self, _remove_own, self.path, handle, os.getpid())

    def remove(self) -> None:
        """Remove the folder and all that is in it."""
        self._remove()


@contextmanager
def temporary_folder(top: Path | None = None) -> Iterator[Path]:
    """Yield a new folder, which is removed in the end.

    Args:
        top: the folder that it is made in; the system's temporary folder when None.

    Raises:
        OSError: it cannot be made.
    """
    folder = TemporaryFolder(top)
    try:
        yield folder.path
    finally:
        folder.remove()


def remove_dead(folder: Path) -> None:
    """Remove the temporary files and locks in a folder that belong to no living process."""
    try:
        names = [entry.name for entry in os.scandir(folder) if entry.name.startswith(BESIDE)]
    except OSError:  # there is no such folder, or it cannot be listed
        return
    for name in names:
        found = _BESIDE.match(name)
        if found is not None and name == found[0] + _LOCK:
            of_it = [folder / other for other in names if other.startswith(found[0])]
            of_it.remove(folder / name)
            if _may_judge(found["machine"], [folder / name, *of_it]):
                _remove_if_dead(folder / name, of_it)
        elif _RESERVED.fullmatch(name):
            _remove_if_dead(folder / name, [])


def remove_dead_folders(top: Path | None = None) -> None:
    """Remove the folders of :class:`TemporaryFolder` that belong to no living process.

    Args:
        top: the folder that they are in; the system's temporary folder when None.
    """
    try:
        top = Path(tempfile.gettempdir()) if top is None else top
        names = [one.name for one in os.scandir(top) if one.name.startswith(_FOLDER_START)]
    except OSError:  # there is no such folder, or it cannot be listed
        return
    for name in names:
        found = _FOLDER.fullmatch(name)
        if found is None or not _may_judge(found["machine"], [top / name]):
            continue
        with suppress(OSError):
            handle = _locked_folder(top / name)
            if handle is not None:
                try:
                    if _is_mine(os.fstat(handle)):
                        remove(top / name)
                finally:
                    os.close(handle)


def hold(lock: Path) -> int | None:
    """Return the handle of a lock that is held from now on; None where there are no locks.

    Raises:
        BlockingIOError: another process holds it.
    """
    end = time.monotonic() + TUNING.patience_s
    while True:
        handle = _opened(lock)
        if handle is None:
            return None
        try:
            _flock(handle)
        except BlockingIOError:
            os.close(handle)
            if time.monotonic() > end:
                raise
            time.sleep(TUNING.patience_s / 50)
            continue
        except OSError:  # a file system without locks
            os.close(handle)
            with suppress(OSError):
                lock.unlink()
            return None
        if _is_at(handle, lock):
            return handle
        os.close(handle)  # its holder removed it just now, so that it locks nothing


def release(lock: Path, handle: int | None) -> None:
    """End a lock that :func:`hold` gave."""
    if handle is not None:
        with suppress(OSError):
            lock.unlink()
        os.close(handle)


def _new_name() -> str:
    return f"{_machine()}-{uuid.uuid4().hex[:12]}"


@cache
def _machine() -> str:
    """Return a name of the running system: all its containers share locks, other systems may not.

    It is made of Linux's ``boot_id``, elsewhere of the network address.
    """
    try:
        text = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii")
    except OSError:
        text = f"{uuid.getnode():x}"
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _may_judge(machine: str, paths: list[Path]) -> bool:
    """Return whether a free lock means that the paths are left behind."""
    if machine == _machine():
        return True
    changed = 0.0
    for path in paths:
        with suppress(OSError):
            changed = max(changed, path.lstat().st_mtime)
    return time.time() - changed > TUNING.other_machine_s


def _remove_if_dead(lock: Path, paths: list[Path]) -> None:
    """Remove paths and then their lock, unless a process holds it or they are another user's."""
    with suppress(OSError):  # it went meanwhile, or cannot be opened
        handle = os.open(lock, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            status = os.fstat(handle)
            if not (stat.S_ISREG(status.st_mode) and _is_mine(status)):
                return
            _flock(handle)
            if _is_at(handle, lock):
                for path in paths:
                    if _is_mine(path.lstat()):
                        remove(path)
                lock.unlink()
        finally:
            os.close(handle)


def _locked_folder(path: Path, wait: bool = False) -> int | None:
    """Return the handle of a folder, locked where there are locks; None where it has gone.

    Args:
        path: the folder.
        wait: for a run that only looks whether it is held; its lock is then optional.

    Raises:
        OSError: it is held by another process, or there are no locks; not with ``wait``.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        _flock(handle, wait)
    except OSError:
        if not wait:
            os.close(handle)
            raise
    if _is_at(handle, path):
        return handle
    os.close(handle)
    return None


def _opened(lock: Path) -> int | None:
    """Open the lock's file; one that another user's run left behind may only be readable."""
    if os.name != "posix":
        return None
    for flags in (os.O_RDWR | os.O_CREAT, os.O_RDONLY | os.O_NONBLOCK):
        with suppress(OSError):
            return os.open(lock, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    return None


def _flock(handle: int, wait: bool = False) -> None:
    import fcntl

    fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))


def _is_at(handle: int, path: Path) -> bool:
    """Return whether an open file is still the one at a path."""
    try:
        return os.path.samestat(os.fstat(handle), os.stat(path, follow_symlinks=False))
    except FileNotFoundError:
        return False


def _is_mine(status: os.stat_result) -> bool:
    """Return whether a file is this user's; others may have put one in a folder that all share."""
    return status.st_uid == os.geteuid()


def _remove_own(path: Path, handle: int, owner: int) -> None:
    if os.getpid() == owner:
        remove(path)
        os.close(handle)
