"""The TIMES section: the timestamps of a clip's frames (``docs/format.md``, "TIMES").

Frame i of a clip whose rate is ``step`` ticks a frame is due at ``(i p + q // 2) // q`` ticks after
the first, with ``step = p / q``. What is coded are the places where the frames' distance from that
changes: none where a clock only rounds.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

from seesame.bitstream.varint import Reader, pack_varint
from seesame.bounds import BOUNDS

_MOST_PART = (1 << 31) - 1
"""The largest numerator and denominator of a tick."""
_MOST_STEP = (1 << 40) - 1
"""The same of a step, and the longest duration."""
_FARTHEST = 1 << 61
"""No timestamp is as far from zero, in ticks."""


@dataclass(frozen=True)
class Stamps:
    """The timestamps of a clip's frames, as they are coded.

    Args:
        num_frames: how many.
        time_base: seconds a tick.
        start: the first timestamp, in ticks.
        duration: ticks that the last frame is shown.
        step: ticks a frame, 1 or more.
        changes: from which frame on the distance from the even clock changes, and by how much.
    """

    num_frames: int
    time_base: Fraction
    start: int
    duration: int
    step: Fraction
    changes: tuple[tuple[int, int], ...] = ()

    def __iter__(self) -> Iterator[int]:
        """Yield all timestamps in ticks."""
        p, q = self.step.numerator, self.step.denominator
        offset, due = self.start, iter(self.changes)
        place, change = next(due, (-1, 0))
        for index in range(self.num_frames):
            if index == place:
                offset += change
                place, change = next(due, (-1, 0))
            yield offset + (index * p + q // 2) // q


def pack_times(
    pts: Sequence[int], time_base: Fraction, duration: int, fps: Fraction
) -> bytes | None:
    """Return the section of a clip's timestamps, or None where the header says all of it.

    Args:
        pts: a timestamp for each frame in ticks, strictly rising.
        time_base: seconds a tick.
        duration: ticks that the last frame is shown.
        fps: frames a second, as in the header.

    Raises:
        ValueError: too many frames, timestamps that do not rise, or a number that is too large.
    """
    if not 1 <= len(pts) <= BOUNDS.frames or max(abs(pts[0]), abs(pts[-1])) >= _FARTHEST:
        raise ValueError("too many timestamps, or some too far from zero")
    if any(later <= first for first, later in pairwise(pts)):
        raise ValueError("timestamps that do not rise")
    gaps = sorted(later - first for first, later in pairwise(pts)) or [1]
    steps = [1 / (fps * time_base), Fraction(gaps[(len(gaps) - 1) // 2])]
    usual = steps[0]
    if usual.denominator == 1 and 0 < usual <= _MOST_STEP and _even(pts, int(usual)):
        own = duration != usual
        if not (own or pts[0]):
            return None
        payload = pack_varint(int(usual))
        payload += pack_varint(_zigzag(pts[0])) if own or pts[0] else b""
        return payload + (pack_varint(duration) if own else b"")
    if (
        not pts[0]
        and all(stamp * time_base * fps == index for index, stamp in enumerate(pts))
        and duration * time_base * fps == 1
    ):
        return None
    if not all(0 < part <= _MOST_PART for part in time_base.as_integer_ratio()):
        raise ValueError(f"ticks of {time_base} s")
    if not 1 <= duration <= _MOST_STEP:
        raise ValueError(f"a last frame of {duration} ticks")
    fitting = [step for step in steps if step >= 1 and max(step.as_integer_ratio()) <= _MOST_STEP]
    if not fitting:
        raise ValueError(f"{steps[1]} ticks a frame")
    head = b"\0" + b"".join(map(pack_varint, time_base.as_integer_ratio()))
    tails = [
        b"".join(map(pack_varint, (*step.as_integer_ratio(), _zigzag(pts[0]), duration)))
        + _changes(pts, step)
        for step in fitting
    ]
    return head + min(tails, key=len)


def unpack_times(payload: bytes, num_frames: int, fps: Fraction, name: str = "file") -> Stamps:
    """Return the timestamps of a section; what they take grows with the section alone.

    Args:
        payload: the section.
        num_frames: as in the header.
        fps: as in the header.
        name: what errors call the file.

    Raises:
        DamagedError: not what :func:`pack_times` writes.
    """
    reader = Reader(payload, f"{name}: the section TIMES")
    if num_frames > BOUNDS.frames:
        raise reader.fail(f"is damaged: it has timestamps for {num_frames} frames")
    ticks = reader.varint("the ticks a frame", _MOST_STEP)
    if ticks:
        start = _signed(reader, "the first timestamp") if reader.left else 0
        duration = reader.varint("the last duration", _MOST_STEP) if reader.left else ticks
        reader.finish()
        stamps = Stamps(num_frames, 1 / (fps * ticks), start, duration, Fraction(ticks))
    else:
        time_base = _fraction(reader, "a tick", _MOST_PART)
        step = _fraction(reader, "a step", _MOST_STEP)
        start = _signed(reader, "the first timestamp")
        duration = reader.varint("the last duration", _MOST_STEP)
        if step < 1:
            raise reader.fail("is damaged: it has less than a tick a frame")
        changes = tuple(_read_changes(reader, num_frames, step))
        stamps = Stamps(num_frames, time_base, start, duration, step, changes)
    last = start + num_frames * int(stamps.step + 1) + sum(change for _, change in stamps.changes)
    if not duration or abs(start) >= _FARTHEST or abs(last) >= 2 * _FARTHEST:
        raise reader.fail("is damaged: its timestamps are out of range")
    return stamps


def _even(pts: Sequence[int], step: int) -> bool:
    return all(stamp == pts[0] + index * step for index, stamp in enumerate(pts))


def _changes(pts: Sequence[int], step: Fraction) -> bytes:
    """Return the places where frames leave the even clock."""
    p, q = step.numerator, step.denominator
    out, last, offset = bytearray(), 0, pts[0]
    for index, stamp in enumerate(pts):
        change = stamp - (index * p + q // 2) // q - offset
        if change:
            out += pack_varint(index - last) + pack_varint(_zigzag(change))
            last, offset = index, offset + change
    return bytes(out)


def _read_changes(reader: Reader, num_frames: int, step: Fraction) -> Iterator[tuple[int, int]]:
    """Yield the changes; frames stay in their order."""
    p, q = step.numerator, step.denominator
    place = 0
    while reader.left:
        gap = reader.varint("a number of frames", num_frames - 1)
        place += gap
        change = _signed(reader, "a change")
        if not gap or not change or place >= num_frames:
            raise reader.fail("is damaged: it changes the clock at no frame")
        even = (place * p + q // 2) // q - ((place - 1) * p + q // 2) // q
        if even + change < 1 or abs(change) >= _FARTHEST:
            raise reader.fail(f"is damaged: frame {place} is not after the one before it")
        yield place, change


def _fraction(reader: Reader, what: str, most: int) -> Fraction:
    numerator, denominator = reader.varint(what, most), reader.varint(what, most)
    if not (numerator and denominator):
        raise reader.fail(f"is damaged: {what} is {numerator}/{denominator}")
    return Fraction(numerator, denominator)


def _zigzag(value: int) -> int:
    return 2 * value if value >= 0 else -2 * value - 1


def _signed(reader: Reader, what: str) -> int:
    number = reader.varint(what)
    return number // 2 if number % 2 == 0 else -(number + 1) // 2
