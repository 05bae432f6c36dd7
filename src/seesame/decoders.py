"""Opening any file that seesame reads, and random access to its frames.

:func:`open_clip` opens a video, a folder of pictures, a ``.raw`` or an ``.ssm`` file as a clip that
is read from the first frame to the last. :func:`open` gives a :class:`VideoDecoder`, which takes
frames by their numbers as torchcodec's class of that name does.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property, partial
from operator import index as as_index
from pathlib import Path
from typing import Any

import numpy as np

from seesame.bitstream.container import MAGIC, Container, Section
from seesame.bitstream.times import unpack_times
from seesame.codecs.registry import codec_by_id
from seesame.context import Progress, no_progress
from seesame.errors import DamagedError, UserError
from seesame.inputs import check_input
from seesame.video import reader
from seesame.video.clip import Clip, Frames
from seesame.video.times import Times, clip_times
from seesame.video.writer import write_clip

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
def named(path: Path) -> Iterator[None]:
    """Put the file's name before an error: a codec does not know where its bytes came from."""
    try:
        yield
    except UserError as error:
        if str(path) in str(error):
            raise
        raise type(error)(f"{path}: {error}") from error


def decode_file(path: Path, device: str = "cpu") -> "_SsmClip":
    """Return the clip inside an .ssm file, decoded lazily.

    Its ``source_bytes`` are those of the clip that the file was made from, 0 where the file does
    not say.

    Raises:
        UserError: the file cannot be read.
        DamagedError: it is damaged; damage further in is found while it is decoded.
    """
    container = Container.read(path)
    with named(path):
        clip = codec_by_id(container.codec_id).decode(container, device)
    return _SsmClip(clip, path, clip.source_bytes, container)


class _SsmClip:
    """A decoded .ssm file whose errors name it."""

    def __init__(self, clip: Clip, path: Path, source_bytes: int, container: Container) -> None:
        self._path, self.source_bytes = path, source_bytes
        self.width, self.height = clip.width, clip.height
        self.fps, self.num_frames = clip.fps, clip.num_frames
        self._clip = clip
        section = container.sections.get(Section.TIMES)
        self._stamps = None
        if section is not None:
            self._stamps = unpack_times(section, self.num_frames, self.fps, str(path))
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
        with named(self._path):
            yield from self._clip.batches(batch_size)


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
        clip = decode_file(path, resolve_device(device))
        clip.source_bytes = path.stat().st_size
        return clip
    return reader.open_clip(path, size=size, fps=fps, stream=stream, allow_damage=allow_damage)


def open(
    path: str | Path,
    *,
    size: tuple[int, int] | None = None,
    fps: Fraction | int | None = None,
    device: str = "cpu",
) -> "VideoDecoder":
    """Open a file for access by frame number; the arguments are those of :func:`open_clip`.

    Raises:
        UserError: missing, not readable, or no video in it.
        DamagedError: empty, not a video, truncated, or not decodable.
    """
    return VideoDecoder(path, size=size, fps=fps, device=device)


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


@dataclass(frozen=True)
class VideoMetadata:
    """Facts about a video, under torchcodec's names.

    Args:
        width: pixels a row.
        height: rows a frame.
        num_frames: exact count of frames.
        average_fps: frames a second.
        duration_seconds: ``num_frames / average_fps``.
        codec: seesame's codec of an .ssm file; None for any other file.
        nbytes: size on disk.
    """

    width: int
    height: int
    num_frames: int
    average_fps: float
    duration_seconds: float
    codec: str | None
    nbytes: int


