"""``archive.zip``: unpacking a stranger's without harm, and writing the smallest valid one."""

import bz2
import os
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import BinaryIO, cast

from seesame.contest.isolation.limits import ArchiveLimits
from seesame.contest.submission import FULL, DiskSpaceError, SubmissionError, shown
from seesame.files import replacing

_UNIX = 3
"""The ``create_system`` of an archive whose entries carry Unix modes."""
_ENCRYPTED, _UTF8 = 0x1, 0x800
"""Bits of an entry's flags."""
_LOCAL = struct.Struct("<4s2xH18xHH")
"""The header before an entry's content: magic, flags, lengths of the name and the extra field."""
_PIECE = 1 << 20
"""Bytes of an entry that are in memory at once, packed and unpacked."""
_DAMAGE = (
    *(zipfile.BadZipFile, zlib.error, struct.error),
    *(EOFError, OSError, ValueError, NotImplementedError),
)
"""The errors of the standard library on reading an archive that is not what it claims to be;
OSError stands for bzip2's damage and for places outside the file."""


def unpack(archive: Path, folder: Path, max_bytes: int, limits: ArchiveLimits | None = None) -> int:
    """Unpack an untrusted zip into an empty folder.

    Everything is checked from the directory of the archive before the first byte is written:
    names that climb out, links and other special entries, encryption, two entries of one name,
    too many entries, too deep folders, too many bytes. No entry is unpacked beyond the size that
    it declares, and no more than a piece of it is in memory.

    Args:
        archive: the zip file.
        folder: an empty folder, which takes the files.
        max_bytes: the most that all files together may take.
        limits: the most that its directory may hold.

    Returns:
        Bytes of all files together.

    Raises:
        SubmissionError: what is wrong with the archive, in one line.
        DiskSpaceError: the disk has no space for the files.
    """
    limits = limits or ArchiveLimits()
    with archive.open("rb") as data:
        with _reading():
            file = zipfile.ZipFile(cast(BinaryIO, _Bounded(data, limits.directory)))
        entries = file.infolist()
        paths = _check(entries, max_bytes, limits)
        for entry, path in zip(entries, paths, strict=True):
            _write(data, entry, folder / path)
    return sum(entry.file_size for entry in entries)


class _Bounded:
    """A file that :mod:`zipfile` reads a directory from, which refuses to give too much at once."""

    def __init__(self, data: BinaryIO, most: int) -> None:
        self.seek, self.tell, self.seekable = data.seek, data.tell, data.seekable
        self._data, self._most = data, most

    def read(self, size: int = -1) -> bytes:
        found = self._data.read(min(size, self._most + 1) if size >= 0 else self._most + 1)
        if len(found) > self._most:
            raise zipfile.BadZipFile(f"its directory takes more than {self._most:,} bytes")
        return found


@contextmanager
def _reading() -> Iterator[None]:
    """Turn the errors of reading a damaged archive into a verdict, and only those."""
    try:
        yield
    except _DAMAGE as error:
        reason = shown(str(error))[1:-1]
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


def _check(
    entries: list[zipfile.ZipInfo], max_bytes: int, limits: ArchiveLimits
) -> list[PurePosixPath]:
    """Return the entries' paths, if all of them may be written."""
    if len(entries) > limits.entries:
        raise SubmissionError(f"archive.zip holds {len(entries)} entries; {limits.entries} at most")
    paths = [_path(entry) for entry in entries]
    files = {path for path, entry in zip(paths, entries, strict=True) if not entry.is_dir()}
    if len(files) < sum(not entry.is_dir() for entry in entries):
        raise SubmissionError("archive.zip holds two entries of the same name")
    if any(len(path.parts) > limits.depth for path in paths):
        raise SubmissionError(f"archive.zip nests folders more than {limits.depth} deep")
    for path, entry in zip(paths, entries, strict=True):
        folders = {*path.parents, path} if entry.is_dir() else {*path.parents}
        if both := files & folders:
            raise SubmissionError(f"archive.zip: {shown(str(both.pop()))} is a file and a folder")
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
    if path.is_absolute() or ".." in path.parts or "\\" in name or ":" in name or "\0" in name:
        raise SubmissionError(f"archive.zip: entry {shown(name)} climbs out of its folder")
    if not path.parts or len(name) > 1024 or any(len(part.encode()) > 255 for part in path.parts):
        raise SubmissionError(f"archive.zip: entry {shown(name)} has no usable name")
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if entry.create_system == _UNIX and kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        what = "link" if kind == stat.S_IFLNK else "special file"
        raise SubmissionError(f"archive.zip: entry {shown(name)} is a {what}")
    if entry.flag_bits & _ENCRYPTED:
        raise SubmissionError(f"archive.zip: entry {shown(name)} is encrypted")
    return path


