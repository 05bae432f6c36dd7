"""The ``segments`` codec: a clip in parts, each a file of its own with a codec that suits it.

STREAM payload: for each part its size as a varint, then an ``.ssm`` file of the contest profile.
"""

from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import accumulate, chain
from typing import TYPE_CHECKING, Any

from seesame.bitstream.container import Container, Section, pack_config
from seesame.bitstream.varint import Reader, pack_varint
from seesame.bounds import BOUNDS
from seesame.codecs.base import Codec, container_for
from seesame.codecs.registry import codec_by_id, get_codec
from seesame.errors import DamagedError, UnsupportedSettingError
from seesame.video.clip import Clip, Frames
from seesame.video.span import Span, batches_from, entry, rebatched

if TYPE_CHECKING:
    from seesame.context import EncodeContext

NAME, CODEC_ID = "segments", 18
BARRED = (NAME, "copy")
"""No parts of parts, and no copy of a whole file as a part."""
MOST = 10_000
"""The most parts of a file."""


@dataclass(frozen=True)
class Part:
    """One part, and how it is made.

    Args:
        frames: how many; an even number in all parts but the last, so that no pair is torn.
        codec: by its name.
        settings: the codec's.
    """

    frames: int
    codec: str
    settings: Mapping[str, Any]


class SegmentsCodec(Codec):
    """Parts of a clip, one after the other, each with a codec and settings of its own."""

    name = NAME
    codec_id = CODEC_ID
    summary = "parts of a clip, each with a codec and settings of its own; made by search --cut"

    def encode(
        self, clip: Clip, settings: Mapping[str, Any], context: "EncodeContext"
    ) -> Container:
        """Compress every part by itself.

        Raises:
            UserError: bad settings, or a part's codec refuses it.
            DamagedError: the clip ends early.
        """
        parts = parse_parts(settings, clip.num_frames)
        source = _OnePass(clip)
        stream, start = b"", 0
        for number, part in enumerate(parts):
            done = start / clip.num_frames, part.frames / clip.num_frames
            inner = replace(context, memory=None, work=None, progress=_share(context, done, number))
            span = _PartOf(source, start, part.frames)
            data = get_codec(part.codec).encode(span, part.settings, inner).to_bytes(contest=True)
            stream += pack_varint(len(data)) + data
            start += part.frames
        return container_for(
            clip, self.codec_id, {Section.CONFIG: pack_config(settings), Section.STREAM: stream}
        )

    def needs_stack(self, settings: Mapping[str, Any]) -> bool:
        """Return whether the codec of any part does. Raises UserError for bad settings."""
        parts = parse_parts(settings)
        return any(get_codec(part.codec).needs_stack(part.settings) for part in parts)

    def decode(self, container: Container, device: str = "cpu") -> Clip:
        """Return the decoded clip, lazily.

        Raises:
            DamagedError: the parts are damaged, or do not make up the clip of the header.
        """
        self.check(container)
        return SegmentedClip(container, device)

    def notes(self, container: Container) -> dict[str, str]:
        """Describe the parts. Raises DamagedError when they are damaged."""
        lines, start = {}, 0
        for number, (codec, part, size) in enumerate(_read_parts(container), start=1):
            last = start + part.num_frames - 1
            lines[f"part {number}"] = f"{codec.name}, frames {start} to {last}, {size:,} bytes"
            start = last + 1
        return lines

    def self_contained(self, container: Container) -> bool:
        """Return whether all parts are. Raises DamagedError when they are damaged."""
        return all(codec.self_contained(part) for codec, part, _ in _read_parts(container))

    def frame_bytes(self, container: Container) -> tuple[int, ...]:
        """Return the bytes of the streams for each frame; empty where a part cannot tell."""
        found: list[tuple[int, ...]] = []
        for codec, part, _ in _read_parts(container):
            found.append(codec.frame_bytes(part))
        return tuple(chain.from_iterable(found)) if all(found) else ()


def parse_parts(settings: Mapping[str, Any], num_frames: int | None = None) -> list[Part]:
    """Return the parts that settings ask for; together they have ``num_frames``, where given.

    Raises:
        UnsupportedSettingError: not a list of parts that make up the clip.
    """
    unknown = [name for name in settings if name != "parts"]
    if unknown:
        raise UnsupportedSettingError(
            f"codec {NAME} has no setting {unknown[0]!r}; its setting: parts"
        )
    given = settings.get("parts")
    form = '{"frames": 120, "codec": "svtav1", "settings": {"crf": 40}}'
    if not isinstance(given, list) or not 1 <= len(given) <= MOST:
        raise UnsupportedSettingError(
            f"codec {NAME}: parts must be a list of 1 to {MOST} objects, as {form}"
        )
    parts = []
    for number, one in enumerate(given, start=1):
        if not isinstance(one, dict) or not {"frames", "codec"} <= one.keys() <= {
            *("frames", "codec", "settings")
        }:
            raise UnsupportedSettingError(
                f"codec {NAME}: part {number} must be an object, as {form}"
            )
        part = Part(one["frames"], one["codec"], one.get("settings", {}))
        if type(part.frames) is not int or part.frames < 1 or not isinstance(part.settings, dict):
            raise UnsupportedSettingError(
                f"codec {NAME}: part {number} must have frames, 1 or more, as {form}"
            )
        if not isinstance(part.codec, str) or part.codec in BARRED:
            raise UnsupportedSettingError(
                f"codec {NAME}: part {number} cannot be of codec {part.codec!r}"
            )
        if part.frames % 2 and number < len(given):
            raise UnsupportedSettingError(
                f"codec {NAME}: part {number} has {part.frames} frames: a pair is torn"
            )
        get_codec(part.codec)
        parts.append(part)
    total = sum(part.frames for part in parts)
    if num_frames not in (None, total):
        raise UnsupportedSettingError(
            f"codec {NAME}: the parts have {total} frames, the clip {num_frames}"
        )
    return parts


