"""Random damage to numbers, bytes and JSON values. All chance comes from one generator."""

import json
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

from seesame.bitstream.varint import MAX_VARINT, Reader, pack_varint
from seesame.errors import DamagedError

EDGES = (
    *(0, 1, 2, 3, 4, 7, 8, 15, 16, 24, 30, 31, 32, 63, 64, 65, 100, 127, 128, 129, 255, 256),
    *(257, 1000, 2047, 2048, 2049, 4095, 4096, 8192, 9999, 10_000, 16384, 32767, 32768, 65534),
    *(65535, 65536, 1 << 20, (1 << 24) - 1, 1 << 24, 1 << 25, 1 << 28, (1 << 31) - 1, 1 << 31),
    *((1 << 32) - 1, 1 << 34, (1 << 40) - 1, 1 << 61, 1 << 62, MAX_VARINT),
)
"""Numbers at which formats and integers have their limits."""
_SHOWN = b'\0\xff{}[]"\\\n\r\t=,.:-0199eE \xc3\xa9\xed\xa0\x80'
"""Bytes that mean something in text formats, and some that are no UTF-8."""
_TEXTS = (
    "",
    "x" * 3000,
    "\0",
    "\x1b[31m",
    "a\nb",
    "\ud800",
    "../../x",
    "/dev/zero",
    "NaN",
    "é" * 70,
)
_VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 1e308, 1e-308, 0.5, -0.0, float("nan"), float("inf")),
    *(1 << 31, 1 << 63, -(1 << 63) - 1, 10**400, [], {}, [[]], [None], [1, 2], {"a": 1}),
    *_TEXTS,
)


