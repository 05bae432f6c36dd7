"""The samples that the tables of a QuickTime or MP4 file claim, counted before FFmpeg lists them.

FFmpeg makes an entry of its index for each of them as soon as it opens a file, though one number
can claim as many as it likes. The boxes (ISO/IEC 14496-12) are walked as FFmpeg walks them, in any
file: another format has none of these boxes, so nothing is counted there.
"""

import io
import zlib
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np

from seesame.bounds import BOUNDS
from seesame.errors import DamagedError

_MOST_NESTED = 16
"""Levels of boxes; FFmpeg follows no more than eleven."""

_HOLDERS = frozenset(
    b"moov trak mdia minf stbl edts udta ilst dinf tref mvex moof traf sinf schi wave ipco".split()
)
"""Boxes that hold nothing but boxes."""

_DESCRIPTIONS = frozenset((b"stsd", b"iprp"))
"""Boxes that hold others behind fields of many layouts."""

_TABLES = (b"stsz", b"stz2", b"stts", b"ctts", b"sbgp", b"trun", b"elst", b"cmov", b"sidx")
"""Boxes that claim samples or parts, none of which belongs into a description."""

_READ = (
    _HOLDERS
    | _DESCRIPTIONS
    | frozenset(_TABLES)
    | frozenset((b"free", b"hoov", b"meta", b"iref", b"hdlr", b"stco", b"co64", b"stsc"))
)
"""All boxes that are looked into."""

_LEAST_SAMPLES = 160
"""FFmpeg lists plain sound by chunks of at least so many samples."""

_CHUNK = 1 << 20
_MOST_INFLATED = 1 << 26
"""Bytes of a compressed header, unpacked."""


def check_tables(path: Path, begin: int = 0) -> None:
    """Refuse a file whose tables claim more samples than any honest file of its length has.

    Args:
        path: the file.
        begin: where in the file the container begins.

    Raises:
        DamagedError: more than ``BOUNDS.samples`` and ``BOUNDS.samples_a_byte`` allow.
    """
    with path.open("rb") as file:
        size = file.seek(0, 2)
        counter = _Counter(BOUNDS.samples + int(size * BOUNDS.samples_a_byte))
        try:
            counter.count(file, begin, size)
        except _TooMany as error:
            raise DamagedError(f"{path}: damaged: {error}") from error


class _TooMany(Exception):
    """The tables claim too much; the text says what."""


@dataclass
class _Track:
    """The samples and edits that the tables of one track claim.

    Args:
        samples: of its sizes, composition times or groups, whichever are most.
        times: decoding times.
        edits: parts that an edit list shows.
        kinds: the kinds of media that its handlers name.
        chunks: numbers of chunks, one for each table of their places.
        runs: first byte and the byte behind the last of each table of the samples in a chunk.
        plain: for each table of times, whether each sample lasts one tick.
    """

    samples: int = 0
    times: int = 0
    edits: int = 1
    kinds: list[bytes] = field(default_factory=list)
    chunks: list[int] = field(default_factory=list)
    runs: list[tuple[int, int]] = field(default_factory=list)
    plain: list[bool] = field(default_factory=list)


