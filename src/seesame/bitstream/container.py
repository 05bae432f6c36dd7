"""The ``.ssm`` container: magic, header, sections, checksums. ``docs/format.md`` is its page.

The container knows nothing of what its sections mean. Everything read from a file is checked
before it is used, and whatever does not hold is a :class:`~seesame.errors.DamagedError`.
"""

import json
import os
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO

import google_crc32c

from seesame.bitstream.varint import MAX_VARINT, Reader, pack_varint
from seesame.errors import DamagedError, UserError

MAGIC = b"\x89SSM"
"""First four bytes. The first is no ASCII, so that text is never taken for an .ssm file."""
VERSION = 1
ORDINARY, CONTEST = 0xF0, 0xE1
"""Profile byte: flags in the low half (bit 0: contest), their complement in the high half."""

MAX_SIDE = 65535
MAX_PIXELS = 1 << 28
MAX_FRAMES = (1 << 31) - 1
MAX_RATE = (1 << 31) - 1
MAX_FILE_BYTES = 2 << 30
MAX_CONFIG_BYTES = 1 << 20

_CRC_BYTES = 4
_BLOCK = 1 << 20


class Section(IntEnum):
    """One part of a file. Ids are one byte and never reused; 0 is never an id."""

    CONFIG = 1
    """The settings that made the file, see :func:`pack_config`. Decoders do not need it."""
    STREAM = 2
    """An elementary or wrapped video stream."""
    MODEL = 3
    """The network's shape: sizes, layers, quantiser scales."""
    WEIGHTS = 4
    """The network's entropy coded weights."""
    LATENTS = 5
    """The entropy coded latents."""
    SIDECAR = 6
    """The sparse correction after the main decode."""
    TIMES = 7
    """The timestamps of the frames, where the frame rate does not say them all."""
    TRACKS = 8
    """The tracks beside the video: sound, subtitles, data."""
    MASKS = 9
    """The entropy coded class maps of frames."""
    RESIDUALS = 10
    """Coarse grey grids that the decoder adds to the first frames of some pairs."""
    RENDERER = 11
    """The networks that draw the masks of this file alone."""


_SECTION_IDS = frozenset(Section)
_ORDINARY_ONLY = {
    Section.CONFIG: "settings",
    Section.TIMES: "timestamps",
    Section.TRACKS: "other tracks",
}
"""Sections that no file of the contest profile has: the challenge reads frames alone."""


def pack_config(settings: Mapping[str, Any]) -> bytes:
    """Return settings as a CONFIG payload: a mode byte, then canonical JSON.

    Canonical JSON has sorted keys, no spaces and only ASCII. Mode 0 is the JSON itself, mode 1 is
    raw deflate (RFC 1951), taken only where it is smaller.

    Raises:
        UserError: a value is not JSON, is not finite, or everything is over 1 MiB.
    """
    try:
        text = _canonical_json(dict(settings))
    except (TypeError, ValueError, RecursionError) as error:
        raise UserError(f"the settings cannot be stored as JSON: {error}") from error
    if len(text) > MAX_CONFIG_BYTES:
        raise UserError(f"the settings are {len(text)} bytes of JSON, more than {MAX_CONFIG_BYTES}")
    deflater = zlib.compressobj(9, zlib.DEFLATED, -15)
    small = deflater.compress(text) + deflater.flush()
    return b"\x01" + small if len(small) < len(text) else b"\x00" + text


def unpack_config(payload: bytes, name: str = "file") -> dict[str, Any]:
    """Return the settings in a CONFIG payload; at most 1 MiB is ever inflated.

    Raises:
        DamagedError: the payload is not what :func:`pack_config` makes.
    """
    mode, text = payload[:1], payload[1:]
    try:
        if mode == b"\x01":
            text = _inflate(text)
        elif mode != b"\x00" or len(text) > MAX_CONFIG_BYTES:
            raise ValueError("unknown mode or size")
        settings = json.loads(text)
        # Also refuses doubled keys, NaN and text in any other form.
        if not isinstance(settings, dict) or _canonical_json(settings) != text:
            raise ValueError("not canonical")
    except (ValueError, zlib.error, RecursionError) as error:
        raise DamagedError(f"{name}: is damaged: its settings cannot be read") from error
    return settings


