"""QuickTime files of a few bytes whose tables claim as many samples as a test likes."""

import struct
import zlib

HUGE = 80_000_000
_MATRIX = struct.pack(">9I", 65536, 0, 0, 0, 65536, 0, 0, 0, 1 << 30)


def box(kind: bytes, *content: bytes) -> bytes:
    """Return a box."""
    data = b"".join(content)
    return struct.pack(">I4s", 8 + len(data), kind) + data


def full(kind: bytes, *content: bytes, head: int = 0) -> bytes:
    """Return a box with a version and flags."""
    return box(kind, struct.pack(">I", head), *content)


def numbers(kind: bytes, *values: int, head: int = 0) -> bytes:
    """Return a box of numbers of four bytes."""
    return full(kind, struct.pack(f">{len(values)}I", *values), head=head)


def sizes(samples: int) -> bytes:
    """Return a table that gives each of some samples one byte."""
    return numbers(b"stsz", 1, samples)


def times(samples: int, delta: int = 1) -> bytes:
    """Return a table that gives some samples one duration."""
    return numbers(b"stts", 1, samples, delta)


def track(
    *tables: bytes, chunk: int, kind: bytes = b"vide", beside: bytes = b"", entry: bytes = b""
) -> bytes:
    """Return a track of one chunk of samples, 36 bytes into the file.

    Args:
        tables: its further tables.
        chunk: samples in the chunk.
        kind: of media.
        beside: boxes beside the media, such as an edit list.
        entry: boxes in the description of the samples.
    """
    if kind == b"vide":
        fields = bytes(16) + struct.pack(">HHIIIH", 64, 64, 72 << 16, 72 << 16, 0, 1)
        coded = box(
            b"raw ", bytes(6), b"\0\1", fields, bytes(32), struct.pack(">Hh", 24, -1), entry
        )
        header = full(b"vmhd", bytes(8))
    else:
        coded = box(b"raw ", bytes(6), b"\0\1", bytes(8), struct.pack(">HHII", 1, 8, 0, 8000 << 16))
        header = full(b"smhd", bytes(4))
    described = full(b"stsd", struct.pack(">I", 1), coded)
    places = numbers(b"stsc", 1, 1, chunk, 1), numbers(b"stco", 1, 36)
    table = box(b"stbl", described, *tables, *places)
    refers = box(b"dinf", full(b"dref", struct.pack(">I", 1), full(b"url ", head=1)))
    media = box(
        b"mdia",
        numbers(b"mdhd", 0, 0, 20, 100, 0),
        full(b"hdlr", b"mhlr" + kind + bytes(13)),
        box(b"minf", header, refers, table),
    )
    shown = struct.pack(">5I", 0, 0, 1, 0, 1000) + bytes(16) + _MATRIX + bytes([0, 64, 0, 0] * 2)
    return box(b"trak", full(b"tkhd", shown, head=7), beside, media)


def header(*boxes: bytes) -> bytes:
    """Return a file's header."""
    head = struct.pack(">IIIIIH", 0, 0, 1000, 1000, 65536, 256) + bytes(10) + _MATRIX
    return box(b"moov", full(b"mvhd", head + bytes(24) + struct.pack(">I", 2)), *boxes)


def packed(movie: bytes) -> bytes:
    """Return a header that is compressed."""
    data = box(b"cmvd", struct.pack(">I", len(movie)), zlib.compress(movie))
    return box(b"moov", box(b"cmov", box(b"dcom", b"zlib"), data))


def film(*boxes: bytes, data: bytes = bytes(64)) -> bytes:
    """Return a file of samples and further boxes."""
    return box(b"ftyp", b"qt  \0\0\2\0qt  \0\0\0\0") + box(b"mdat", data) + b"".join(boxes)


def fragment(*runs: bytes) -> bytes:
    """Return a fragment of the first track."""
    return box(b"moof", numbers(b"mfhd", 1), box(b"traf", numbers(b"tfhd", 1), *runs))


def fragmented(*boxes: bytes) -> bytes:
    """Return a file of fragments."""
    more = box(b"mvex", numbers(b"trex", 1, 1, 1, 1, 0))
    return film(header(track(sizes(0), times(0), chunk=0), more), *boxes)


def _plain(samples: int, *more: bytes, delta: int = 1, beside: bytes = b"") -> bytes:
    return track(sizes(samples), times(samples, delta), *more, chunk=samples, beside=beside)


def _edits(count: int) -> bytes:
    entry = struct.pack(">IIHH", 5_000_000, 0, 1, 0)
    return box(b"edts", full(b"elst", struct.pack(">I", count), entry * count))


CLAIMS: dict[str, bytes] = {
    "many sizes": film(header(_plain(HUGE))),
    "the same, header first": header(_plain(HUGE)) + film(),
    "the same, compressed": film(packed(header(_plain(HUGE)))),
    "the same, in a box for nothing": film(box(b"free", header(_plain(HUGE))[8:])),
    "tracks together": film(header(*[_plain(2_500_000)] * 2)),
    "headers together": film(header(_plain(2_500_000)), header(_plain(2_500_000))),
    "many compact sizes": film(
        header(track(numbers(b"stz2", 4, HUGE), times(HUGE), chunk=HUGE)), bytes(HUGE // 100)
    ),
    "many times": film(header(track(sizes(20), times(HUGE), chunk=20))),
    "many composition times": film(header(_plain(20, numbers(b"ctts", 1, HUGE, 0)))),
    "many grouped": film(
        header(_plain(20, full(b"sbgp", b"sync", struct.pack(">III", 1, HUGE, 1))))
    ),
    "many edits": film(header(_plain(100_000, beside=_edits(1000))), data=bytes(100_000)),
    "sizes in a description": film(
        header(track(times(HUGE), chunk=HUGE, entry=box(b"wave", sizes(HUGE))))
    ),
    "a long chunk of sound": film(
        header(*[track(sizes(20), times(20), chunk=1 << 31, kind=b"soun")])
    ),
    "sound of longer samples": film(
        header(track(sizes(HUGE), times(HUGE, 2), chunk=HUGE, kind=b"soun"))
    ),
    "a long run": fragmented(fragment(numbers(b"trun", HUGE))),
    "runs together": fragmented(*[fragment(numbers(b"trun", 1_000_000))] * 5),
    "a run where an index points": fragmented(
        numbers(b"sidx", 1, 20, 0, 8, 1, 50, 1, 0),
        box(b"mdat", fragment(numbers(b"trun", HUGE))),
    ),
}
"""Files by what they claim too much of."""
