"""Outputs written whole or not at all, and the checks of what a user names as output.

An output that is a symbolic link is followed: its target is replaced and the link is kept.
"""

import errno
import hashlib
import os
import re
import stat
import tempfile
import uuid
import weakref
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from seesame.errors import OutputExistsError, UserError
from seesame.removal import remove_tree

# The files in each kind of folder that a command writes, for ``holds``.
PICTURE_FOLDER = re.compile(r"[0-9]{6,}\.png")
SEARCH_FOLDER = re.compile(r"(trials|front)\.csv|search\.(json|png)")
REPORT_FOLDER = re.compile(r"index\.html|chunks/[^/]+\.js")
SUBMISSION_FOLDER = re.compile(
    r"archive\.zip|inflate\.sh|report\.(txt|json)|seesame/.+\.py|seesame/.*__pycache__/[^/]+\.pyc"
)

_KINDS = (
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)

_PREFIX = ".seesame-"
"""The start of the names of temporary files and locks, which lie beside their output."""
_MOST_SUFFIX = 16
"""Bytes; a longer suffix names no format, and is left out of the temporary name."""
_MOST_NAME = 255
"""Bytes of a file's name on the usual file systems."""
_FULL = (errno.ENOSPC, errno.EDQUOT)
_REFUSED = (
    *(errno.EACCES, errno.EPERM, errno.EROFS, errno.EBUSY, errno.EFBIG, errno.EIO),
    *(errno.ENAMETOOLONG, errno.ELOOP),
)

_locked: set[Path] = set()
"""The locks that this process holds."""


class OutputBusyError(UserError):
    """The output is being written by another run."""


def check_input(path: Path) -> None:
    """Refuse what is no file and no folder: seesame reads a clip more than once.

    A path where nothing is passes, since its reader says that best.

    Raises:
        UserError: a pipe, a socket, a device, or ``-`` for the standard input.
    """
    try:
        kind = file_kind(os.stat(path).st_mode)
    except (OSError, ValueError):
        kind = "the standard input" if str(path) == "-" else ""
    if kind:
        raise UserError(
            f"{path}: is {kind}; what seesame reads must be a file or a folder, because it is read "
            "more than once; save it as a file first"
        )


def check_output(
    path: Path,
    overwrite: bool = False,
    *,
    inputs: Iterable[Path] = (),
    holds: re.Pattern[str] | None = None,
) -> Path:
    """Refuse, before anything is computed, an output that could not be written in the end.

    A file is made beside the output and removed again, which shows whether the folder takes it.

    Args:
        path: the output.
        overwrite: whether an output that is there may be replaced.
        inputs: files that the command reads; the output must be none of them.
        holds: for an output that is a folder, the names of the files that the command writes,
            relative to it, with ``/``. A folder that holds anything else is never replaced.
            None for an output that is a file.

    Returns:
        Where the output is in the end, all links followed.

    Raises:
        OutputExistsError: the output is there already, and ``overwrite`` is false.
        UserError: it cannot be written, is an input, or is a folder that holds other files.
    """
    if str(path) == "-":
        raise UserError("-: an output is put in place whole, so it cannot be a stream; name a file")
    top = Path(os.path.abspath(path)).parts[1:3]
    if top[:1] == ("dev",) and top[1:] != ("shm",):  # /dev/stdout may lead to a file
        raise UserError(f"{path}: is a device, and an output is put in place whole; name a file")
    try:
        place = Path(os.path.realpath(path))
        status = _status(place)
    except OSError as error:
        raise UserError(_unusable(path, error)) from error
    except ValueError as error:  # a zero byte
        raise UserError(f"{str(path)!a}: is not a file name; choose another output") from error
    same = next((one for one in inputs if _is_same(one, place)), None)
    if same is not None:
        what = "" if same == path else f", {same},"
        raise UserError(f"{path}: is itself read by this command{what}; choose another output")
    if status is not None:
        _check_kind(path, place, status, holds is not None)
        if not overwrite:
            raise OutputExistsError(f"{path} exists already; name another output or replace it")
        if holds is not None:
            _check_contents(path, place, holds)
    folder = place.parent if path.is_symlink() else path.parent
    if not place.parent.is_dir():
        raise UserError(f"{path}: the folder {folder} does not exist")
    if status is not None and _is_stuck(place, status):
        raise UserError(f"{path}: belongs to another user and cannot be replaced; name another")
    _try_folder(path, place, folder)
    return place


