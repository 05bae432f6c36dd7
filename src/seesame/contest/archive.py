"""``archive.zip``: unpacking a stranger's without harm, and writing the smallest valid one."""

import lzma
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from seesame.contest.isolation.limits import ArchiveLimits
from seesame.contest.submission import SubmissionError
from seesame.files import replacing

_UNIX = 3
"""The ``create_system`` of an archive whose entries carry Unix modes."""
_ENCRYPTED = 0x1
_DAMAGE = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error),
    *(EOFError, OSError, ValueError, NotImplementedError),
)
"""The errors of the standard library on reading an archive that is not what it claims to be;
OSError stands for bzip2's damage and for places outside the file."""


def unpack(archive: Path, folder: Path, max_bytes: int, limits: ArchiveLimits | None = None) -> int:
    """Unpack an untrusted zip into an empty folder.

    Everything is checked from the directory of the archive before the first byte is written:
    names that climb out, links and other special entries, encryption, two entries of one name,
    too many entries, too many bytes. No entry is read beyond the size that it declares.

    Args:
        archive: the zip file.
        folder: an empty folder, which takes the files.
        max_bytes: the most that all files together may take.
        limits: the most entries.

    Returns:
        Bytes of all files together.

    Raises:
        SubmissionError: what is wrong with the archive, in one line.
    """
    with archive.open("rb") as data:
        with _reading():
            file = zipfile.ZipFile(data)
        entries = file.infolist()
        paths = _check(entries, max_bytes, (limits or ArchiveLimits()).entries)
        for entry, path in zip(entries, paths, strict=True):
            _write(file, entry, folder / path)
    return sum(entry.file_size for entry in entries)


@contextmanager
def _reading() -> Iterator[None]:
    """Turn the errors of reading a damaged archive into a verdict, and only those."""
    try:
        yield
    except _DAMAGE as error:
        reason = ascii(str(error))[1:-1]
        raise SubmissionError(f"archive.zip is damaged or of an unknown kind ({reason})") from error


def pack_files(path: Path, payloads: Mapping[str, bytes], overwrite: bool = False) -> int:
    """Write a zip with nothing in it that need not be: stored, no extra fields, no comment.

    An entry costs 76 bytes and its name twice, the archive 22 bytes. Entries name MS-DOS as
    their system, so that ``unzip`` gives the files the usual permissions.

    Args:
        path: the archive.
        payloads: short names and contents; they are incompressible already.
        overwrite: replace an existing file.

    Returns:
        Bytes on disk.

    Raises:
        UserError: the output exists or cannot be written.
    """
    with replacing(path, overwrite) as temporary:
        with zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as file:
            for name, payload in payloads.items():
                entry = zipfile.ZipInfo(name)
                entry.create_system = 0
                entry.external_attr = 0
                file.writestr(entry, payload)
        return temporary.stat().st_size


def _check(entries: list[zipfile.ZipInfo], max_bytes: int, max_entries: int) -> list[PurePosixPath]:
    """Return the entries' paths, if all of them may be written."""
    if len(entries) > max_entries:
        raise SubmissionError(f"archive.zip holds {len(entries)} entries; {max_entries} at most")
    paths = [_path(entry) for entry in entries]
    files = {path for path, entry in zip(paths, entries, strict=True) if not entry.is_dir()}
    if len(files) < sum(not entry.is_dir() for entry in entries):
        raise SubmissionError("archive.zip holds two entries of the same name")
    for path, entry in zip(paths, entries, strict=True):
        folders = {*path.parents, path} if entry.is_dir() else {*path.parents}
        if both := files & folders:
            raise SubmissionError(f"archive.zip: {str(both.pop())!a} is a file and a folder")
    total = sum(entry.file_size for entry in entries)
    if total > max_bytes:
        raise SubmissionError(
            f"archive.zip expands to {total:,} bytes; {max_bytes:,} at most (nothing was unpacked)"
        )
    return paths


def _path(entry: zipfile.ZipInfo) -> PurePosixPath:
    """Return where an entry goes, below the folder."""
    # zipfile cuts names at a NUL and rewrites some; orig_filename has them whole.
    name = entry.orig_filename
    path = PurePosixPath(name)
    shown = ascii(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or ":" in name or "\0" in name:
        raise SubmissionError(f"archive.zip: entry {shown} climbs out of its folder")
    if not path.parts or len(name) > 1024 or any(len(part.encode()) > 255 for part in path.parts):
        raise SubmissionError(f"archive.zip: entry {shown[:80]} has no usable name")
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if entry.create_system == _UNIX and kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        what = "link" if kind == stat.S_IFLNK else "special file"
        raise SubmissionError(f"archive.zip: entry {shown} is a {what}")
    if entry.flag_bits & _ENCRYPTED:
        raise SubmissionError(f"archive.zip: entry {shown} is encrypted")
    return path


def _write(file: zipfile.ZipFile, entry: zipfile.ZipInfo, target: Path) -> None:
    if entry.is_dir():
        target.mkdir(parents=True, exist_ok=True)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    with _reading():
        source = file.open(entry)
    with source, target.open("xb") as out:
        while True:
            with _reading():
                chunk = source.read(1 << 20)
            if not chunk:
                break
            out.write(chunk)
    if entry.create_system == _UNIX and entry.external_attr >> 16 & stat.S_IXUSR:
        target.chmod(0o755)
