"""The file of one entry of the cache: a stack's outputs for a source.

A line of JSON (the key, the shape of the pose values, and of each set of class maps its type, its
size and the maps and bytes of each packed batch), the pose values as little-endian float32, the
batches one after the other, and the SHA-256 of all before it.
"""

import hashlib
import json
import os
import stat
from collections.abc import Iterator
from math import prod
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from seesame.errors import DamagedError
from seesame.files import file_kind
from seesame.metric.storage.maps import KINDS, ClassMaps, unpacked

MOST_HEADER = 16 << 20
"""Bytes of the line; a batch takes about ten."""
MOST_BATCH = 1 << 30
"""Bytes of an unpacked batch."""
DIGEST = hashlib.sha256().digest_size


class Entry(NamedTuple):
    """What is kept of a stack's outputs."""

    maps: ClassMaps
    """Of the second frames."""
    poses: Tensor
    first_maps: ClassMaps | None
    """Of the others, where they are judged."""


class DamagedEntryError(DamagedError):
    """A file that is not the entry of its key."""


def header(key: str, entry: Entry) -> bytes:
    """Return the first line of an entry."""
    maps = [one for one in (entry.maps, entry.first_maps) if one is not None]
    listed = [
        [one.kind.str, *one.size, list(zip(one.counts, one.sizes, strict=True))] for one in maps
    ]
    values = {"key": key, "poses": list(entry.poses.shape), "maps": listed}
    return json.dumps(values, separators=(",", ":")).encode() + b"\n"


def entry_bytes(key: str, entry: Entry) -> int:
    """Return the size of an entry's file."""
    maps = [one for one in (entry.maps, entry.first_maps) if one is not None]
    packed = sum(sum(one.sizes) for one in maps)
    return len(header(key, entry)) + 4 * entry.poses.numel() + packed + DIGEST


def write_entry(path: Path, key: str, entry: Entry) -> None:
    """Write an entry. Raises OSError."""
    whole = hashlib.sha256()
    with path.open("wb") as file:
        for piece in _pieces(key, entry):
            whole.update(piece)
            file.write(piece)
        file.write(whole.digest())


def _pieces(key: str, entry: Entry) -> Iterator[bytes]:
    yield header(key, entry)
    yield entry.poses.numpy().astype("<f4").tobytes()
    for maps in (entry.maps, entry.first_maps):
        if maps is not None:
            yield from maps.packed()


def read_entry(path: Path, key: str, counts: tuple[int, int]) -> Entry:
    """Return a verified entry.

    Args:
        path: of the file.
        key: everything that it depends on.
        counts: class maps of second frames, and of others.

    Raises:
        DamagedEntryError: it is none, or that of another key.
        OSError: it cannot be read.
    """
    # A pipe would wait for a writer.
    with open(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK), "rb") as file:
        mode = os.fstat(file.fileno()).st_mode
        if not stat.S_ISREG(mode):
            raise OSError(0, f"is {file_kind(mode) or 'a folder'}")
        try:
            return _Reader(file, key, counts).entry()
        except (ValueError, KeyError, TypeError, RecursionError, DamagedError) as error:
            raise DamagedEntryError(f"{path}: is no entry of the cache") from error


class _Reader:
    """Reads one entry; raises ValueError and other errors for what is none."""

    def __init__(self, file: IO[bytes], key: str, counts: tuple[int, int]) -> None:
        self._file, self._key, self._counts = file, key, counts
        self._whole = hashlib.sha256()

    def entry(self) -> Entry:
        """Return the entry."""
        line = self._file.readline(MOST_HEADER)
        self._whole.update(line)
        values = json.loads(line)
        if values["key"] != self._key:
            raise ValueError("the entry of another key")
        pairs, width = (_whole_number(one) for one in values["poses"])
        if pairs != self._counts[0] or len(values["maps"]) != (2 if self._counts[1] else 1):
            raise ValueError("not as many frames as the clip has")
        data = self._read(4 * pairs * width)
        poses = np.frombuffer(data, "<f4").reshape(pairs, width).astype(np.float32)
        found = [self._maps(*one) for one in values["maps"]]
        if [len(one) for one in found] != [count for count in self._counts if count]:
            raise ValueError("not as many frames as the clip has")
        digest = self._whole.digest()
        if self._file.read(DIGEST + 1) != digest:
            raise ValueError("a checksum is wrong")
        first = found[1] if len(found) > 1 else None
        return Entry(found[0], torch.from_numpy(poses), first)

    def _read(self, size: int) -> bytes:
        # A size that is a lie must not be allocated.
        if size > os.fstat(self._file.fileno()).st_size:
            raise ValueError("cut off")
        data = self._file.read(size)
        if len(data) != size:
            raise ValueError("cut off")
        self._whole.update(data)
        return data

    def _maps(self, kind: str, height: Any, width: Any, batches: list[Any]) -> ClassMaps:
        maps = ClassMaps()
        if kind not in KINDS:
            raise ValueError("no type of class maps")
        dtype, size = np.dtype(kind), (_whole_number(height), _whole_number(width))
        for count, packed in batches:
            shape = (_whole_number(count), *size)
            if not 0 < dtype.itemsize * prod(shape) <= MOST_BATCH:
                raise ValueError("no batch of class maps")
            data = self._read(_whole_number(packed))
            unpacked(data, shape, dtype)
            maps.append_packed(data, shape[0], dtype, size)
        return maps


def _whole_number(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise ValueError("no size")
    return value
