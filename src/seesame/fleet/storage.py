"""Files on this machine and in object stores, by path or URI.

A local path is one without ``scheme://``. Everything else goes through fsspec, which is imported
and connected when a URI is first used in a process, so that no connection is shared by two.
"""

import os
import re
import shutil
import stat
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from glob import iglob
from itertools import islice
from pathlib import Path
from typing import Any, Protocol, TypeVar

from seesame.errors import MissingExtraError, UserError

T = TypeVar("T")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")
HIDDEN = ".seesame"
"""The folder in a target that holds the state of its clips."""


@dataclass(frozen=True)
class StorageTuning:
    """The numbers of the requests to a store.

    Args:
        tries: of one transfer or request to a store.
        wait: seconds before the second try; twice as long before each further one.
        at_once: requests that are under way at once, where many files are asked for.
        batch: files that are read ahead.
        listed: files of one folder that are asked for from which the folder is listed instead.
    """

    tries: int = 4
    wait: float = 0.5
    at_once: int = 32
    batch: int = 1000
    listed: int = 20


TUNING = StorageTuning()


@dataclass(frozen=True)
class Found:
    """One file that is there.

    Args:
        size: in bytes.
        stamp: changes whenever the file is written: the time of change, or a store's own mark.
    """

    size: int
    stamp: str


class Storage(Protocol):
    """What the fleet needs of a place that holds files. Paths are whole, with their scheme."""

    def stat(self, path: str) -> Found | None:
        """Return a file's size and stamp; None where there is no file."""

    def read(self, path: str) -> bytes | None:
        """Return a file's bytes; None where there is no file."""

    def read_many(self, paths: Iterable[str]) -> Iterator[bytes | None]:
        """Yield the bytes of many files in their order; None where there is no file."""

    def stat_many(self, paths: Sequence[str]) -> list[Found | None]:
        """Return sizes and stamps of many files; None where there is no file."""

    def write(self, path: str, data: bytes) -> None:
        """Write a small file, whole or not at all."""

    def fetch(self, path: str, local: Path) -> None:
        """Copy a file to this machine."""

    def put(self, local: Path, path: str, temporary: str) -> None:
        """Bring a local file to a temporary path, then move it into place; it is gone locally."""

    def walk(self, folder: str) -> Iterator[tuple[str, Found]]:
        """Yield every file below a folder, hidden ones left out."""

    def glob(self, pattern: str) -> Iterator[tuple[str, Found]]:
        """Yield the files that a pattern names."""

    def is_folder(self, path: str) -> bool:
        """Return whether there is a folder."""

    def names(self, folder: str) -> list[str]:
        """Return the names in a folder; nothing where there is none."""

    def clear(self, folder: str) -> None:
        """Remove a folder and all that is in it."""


def is_remote(path: str) -> bool:
    """Return whether a path is a URI with a scheme, which fsspec reads."""
    return _SCHEME.match(path) is not None


def storage(path: str) -> Storage:
    """Return the storage of a path or URI.

    Raises:
        MissingExtraError: the library for this kind of URI is not installed.
        UserError: fsspec knows no such scheme.
    """
    found = _SCHEME.match(path)
    return _remote(found[1]) if found else LocalStorage()


def joined(folder: str, name: str) -> str:
    """Return a path below a folder or URI."""
    return f"{folder.rstrip('/')}/{name}" if folder != "/" else f"/{name}"