def _canonical_json(settings: dict[str, Any]) -> bytes:
    return json.dumps(settings, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def _inflate(data: bytes) -> bytes:
    inflater = zlib.decompressobj(-15)
    text = inflater.decompress(data, MAX_CONFIG_BYTES)
    if not inflater.eof or inflater.unused_data or inflater.unconsumed_tail:
        raise ValueError("not one whole deflate stream of at most 1 MiB")
    return text


@dataclass
class Container:
    """One compressed clip in memory.

    ``width`` and ``height`` in pixels and ``fps`` are those of the clip to be played back;
    ``num_frames`` counts its frames; ``source_bytes`` is the source file's size, 0 when unknown
    (always so in a file of the contest profile). ``contest`` is the profile a file was read in
    and is to be written in.
    """

    codec_id: int
    width: int
    height: int
    fps: Fraction
    num_frames: int
    source_bytes: int
    sections: dict[Section, bytes]
    contest: bool = field(default=False, compare=False)

    def config(self, name: str = "file") -> dict[str, Any]:
        """Return the settings that made the file; empty when it holds none (contest profile).

        Raises:
            DamagedError: the CONFIG section cannot be read.
        """
        payload = self.sections.get(Section.CONFIG)
        return {} if payload is None else unpack_config(payload, name)

    def to_bytes(self, contest: bool = False) -> bytes:
        """Return the whole file. ``contest`` drops checksums, ``source_bytes`` and three sections.

        These are CONFIG, TIMES and TRACKS.

        Raises:
            UserError: a value does not fit the format (docs/format.md gives the bounds).
        """
        return b"".join(data for _, data in self._parts(contest or self.contest))

    @classmethod
    def from_bytes(cls, data: bytes, name: str = "file") -> "Container":
        """Parse and check a whole file.

        Raises:
            DamagedError: with ``name`` and what is wrong. No other exception is raised,
                whatever the bytes are.
        """
        if len(data) > MAX_FILE_BYTES:
            raise DamagedError(f"{name}: is {len(data)} bytes, more than an .ssm file may have")
        reader = Reader(data, name)
        contest = _read_start(reader)
        codec_id = reader.byte("the codec id")
        width = reader.varint("the width")
        height = reader.varint("the height")
        numerator = reader.varint("the frame rate")
        denominator = reader.varint("the frame rate")
        num_frames = reader.varint("the number of frames")
        source_bytes = 0 if contest else reader.varint("the source size")
        sections = _read_sections(reader, contest)
        if not contest:
            end = reader.position
            crc = reader.take(_CRC_BYTES, "the checksum")
            if crc != _crc(data, end):
                raise reader.fail("is damaged: the checksum does not match")
        reader.finish()
        fps = Fraction(numerator, denominator) if denominator else Fraction(0)
        if fps.denominator != denominator:
            raise reader.fail("is damaged: the frame rate is not in lowest terms")
        container = cls(
            codec_id, width, height, fps, num_frames, source_bytes, sections, contest=contest
        )
        wrong = container._wrong()
        if wrong:
            raise reader.fail(f"is damaged: {wrong}")
        return container

    def write(self, path: Path, overwrite: bool = False, contest: bool = False) -> int:
        """Write the file, read it back, and only then move it into place.

        Returns:
            The size of the file in bytes.

        Raises:
            UserError: the output exists, cannot be written, or reads back differently.
        """
        from seesame.files import replacing

        parts = [data for _, data in self._parts(contest or self.contest)]
        with replacing(path, overwrite) as temporary:
            with temporary.open("wb") as file:
                for data in parts:
                    file.write(data)
                file.flush()
                os.fsync(file.fileno())
            with temporary.open("rb") as file:
                same = all(_reads_as(file, data) for data in parts) and not file.read(1)
            if not same:
                raise UserError(f"{path}: reads back differently from what was written; check disk")
        return sum(len(data) for data in parts)

    @classmethod
    def read(cls, path: Path) -> "Container":
        """Read and check a file of at most 2 GiB.

        Raises:
            UserError: the file does not exist or cannot be read.
            DamagedError: it is not a whole, sound .ssm file.
        """
        if not path.is_file():
            from seesame.files import check_input

            check_input(path)
        try:
            with path.open("rb") as file:
                size = os.fstat(file.fileno()).st_size
                if size > MAX_FILE_BYTES:
                    raise DamagedError(f"{path}: is {size} bytes, more than an .ssm file may have")
                data = file.read(MAX_FILE_BYTES + 1)
        except FileNotFoundError as error:
            raise UserError(f"{path}: there is no such file") from error
        except OSError as error:
            raise UserError(f"{path}: cannot be read ({error.strerror})") from error
        return cls.from_bytes(data, str(path))

    def layout(self, contest: bool = False) -> list[tuple[str, int]]:
        """Return the file's parts in order as (name, bytes); the bytes sum to its size."""
        return [(name, len(data)) for name, data in self._parts(contest or self.contest)]

    def _parts(self, contest: bool) -> list[tuple[str, bytes]]:
        """Return the file as named pieces, in order."""
        self.check()
        header = [self.width, self.height, self.fps.numerator, self.fps.denominator]
        header += [self.num_frames] if contest else [self.num_frames, self.source_bytes]
        sections = sorted(
            (Section(key), bytes(payload))
            for key, payload in self.sections.items()
            if not (contest and key in _ORDINARY_ONLY)
        )
        parts = [
            ("magic", MAGIC),
            ("format version", bytes([VERSION])),
            ("profile", bytes([CONTEST if contest else ORDINARY])),
            ("codec id", bytes([self.codec_id])),
            ("header", b"".join(map(pack_varint, header))),
            ("section count", bytes([len(sections)])),
        ]
        for section, payload in sections:
            frame = bytes([section]) + pack_varint(len(payload))
            name = section.name.lower()
            parts.append((f"{name} overhead", frame if contest else frame + _crc(payload)))
            parts.append((name, payload))
        if not contest:
            crc = 0
            for _, data in parts:
                crc = google_crc32c.extend(crc, data)
            parts.append(("checksum", crc.to_bytes(_CRC_BYTES, "little")))
        if sum(len(data) for _, data in parts) > MAX_FILE_BYTES:
            raise UserError(f"the file would be over {MAX_FILE_BYTES} bytes, the format's limit")
        return parts

    def check(self) -> None:
        """Raise UserError for a header that does not fit the format; docs/format.md has bounds."""
        wrong = self._wrong()
        if wrong:
            raise UserError(f"the clip cannot be stored in an .ssm file: {wrong}")

    def _wrong(self) -> str:
        """Return what does not fit the format, or nothing."""
        for value, least, most, what in (
            (self.codec_id, 0, 255, "the codec id"),
            (self.width, 1, MAX_SIDE, "the width"),
            (self.height, 1, MAX_SIDE, "the height"),
            (self.width * self.height, 1, MAX_PIXELS, "the number of pixels"),
            (self.fps.numerator, 1, MAX_RATE, "the frame rate's numerator"),
            (self.fps.denominator, 1, MAX_RATE, "the frame rate's denominator"),
            (self.num_frames, 1, MAX_FRAMES, "the number of frames"),
            (self.source_bytes, 0, MAX_VARINT, "the source size"),
        ):
            if not least <= value <= most:
                return f"{what} is {value}, not {least} to {most}"
        return ""


def _crc(data: bytes, end: int | None = None) -> bytes:
    """Return CRC32C of ``data[:end]``, taken block by block so that no large copy is made."""
    value = 0
    end = len(data) if end is None else end
    for start in range(0, end, _BLOCK):
        value = google_crc32c.extend(value, data[start : min(start + _BLOCK, end)])
    return value.to_bytes(_CRC_BYTES, "little")


def _reads_as(file: BinaryIO, data: bytes) -> bool:
    """Return whether the next bytes of ``file`` are ``data``, compared block by block."""
    view = memoryview(data)
    return all(
        file.read(len(block)) == block
        for start in range(0, len(data), _BLOCK)
        for block in [view[start : start + _BLOCK]]
    )


def _read_start(reader: Reader) -> bool:
    """Read magic, version and profile; return whether it is the contest profile."""
    if not reader.left:
        raise reader.fail("is empty")
    start = reader.take(min(reader.left, len(MAGIC)))
    if start != MAGIC:
        if MAGIC.startswith(start):
            raise reader.fail("is truncated: only the first bytes of an .ssm file are there")
        raise reader.fail("is not an .ssm file (or its first bytes are damaged)")
    version = reader.byte("the format version")
    if version > VERSION:
        raise reader.fail(
            f"has format version {version}, this seesame reads {VERSION}: "
            "use a newer seesame (or the file is damaged)"
        )
    if version != VERSION:
        raise reader.fail(f"is damaged: there is no format version {version}")
    profile = reader.byte("the profile")
    if profile not in (ORDINARY, CONTEST):
        raise reader.fail(f"is damaged: there is no profile {profile:#04x}")
    return profile == CONTEST


def _read_sections(reader: Reader, contest: bool) -> dict[Section, bytes]:
    """Return the sections: ids strictly rising, each within the file, checksums right."""
    sections: dict[Section, bytes] = {}
    last = 0
    for _ in range(reader.byte("the number of sections")):
        key = reader.byte("a section id")
        if key <= last:
            raise reader.fail(f"is damaged: section {key} is doubled or out of order")
        if key not in _SECTION_IDS:
            raise reader.fail(
                f"has an unknown section {key}: use a newer seesame (or the file is damaged)"
            )
        if contest and key in _ORDINARY_ONLY:
            raise reader.fail(
                f"is damaged: a file of the contest profile has no {_ORDINARY_ONLY[Section(key)]}"
            )
        last, section = key, Section(key)
        what = f"section {section.name}"
        size = reader.varint(f"the size of {what}")
        crc = b"" if contest else reader.take(_CRC_BYTES, f"the checksum of {what}")
        sections[section] = reader.take(size, what)
        if not contest and _crc(sections[section]) != crc:
            raise reader.fail(f"is damaged: the checksum of {what} does not match")
    return sections