class _Counter:
    """Walks the boxes of a file and counts what they claim.

    Args:
        most: entries of FFmpeg's index, for all tracks together.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._boxes = 0
        self._listed = 0
        self._tracks = 0
        self._fragments = 0
        self._fragmented = False
        self._sound = 0
        self._starts = array("Q")
        self._places = array("Q")

    def count(self, file: BinaryIO, begin: int, size: int) -> None:
        """Count everything that a file claims. Raises _TooMany."""
        for at, kind, start, end in self._walk(file, begin, size):
            self._starts.append(at)
            self._root(file, kind, start, end)
        # An index of fragments may lead FFmpeg to places between the boxes.
        starts, places = (np.frombuffer(found, np.uint64) for found in (self._starts, self._places))
        for place in np.setdiff1d(places, starts).tolist():
            for _, kind, start, end in self._walk(file, place, size):
                self._root(file, kind, start, end)
        if self._fragmented:
            self._add(self._sound)

    def _root(self, file: BinaryIO, kind: bytes, start: int, end: int) -> None:
        """Count a box of no other, and the tables that it holds outside of any track."""
        if kind in _READ:
            outside = _Track()
            self._box(file, kind, start, end, 0, outside)
            self._add(max(outside.samples, outside.times))

    def _walk(self, file: BinaryIO, start: int, end: int) -> Iterator[tuple[int, bytes, int, int]]:
        """Yield the place, type, first byte of the content and the byte behind it of boxes."""
        while start + 8 <= end:
            file.seek(start)
            head = file.read(16)
            if len(head) < 8:
                return
            size, kind, first = int.from_bytes(head[:4], "big"), head[4:8], start + 8
            if size == 1 and start + 16 <= end:
                size, first = int.from_bytes(head[8:16], "big", signed=True), start + 16
            last = end if size == 0 else start + size
            if last < first:
                return
            self._boxes += 1
            if self._boxes > self._most:
                self._check()
            yield start, kind, first, min(last, end)
            start = last

    def _add(self, samples: int) -> None:
        self._listed += samples
        self._check()

    def _check(self) -> None:
        if self._listed > self._most:
            raise _TooMany(f"its tables claim {self._listed:,} samples, more than it can hold")
        parts = self._boxes + self._fragments * (self._tracks + 1)
        if parts > self._most:
            raise _TooMany(f"it claims {parts:,} parts, more than it can hold")

    def _box(
        self, file: BinaryIO, kind: bytes, start: int, end: int, level: int, track: _Track
    ) -> None:
        """Count one box and all that it holds."""
        if level > _MOST_NESTED:
            return
        if kind in (b"free", b"hoov"):
            file.seek(start + 4)
            if file.read(4) not in (b"mvhd", b"cmov"):
                return
            kind = b"moov"
        if kind in _HOLDERS:
            self._holder(file, kind, start, end, level, track)
        elif kind == b"meta":
            found = _aligned(file, start, end, b"hdlr")
            if found >= start + 4:
                self._holder(file, kind, found - 4, end, level, track)
        elif kind == b"iref":
            self._holder(file, kind, start + 4, end, level, track)
        elif kind in _DESCRIPTIONS:
            if any(_holds(file, start, end, _TABLES)):
                raise _TooMany("a table of samples stands in a description")
        elif kind == b"cmov":
            self._compressed(file, start, end, level, track)
        else:
            self._table(file, kind, start, end, track)

    def _holder(
        self, file: BinaryIO, kind: bytes, start: int, end: int, level: int, track: _Track
    ) -> None:
        if kind == b"trak":
            track = _Track()
            self._tracks += 1
        if kind == b"moof":
            self._fragmented = True
            self._fragments += 1
            self._check()
        for _, inner, first, last in self._walk(file, start, end):
            if inner in _READ:
                self._box(file, inner, first, last, level + 1, track)
        if kind == b"trak":
            self._track(file, track)

    def _table(self, file: BinaryIO, kind: bytes, start: int, end: int, track: _Track) -> None:
        if kind == b"trun":
            self._fragmented = True
            self._add(_number(file, start + 4))
        elif kind == b"sidx":
            self._index(file, start, end)
        elif kind in (b"stsz", b"stz2"):
            track.samples = max(track.samples, _number(file, start + 8))
        elif kind == b"elst":
            width = 12 if _number(file, start) >> 24 == 0 else 20
            edits = min(_number(file, start + 4), (end - start) // width)
            track.edits = max(track.edits, edits)
        elif kind == b"hdlr":
            file.seek(start + 8)
            track.kinds.append(file.read(4))
        elif kind in (b"stco", b"co64"):
            track.chunks.append(_number(file, start + 4))
        elif kind == b"stsc":
            track.runs.append((start, end))
        elif kind == b"stts":
            entries = _number(file, start + 4)
            track.plain.append(entries == 1 and _number(file, start + 12) == 1)
            track.times = max(track.times, _sum(file, start + 8, end, entries))
        elif kind == b"ctts":
            claimed = _sum(file, start + 8, end, _number(file, start + 4))
            track.samples = max(track.samples, claimed)
        elif kind == b"sbgp":
            fields = 16 if _number(file, start) >> 24 == 1 else 12
            claimed = _sum(file, start + fields, end, _number(file, start + fields - 4))
            track.samples = max(track.samples, claimed)

    def _track(self, file: BinaryIO, track: _Track) -> None:
        """Count the samples of a track; those of plain sound by its chunks."""
        media = set(track.kinds) & {b"soun", b"vide", b"subp", b"clcp", b"m1a "}
        single = all(len(tables) == 1 for tables in (track.chunks, track.runs, track.plain))
        if media == {b"soun"} and single and track.plain[0]:
            self._sound += track.samples
            self._add(_chunks(file, *track.runs[0], track.chunks[0]) * track.edits)
        else:
            self._add(max(track.samples, track.times) * track.edits)

    def _index(self, file: BinaryIO, start: int, end: int) -> None:
        """Count the fragments that an index of them names, and keep their places."""
        wide = _number(file, start) >> 24 != 0
        fields = 32 if wide else 24
        file.seek(start)
        head = file.read(fields)
        if len(head) < fields:
            return
        first = int.from_bytes(head[20:28] if wide else head[16:20], "big")
        count = min(int.from_bytes(head[-2:], "big"), (end - start - fields) // 12)
        sizes = np.frombuffer(file.read(count * 12), ">u4")[::3].astype(np.int64)
        place = end + first
        for size in sizes.tolist():
            self._places.append(min(place, 1 << 62))
            place += size & 0x7FFFFFFF
        self._fragments += len(sizes)
        self._check()

    def _compressed(self, file: BinaryIO, start: int, end: int, level: int, track: _Track) -> None:
        """Count what a compressed header holds: ``dcom``, then ``cmvd`` with its bytes."""
        if isinstance(file, io.BytesIO):
            raise _TooMany("a compressed header holds another")
        file.seek(start)
        data = file.read(min(end - start, _MOST_INFLATED))
        if int.from_bytes(data[20:24], "big") > _MOST_INFLATED or end - start > _MOST_INFLATED:
            raise _TooMany("its compressed header is too long")
        try:
            header = zlib.decompressobj().decompress(data[24:], _MOST_INFLATED)
        except zlib.error:
            return
        inner = io.BytesIO(header)
        for _, kind, first, last in self._walk(inner, 0, len(header)):
            self._box(inner, kind, first, last, level + 1, track)


def _number(file: BinaryIO, at: int) -> int:
    file.seek(at)
    return int.from_bytes(file.read(4), "big")


def _sum(file: BinaryIO, start: int, end: int, entries: int) -> int:
    """Return the sum of the counts of a table of pairs, count first."""
    file.seek(start)
    left, total = min(entries, max(0, end - start) // 8) * 8, 0
    while left > 0:
        data = file.read(min(left, _CHUNK))
        if len(data) < 8:
            break
        total += int(np.frombuffer(data[: len(data) // 8 * 8], ">u4")[::2].sum(dtype=np.int64))
        left -= len(data)
    return total


def _chunks(file: BinaryIO, start: int, end: int, chunks: int) -> int:
    """Return the most entries that FFmpeg makes of the chunks of plain sound."""
    file.seek(start + 8)
    entries = min(_number(file, start + 4), max(0, end - start - 8) // 12)
    rows = np.frombuffer(file.read(entries * 12)[: entries * 12], np.uint8)
    table = np.frombuffer(rows[: len(rows) // 12 * 12].tobytes(), ">u4").reshape(-1, 3)
    first, counts = table[:, 0].astype(np.float64), table[:, 1].astype(np.float64)
    spans = np.abs(np.diff(first, append=chunks + 1.0))
    return int((spans * (counts // _LEAST_SAMPLES + 1)).sum())


def _aligned(file: BinaryIO, start: int, end: int, word: bytes) -> int:
    """Return where a word of four bytes stands at a multiple of four from a start, else -1."""
    for at in range(start, end, _CHUNK):
        file.seek(at)
        data = file.read(min(_CHUNK, end - at))
        words = np.frombuffer(data[: len(data) // 4 * 4], "S4")
        found = np.flatnonzero(words == word)
        if len(found):
            return at + 4 * int(found[0])
        if not data:
            break
    return -1


def _holds(file: BinaryIO, start: int, end: int, words: tuple[bytes, ...]) -> Iterator[bool]:
    """Yield for each part of a box whether one of some words of four bytes stands in it."""
    for at in range(start, end, _CHUNK):
        file.seek(at)
        data = file.read(min(_CHUNK + 3, end - at))
        if not data:
            return
        yield any(word in data for word in words)
