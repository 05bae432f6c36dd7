"""MPEG transport streams: where they end, and which of their breaks are joints of whole files."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

SIZES = (188, 192, 204)
"""Bytes of a packet: plain, with a timestamp before it (M2TS), with a checksum behind it."""

_SYNC = 0x47
_CHUNK = 1 << 16
"""Packets looked at together."""
_ALIKE = 5
"""Packets in a row whose first byte must be the sync byte for them to be taken for packets."""
_PROGRAMS = 0
"""Id of the packets with the list of programs, with which every recording begins."""


def ends_in_a_packet(path: Path) -> bool:
    """Return whether a transport stream is cut within its last packet.

    Other bytes behind the last packet (a dashcam's GPS records, a stray newline) are no part of
    the stream. The packet's id tells the two apart: a packet that is cut belongs to a stream that
    there was before.
    """
    data = np.memmap(path, dtype=np.uint8, mode="r")
    known: set[int] = set()
    end = len(data)
    for behind, heads in _runs(data):
        end = behind
        known |= set(np.unique(_ids(heads)).tolist())
    rest = data[end : end + 188]
    if not 0 < len(rest) < 188 or int(rest[0]) != _SYNC:
        return False
    return len(rest) < 3 or int(_ids(np.asarray(rest[None]))[0]) in known


def packets_start(path: Path) -> int:
    """Return where the first packet of a transport stream begins, -1 where there is none."""
    start, step = _sync(np.memmap(path, dtype=np.uint8, mode="r"), 0, SIZES)
    return max(0, start - 4) if step == 192 else start


def only_joints(path: Path, stream_id: int) -> bool:
    """Return whether a stream's packets break off only where one whole recording joins the next.

    There the packets' counters start anew, as they do where packets are lost. At a joint a new
    picture begins, and the list of programs stands before it.

    Args:
        path: the file.
        stream_id: id of the stream's packets.
    """
    counter, programs = -1, False
    for _, heads in _runs(np.memmap(path, dtype=np.uint8, mode="r")):
        ids = _ids(heads)
        for index in np.flatnonzero((ids == stream_id) | (ids == _PROGRAMS)).tolist():
            head = heads[index]
            if ids[index] == _PROGRAMS:
                programs = True
                continue
            if head[1] & 0x80:
                return False  # the receiver marked it as damaged
            if not head[3] & 0x10:
                continue  # carries no payload, and does not count
            number, begins = int(head[3]) & 15, bool(head[1] & 0x40)
            follows = counter < 0 or number == (counter + 1) % 16
            if not follows and not (begins and programs) and number != counter:
                return False
            counter, programs = number, False
    return True


def scrambled(path: Path, stream_id: int) -> bool:
    """Return whether the first packets of a stream are scrambled (ISO/IEC 13818-1, 2.4.3.3)."""
    for _, heads in _runs(np.memmap(path, dtype=np.uint8, mode="r")):
        mine = heads[_ids(heads) == stream_id]
        return bool(len(mine)) and bool((mine[:, 3] & 0xC0).all())
    return False


def _runs(data: NDArray[np.uint8]) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Yield where a run of packets ends, and their first bytes ``(N, 4)``.

    Runs are of bounded length; what is between them is passed over.
    """
    start, step = _sync(data, 0, SIZES)
    while step:
        room = min(_CHUNK, (len(data) - start - 188) // step + 1)
        wrong = data[start::step][: max(0, room)] != _SYNC
        count = int(np.argmax(wrong)) if wrong.any() else len(wrong)
        if count:
            heads = [data[start + k :: step][:count] for k in range(4)]
            yield start + count * step, np.stack(heads, axis=-1)
            start += count * step
        else:
            start, step = _sync(data, start, (step,))


def _ids(heads: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return the ids of packets."""
    found: NDArray[np.int64] = (heads[:, 1].astype(np.int64) & 31) << 8 | heads[:, 2]
    return found


def _sync(data: NDArray[np.uint8], start: int, sizes: tuple[int, ...]) -> tuple[int, int]:
    """Return where packets begin from a position on, and their size; ``(-1, 0)`` without any."""
    window = 1 << 20
    for at in range(start, len(data), window):
        part = data[at : at + window + max(SIZES) * _ALIKE]
        found = []
        for step in sizes:
            places = len(part) - step * (_ALIKE - 1)
            if places < 1:
                continue
            rows = [part[step * k : step * k + places] == _SYNC for k in range(_ALIKE)]
            alike = np.logical_and.reduce(rows)
            if alike.any():
                found.append((int(np.argmax(alike)), step))
        if found and min(found)[0] < window:
            first, step = min(found)
            return at + first, step
    return -1, 0
