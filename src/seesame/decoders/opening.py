"""Opening any file that seesame reads as a clip."""

import io
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from seesame.bitstream.container import MAGIC, Container, Section
from seesame.bitstream.stamps import unpack_times
from seesame.codecs.registry import codec_by_id
from seesame.context import Progress
from seesame.errors import DamagedError, UserError
from seesame.files import check_input
from seesame.temporary import TemporaryFolder
from seesame.video import span
from seesame.video.clip import Clip, Frames
from seesame.video.reading import reader
from seesame.video.times import Times

BATCH_BYTES = 1 << 26
"""RGB bytes of a batch where no network runs: 21 frames at 1164x874."""
MOST_BATCH = 32
"""Frames of such a batch at most."""


def resolve_device(device: str) -> str:
    """Return the torch device that a word stands for.

    Args:
        device: ``auto`` for a GPU where there is one and the CPU elsewhere, or a torch device.

    Raises:
        UserError: this machine has no such device.
    """
    import torch

    has = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if device == "auto":
        return next((name for name, there in has.items() if there), "cpu")
    if not has.get(device.partition(":")[0], device == "cpu"):
        raise UserError(f"this machine has no device {device}; use cpu or auto")
    return device


def is_ssm(path: Path) -> bool:
    """Return whether a path names an .ssm file, by its suffix or its first bytes."""
    if path.suffix == ".ssm":
        return True
    try:
        if not path.is_file():  # to open a pipe would wait for its writer
            return False
        with path.open("rb") as file:
            return file.read(len(MAGIC)) == MAGIC
    except OSError:
        return False


@contextmanager
def named(path: Path | str) -> Iterator[None]:
    """Put the file's name before an error: a codec does not know where its bytes came from."""
    try:
        yield
    except UserError as error:
        if str(path) in str(error):
            raise
        raise type(error)(f"{path}: {error}") from error


def decode_file(path: Path, device: str = "cpu") -> "SsmClip":
    """Return the clip inside an .ssm file, decoded lazily.

    Its ``source_bytes`` are those of the clip that the file was made from, 0 where the file does
    not say.

    Raises:
        UserError: the file cannot be read.
        DamagedError: it is damaged; damage further in is found while it is decoded.
    """
    container = Container.read(path)
    return SsmClip(container, str(path), container.source_bytes, device)


class SsmClip:
    """A decoded .ssm file whose errors name it.

    Args:
        container: the file.
        name: what errors call it.
        source_bytes: of the clip.
        device: where networks run.

    Raises:
        DamagedError: it is damaged.
    """

    def __init__(self, container: Container, name: str, source_bytes: int, device: str) -> None:
        self._name, self.source_bytes = name, source_bytes
        with named(name):
            codec = codec_by_id(container.codec_id)
            self._clip = codec.decode(container, device)
        self.codec = codec.name
        self.width, self.height = self._clip.width, self._clip.height
        self.fps, self.num_frames = self._clip.fps, self._clip.num_frames
        section = container.sections.get(Section.TIMES)
        self._stamps = None
        if section is not None:
            self._stamps = unpack_times(section, self.num_frames, self.fps, name)
        self.tracks = container.sections.get(Section.TRACKS, b"")
        """The tracks beside the video, as a file of their own; empty where there are none."""

    @cached_property
    def times(self) -> Times | None:
        """The timestamps of the frames; None where the file has no more than a frame rate."""
        if self._stamps is None:
            return None
        pts = np.fromiter(self._stamps, np.int64, self.num_frames)
        return Times(pts, self._stamps.time_base, self._stamps.duration)

    def batches(self, batch_size: int) -> Iterator[Frames]:
        """Yield the frames in order. Raises DamagedError."""
        with named(self._name):
            yield from self._clip.batches(batch_size)

    def entry(self, number: int) -> int:
        """Return the frame from which on frames have to be decoded to get to a frame."""
        with named(self._name):
            return span.entry(self._clip, number)

    def batches_from(self, start: int, batch_size: int) -> Iterator[Frames]:
        """Yield the frames from a number on. Raises DamagedError."""
        with named(self._name):
            yield from span.batches_from(self._clip, start, batch_size)


