"""``.ssm`` files that lie: any fields and sections, with checksums that hold."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from random import Random

import google_crc32c

from fuzzing.damage import damaged, number, with_other_varint
from seesame.bitstream.container import CONTEST, MAGIC, ORDINARY, VERSION, Container, Section
from seesame.bitstream.varint import MAX_VARINT, pack_varint
from seesame.codecs.av.head import Head
from seesame.codecs.av.settings import FAMILY
from seesame.codecs.av.stream import pack_stream, read_stream
from seesame.errors import DamagedError

HYBRID, SEGMENTS = 17, 18
NAMES = {member.codec_id: name for name, member in FAMILY.items()}
Parts = Sequence[tuple[int, bytes]]


@dataclass(frozen=True)
class Ssm:
    """The content of a file, true or not.

    Args:
        codec_id: byte.
        width: of the clip.
        height: of the clip.
        rate: numerator and denominator.
        frames: number of frames.
        source_bytes: in the header of an ordinary file.
        sections: ids and payloads in the order of the file.
        contest: the profile.
    """

    codec_id: int
    width: int
    height: int
    rate: tuple[int, int]
    frames: int
    source_bytes: int
    sections: tuple[tuple[int, bytes], ...]
    contest: bool = False

    @classmethod
    def of(cls, container: Container) -> "Ssm":
        """Return the content of a sound file."""
        return cls(
            container.codec_id,
            container.width,
            container.height,
            container.fps.as_integer_ratio(),
            container.num_frames,
            container.source_bytes,
            tuple((int(key), data) for key, data in sorted(container.sections.items())),
            container.contest,
        )

    def section(self, key: int) -> bytes:
        """Return a section's payload; nothing where the file has none."""
        return dict(self.sections).get(key, b"")

    def having(self, key: int, payload: bytes) -> "Ssm":
        """Return the file with a section added or replaced, in its place."""
        return replace(self, sections=tuple(sorted((dict(self.sections) | {key: payload}).items())))

    def to_bytes(self, random: Random | None = None) -> bytes:
        """Return the file, checksums right; with a generator, one of its lengths or counts lies."""
        lie = random.randrange(6) if random else -1
        liar = random.randrange(max(1, len(self.sections))) if random else 0
        count = len(self.sections) + (random.choice((-1, 1, 200)) if random and lie == 0 else 0)
        numbers = (self.width, self.height, *self.rate, self.frames, self.source_bytes)
        header = [min(one, MAX_VARINT) for one in numbers]
        parts = [MAGIC, bytes([VERSION, CONTEST if self.contest else ORDINARY, self.codec_id])]
        parts += map(pack_varint, header[:-1] if self.contest else header)
        parts.append(bytes([count & 255]))
        for place, (key, payload) in enumerate(self.sections):
            size = len(payload)
            if random and lie in (1, 2) and place == liar:
                size = number(random, size)
            crc = b"" if self.contest else google_crc32c.value(payload).to_bytes(4, "little")
            parts += [bytes([key & 255]), pack_varint(size), crc, payload]
        data = b"".join(parts)
        if random and lie == 3:
            data = damaged(random, data, steps=1)
        if random and lie == 4:
            data += random.randbytes(random.choice((1, 4)))
        if not self.contest and lie != 5:
            data += google_crc32c.value(data).to_bytes(4, "little")
        return data


def changed(random: Random, base: Ssm, pool: Sequence[Ssm]) -> bytes:
    """Return the bytes of a file that something is wrong with.

    Args:
        random: the generator.
        base: a sound file.
        pool: sound files of any codec, from which parts are taken.
    """
    found = base
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        found = random.choice(_CHANGES)(random, found, pool)
    data = found.to_bytes(random if not random.randrange(12) else None)
    return damaged(random, data, steps=2) if not random.randrange(25) else data


def _header(random: Random, base: Ssm, _: Sequence[Ssm]) -> Ssm:
    """Return the file with a number of its header changed."""
    kind = random.randrange(6)
    if kind == 0:
        return replace(base, width=number(random, base.width, 1 << 20))
    if kind == 1:
        return replace(base, height=number(random, base.height, 1 << 20))
    if kind == 2:
        return replace(base, frames=number(random, base.frames))
    if kind == 3:
        return replace(base, rate=(number(random, base.rate[0]), number(random, base.rate[1])))
    if kind == 4:
        return replace(base, source_bytes=number(random), contest=not base.contest)
    return replace(base, codec_id=random.choice((*range(5), *range(16, 21), 200)))