def _share(context: "EncodeContext", done: tuple[float, float], number: int) -> Any:
    """Return a part's progress as that of the whole."""
    start, size = done

    def progress(share: float, text: str) -> None:
        context.progress(start + size * share, f"part {number + 1}: {text}")

    return progress


class _OnePass:
    """A clip whose parts are read one after the other from a single pass over it."""

    def __init__(self, clip: Clip) -> None:
        self.clip = clip
        self._open: Iterator[Frames] = iter(())
        self._rest: Frames | None = None
        self._at: int | None = None
        """The number of the next frame; None where the pass was left in the middle of a part."""

    def frames(self, start: int, count: int, batch_size: int) -> Iterator[Frames]:
        """Yield some frames; the clip is read from its start again where the pass is not there."""
        if self._at != start:
            self._open, self._rest, self._at = self.clip.batches(batch_size), None, 0
        place, end = self._at, start + count
        self._at = None
        while place < end:
            batch = self._rest if self._rest is not None else next(self._open, None)
            if batch is None:
                return  # the clip ends early, as whoever counts the frames will say
            inside = batch[max(0, start - place) : end - place]
            self._rest = batch[end - place :] if place + len(batch) > end else None
            place += len(batch)
            if len(inside):
                yield inside
        self._at = start + count


class _PartOf(Span):
    """A part of a clip, read from a pass that the parts share."""

    def __init__(self, source: _OnePass, start: int, count: int) -> None:
        super().__init__(source.clip, start, count)
        self._source = source

    def batches(self, batch_size: int) -> Iterator[Frames]:
        """Yield the frames in order. Raises DamagedError when the source cannot be decoded."""
        frames = self._source.frames(self.start, self.num_frames, batch_size)
        return rebatched(frames, batch_size)


class SegmentedClip:
    """The decoded parts, one after the other; at any time one of them is open at most."""

    def __init__(self, container: Container, device: str) -> None:
        self.width, self.height = container.width, container.height
        self.fps, self.num_frames = container.fps, container.num_frames
        self.source_bytes = container.source_bytes
        self._parts, self._device = _read_parts(container), device
        weights = 0
        for codec, part, _ in self._parts:
            codec.check(part)
            weights += codec.weights(part)
        if weights > BOUNDS.all_weights:
            raise DamagedError(
                f"the parts are damaged: their networks have {weights:,} weights together, more "
                f"than {BOUNDS.all_weights:,}"
            )
        counts = (part.num_frames for _, part, _ in self._parts[:-1])
        self._starts = list(accumulate(counts, initial=0))
        self._open: tuple[int, Clip] | None = None
        self._clip(0)  # most damage shows at once

    def batches(self, batch_size: int) -> Iterator[Frames]:
        """Yield the frames in order.

        Raises:
            DamagedError: a part is not decodable.
        """
        return self.batches_from(0, batch_size)

    def entry(self, number: int) -> int:
        """Return the entry of a frame in its part; no other part is decoded for it."""
        part, start = self._part(number)
        return start + entry(self._clip(part), number - start)

    def batches_from(self, start: int, batch_size: int) -> Iterator[Frames]:
        """Yield the frames in order from a number on.

        Raises:
            DamagedError: as :meth:`batches`.
        """
        return rebatched(self._frames(start, batch_size), batch_size)

    def _frames(self, start: int, batch_size: int) -> Iterator[Frames]:
        part, first = self._part(start)
        yield from batches_from(self._clip(part), start - first, batch_size)
        for number in range(part + 1, len(self._parts)):
            yield from self._clip(number).batches(batch_size)

    def _clip(self, number: int) -> Clip:
        """Return a part's clip; the one that was open before is given up. Raises DamagedError."""
        known = self._open  # another reader may change it meanwhile
        if known is None or known[0] != number:
            known = self._open = None
            codec, part, _ = self._parts[number]
            known = self._open = number, codec.decode(part, self._device)
        return known[1]

    def _part(self, number: int) -> tuple[int, int]:
        """Return the part that a frame is in, and the number of that part's first frame."""
        part = bisect_right(self._starts, number) - 1
        return part, self._starts[part]


def _read_parts(container: Container) -> list[tuple[Codec, Container, int]]:
    """Return the parts' codecs, containers and sizes."""
    if Section.STREAM not in container.sections:
        raise DamagedError("the file holds no parts")
    reader = Reader(container.sections[Section.STREAM], "the parts")
    parts: list[tuple[Codec, Container, int]] = []
    while reader.left:
        size = reader.varint("a part's size")
        name = f"part {len(parts) + 1}"
        part = Container.from_bytes(reader.take(size, name), name)
        codec = codec_by_id(part.codec_id)
        if codec.name in BARRED or len(parts) == MOST:
            raise DamagedError(f"{name} is damaged: it cannot be of codec {codec.name}")
        if (part.width, part.height, part.fps) != (
            container.width,
            container.height,
            container.fps,
        ):
            raise DamagedError(f"{name} is damaged: its size or rate is not the clip's")
        parts.append((codec, part, size))
    frames = [part.num_frames for _, part, _ in parts]
    if sum(frames) != container.num_frames:
        raise DamagedError(
            f"the parts are damaged: {sum(frames)} frames, the header says {container.num_frames}"
        )
    return parts