def takes_size(path: Path) -> bool:
    """Return whether a clip has to be told its frame size: a headerless .raw."""
    return path.suffix.lower() == ".raw" and not path.is_dir() and not is_ssm(path)


def open_clip(
    path: str | Path,
    *,
    size: tuple[int, int] | None = None,
    fps: Fraction | int | None = None,
    device: str = "cpu",
    stream: int | None = None,
    allow_damage: bool = False,
) -> Clip:
    """Open a video, a folder of PNG or JPEG pictures, a headerless .raw or an .ssm file.

    Args:
        path: the file or the folder.
        size: ``(height, width)`` of a .raw; comma's camera, 874 x 1164, when None. It is refused
            for all others, which know their size.
        fps: frames a second, where the file says nothing or something else. It is refused for an
            .ssm file, which always says it.
        device: where the networks of an .ssm file run: a torch device, or ``auto``.
        stream: number of the video among those of a file that has several, from 0; the file's
            default when None.
        allow_damage: read a damaged video as well as it goes; ``clip.oddities`` count the damage.

    Returns:
        A clip: ``width``, ``height``, ``fps``, ``num_frames``, ``source_bytes`` (the size on disk)
        and ``batches(n)``, which decodes anew at every call.

    Raises:
        UserError: missing, not readable, or no such video in it.
        DamagedError: empty, not a video, truncated, or not decodable.
    """
    path = Path(path)
    check_input(path)
    if size is not None and not takes_size(path):
        raise UserError(f"{path}: has a frame size of its own; only a headerless .raw is given one")
    if not path.is_dir() and is_ssm(path):
        if stream:
            raise UserError(f"{path}: holds one clip, number 0; there is no number {stream}")
        if fps is not None:
            raise UserError(f"{path}: has a frame rate of its own, which cannot be changed")
        container, nbytes = Container.read(path), path.stat().st_size
        return SsmClip(container, str(path), nbytes, resolve_device(device))
    return reader.open_clip(path, size=size, fps=fps, stream=stream, allow_damage=allow_damage)


def open_bytes(source: bytes | BinaryIO, **options: Any) -> tuple[Clip, TemporaryFolder | None]:
    """Open a video or an .ssm file that is not a file on disk.

    Args:
        source: the bytes of a file, or a binary file object, which is read from its start.
        options: those of :func:`open_clip`.

    Returns:
        The clip, and the folder that it is read from, None for an .ssm file: that stays in memory.

    Raises:
        UserError: no video in it.
        DamagedError: empty, not a video, truncated, or not decodable.
    """
    file: BinaryIO = io.BytesIO(source) if isinstance(source, bytes) else source
    name = "the given bytes" if isinstance(source, bytes) else "the given file object"
    file.seek(0)
    head = file.read(len(MAGIC))
    if not head:
        raise DamagedError(f"{name}: empty")
    file.seek(0)
    if head == MAGIC:
        data = file.read()
        container = Container.from_bytes(data, name)
        device = resolve_device(options.get("device", "cpu"))
        return SsmClip(container, name, len(data), device), None
    folder = TemporaryFolder()
    with (folder.path / "video").open("wb") as copy:
        shutil.copyfileobj(file, copy)
    return open_clip(folder.path / "video", **options), folder


def counted(clip: Clip, progress: Progress) -> Iterator[Frames]:
    """Yield the clip's frames in batches of bounded size, and report how many there were."""
    done = 0
    for frames in clip.batches(batch_frames(clip)):
        yield frames
        done += len(frames)
        progress(done / clip.num_frames, f"frame {done} of {clip.num_frames}")


def batch_frames(clip: Clip) -> int:
    """Return how many frames of a clip make a batch of ``BATCH_BYTES`` or less; 1 to 32."""
    return max(1, min(MOST_BATCH, BATCH_BYTES // (3 * clip.width * clip.height)))