def _larger(random: Random, base: Ssm, _: Sequence[Ssm]) -> Ssm:
    """Return the file with a clip that is larger or smaller than what is coded."""
    side = random.choice((1, 2, 2, 3, 3, 8) if random.randrange(40) else (64, 255))
    if random.randrange(2):
        return replace(base, width=base.width * side, height=base.height * side)
    return replace(base, width=max(1, base.width // side), height=base.height * side)


def _section(random: Random, base: Ssm, pool: Sequence[Ssm]) -> Ssm:
    """Return the file with the bytes of a section damaged."""
    if not base.sections:
        return base
    key, payload = random.choice(
        [one for one in base.sections if one[0] != Section.CONFIG or not random.randrange(8)]
        or base.sections
    )
    others = [data for one in pool for other, data in one.sections if other == key]
    kind = random.randrange(8)
    if kind == 0:
        payload = random.choice(others) if others else b""
    elif kind == 1:
        payload = random.choice((b"", bytes(64), b"\xff" * 64, random.randbytes(200)))
    elif kind == 2:
        payload = random.choice([data for one in pool for _, data in one.sections])
    else:
        payload = damaged(random, payload, others, steps=3)
    return base.having(key, payload)


def _numbers(random: Random, base: Ssm, _: Sequence[Ssm]) -> Ssm:
    """Return the file with one of the numbers changed that a section begins with."""
    told = (Section.STREAM, Section.MODEL, Section.TIMES, Section.RESIDUALS)
    some = [(key, data) for key, data in base.sections if key in told]
    if not some:
        return base
    key, payload = random.choice(some)
    return base.having(key, with_other_varint(random, payload))


def _order(random: Random, base: Ssm, pool: Sequence[Ssm]) -> Ssm:
    """Return the file with sections dropped, doubled, exchanged, renamed or taken from others."""
    sections = list(base.sections)
    kind = random.randrange(6)
    if kind == 0 and sections:
        del sections[random.randrange(len(sections))]
    elif kind == 1 and sections:
        sections.insert(random.randrange(len(sections)), random.choice(sections))
    elif kind == 2:
        random.shuffle(sections)
    elif kind == 3 and sections:
        place = random.randrange(len(sections))
        sections[place] = random.randrange(14), sections[place][1]
        sections.sort()
    else:
        for key, payload in random.choice(pool).sections:
            if random.randrange(2):
                return base.having(key, payload)
    return replace(base, sections=tuple(sections))


def _packets(random: Random, base: Ssm, pool: Sequence[Ssm]) -> Ssm:
    """Return a file of the av family, or on top of one, with its packets or its head changed."""
    found = _unpacked(base)
    if found is None:
        return _section(random, base, pool)
    prefix, _, head, read = found
    packets = list(read)
    place = random.randrange(len(packets) + 1)
    others = [p for one in pool if (o := _unpacked(one)) for p in o[3]]
    kind = random.randrange(9)
    if kind == 0 and others:
        packets[place:place] = [random.choice(others)]
    elif kind == 1:
        del packets[place:]
    elif kind == 2:
        packets *= random.choice((2, 30))
    elif kind == 3:
        random.shuffle(packets)
    elif kind == 4:
        packets[place:place] = [b""] * random.choice((1, 300))
    elif kind == 5:
        sides = {"width": number(random, head.width, 70_000), "height": head.height}
        head = replace(
            head, **random.choice((sides, {"height": number(random, head.height, 70_000)}))
        )
    elif kind == 6:
        head = replace(head, depth=18 - head.depth, sharpen=random.randrange(101), sharpen_size=15)
    elif place < len(packets):
        packets[place] = damaged(random, packets[place], others, steps=3)
    stream = prefix + pack_stream(head, packets)
    more = {"frames": max(1, len(packets))} if random.randrange(2) else {}
    return replace(base.having(Section.STREAM, stream), **more)


def _unpacked(base: Ssm) -> tuple[bytes, str, Head, list[bytes]] | None:
    """Return what is in front of the head, the codec's name, the head and the packets."""
    stream = base.section(Section.STREAM)
    prefix = b""
    codec_id = base.codec_id
    if codec_id == HYBRID and stream:
        prefix, codec_id = stream[:1], stream[0]
        stream = stream[1:]
    if codec_id not in NAMES or not stream:
        return None
    sized = Container(codec_id, 65535, 4096, Fraction(1), 1, 0, {Section.STREAM: stream})
    try:
        return prefix, NAMES[codec_id], *read_stream(sized, NAMES[codec_id])
    except DamagedError:  # by an earlier step
        return None


def joined(base: Ssm, parts: Sequence[bytes], frames: int) -> Ssm:
    """Return a file of segments with these parts, of the size and rate of a clip."""
    stream = b"".join(pack_varint(len(part)) + part for part in parts)
    return replace(base, codec_id=SEGMENTS, sections=((Section.STREAM, stream),), frames=frames)


def as_part(one: Ssm, whole: Ssm) -> Ssm:
    """Return a file as a part of another: in the contest profile, of the other's size and rate."""
    kept = tuple(
        s for s in one.sections if s[0] not in (Section.CONFIG, Section.TIMES, Section.TRACKS)
    )
    size = {"width": whole.width, "height": whole.height, "rate": whole.rate}
    return replace(one, sections=kept, contest=True, **size)


def _nested(random: Random, base: Ssm, pool: Sequence[Ssm]) -> Ssm:
    """Return segments made of files of any codec, with segments among them."""
    count = random.choice((1, 1, 2, 3, 3, 5))
    some = [as_part(random.choice((base, *pool)), base) for _ in range(count)]
    frames = sum(one.frames for one in some)
    if random.randrange(4) == 0:
        frames = number(random, frames)
    parts = [one.to_bytes(random if not random.randrange(8) else None) for one in some]
    if random.randrange(6) == 0:
        parts *= 2 if random.randrange(20) else 200
        frames *= len(parts) // len(some)
    return joined(base, parts, frames)


_CHANGES: tuple[Callable[[Random, Ssm, Sequence[Ssm]], Ssm], ...] = (
    *(_header, _larger, _section, _section, _section, _numbers, _numbers, _order, _packets),
    *(_packets, _nested),
)
