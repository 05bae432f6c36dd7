"""The size of files without a name that processes keep open or mapped, read from Linux's /proc.

A file that was removed takes space for as long as a process has it open or mapped, or it is on its
way to another process through a socket. ``memfd_create`` makes such files in memory.
"""

import os
import re
import stat
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache

from seesame.contest.isolation.limits import WatchSettings

Key = tuple[int, int]
"""A file: its device and its inode."""

_MAPPED = re.compile(
    rb"^([0-9a-f]+)-([0-9a-f]+) \S+ \S+ ([0-9a-f]+):([0-9a-f]+) (\d+) [^\n]*\(deleted\)$", re.M
)
"""A mapping of a file that was removed: addresses, device, inode."""
_SHARE = re.compile(
    rb"^[0-9a-f]+-[0-9a-f]+ \S+ \S+ ([0-9a-f]+):([0-9a-f]+) (\d+)[^\n]*\n(?:\w[^\n]*\n)*?"
    rb"Pss: +(\d+) kB$",
    re.M,
)
"""A mapping's device and inode, and its share of the memory, in KiB."""


@dataclass(frozen=True)
class Held:
    """The sizes and the number of files that processes hold at one time.

    Args:
        memory: bytes in memory, without those that are only mapped.
        disk: bytes on disk.
        count: open files of all kinds.
        buffers: bytes that the pipes and sockets may hold at most.
        hidden: the process, if there is one, that does not let its open files be seen.
        files: the files without a name.
    """

    memory: int
    disk: int
    count: int
    buffers: int
    hidden: int | None
    files: Collection[Key]


class Holding:
    """Counts what processes hold, again and again.

    Args:
        settings: how closely.
        most: open files after which counting ends, since it would take too long.
    """

    def __init__(self, settings: WatchSettings, most: int) -> None:
        self._settings, self._most = settings, most
        self._files: dict[Key, int] = {}
        self._rounds = 0

    def measure(self, pids: Sequence[int], sizes: Mapping[Key, int], apart: int | None) -> Held:
        """Return what the processes hold now.

        Args:
            pids: the processes.
            sizes: bytes of files that had a name once, for one that cannot be looked at.
            apart: a device that is counted elsewhere.
        """
        files: dict[Key, int] = {}
        pipes: set[int] = set()
        sockets: set[int] = set()
        count = sent = 0
        hidden = None
        for pid in pids:
            try:
                names = os.listdir(f"/proc/{pid}/fd")
            except PermissionError:
                hidden = pid if _is_running(pid) else hidden
                continue
            except OSError:  # ended meanwhile
                continue
            count += len(names)
            if count > self._most:
                break
            for name in names:
                try:
                    status = os.stat(f"/proc/{pid}/fd/{name}")
                except OSError:
                    continue
                if stat.S_ISREG(status.st_mode):
                    if status.st_nlink == 0:
                        files[status.st_dev, status.st_ino] = status.st_blocks * 512
                elif stat.S_ISSOCK(status.st_mode) and status.st_ino not in sockets:
                    sockets.add(status.st_ino)
                    sent += _sent_files(pid, name)
                elif stat.S_ISFIFO(status.st_mode):
                    pipes.add(status.st_ino)
        if sent:  # What is under way is in nobody's list; it was when it was last seen.
            files = {**self._files, **files}
        if self._rounds % self._settings.mapped == 0:
            self._mapped = self._only_mapped(pids, {**sizes, **self._files})
        self._rounds += 1
        self._files = files
        files = {key: size for key, size in {**self._mapped, **files}.items() if key[0] != apart}
        memory = sum(size for key, size in files.items() if key[0] in memory_devices())
        buffers = len(pipes) * self._settings.pipe + len(sockets) * self._settings.socket
        disk = sum(files.values()) - memory
        return Held(memory, disk, count, buffers, hidden, files.keys())

    def _only_mapped(self, pids: Sequence[int], sizes: Mapping[Key, int]) -> dict[Key, int]:
        """Return the files without a name that the processes have mapped, and their bytes."""
        found: dict[Key, int] = {}
        for pid in pids:
            for first, last, major, minor, inode in _MAPPED.findall(_read(f"/proc/{pid}/maps")):
                key = os.makedev(int(major, 16), int(minor, 16)), int(inode)
                if key in found:
                    continue
                place = f"/proc/{pid}/map_files/{first.decode()}-{last.decode()}"
                try:  # which takes a privilege
                    found[key] = os.stat(place).st_blocks * 512
                except OSError:
                    if key in sizes:
                        found[key] = sizes[key]
                    elif key[0] not in memory_devices():  # else it is in the processes' memory
                        found[key] = int(last, 16) - int(first, 16)
        return found


def own_memory(pids: Sequence[int], files: Collection[Key], apart: int | None) -> int:
    """Return the bytes in memory of processes, what several share counted once.

    Args:
        pids: the processes.
        files: what is counted elsewhere.
        apart: a device that is counted elsewhere.
    """
    total = 0
    for pid in pids:
        for major, minor, inode, share in _SHARE.findall(_read(f"/proc/{pid}/smaps")):
            device = os.makedev(int(major, 16), int(minor, 16))
            if device != apart and (device, int(inode)) not in files:
                total += int(share) * 1024
    return total


def threads_and_memory(pid: int) -> tuple[int, int]:
    """Return a process's number of threads and its bytes in memory; zeros when it has ended."""
    fields = _read(f"/proc/{pid}/stat").rpartition(b")")[2].split()
    if len(fields) < 22:
        return 0, 0
    return int(fields[17]), int(fields[21]) * os.sysconf("SC_PAGE_SIZE")


def file_system(pids: Sequence[int], place: str) -> tuple[int, int] | None:
    """Return the device of a folder as the processes see it, and the bytes used on it.

    None where they see what this process sees, or nothing.
    """
    ours = _device(place)
    for pid in reversed(pids):
        with suppress(OSError):
            theirs = f"/proc/{pid}/root{place}"
            device, status = os.stat(theirs).st_dev, os.statvfs(theirs)
            if device != ours:
                return device, (status.f_blocks - status.f_bfree) * status.f_frsize
    return None


@cache
def memory_devices() -> frozenset[int]:
    """Return the devices of files in memory: those of ``memfd_create`` and of ``/dev/shm``."""
    handle = os.memfd_create("seesame")
    try:
        found = {os.fstat(handle).st_dev, _device("/dev/shm")}
    finally:
        os.close(handle)
    # Where /dev/shm is no file system of its own, its files are on disk.
    return frozenset(device for device in found - {_device("/")} if device is not None)


def _device(place: str) -> int | None:
    try:
        return os.stat(place).st_dev
    except OSError:
        return None


def _is_running(pid: int) -> bool:
    fields = _read(f"/proc/{pid}/stat").rpartition(b")")[2].split()
    return bool(fields) and fields[0] not in (b"Z", b"X")


def _sent_files(pid: int, name: str) -> int:
    """Return the number of open files under way through a socket (Linux 5.5 and later say it)."""
    found = re.search(rb"^scm_fds:\s*(\d+)$", _read(f"/proc/{pid}/fdinfo/{name}"), re.M)
    return int(found[1]) if found else 0


def _read(place: str) -> bytes:
    try:
        with open(place, "rb") as file:
            return file.read()
    except OSError:
        return b""
