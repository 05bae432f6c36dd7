"""The ``copy`` codec: the source file's bytes as they are, a lossless reference point.

STREAM payload: the length of the source's suffix as a varint, the suffix in ASCII (with its
dot), then the file.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seesame.bitstream.container import MAX_FILE_BYTES, Container, Section, pack_config
from seesame.bitstream.varint import Reader, pack_varint
from seesame.bounds import BOUNDS
from seesame.codecs.base import Codec, container_for
from seesame.errors import DamagedError, UnsupportedSettingError, UserError
from seesame.temporary import TemporaryFolder

if TYPE_CHECKING:
    from seesame.context import EncodeContext
    from seesame.video.clip import Clip, Frames

_SUFFIX = re.compile(r"(\.[a-z0-9]{1,8})?", re.ASCII)
"""The suffixes that the reader may go by; nothing that could lead out of a folder."""


class CopyCodec(Codec):
    """Keeps the source file; decodes to exactly the frames that the reader gives for it."""

    name = "copy"
    codec_id = 0
    summary = "the source file's bytes as they are; lossless, rate 1"

    def encode(
        self, clip: "Clip", settings: Mapping[str, Any], context: "EncodeContext"
    ) -> Container:
        """Put the source file into a container.

        Raises:
            UserError: settings given, or the clip is not one file on disk.
        """
        if settings:
            raise UnsupportedSettingError(
                f"codec copy takes no settings, not {', '.join(sorted(settings))}"
            )
        path = getattr(clip, "path", None)
        if not isinstance(path, Path) or not path.is_file():
            raise UserError(
                f"{path or 'this clip'}: codec copy needs one video file, not a folder or a clip "
                "in memory; choose another codec"
            )
        from seesame.video.reading.reader import VideoClip

        if isinstance(clip, VideoClip) and clip.reading != VideoClip(path).reading:
            raise UserError(
                f"{path}: codec copy keeps the file as it is read by default, but this is "
                f"{clip.reading or 'video 0'}; choose another codec"
            )
        suffix = path.suffix.lower()
        if not _SUFFIX.fullmatch(suffix):
            raise UserError(f"{path}: cannot keep the suffix {suffix}; rename the file")
        if clip.source_bytes > MAX_FILE_BYTES:
            raise UserError(f"{path}: {clip.source_bytes} bytes are too many for an .ssm file")
        stream = pack_varint(len(suffix)) + suffix.encode("ascii") + path.read_bytes()
        context.progress(1.0, "copied")
        return container_for(
            clip, self.codec_id, {Section.CONFIG: pack_config({}), Section.STREAM: stream}
        )

    def decode(self, container: Container, device: str = "cpu") -> "Clip":
        """Return the source clip again, read from a temporary file that goes away with the clip.

        Raises:
            DamagedError: the stream is missing, or is not the clip that the header promises.
        """
        self.check(container)
        if Section.STREAM not in container.sections:
            raise DamagedError("the file holds no video stream")
        reader = Reader(container.sections[Section.STREAM], "the copied clip")
        suffix = reader.take(reader.varint("the suffix' length", 9), "the suffix")
        if not _SUFFIX.fullmatch(suffix.decode("latin-1")):
            raise DamagedError("the copied clip: is damaged: the suffix is none")
        return CopiedClip(container, suffix.decode("latin-1"), reader.take(reader.left))


class CopiedClip:
    """A clip read from a copy of its source file."""

    def __init__(self, container: Container, suffix: str, data: bytes) -> None:
        from seesame.video.reading.reader import open_clip

        self.width, self.height = container.width, container.height
        self.fps, self.num_frames = container.fps, container.num_frames
        self._folder = TemporaryFolder()
        path = self._folder.path / f"clip{suffix}"
        path.write_bytes(data)
        self.source_bytes = len(data)
        with self._errors():
            most = max(BOUNDS.coded_surplus * self.width * self.height, BOUNDS.least_coded)
            self._clip = open_clip(
                path, size=(self.height, self.width), fps=self.fps, max_pixels=most
            )
        if (self._clip.width, self._clip.height) != (self.width, self.height):
            raise DamagedError(
                f"the copied clip is {self._clip.width}x{self._clip.height}, "
                f"but the header says {self.width}x{self.height}"
            )

    def batches(self, batch_size: int) -> "Iterator[Frames]":
        """Yield the frames in order.

        Raises:
            DamagedError: not decodable, or not as many frames as the header says.
        """
        return self.batches_from(0, batch_size)

    def entry(self, number: int) -> int:
        """Return the entry of a frame in the copied clip. Raises DamagedError."""
        from seesame.video.span import entry

        with self._errors():
            return entry(self._clip, number)

    def batches_from(self, start: int, batch_size: int) -> "Iterator[Frames]":
        """Yield the frames in order from a number on. Raises DamagedError as :meth:`batches`."""
        from seesame.video.span import batches_from

        seen = start
        with self._errors():
            for frames in batches_from(self._clip, start, batch_size):
                seen += len(frames)
                if seen > self.num_frames:
                    break
                yield frames
        if seen != self.num_frames:
            more = "more" if seen > self.num_frames else str(seen)
            raise DamagedError(
                f"the copied clip has {more} frames, but the header says {self.num_frames}"
            )

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Name the clip, not the temporary file; whatever is wrong with it is damage."""
        try:
            yield
        except UserError as error:
            text = re.sub(rf"{re.escape(str(self._folder.path))}/clip\S*?:", "", str(error)).strip()
            raise DamagedError(f"the copied clip: {text}") from error