@contextmanager
def reserved(
    path: Path | None,
    overwrite: bool = False,
    *,
    inputs: Iterable[Path] = (),
    holds: re.Pattern[str] | None = None,
) -> Iterator[None]:
    """Check an output, and keep other runs from writing it for as long as this one works.

    The lock (``flock``) is a file beside the output; it ends with the process, however that ends.
    Where the file system has no locks, there is none. A process may reserve an output twice.

    Args:
        path: the output; None for none.
        overwrite: as :func:`check_output` takes it, as are ``inputs`` and ``holds``.

    Raises:
        OutputBusyError: another process has reserved it.
        UserError: as :func:`check_output`.
    """
    if path is None:
        yield
        return
    place = check_output(path, overwrite, inputs=inputs, holds=holds)
    digest = hashlib.sha256(os.fsencode(place.name)).hexdigest()[:16]
    lock = place.parent / f"{_PREFIX}{digest}.lock"
    if lock in _locked:
        yield
        return
    handle = _lock(path, lock)
    _locked.add(lock)
    try:
        yield
    finally:
        _locked.discard(lock)
        if handle is not None:
            with suppress(OSError):
                lock.unlink()
            os.close(handle)


@contextmanager
def replacing(
    path: Path, overwrite: bool = False, *, holds: re.Pattern[str] | None = None
) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; on success move it into place, else remove it.

    The temporary path has the same suffix, because some writers choose the format by it, and a
    short name, so that it is never too long. The caller makes a file there or, with ``holds``, a
    folder.

    Raises:
        OutputExistsError: the output is there already, and ``overwrite`` is false. If it has
            appeared since the beginning, the result is kept under another name, which is told.
        UserError: the output cannot be written (no space, no permission), or is a folder that
            holds files other than ``holds`` allows.
    """
    place = check_output(path, overwrite, holds=holds)
    temporary = _temporary(place)
    try:
        yield temporary
        try:
            check_output(path, overwrite, holds=holds)
        except UserError as error:
            kept = place.with_name(f"{temporary.name.removeprefix('.')}")
            os.replace(temporary, kept)
            raise type(error)(f"{error}; the result is kept as {kept}") from error
        _put(temporary, place)
    except OSError as error:
        if error.errno in _FULL:
            raise UserError(f"{path}: no space left on the device") from error
        if error.errno in _REFUSED:
            raise UserError(f"{path}: cannot be written ({error.strerror})") from error
        raise
    finally:
        remove(temporary)


def remove(path: Path) -> None:
    """Remove a file or folder if it is there."""
    if path.is_dir() and not path.is_symlink():
        remove_tree(path)
    else:
        path.unlink(missing_ok=True)


def remove_abandoned(path: Path) -> None:
    """Remove the temporary files that killed runs have left of a file, in a folder of its own.

    Nothing else may be writing files of this suffix into the folder.
    """
    kind = re.compile(re.escape(_PREFIX) + "[0-9a-f]{12}" + re.escape(path.suffix))
    for one in path.parent.glob(f"{_PREFIX}*"):
        if kind.fullmatch(one.name):
            remove(one)


def beside(path: Path, suffix: str) -> Path:
    """Return the path with another suffix; a name that would be too long is shortened.

    Two names that are shortened stay different, by a digest of the whole.
    """
    name = os.fsencode(path.stem)
    if len(name) + len(suffix) > _MOST_NAME:
        digest = hashlib.sha256(name).hexdigest()[:16]
        room = _MOST_NAME - len(suffix) - len(digest) - 1
        name = name[:room].decode(errors="ignore").encode() + f"-{digest}".encode()
    return path.with_name(os.fsdecode(name) + suffix)


def write_text(path: Path, text: str) -> None:
    """Write text as UTF-8; bytes of file names that are not UTF-8 are written as ``\\xNN``."""
    path.write_text(readable(text), encoding="utf-8")


def readable(text: str) -> str:
    """Return text that every encoding of Unicode takes, for pages, pictures and tables.

    File names may hold bytes that are no text in the user's locale. Python carries them as lone
    surrogates (PEP 383), which become ``\\xNN`` here.
    """
    return re.sub("[\ud800-\udfff]", _escaped, text)


def _escaped(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code - 0xDC00:02x}" if 0xDC80 <= code <= 0xDCFF else f"\\u{code:04x}"


def _status(place: Path) -> os.stat_result | None:
    try:
        return os.stat(place)
    except (FileNotFoundError, NotADirectoryError):
        return None


def _is_same(one: Path, place: Path) -> bool:
    """Return whether an input is what will be replaced, through links of both kinds too."""
    try:
        return Path(os.path.realpath(one)) == place or os.path.samefile(one, place)
    except (OSError, ValueError):
        return False


def _check_kind(path: Path, place: Path, status: os.stat_result, folder: bool) -> None:
    """Refuse to replace a pipe or device, a folder by a file, or a file by a folder."""
    kind = file_kind(status.st_mode)
    if kind:
        raise UserError(f"{path}: is {kind}, and an output is put in place whole; name a file")
    if stat.S_ISDIR(status.st_mode) != folder:
        is_, wanted = ("a file", "a folder") if folder else ("a folder", "a file")
        raise UserError(f"{path}: is {is_}, and the output is {wanted}; name another")
    if os.path.ismount(place):
        raise UserError(f"{path}: is a mount point and cannot be replaced; name a place inside it")


def _check_contents(path: Path, place: Path, holds: re.Pattern[str]) -> None:
    """Refuse to replace a folder that holds anything but the files that the command writes."""
    queue = [place]
    try:
        while queue:
            for entry in os.scandir(queue.pop()):
                if entry.is_dir(follow_symlinks=False):
                    queue.append(Path(entry.path))
                    continue
                name = Path(entry.path).relative_to(place).as_posix()
                if not (entry.is_file(follow_symlinks=False) and holds.fullmatch(name)):
                    raise UserError(
                        f"{path}: holds {name}, which this command does not write, so it is not "
                        "replaced; name another folder"
                    )
    except OSError as error:
        raise UserError(_unusable(path, error)) from error


def _is_stuck(place: Path, status: os.stat_result) -> bool:
    """Return whether the folder is like /tmp, where only its owner may replace a file."""
    folder = os.stat(place.parent)
    user = os.geteuid() if hasattr(os, "geteuid") else 0
    return bool(folder.st_mode & stat.S_ISVTX) and user not in (0, status.st_uid, folder.st_uid)


def _try_folder(path: Path, place: Path, folder: Path) -> None:
    """Make a file beside the output and remove it. Raises UserError where that fails."""
    trial = _temporary(place)
    try:
        os.close(os.open(trial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        trial.unlink()
    except OSError as error:
        if error.errno in _FULL:
            raise UserError(f"{path}: no space left on the device") from error
        raise UserError(
            f"{path}: the folder {folder} is not writable ({error.strerror})"
        ) from error


def _unusable(path: Path, error: OSError) -> str:
    if error.errno == errno.ENAMETOOLONG:
        length = len(os.fsencode(path.name))
        return f"{str(path)[:80]}…: the name, of {length} bytes, is too long; choose a shorter one"
    return f"{path}: cannot be written ({error.strerror})"


def _temporary(place: Path) -> Path:
    suffix = place.suffix if len(os.fsencode(place.suffix)) <= _MOST_SUFFIX else ""
    return place.parent / f"{_PREFIX}{uuid.uuid4().hex[:12]}{suffix}"


def _put(temporary: Path, place: Path) -> None:
    """Move the result into place; a folder that is there goes only once the new one stands."""
    if not place.is_dir():
        os.replace(temporary, place)
        return
    old = _temporary(place)
    os.replace(place, old)
    try:
        os.replace(temporary, place)
    except OSError:
        os.replace(old, place)
        raise
    remove(old)


def _lock(path: Path, lock: Path) -> int | None:
    """Return the handle of a lock that is held from now on; None where there are no locks.

    Raises:
        OutputBusyError: another process holds it.
    """
    try:
        import fcntl
    except ImportError:  # not a POSIX system
        return None
    while True:
        handle = _opened(lock)
        if handle is None:
            return None
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(handle)
            raise OutputBusyError(
                f"{path}: another run is writing it; wait for that, or name another output"
            ) from error
        except OSError:  # a file system without locks
            os.close(handle)
            with suppress(OSError):
                lock.unlink()
            return None
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(handle), os.stat(lock, follow_symlinks=False)):
                return handle
        os.close(handle)  # its holder removed it just now, so that it locks nothing


def _opened(lock: Path) -> int | None:
    """Open the lock's file; one that another user's run left behind may only be readable."""
    for flags in (os.O_RDWR | os.O_CREAT, os.O_RDONLY):
        with suppress(OSError):
            return os.open(lock, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    return None


class TemporaryFolder:
    """A folder that is removed with this object, or when the process that made it ends.

    A process that was forked from that one leaves it alone, unlike ``tempfile.TemporaryDirectory``.
    """

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="seesame-"))
        weakref.finalize(self, _remove_own, self.path, os.getpid())


def _remove_own(path: Path, owner: int) -> None:
    if os.getpid() == owner:
        remove(path)


def file_kind(mode: int) -> str:
    """Return what a file is that is neither regular nor a folder; empty for those."""
    return next((name for test, name in _KINDS if test(mode)), "")
