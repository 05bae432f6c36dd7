"""The limits within which a submission is unpacked, run and reported, one dataclass a stage."""

from dataclasses import dataclass

GIB = 1 << 30


@dataclass(frozen=True)
class FolderLimits:
    """The most that a submission's folder may hold beside its archive.

    Args:
        script_bytes: the largest text file that passes for a script; a larger one could carry
            payload and is listed as uncounted. The longest honest script is about half of it.
        files: number of files and folders; more would only slow down the copy.
        depth: folders in folders.
        bytes: size of all files together.
    """

    script_bytes: int = 1 << 16
    files: int = 10_000
    depth: int = 64
    bytes: int = GIB


@dataclass(frozen=True)
class ArchiveLimits:
    """The most that ``archive.zip`` may unpack to.

    Args:
        entries: number of files and folders in it.
        directory: bytes of the archive's own directory, which is read into memory.
        depth: folders in folders; an entry's path has at most as many parts.
        per_source_byte: bytes that it may expand to for each byte of the source videos. An archive
            that is worth anything is smaller than its sources, so four times leaves ample space.
        allowance: bytes that it may expand to beyond that, for tiny source videos.
    """

    entries: int = 10_000
    directory: int = 4 << 20
    depth: int = 64
    per_source_byte: int = 4
    allowance: int = 1 << 28

    def bytes(self, source_bytes: int) -> int:
        """Return the bytes that the archive of a contest with such sources may expand to."""
        return self.allowance + self.per_source_byte * source_bytes


@dataclass(frozen=True)
class Limits:
    """The limits at which ``inflate.sh`` is stopped; time and memory are the official ones.

    Args:
        seconds: wall time.
        memory: bytes of memory of all its processes together, with what they put into ``/dev/shm``
            of the sandbox, into files in memory, and into pipes and sockets.
        processes: processes at once.
        bytes: bytes on disk in its folder and in open files that were removed, and of any one
            file. ``contest evaluate`` lowers it to the size of the raw videos, what is in the
            folder already, and ``beyond_raw``.
        beyond_raw: bytes that the script may write beyond the raw videos that are asked of it.
        files: number of files and folders in its folder.
        depth: folders in folders there.
        threads: threads for each allowed process; all processes share them.
        open_files: files, sockets and the like that one process may have open.
        all_open_files: the same for all processes together.
        shared_memory: size of ``/dev/shm`` in the sandbox, in bytes; at most ``memory``.
    """

    seconds: float = 1800.0
    memory: int = 16 * GIB
    processes: int = 256
    bytes: int = 16 * GIB
    beyond_raw: int = GIB
    files: int = 100_000
    depth: int = 128
    threads: int = 32
    open_files: int = 4096
    all_open_files: int = 16_384
    shared_memory: int = GIB

    @property
    def most_threads(self) -> int:
        """Threads of all processes together."""
        return self.threads * self.processes


@dataclass(frozen=True)
class WatchSettings:
    """The settings of the watch over a running script.

    Args:
        interval: seconds between two measurements, or more where measuring takes long. A script
            may pass a limit for that long; shorter intervals would take time from the script.
        kept: bytes kept of the beginning and of the end of what it prints.
        mapped: measurements after which files that are mapped but not open are looked for again;
            that takes longer than all else.
        pipe: bytes that a pipe counts for where the kernel does not count them.
        socket: bytes that a socket counts for there: its two buffers, at Linux's usual limits.
        patience: seconds to go on killing its processes before that is given up as a bug.
    """

    interval: float = 0.05
    kept: int = 1 << 15
    mapped: int = 10
    pipe: int = 1 << 16
    socket: int = 1 << 19
    patience: float = 30.0


@dataclass(frozen=True)
class ReportLimits:
    """The most that a ``report.json`` of unknown origin may hold.

    Args:
        bytes: size of the file.
        items: videos, or uncounted files, of one report.
        tolerance: relative; how far the score and the rate may be from what the report's other
            figures make. It is above the rounding of a sum of three terms and below any figure
            that is shown.
    """

    bytes: int = 64 << 20
    items: int = 100_000
    tolerance: float = 1e-9