class LocalStorage:
    """Files on this machine."""

    def stat(self, path: str) -> Found | None:
        try:
            status = os.stat(path)
        except (OSError, ValueError):
            return None
        if stat.S_ISDIR(status.st_mode):
            return None
        return Found(status.st_size, str(status.st_mtime_ns))

    def read(self, path: str) -> bytes | None:
        try:
            return Path(path).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None

    def read_many(self, paths: Iterable[str]) -> Iterator[bytes | None]:
        return map(self.read, paths)

    def stat_many(self, paths: Sequence[str]) -> list[Found | None]:
        return [self.stat(path) for path in paths]

    def write(self, path: str, data: bytes) -> None:
        with self._replacing(path) as temporary, open(temporary, "wb") as file:
            file.write(data)

    def fetch(self, path: str, local: Path) -> None:
        shutil.copyfile(path, local)

    def put(self, local: Path, path: str, temporary: str) -> None:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        if os.stat(local).st_dev != os.stat(os.path.dirname(path)).st_dev:
            os.makedirs(os.path.dirname(temporary), exist_ok=True)
            shutil.copyfile(local, temporary)
            local.unlink()
            local = Path(temporary)
        with local.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(local, path)

    def walk(self, folder: str) -> Iterator[tuple[str, Found]]:
        for place, folders, names in os.walk(folder, onerror=_refuse):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for name in sorted(names):
                path = os.path.join(place, name)
                found = None if name.startswith(".") else self.stat(path)
                if found is not None:
                    yield path, found

    def glob(self, pattern: str) -> Iterator[tuple[str, Found]]:
        for path in sorted(iglob(pattern, recursive=True)):
            found = self.stat(path)
            if found is not None:
                yield path, found

    def is_folder(self, path: str) -> bool:
        return os.path.isdir(path)

    def names(self, folder: str) -> list[str]:
        try:
            return sorted(os.listdir(folder))
        except (FileNotFoundError, NotADirectoryError):
            return []

    def clear(self, folder: str) -> None:
        shutil.rmtree(folder, ignore_errors=True)

    @contextmanager
    def _replacing(self, path: str) -> Iterator[str]:
        """Yield a path for the new file, which is then moved into place.

        Each file has one writer at a time, so that the temporary name is the file's own: what a
        writer that was killed has left is overwritten by the next one.
        """
        folder, name = os.path.split(path)
        temporary = os.path.join(folder, f".{name}.tmp")
        os.makedirs(folder or ".", exist_ok=True)
        try:
            yield temporary
            os.replace(temporary, path)
        except BaseException:
            with suppress(OSError):
                os.unlink(temporary)
            raise