def _write(data: BinaryIO, entry: zipfile.ZipInfo, target: Path) -> None:
    try:
        if entry.is_dir():
            target.mkdir(parents=True, exist_ok=True)
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        out = target.open("xb")
        with out:
            for piece in _unpacked(data, entry):
                out.write(piece)
        if entry.create_system == _UNIX and entry.external_attr >> 16 & stat.S_IXUSR:
            target.chmod(0o755)
    except OSError as error:
        if error.errno in FULL:
            raise DiskSpaceError(
                f"{target.parent}: the disk has no space for what archive.zip holds; "
                "choose another place for it"
            ) from error
        raise


def _unpacked(data: BinaryIO, entry: zipfile.ZipInfo) -> Iterator[bytes]:
    """Yield an entry in pieces. ``zipfile`` would unpack bzip2 and LZMA without a bound."""
    with _reading():
        left, crc = entry.file_size, 0
        for piece in _decompressed(_packed(data, entry), entry):
            piece = piece[:left]
            left -= len(piece)
            crc = zlib.crc32(piece, crc)
            yield piece
            if not left:
                break
        if left or crc != entry.CRC:
            raise zipfile.BadZipFile(f"bad content of {entry.filename}")


def _packed(data: BinaryIO, entry: zipfile.ZipInfo) -> Iterator[bytes]:
    """Yield the compressed bytes of an entry, which follow a header of their own."""
    data.seek(entry.header_offset)
    header = data.read(_LOCAL.size)
    magic, flags, name_bytes, extra_bytes = _LOCAL.unpack(header)
    name = data.read(name_bytes)
    if magic != b"PK\3\4" or name != _name_bytes(entry):
        raise zipfile.BadZipFile("an entry is not where the directory says")
    if flags & _ENCRYPTED:
        raise zipfile.BadZipFile("an entry is encrypted, though the directory does not say so")
    data.seek(extra_bytes, os.SEEK_CUR)
    left = entry.compress_size
    while left > 0:
        piece = data.read(min(_PIECE, left))
        if not piece:
            raise EOFError("it ends too early")
        left -= len(piece)
        yield piece


def _name_bytes(entry: zipfile.ZipInfo) -> bytes:
    return entry.orig_filename.encode("utf-8" if entry.flag_bits & _UTF8 else "cp437")


def _decompressed(packed: Iterator[bytes], entry: zipfile.ZipInfo) -> Iterator[bytes]:
    """Yield the content in pieces of at most ``_PIECE`` bytes."""
    if entry.compress_type == zipfile.ZIP_STORED:
        yield from packed
        return
    if entry.compress_type == zipfile.ZIP_DEFLATED:
        inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        for piece in packed:
            while piece and not inflater.eof:
                yield inflater.decompress(piece, _PIECE)
                piece = inflater.unconsumed_tail
        yield inflater.flush()
        return
    if entry.compress_type != zipfile.ZIP_BZIP2:
        raise NotImplementedError(f"compression method {entry.compress_type}")
    unpacker = bz2.BZ2Decompressor()
    for piece in packed:
        while not unpacker.eof:
            yield unpacker.decompress(piece, _PIECE)
            piece = b""
            if unpacker.needs_input:
                break
