"""Writing files whole or not at all, and replacing one only when that was asked for."""

import errno
import os
import shutil
import tempfile
import uuid
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from seesame.errors import OutputExistsError, UserError


def check_output(path: Path, overwrite: bool) -> None:
    """Refuse an output that exists (unless ``overwrite``) or whose folder cannot take it.

    Raises:
        OutputExistsError: the output is there already.
        UserError: its folder does not exist or cannot be written.
    """
    if path.exists() and not overwrite:
        raise OutputExistsError(f"{path} exists already; name another output or replace it")
    if not path.parent.is_dir():
        raise UserError(f"{path}: the folder {path.parent} does not exist")
    if not os.access(path.parent, os.W_OK):
        raise UserError(f"{path}: the folder {path.parent} is not writable")


def remove(path: Path) -> None:
    """Remove a file or folder if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


@contextmanager
def replacing(path: Path, overwrite: bool = False) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; on success move it into place, else remove it.

    The temporary path has the same suffix, because some writers choose the format by it. The
    caller may make a file or a folder there.

    Raises:
        OutputExistsError: the output is there already, and ``overwrite`` is false.
        UserError: the output cannot be written (no space, no permission).
    """
    check_output(path, overwrite)
    temporary = path.parent / f".{path.stem}.{uuid.uuid4().hex[:8]}{path.suffix}"
    try:
        yield temporary
        if path.is_dir():
            old = path.parent / f".{path.stem}.{uuid.uuid4().hex[:8]}.old"
            os.replace(path, old)
            os.replace(temporary, path)
            remove(old)
        else:
            os.replace(temporary, path)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise UserError(f"{path}: no space left on the device") from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise UserError(f"{path}: cannot be written ({error.strerror})") from error
        raise
    finally:
        remove(temporary)


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
