"""Locks on a target: one run at a time, or one for each shard of the same number.

A lock is a file that is held with ``flock``, which ends with the process, however that ends. In an
object store it is an object that its run writes again and again; one that is older than
``LEASE`` seconds is of a run that was killed.
"""

import errno
import json
import os
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from seesame.errors import UserError
from seesame.fleet.storage import HIDDEN, is_remote, joined, storage

LEASE = 180.0
"""Seconds after which a lock in an object store that is not renewed counts as left behind."""
RENEW = 30.0
_NAME = re.compile(r"run-(\d+)-of-(\d+)\.lock")

Shard = tuple[int, int]
"""The number of a shard, from 0, and how many there are."""
WHOLE: Shard = (0, 1)


class TargetBusyError(UserError):
    """Another run works on the same clips of a target."""


def shard_name(shard: Shard) -> str:
    """Return a shard's name for files."""
    return f"{shard[0]}-of-{shard[1]}"


def incoming_folder(target: str, shard: Shard = WHOLE) -> str:
    """Return the folder of a run's files that are not yet in place, which its lock keeps for it."""
    return joined(joined(target, HIDDEN), f"incoming-{shard_name(shard)}")


@contextmanager
def target_lock(target: str, shard: Shard = WHOLE) -> Iterator[None]:
    """Keep other runs from a target's clips; other shards of the same number are let in.

    Raises:
        TargetBusyError: another run has the same clips.
        UserError: the target cannot be written.
    """
    folder = joined(target, HIDDEN)
    if is_remote(target):
        with _leased(target, folder, shard):
            yield
        return
    try:
        os.makedirs(folder, exist_ok=True)
        with _gate(folder):
            _refuse_others(target, folder, shard)
            path = Path(folder, f"run-{shard_name(shard)}.lock")
            handle = _held(path)
            if handle is None:
                raise _busy(target, shard, shard, _holder(path))
            os.truncate(handle, 0)
            os.write(handle, _who().encode())
    except OSError as error:
        raise UserError(f"{target}: cannot be written ({error.strerror})") from error
    try:
        yield
    finally:
        with suppress(OSError):
            path.unlink()
        os.close(handle)


def owner(target: str, shard: Shard = WHOLE) -> str:
    """Return the machine and process that hold a target's lock; empty where nobody does."""
    path = joined(joined(target, HIDDEN), f"run-{shard_name(shard)}.lock")
    try:
        facts = json.loads(storage(path).read(path) or b"")
        return f"{facts['machine']} {facts['pid']}"
    except (ValueError, KeyError, TypeError):
        return ""


@contextmanager
def catalogue_lock(target: str) -> Iterator[None]:
    """Wait until no other shard writes the catalogue, and keep them from it."""
    if is_remote(target):
        yield
        return
    with _gate(joined(target, HIDDEN)):
        yield


@contextmanager
def _gate(folder: str) -> Iterator[None]:
    """Wait for a lock that is only ever held for a moment, on the folder itself."""
    handle = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        with suppress(OSError):  # a file system without locks
            _flock(handle, wait=True)
        yield
    finally:
        os.close(handle)


def _refuse_others(target: str, folder: str, shard: Shard) -> None:
    """Refuse to share a target with shards of another number; remove locks left behind."""
    for name in os.listdir(folder):
        found = _NAME.fullmatch(name)
        other = (int(found[1]), int(found[2])) if found else shard
        if other == shard:
            continue
        path = Path(folder, name)
        handle = _held(path)
        if handle is None:
            if other[1] != shard[1]:
                raise _busy(target, shard, other, _holder(path))
            continue
        with suppress(OSError):
            path.unlink()
        os.close(handle)


def _held(path: Path) -> int | None:
    """Return the handle of a lock that is held from now on; None where another process has it."""
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
        try:
            _flock(handle)
        except BlockingIOError:
            os.close(handle)
            return None
        except OSError as error:
            if error.errno not in (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS):
                os.close(handle)
                raise
            return handle  # a file system without locks
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(handle), os.stat(path, follow_symlinks=False)):
                return handle
        os.close(handle)  # its holder removed it just now, so that it locks nothing


def _flock(handle: int, wait: bool = False) -> None:
    try:
        import fcntl
    except ImportError:  # not a POSIX system: no locks
        return
    fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))


@contextmanager
def _leased(target: str, folder: str, shard: Shard) -> Iterator[None]:
    """Hold a lock in an object store for as long as this process renews it."""
    place = storage(target)
    path = joined(folder, f"run-{shard_name(shard)}.lock")
    for name in place.names(folder):
        found = _NAME.fullmatch(name)
        other = (int(found[1]), int(found[2])) if found else None
        if other is None or (other != shard and other[1] == shard[1]):
            continue
        data = place.read(joined(folder, name))
        if data is not None and _age(data) < LEASE:
            raise _busy(target, shard, other, data.decode(errors="replace"))
    ended = threading.Event()

    def renew() -> None:
        while not ended.wait(RENEW):
            with suppress(Exception):  # the next one may reach the store again
                place.write(path, _who().encode())

    place.write(path, _who().encode())
    keeper = threading.Thread(target=renew, daemon=True)
    keeper.start()
    try:
        yield
    finally:
        ended.set()
        keeper.join()
        place.clear(path)


def _who() -> str:
    return json.dumps({"machine": socket.gethostname(), "pid": os.getpid(), "time": time.time()})


def _age(data: bytes) -> float:
    """Return the seconds since a lock was renewed; as good as never where that is not told."""
    try:
        return time.time() - float(json.loads(data)["time"])
    except (ValueError, KeyError, TypeError):
        return LEASE


def _holder(path: Path) -> str:
    with suppress(OSError):
        return path.read_text(encoding="utf-8", errors="replace")
    return ""


def _busy(target: str, shard: Shard, other: Shard, who: str) -> TargetBusyError:
    try:
        facts = json.loads(who)
        by = f" (process {facts['pid']} on {facts['machine']})"
    except (ValueError, KeyError, TypeError):
        by = ""
    if other[1] == shard[1]:
        part = f"shard {shard[0]}/{shard[1]} of it" if shard[1] > 1 else "it"
        return TargetBusyError(f"{target}: another run{by} works on {part}; wait for it to end")
    return TargetBusyError(
        f"{target}: another run{by} works on {_words(other)}, this one would on {_words(shard)}; "
        "all runs on one target have the same number of shards"
    )


def _words(shard: Shard) -> str:
    return "all clips" if shard[1] == 1 else f"shard {shard[0]}/{shard[1]}"
