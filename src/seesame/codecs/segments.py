"""The ``segments`` codec: a clip in parts, each a file of its own with a codec that suits it.

STREAM payload: for each part its size as a varint, then an ``.ssm`` file of the contest profile.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

from seesame.bitstream.container import Container, Section, pack_config
from seesame.bitstream.varint import Reader, pack_varint
from seesame.codecs.base import Codec
from seesame.codecs.registry import codec_by_id, get_codec
from seesame.context import EncodeContext
from seesame.errors import DamagedError, UserError
from seesame.video.clip import Clip, Frames
from seesame.video.span import Span, rebatched

NAME, CODEC_ID = "segments", 18
BARRED = (NAME, "copy")
"""No parts of parts, and no copy of a whole file as a part."""
MOST = 10_000
"""Parts of a file."""


@dataclass(frozen=True)
class Part:
    """What one part is made with.

    Args:
        frames: how many; an even number in all parts but the last, so that no pair is torn.
        codec: by its name.
        settings: the codec's.
    """

    frames: int
    codec: str
    settings: Mapping[str, Any]


class SegmentsCodec:
    """Parts of a clip, one after the other, each with a codec and settings of its own."""

    name = NAME
    codec_id = CODEC_ID
    summary = "parts of a clip, each with a codec and settings of its own; made by search --cut"

    def needs_stack(self, settings: Mapping[str, Any]) -> bool:
        """Return whether the codec of any part does so. Raises UserError for bad settings."""
        parts = parse_parts(settings)
        return any(get_codec(part.codec).needs_stack(part.settings) for part in parts)

    def encode(self, clip: Clip, settings: Mapping[str, Any], context: EncodeContext) -> Container:
        """Compress every part by itself.

        Raises:
            UserError: bad settings, or a part's codec refuses it.
            DamagedError: the clip ends early.
        """
        parts = parse_parts(settings, clip.num_frames)
        stream, start = b"", 0
        for number, part in enumerate(parts):
            done = start / clip.num_frames, part.frames / clip.num_frames
            inner = replace(context, memory=None, work=None, progress=_share(context, done, number))
            span = Span(clip, start, part.frames)
            data = get_codec(part.codec).encode(span, part.settings, inner).to_bytes(contest=True)
            stream += pack_varint(len(data)) + data
            start += part.frames
        return Container(
            codec_id=self.codec_id,
            width=clip.width,
            height=clip.height,
            fps=clip.fps,
            num_frames=clip.num_frames,
            source_bytes=clip.source_bytes,
            sections={Section.CONFIG: pack_config(settings), Section.STREAM: stream},
        )

    def decode(self, container: Container, device: str = "cpu") -> Clip:
        """The decoded clip, lazily.

        Raises:
            DamagedError: the parts are damaged, or do not make up the clip of the header.
        """
        return SegmentedClip(container, device)

    def notes(self, container: Container) -> dict[str, str]:
        """What ``seesame info`` says of the parts. Raises DamagedError when they are damaged."""
        lines, start = {}, 0
        for number, (codec, part, size) in enumerate(_read_parts(container), start=1):
            last = start + part.num_frames - 1
            lines[f"part {number}"] = f"{codec.name}, frames {start} to {last}, {size:,} bytes"
            start = last + 1
        return lines

    def frame_bytes(self, container: Container) -> tuple[int, ...]:
        """Bytes of the streams for each frame; empty where a part cannot tell."""
        found: list[tuple[int, ...]] = []
        for codec, part, _ in _read_parts(container):
            found.append(codec.frame_bytes(part) if hasattr(codec, "frame_bytes") else ())
        return tuple(chain.from_iterable(found)) if all(found) else ()


def parse_parts(settings: Mapping[str, Any], num_frames: int | None = None) -> list[Part]:
    """The parts that settings ask for.

    Raises:
        UserError: not a list of parts that make up the clip.
    """
    unknown = [name for name in settings if name != "parts"]
    if unknown:
        raise UserError(f"codec {NAME} has no setting {unknown[0]!r}; its setting: parts")
    given = settings.get("parts")
    form = '{"frames": 120, "codec": "svtav1", "settings": {"crf": 40}}'
    if not isinstance(given, list) or not 1 <= len(given) <= MOST:
        raise UserError(f"codec {NAME}: parts must be a list of 1 to {MOST} objects, as {form}")
    parts = []
    for number, one in enumerate(given, start=1):
        if not isinstance(one, dict) or not {"frames", "codec"} <= one.keys() <= {
            *("frames", "codec", "settings")
        }:
            raise UserError(f"codec {NAME}: part {number} must be an object, as {form}")
        part = Part(one["frames"], one["codec"], one.get("settings", {}))
        if type(part.frames) is not int or part.frames < 1 or not isinstance(part.settings, dict):
            raise UserError(f"codec {NAME}: part {number} must have frames, 1 or more, as {form}")
        if not isinstance(part.codec, str) or part.codec in BARRED:
            raise UserError(f"codec {NAME}: part {number} cannot be of codec {part.codec!r}")
        if part.frames % 2 and number < len(given):
            raise UserError(f"codec {NAME}: part {number} has {part.frames} frames: a pair is torn")
        get_codec(part.codec)
        parts.append(part)
    total = sum(part.frames for part in parts)
    if num_frames not in (None, total):
        raise UserError(f"codec {NAME}: the parts have {total} frames, the clip {num_frames}")
    return parts


def _share(context: EncodeContext, done: tuple[float, float], number: int) -> Any:
    """A part's progress as that of the whole."""
    start, size = done

    def progress(share: float, text: str) -> None:
        context.progress(start + size * share, f"part {number + 1}: {text}")

    return progress


class SegmentedClip:
    """The decoded parts, one after the other."""

    def __init__(self, container: Container, device: str) -> None:
        self.width, self.height = container.width, container.height
        self.fps, self.num_frames = container.fps, container.num_frames
        self.source_bytes = container.source_bytes
        self._clips = [codec.decode(part, device) for codec, part, _ in _read_parts(container)]

    def batches(self, batch_size: int) -> Iterator[Frames]:
        """Yield the frames in order.

        Raises:
            DamagedError: a part is not decodable.
        """
        return rebatched(
            chain.from_iterable(clip.batches(batch_size) for clip in self._clips), batch_size
        )


def _read_parts(container: Container) -> list[tuple[Codec, Container, int]]:
    """The parts' codecs, containers and sizes."""
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
