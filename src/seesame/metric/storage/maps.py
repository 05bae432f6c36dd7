"""The class maps of a whole clip: packed, and beyond a bound on disk.

Class maps are smooth, so that zlib makes them about thirty times smaller in a tenth of a
millisecond each. What is packed stays in memory up to ``SETTINGS.held`` bytes for each clip, and
then goes into a scratch file in the system's temporary folder (``TMPDIR``) that has no name: it is
gone with the process, however that ends.
"""

import mmap
import os
import tempfile
import zlib
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seesame.errors import DamagedError, UserError


@dataclass(frozen=True)
class MapSettings:
    """The bounds of held class maps.

    Attributes:
        held: packed bytes that stay in memory; some 40,000 maps of 256x192.
        zlib_level: effort of packing, 1..9. More than the least costs more time than it saves.
    """

    held: int = 64 << 20
    zlib_level: int = 1


SETTINGS = MapSettings()
KINDS = ("|u1", "<i2")
"""The types of class maps: up to 256 classes, and more."""


class ClassMaps:
    """Class maps ``(N, h, w)`` that are added batch by batch and read in the same order.

    ``maps[start:end]`` unpacks what it needs, and is quick for the batches that were added.
    """

    def __init__(self) -> None:
        self.kind = np.dtype("u1")
        self.size = (0, 0)
        """Height and width."""
        self._ends: list[int] = []
        self._chunks: list[tuple[bool, int, int]] = []
        """Of each batch whether it is in the file, its place there or in the buffer, its bytes."""
        self._buffer: mmap.mmap | None = None
        """Memory of its own: batches on the heap would keep what is freed between them."""
        self._used = 0
        self._file: IO[bytes] | None = None
        self._last: tuple[int, NDArray[Any]] | None = None

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    @property
    def counts(self) -> list[int]:
        """Maps of each batch."""
        starts = [0, *self._ends[:-1]]
        return [end - start for start, end in zip(starts, self._ends, strict=True)]

    @property
    def sizes(self) -> list[int]:
        """Packed bytes of each batch."""
        return [size for _, _, size in self._chunks]

    def append(self, maps: Tensor) -> None:
        """Add a batch, uint8 or int16 ``(B, h, w)``. Raises UserError for another size."""
        array = maps.contiguous().numpy()
        packed = zlib.compress(array.data.cast("B"), SETTINGS.zlib_level)
        self.append_packed(packed, len(array), array.dtype, array.shape[1:])

    def append_packed(
        self, data: bytes, count: int, kind: "np.dtype[Any]", size: tuple[int, ...]
    ) -> None:
        """Add a batch of ``count`` maps as :meth:`packed` gives it. Raises UserError likewise."""
        if self._ends and (kind, size) != (self.kind, self.size):
            raise UserError(
                f"the stack gives class maps of {self.size[1]}x{self.size[0]} and then of "
                f"{size[1]}x{size[0]}; they must have one size"
            )
        self.kind, self.size = kind, (size[0], size[1])
        self._ends.append(len(self) + count)
        room = 0 if self._buffer is None else len(self._buffer)
        if self._used + len(data) > room:
            self._make_room(len(data))
        assert self._buffer is not None
        self._buffer[self._used : self._used + len(data)] = data
        self._chunks.append((False, self._used, len(data)))
        self._used += len(data)

    def _make_room(self, size: int) -> None:
        """Make room for ``size`` bytes: by the file, or by memory where there is no file."""
        if self._buffer is not None:
            self._spill(self._buffer)
        if self._buffer is None or self._used + size > len(self._buffer):
            old, self._buffer = (
                self._buffer,
                mmap.mmap(-1, max(SETTINGS.held, 2 * self._used + size)),
            )
            if old is not None:
                self._buffer[: self._used] = old[: self._used]

    def _spill(self, buffer: mmap.mmap) -> None:
        """Move the buffer into the file; where that fails, it stays as it is."""
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115
            start = self._file.seek(0, os.SEEK_END)
            with memoryview(buffer) as data:
                done = self._file.write(data[: self._used])
            if done != self._used:
                return
        except OSError:  # no folder, or no space
            return
        self._chunks = [
            chunk if chunk[0] else (True, start + chunk[1], chunk[2]) for chunk in self._chunks
        ]
        self._used = 0

    def packed(self) -> Iterator[bytes]:
        """Yield the batches as they are kept."""
        yield from (self._chunk(number) for number in range(len(self._chunks)))

    def _chunk(self, number: int) -> bytes:
        in_file, place, size = self._chunks[number]
        if not in_file:
            assert self._buffer is not None
            return self._buffer[place : place + size]
        assert self._file is not None
        self._file.seek(place)
        return self._file.read(size)

    def _unpacked(self, number: int) -> NDArray[Any]:
        if self._last is None or self._last[0] != number:
            count = self._ends[number] - (self._ends[number - 1] if number else 0)
            array = unpacked(self._chunk(number), (count, *self.size), self.kind)
            self._last = number, array
        return self._last[1]

    def __getitem__(self, part: slice) -> Tensor:
        """Return maps ``(n, h, w)``; the slice has no step."""
        start, end, step = part.indices(len(self))
        if step != 1:
            raise ValueError("class maps are read in a row")
        found = []
        while start < end:
            number = bisect_right(self._ends, start)
            stop = self._ends[number]
            batch = self._unpacked(number)
            begin = start - (stop - len(batch))
            found.append(torch.from_numpy(batch[begin : begin + end - start]))
            start = stop
        if not found:
            return torch.from_numpy(np.empty((0, *self.size), self.kind))
        return found[0] if len(found) == 1 else torch.cat(found)

    def whole(self) -> Tensor:
        """Return all maps ``(N, h, w)`` in memory."""
        found = torch.from_numpy(np.empty((len(self), *self.size), self.kind))
        for number, end in enumerate(self._ends):
            batch = self._unpacked(number)
            found[end - len(batch) : end] = torch.from_numpy(batch)
        return found

    def __reduce__(self) -> tuple[Any, ...]:
        """Return what makes these maps in another process, which cannot have the file."""
        return _made, (self.kind, self.size, self.counts, [*self.packed()])


def _made(
    kind: "np.dtype[Any]", size: tuple[int, int], counts: list[int], packed: list[bytes]
) -> ClassMaps:
    made = ClassMaps()
    for count, data in zip(counts, packed, strict=True):
        made.append_packed(data, count, kind, size)
    return made


def unpacked(data: bytes, shape: tuple[int, int, int], kind: "np.dtype[Any]") -> NDArray[Any]:
    """Return a batch of maps ``(B, h, w)``. Raises DamagedError for bytes that are none."""
    size = int(np.prod(shape)) * kind.itemsize
    try:
        values = bytearray(zlib.decompressobj().decompress(data, size))
        return np.frombuffer(values, kind).reshape(shape)
    except (zlib.error, ValueError) as error:
        raise DamagedError("packed class maps are damaged") from error
