"""The bytes of a ``.renderer`` file: magic, version, header, parts, checksum.

``docs/format.md`` is its page. Everything read from a file is checked before it is used, and
whatever does not hold is a :class:`~seesame.errors.DamagedError`.
"""

from collections.abc import Mapping
from enum import IntEnum
from typing import Any

import google_crc32c

from seesame.bitstream.container import pack_config, unpack_config
from seesame.bitstream.varint import Reader, pack_varint

MAGIC = b"\x89SSR"
"""First four bytes; the first is no ASCII, so that text is never taken for a renderer."""
VERSION = 1
MAX_BYTES = 16 << 20
MAX_HEADER = 1 << 16
MAX_TEXT = 200
_CRC_BYTES = 4


class Part(IntEnum):
    """One part of a file. Numbers are one byte and never reused."""

    RENDERER = 1
    CARRIER = 2
    PRIOR = 3
    """What is known of masks before the first one is decoded."""


def pack_file(header: dict[str, Any], parts: Mapping[Part, bytes]) -> bytes:
    """Return the bytes of a file."""
    head = pack_config(header)
    pieces = [MAGIC, bytes([VERSION]), pack_varint(len(head)), head, bytes([len(parts)])]
    for part, payload in sorted(parts.items()):
        pieces += [bytes([part]), pack_varint(len(payload)), payload]
    data = b"".join(pieces)
    return data + _crc(data)


def _crc(data: bytes) -> bytes:
    value: int = google_crc32c.value(data)
    return value.to_bytes(_CRC_BYTES, "little")


def read_file(data: bytes, name: str) -> tuple[dict[str, Any], dict[Part, bytes]]:
    """Return the header and the parts of a file. Raises DamagedError."""
    reader = Reader(data, name)
    if len(data) > MAX_BYTES:
        raise reader.fail(f"has more than the {MAX_BYTES} bytes that a renderer may have")
    if data[: len(MAGIC)] != MAGIC:
        raise reader.fail("is not a renderer (or its first bytes are damaged)")
    reader.take(len(MAGIC))
    version = reader.byte("the version")
    if version != VERSION:
        raise reader.fail(
            f"has version {version} of the renderers' format, this seesame reads {VERSION}: "
            "use another seesame (or the file is damaged)"
        )
    body, crc = data[:-_CRC_BYTES], data[-_CRC_BYTES:]
    if _crc(body) != crc:
        raise reader.fail("is damaged: the checksum does not match")
    size = reader.varint("the size of the header", MAX_HEADER)
    header = _checked(unpack_config(reader.take(size, "the header"), name), reader)
    parts: dict[Part, bytes] = {}
    last = 0
    for _ in range(reader.byte("the number of parts")):
        key = reader.byte("the number of a part")
        if key <= last or key not in tuple(Part):
            raise reader.fail(f"is damaged or newer than this seesame: it has a part {key}")
        last = key
        parts[Part(key)] = reader.take(reader.varint("the size of a part"), "a part")
    reader.take(_CRC_BYTES, "the checksum")
    reader.finish()
    if Part.RENDERER not in parts:
        raise reader.fail("is damaged: it holds no network that draws")
    return header, parts


def _checked(header: dict[str, Any], reader: Reader) -> dict[str, Any]:
    """Return a header whose values have the right kinds and sizes. Raises DamagedError."""

    def is_text(value: Any) -> bool:
        return isinstance(value, str) and len(value) <= MAX_TEXT and value.isprintable()

    classes = header.get("classes")
    sound = (
        set(header) == {"stack", "fingerprint", "classes", "judged", "networks"}
        and is_text(header["stack"])
        and is_text(header["fingerprint"])
        and isinstance(classes, list)
        and all(map(is_text, classes))
        and type(header["judged"]) is int
        and 0 <= header["judged"] <= MAX_TEXT
        and isinstance(header["networks"], dict)
    )
    if not sound:
        raise reader.fail("is damaged: its header is not that of a renderer")
    return header
