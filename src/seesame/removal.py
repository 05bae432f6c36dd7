"""Removal of folders that a stranger's program may have filled: of any depth, any permissions."""

import os
import shutil
import uuid
from collections import deque
from contextlib import suppress
from pathlib import Path


def remove_tree(folder: Path) -> None:
    """Remove a folder and all that is in it; what cannot be removed stays, without an error.

    No path grows with the depth and nothing recurses: folders in folders are first moved to the
    top, then removed from there. Nobody else may be changing the folder meanwhile.

    Args:
        folder: the folder; it must not be a link.
    """
    if os.rename not in os.supports_dir_fd:  # not a POSIX system: paths there are short
        shutil.rmtree(folder, ignore_errors=True)
        return
    with suppress(OSError):
        _permit(str(folder), None)
        top = os.open(folder, _FLAGS)
        try:
            _empty(top)
        finally:
            os.close(top)
        os.rmdir(folder)


_FLAGS = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0)


def _empty(top: int) -> None:
    """Remove what is in an open folder."""
    mark, number = uuid.uuid4().hex, 0
    queue = deque(_remove_files(top))
    while queue:
        name = queue.popleft()
        with suppress(OSError):
            folder = os.open(name, _FLAGS, dir_fd=top)
            try:
                for inner in _remove_files(folder):
                    number += 1
                    moved = f"{mark}-{number}"
                    os.rename(inner, moved, src_dir_fd=folder, dst_dir_fd=top)
                    queue.append(moved)
            finally:
                os.close(folder)
            os.rmdir(name, dir_fd=top)


def _remove_files(folder: int) -> list[str]:
    """Remove all but the folders in an open folder; return these, ready to be opened and moved."""
    folders = []
    with os.scandir(folder) as entries:
        for entry in list(entries):
            if entry.is_dir(follow_symlinks=False):
                _permit(entry.name, folder)
                folders.append(entry.name)
            else:
                with suppress(OSError):
                    os.unlink(entry.name, dir_fd=folder)
    return folders


def _permit(name: str, folder: int | None) -> None:
    """Let this user into a folder, and into none that a link in its place leads to."""
    with suppress(OSError):
        if not hasattr(os, "O_PATH"):  # not Linux
            os.chmod(name, 0o700, dir_fd=folder, follow_symlinks=False)
            return
        # A folder without permissions can only be opened as a path, which /proc then names.
        handle = os.open(name, _FLAGS | os.O_PATH, dir_fd=folder)
        try:
            os.chmod(f"/proc/self/fd/{handle}", 0o700)
        finally:
            os.close(handle)
