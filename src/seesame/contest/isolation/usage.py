"""The files that a script has made, counted while it may be changing them."""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from seesame.contest.isolation.limits import Limits

_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_LARGE = 1 << 20
"""Bytes from which the size of a file is remembered, in case that it loses its name."""


class Usage:
    """The files below a folder.

    Args:
        folder: the folder.
        limits: what may be in it.
    """

    def __init__(self, folder: Path, limits: Limits) -> None:
        self._folder, self._limits = folder, limits
        self.large: dict[tuple[int, int], int] = {}
        """Bytes of every large file that was ever seen, by device and inode."""

    def passed(self, held: int) -> str | None:
        """Return the limit of files, depth or bytes that is passed, if one is.

        Args:
            held: bytes on disk that have no name.
        """
        limits = self._limits
        count, used = 0, held
        if used > limits.bytes:
            return f"wrote more than {limits.bytes:,} bytes"
        try:
            for status in self._entries():
                count += 1
                size = status.st_blocks * 512
                used += size
                if size >= _LARGE and len(self.large) < limits.files:
                    self.large[status.st_dev, status.st_ino] = size
                if count > limits.files:
                    return f"made more than {limits.files:,} files"
                if used > limits.bytes or status.st_size > limits.bytes:
                    return f"wrote more than {limits.bytes:,} bytes"
        except RecursionError:
            return f"nested folders more than {limits.depth} deep"
        except PermissionError:
            return "made a folder that cannot be read"
        return None

    def _entries(self) -> Iterator[os.stat_result]:
        """Yield the status of everything in the folder.

        Every folder is opened from the one above it, since a path of many may be too long.

        Raises:
            RecursionError: folders are nested more than the limit.
            PermissionError: a folder that is still there cannot be read.
        """
        stack: list[tuple[int, Iterator[str]]] = []
        try:
            self._descend(stack, str(self._folder), None)
            while stack:
                folder, names = stack[-1]
                name = next(names, None)
                if name is None:
                    os.close(stack.pop()[0])
                    continue
                with suppress(FileNotFoundError):
                    status = os.stat(name, dir_fd=folder, follow_symlinks=False)
                    yield status
                    if stat.S_ISDIR(status.st_mode):
                        self._descend(stack, name, folder)
        finally:
            for folder, _ in stack:
                os.close(folder)

    def _descend(
        self, stack: list[tuple[int, Iterator[str]]], name: str, above: int | None
    ) -> None:
        if len(stack) > self._limits.depth:
            raise RecursionError
        try:
            folder = os.open(name, _FLAGS, dir_fd=above)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):  # changed since
                return
            raise
        try:
            names = os.listdir(folder)
        except OSError:
            os.close(folder)
            raise
        stack.append((folder, iter(names)))