class VideoDecoder:
    """The frames of a file by their numbers; it is a clip as well.

    ``len(video)`` is the number of frames. ``video[10]`` is a frame, ``uint8 (H, W, 3)`` RGB;
    ``video[10:20]``, ``video[::5]`` are arrays ``uint8 (T, H, W, 3)``; negative numbers count from
    the end; ``for frame in video`` yields all frames in order.

    Cost: files are decoded from their first frame on. A frame behind the last one that was decoded
    costs the decoding of all frames between them; an earlier one costs the decoding from frame 0,
    unless it is in the batch (64 MB or less) that is kept. So ask in rising order, or take slices.
    The decoder itself holds one batch; a slice takes the memory of its own frames. The length of a
    video file, though not that of an .ssm file, costs one pass over it: containers often say it
    wrongly.

    An object is for one thread. It can be pickled, as a data loader's workers need: the copy opens
    the file again.

    Args:
        path: as :func:`open_clip` takes it, and so are the other arguments.
        size: of a .raw.
        fps: frames a second.
        device: where the networks of an .ssm file run.

    Raises:
        UserError: missing, not readable, or no video in it.
        DamagedError: empty, not a video, truncated, or not decodable.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        size: tuple[int, int] | None = None,
        fps: Fraction | int | None = None,
        device: str = "cpu",
    ) -> None:
        self.path = Path(path)
        self._options: dict[str, Any] = {"size": size, "fps": fps, "device": device}
        self.clip = open_clip(path, size=size, fps=fps, device=device)
        """The same video, to be read from the first frame to the last."""
        self._batches: Iterator[Frames] | None = None
        self._start = 0
        self._held = np.empty((0, self.height, self.width, 3), dtype=np.uint8)

    def __reduce__(self) -> tuple[object, ...]:
        return partial(VideoDecoder, **self._options), (self.path,)

    @property
    def width(self) -> int:
        """Pixels a row."""
        return self.clip.width

    @property
    def height(self) -> int:
        """Rows a frame."""
        return self.clip.height

    @property
    def fps(self) -> Fraction:
        """Frames a second."""
        return self.clip.fps

    @property
    def num_frames(self) -> int:
        """Exact count of frames."""
        return self.clip.num_frames

    @property
    def source_bytes(self) -> int:
        """Size of the file on disk."""
        return self.clip.source_bytes

    @property
    def times(self) -> Times | None:
        """The timestamps of the frames; None where the file has none."""
        return clip_times(self.clip)

    @property
    def metadata(self) -> VideoMetadata:
        """Facts about the video."""
        codec = None
        if self.path.is_file() and is_ssm(self.path):
            codec = codec_by_id(Container.read(self.path).codec_id).name
        seconds = float(self.num_frames / self.fps)
        return VideoMetadata(
            self.width,
            self.height,
            self.num_frames,
            float(self.fps),
            seconds,
            codec,
            self.source_bytes,
        )

    def batches(self, batch_size: int) -> Iterator[Frames]:
        """Yield all frames in order, ``uint8 (B, H, W, 3)``. Raises DamagedError."""
        return self.clip.batches(batch_size)

    def __len__(self) -> int:
        return self.num_frames

    def __iter__(self) -> Iterator[Frames]:
        for batch in self.clip.batches(batch_frames(self.clip)):
            yield from batch

    def __getitem__(self, key: int | slice) -> Frames:
        if isinstance(key, slice):
            return self.get_frames_at(range(*key.indices(len(self))))
        return self.get_frame_at(key)

    def get_frame_at(self, index: int) -> Frames:
        """Return one frame, ``uint8 (H, W, 3)``.

        Args:
            index: its number; negative ones count from the end.

        Raises:
            IndexError: the video has no such frame.
            DamagedError: it cannot be decoded.
        """
        frame: Frames = self._frame(self._number(index)).copy()
        return frame

    def get_frames_at(self, indices: Sequence[int]) -> Frames:
        """Return some frames, ``uint8 (T, H, W, 3)``, in the order of their numbers given.

        They are decoded in rising order, each once, whatever the order given.

        Raises:
            IndexError: the video has no such frame.
            DamagedError: one cannot be decoded.
        """
        numbers = [self._number(index) for index in indices]
        found = np.empty((len(numbers), self.height, self.width, 3), dtype=np.uint8)
        for place in sorted(range(len(numbers)), key=numbers.__getitem__):
            found[place] = self._frame(numbers[place])
        return found

    def save(
        self,
        path: str | Path,
        *,
        crf: int | None = None,
        overwrite: bool = False,
        progress: Progress = no_progress,
    ) -> None:
        """Write the video as .mkv or .mp4, as a headerless .raw, or as a folder of PNG.

        Args:
            path: the output; its suffix chooses the format, none means a folder.
            crf: quality of x264, 0 (best) to 51; lossless when None. For .mkv and .mp4 only.
            overwrite: replace an output that is there.
            progress: called with the share done and a short text.

        Raises:
            UserError: the output is there already or cannot be written; nothing is left behind.
            DamagedError: the video cannot be decoded to its end.
        """
        write_clip(
            Path(path),
            counted(self, progress),
            fps=self.fps,
            width=self.width,
            height=self.height,
            crf=crf,
            overwrite=overwrite,
            times=clip_times(self.clip),
            tracks=getattr(self.clip, "tracks", b""),
        )

    def _number(self, index: int) -> int:
        """The frame's number from 0."""
        number = as_index(index)
        count = self.num_frames
        if not -count <= number < count:
            raise IndexError(f"{self.path}: there is no frame {number}; the video has {count}")
        return number + count if number < 0 else number

    def _frame(self, number: int) -> Frames:
        """A view of one frame; decodes on, or again from the first frame."""
        if self._batches is None or number < self._start:
            self._batches = self.clip.batches(batch_frames(self.clip))
            self._start, self._held = 0, self._held[:0]
        try:
            while number >= self._start + len(self._held):
                self._start += len(self._held)
                self._held = next(self._batches)
        except StopIteration:
            self._batches = None
            raise DamagedError(
                f"{self.path}: promises {self.num_frames} frames, but ends before frame "
                f"{number}; get a whole copy"
            ) from None
        except Exception:
            self._batches = None
            raise
        frame: Frames = self._held[number - self._start]
        return frame
