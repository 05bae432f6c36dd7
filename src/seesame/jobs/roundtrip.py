"""What several subcommands do with clips: open, encode to disk, decode from disk, judge."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seesame.cli.output import print_note
from seesame.cli.progress import Progress, progress
from seesame.errors import UserError

if TYPE_CHECKING:
    from seesame.context import EncodeContext
    from seesame.metric.evaluator import Evaluation, ReferenceOutputs
    from seesame.perception.stack import Stack
    from seesame.video.clip import Clip, Frames

BATCH_BYTES = 1 << 26
"""RGB bytes held at once where no net runs: 21 frames at 1164x874."""


@dataclass(frozen=True)
class Encoded:
    """What an encode left on disk."""

    path: Path
    codec: str
    bytes: int
    seconds: float


def is_ssm(path: Path) -> bool:
    """Whether a path names an .ssm file, by its suffix or its first bytes."""
    from seesame.bitstream.container import MAGIC

    if path.suffix == ".ssm":
        return True
    try:
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


class _NamedClip:
    """A decoded clip whose errors name its file."""

    def __init__(self, clip: "Clip", path: Path) -> None:
        self.clip, self.path = clip, path
        self.width, self.height = clip.width, clip.height
        self.fps, self.num_frames = clip.fps, clip.num_frames
        self.source_bytes = clip.source_bytes

    def batches(self, batch_size: int) -> "Iterator[Frames]":
        with named(self.path):
            yield from self.clip.batches(batch_size)


def open_source(
    path: Path, size: tuple[int, int] | None = None, fps: Fraction | None = None
) -> "Clip":
    """Open a clip; ``size`` is ``(width, height)``. Raises UserError or DamagedError."""
    from seesame.video.reader import open_clip

    return open_clip(path, size=size and (size[1], size[0]), fps=fps)


def decode_file(path: Path, device: str) -> "Clip":
    """The clip inside an .ssm file, decoded lazily. Raises UserError or DamagedError."""
    from seesame.bitstream.container import Container
    from seesame.codecs.registry import codec_by_id

    container = Container.read(path)
    with named(path):
        return _NamedClip(codec_by_id(container.codec_id).decode(container, device), path)


def encode_file(
    clip: "Clip",
    path: Path,
    codec_name: str,
    settings: Mapping[str, Any],
    context: "EncodeContext",
    *,
    overwrite: bool,
    quiet: bool,
) -> Encoded:
    """Compress a clip into ``path``; nothing is left there when it fails.

    Raises:
        UserError: bad settings, or the output cannot be written.
        DamagedError: the clip cannot be decoded to its end.
    """
    from seesame.codecs.registry import get_codec
    from seesame.files import check_output

    codec = get_codec(codec_name)
    check_output(path, overwrite)
    start = time.perf_counter()
    with progress(f"compress {codec_name}", quiet) as bar:
        container = codec.encode(clip, settings, replace(context, progress=bar))
    seconds = time.perf_counter() - start
    return Encoded(path, codec_name, container.write(path, overwrite), seconds)


def judge_file(
    reference: "Clip | ReferenceOutputs",
    path: Path,
    stack: "Stack",
    device: str,
    *,
    quiet: bool,
    label: str = "score",
) -> "Evaluation":
    """Read an .ssm file back from disk, decode it and score it against its source.

    Raises:
        UserError: the two cannot be compared.
        DamagedError: either cannot be decoded.
    """
    from seesame.metric.evaluator import evaluate

    size = path.stat().st_size if path.is_file() else 0
    decoded = decode_file(path, device)
    with progress(label, quiet) as bar:
        return evaluate(reference, decoded, stack, size, device=device, progress=bar)


def source_outputs(
    path: Path, source: "Clip", stack: "Stack", device: str, *, cache: bool, quiet: bool
) -> "Clip | ReferenceOutputs":
    """What the stack sees in a source, from the cache if it was kept there.

    The clip itself where that is too much to hold; either can be judged against.

    Raises:
        UserError: the clip forms no pair, or cannot be read.
        DamagedError: it ends early.
    """
    from seesame.metric.cache import cached_reference_outputs, holdable

    if not holdable(source, stack):
        return source
    with progress(f"source {stack.name}", quiet) as bar:
        return cached_reference_outputs(
            path,
            source,
            stack,
            device=device,
            progress=bar,
            tell=lambda line: print_note(line, quiet),
            max_bytes=None if cache else 0,
        )


def counted(clip: "Clip", bar: Progress) -> "Iterator[Frames]":
    """The clip's frames in batches, telling ``bar`` how far they are."""
    done = 0
    batch_size = max(1, min(32, BATCH_BYTES // (3 * clip.width * clip.height)))
    for frames in clip.batches(batch_size):
        yield frames
        done += len(frames)
        bar(done / clip.num_frames, f"frame {done} of {clip.num_frames}")


def describe(clip: "Clip") -> str:
    """``960x540, 25 fps, 221 frames, 2,641,803 bytes``."""
    return (
        f"{clip.width}x{clip.height}, {float(clip.fps):.6g} fps, {clip.num_frames} frames, "
        f"{clip.source_bytes:,} bytes"
    )