class RemoteStorage:
    """Files in a store that fsspec reaches.

    Args:
        scheme: of the URIs.
        files: fsspec's file system.
    """

    def __init__(self, scheme: str, files: Any) -> None:
        self.scheme, self.files = scheme, files

    def stat(self, path: str) -> Found | None:
        try:
            facts = tried(lambda: self.files.info(path))
        except FileNotFoundError:
            return None
        return self._found(facts) if facts.get("type") == "file" else None

    def read(self, path: str) -> bytes | None:
        try:
            data: bytes = tried(lambda: self.files.cat_file(path))
        except FileNotFoundError:
            return None
        return data

    def read_many(self, paths: Iterable[str]) -> Iterator[bytes | None]:
        rest = iter(paths)
        with ThreadPoolExecutor(TUNING.at_once) as pool:
            while some := list(islice(rest, TUNING.batch)):
                yield from pool.map(self.read, some)

    def stat_many(self, paths: Sequence[str]) -> list[Found | None]:
        """As :meth:`Storage.stat_many`: a folder of which much is wanted is listed instead."""
        folders: dict[str, list[int]] = {}
        for number, path in enumerate(paths):
            folders.setdefault(path.rpartition("/")[0], []).append(number)
        found: list[Found | None] = [None] * len(paths)
        single: list[int] = []
        self.files.invalidate_cache()
        for folder, numbers in folders.items():
            if len(numbers) < TUNING.listed:
                single += numbers
                continue
            listed = {facts["name"]: facts for facts in self._listed(folder)}
            for number in numbers:
                facts = listed.get(self.files._strip_protocol(paths[number]))
                found[number] = self._found(facts) if facts and facts["type"] == "file" else None
        with ThreadPoolExecutor(TUNING.at_once) as pool:
            stats = pool.map(self.stat, [paths[number] for number in single])
            for number, one in zip(single, stats, strict=True):
                found[number] = one
        return found

    def write(self, path: str, data: bytes) -> None:
        self._make_parent(path)
        tried(lambda: self.files.pipe_file(path, data))

    def fetch(self, path: str, local: Path) -> None:
        tried(lambda: self.files.get_file(path, str(local)))

    def put(self, local: Path, path: str, temporary: str) -> None:
        self._make_parent(temporary)
        self._make_parent(path)
        tried(lambda: self.files.put_file(str(local), temporary))
        tried(lambda: self.files.mv(temporary, path))
        local.unlink()

    def walk(self, folder: str) -> Iterator[tuple[str, Found]]:
        """As :meth:`Storage.walk`: the listing of one folder at a time is in memory."""
        self.files.invalidate_cache()
        waiting = [folder]
        while waiting:
            listed = sorted(self._listed(waiting.pop()), key=lambda facts: facts["name"])
            self.files.invalidate_cache()  # which would keep every listing
            below = []
            for facts in listed:
                path = self.files.unstrip_protocol(facts["name"].rstrip("/"))
                if path.rpartition("/")[2].startswith("."):
                    continue
                if facts["type"] == "directory":
                    below.append(path)
                else:
                    yield path, self._found(facts)
            waiting += reversed(below)

    def glob(self, pattern: str) -> Iterator[tuple[str, Found]]:
        listed = tried(lambda: self.files.glob(pattern, detail=True))
        for path, facts in sorted(listed.items()):
            if facts.get("type") == "file":
                yield self.files.unstrip_protocol(path), self._found(facts)

    def is_folder(self, path: str) -> bool:
        return bool(tried(lambda: self.files.isdir(path)))

    def names(self, folder: str) -> list[str]:
        self.files.invalidate_cache()
        paths = [facts["name"].rstrip("/") for facts in self._listed(folder)]
        return sorted(path.rpartition("/")[2] for path in paths)

    def clear(self, folder: str) -> None:
        self.files.invalidate_cache()
        if self.files.exists(folder):
            tried(lambda: self.files.rm(folder, recursive=True))

    def _listed(self, folder: str) -> list[dict[str, Any]]:
        """Return the files and folders in a folder; nothing where there is none."""
        try:
            found: list[dict[str, Any]] = tried(lambda: self.files.ls(folder, detail=True))
        except FileNotFoundError:
            return []
        here = self.files._strip_protocol(folder).rstrip("/")
        return [facts for facts in found if facts["name"].rstrip("/") != here]

    def _found(self, facts: dict[str, Any]) -> Found:
        marks = ("ETag", "etag", "md5Hash", "mtime", "LastModified", "updated", "created")
        stamp = next((str(facts[name]) for name in marks if facts.get(name)), "")
        return Found(int(facts.get("size") or 0), stamp)

    def _make_parent(self, path: str) -> None:
        """Make the folder of a path, where the store has folders."""
        if self.scheme in ("file", "local", "memory", "sftp", "ssh", "hdfs", "smb"):
            self.files.makedirs(path.rpartition("/")[0], exist_ok=True)


def tried(action: Callable[[], T], tuning: StorageTuning = TUNING) -> T:
    """Return what an action on a store gives; what may pass is tried again, longer each time."""
    for number in range(tuning.tries):
        try:
            return action()
        except (FileNotFoundError, PermissionError, ImportError):
            raise
        except Exception:
            if number == tuning.tries - 1:
                raise
            time.sleep(tuning.wait * 2**number)
    raise AssertionError("unreachable")


@cache
def _remote(scheme: str) -> RemoteStorage:
    try:
        import fsspec
    except ImportError as error:
        raise MissingExtraError(
            f"{scheme}:// needs fsspec; run: pip install 'seesame[fleet]'"
        ) from error
    try:
        return RemoteStorage(scheme, fsspec.filesystem(scheme))
    except ImportError as error:
        raise MissingExtraError(f"{scheme}://: {error}") from error
    except ValueError as error:
        raise UserError(f"{scheme}://: {error}") from error


def _refuse(error: OSError) -> None:
    raise UserError(f"{error.filename}: cannot be listed ({error.strerror})") from error