def number(random: Random, old: int = 0, most: int = MAX_VARINT) -> int:
    """Return a number from 0 to ``most``: an edge of some format, near the old one, or any."""
    kind = random.randrange(5)
    if kind == 0:
        new = random.choice(EDGES)
    elif kind == 1:
        new = old + random.choice((-2, -1, 1, 2))
    elif kind == 2:
        new = random.choice((old // 2, old * 2, old * 3 + 1, old ^ 1 << random.randrange(16)))
    elif kind == 3:
        new = random.getrandbits(random.randrange(1, 64))
    else:
        new = random.randrange(12)
    return min(max(new, 0), most)


def damaged(random: Random, data: bytes, others: Sequence[bytes] = (), steps: int = 4) -> bytes:
    """Return bytes after one to ``steps`` steps of damage.

    Args:
        random: the generator.
        data: sound bytes.
        others: bytes of the same kind, from which parts are taken.
        steps: the most.
    """
    found = bytearray(data)
    for _ in range(random.randrange(1, steps + 1)):
        random.choice(_STEPS)(random, found, others)
    return bytes(found)


def _span(random: Random, data: bytearray) -> slice:
    start = random.randrange(len(data) + 1)
    length = min(len(data) - start, 1 << random.randrange(10))
    return slice(start, start + random.randrange(length + 1))


def _flip(random: Random, data: bytearray, _: Sequence[bytes]) -> None:
    for _flips in range(random.choice((1, 1, 1, 2, 8))):
        if data:
            data[random.randrange(len(data))] ^= 1 << random.randrange(8)


def _put(random: Random, data: bytearray, _: Sequence[bytes]) -> None:
    if data:
        data[random.randrange(len(data))] = random.choice(_SHOWN)


def _put_number(random: Random, data: bytearray, _: Sequence[bytes]) -> None:
    """Overwrite one to eight bytes, in either order, with a number."""
    size = min(len(data), random.choice((1, 2, 4, 8)))
    if size:
        place = random.randrange(len(data) - size + 1)
        order = random.choice(("big", "little"))
        old = int.from_bytes(data[place : place + size], order)
        value = number(random, old) & (1 << 8 * size) - 1
        data[place : place + size] = value.to_bytes(size, order)


def _drop(random: Random, data: bytearray, _: Sequence[bytes]) -> None:
    del data[_span(random, data)]


def _cut(random: Random, data: bytearray, _: Sequence[bytes]) -> None:
    del data[random.randrange(len(data) + 1) :]


def _double(random: Random, data: bytearray, _: Sequence[bytes]) -> None:
    part = data[_span(random, data)]
    place = random.randrange(len(data) + 1)
    data[place:place] = part * random.choice((1, 1, 2, 50 if len(part) < 200 else 2))


def _fill(random: Random, data: bytearray, _: Sequence[bytes]) -> None:
    span = _span(random, data)
    data[span] = bytes([random.choice((0, 255, 128, 127))]) * (span.stop - span.start)


def _scatter(random: Random, data: bytearray, _: Sequence[bytes]) -> None:
    span = _span(random, data)
    data[span] = random.randbytes(span.stop - span.start)


def _grow(random: Random, data: bytearray, _: Sequence[bytes]) -> None:
    place = random.randrange(len(data) + 1)
    data[place:place] = random.randbytes(random.choice((1, 2, 8, 300)))


def _splice(random: Random, data: bytearray, others: Sequence[bytes]) -> None:
    if others:
        other = bytearray(random.choice(others))
        data[_span(random, data)] = other[_span(random, other)]


_STEPS: tuple[Callable[[Random, bytearray, Sequence[bytes]], None], ...] = (
    *(_flip, _flip, _put, _put_number, _put_number, _drop, _cut, _double, _fill, _scatter),
    *(_grow, _splice),
)


def leading_varints(data: bytes, most: int = 12) -> tuple[list[int], bytes]:
    """Return the numbers at the start of some bytes, and the rest of them."""
    reader, numbers, end = Reader(data), [], 0
    try:
        while reader.left and len(numbers) < most:
            numbers.append(reader.varint())
            end = reader.position
    except DamagedError:
        pass
    return numbers, data[end:]


def with_other_varint(random: Random, data: bytes, most: int = 12) -> bytes:
    """Return bytes of which one of the leading varints is another number."""
    numbers, rest = leading_varints(data, most)
    if not numbers:
        return pack_varint(number(random)) + rest
    place = random.randrange(len(numbers))
    numbers[place] = number(random, numbers[place])
    if not random.randrange(12):
        numbers.insert(place, number(random))
    elif not random.randrange(12):
        del numbers[place]
    return b"".join(map(pack_varint, numbers)) + rest


def damaged_json(random: Random, value: Any, steps: int = 4) -> Any:
    """Return a JSON value of which some places hold something else, or more, or nothing."""
    for _ in range(random.randrange(1, steps + 1)):
        value = _other_json(random, value)
    return value


def _other_json(random: Random, value: Any) -> Any:
    """Walk down to a random place and return the value with that place changed."""
    if isinstance(value, dict) and value and random.random() < 0.9:
        found = dict(value)
        key = random.choice(list(found))
        kind = random.randrange(12)
        if kind == 0:
            del found[key]
        elif kind == 1:
            found[random.choice((*_TEXTS, "format", "uri"))] = random.choice(_VALUES)
        elif kind == 2:
            found[key] = found[random.choice(list(found))]
        else:
            found[key] = _other_json(random, found[key])
        return found
    if isinstance(value, list | tuple) and value and random.random() < 0.8:
        items = list(value)
        place = random.randrange(len(items))
        kind = random.randrange(6)
        if kind == 0:
            del items[place]
        elif kind == 1:
            items *= random.choice((2, 40))
        else:
            items[place] = _other_json(random, items[place])
        return items
    if isinstance(value, int) and not isinstance(value, bool) and random.random() < 0.4:
        return random.choice((-1, 1)) * number(random, abs(value), 1 << 70)
    return random.choice(_VALUES)


def json_bytes(random: Random, value: Any) -> bytes:
    """Return a JSON value as text, which is sometimes damaged itself."""
    text = json.dumps(value).encode()
    kind = random.randrange(12)
    if kind == 0:
        return damaged(random, text)
    if kind == 1:  # nested deeper than a parser may follow
        depth = random.choice((50, 5000))
        opened, closed = random.choice(((b"[", b"]"), (b'{"a":', b"}")))
        place = max(0, text.rfind(b":")) + 1
        return (
            text[:place]
            + opened * depth
            + b"1"
            + closed * depth
            + text[place:].lstrip(b" 0123456789")
        )
    if kind == 2:  # more digits than int() reads
        return text.replace(b"1", b"1" * 5000, 1)
    return text
