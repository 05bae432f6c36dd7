"""Steps that several tools share: run the stack over it, judge a file on disk."""

from pathlib import Path

from seesame.bitstream.container import Container
from seesame.context import Note, no_note
from seesame.decoders import counted, decode_file, is_ssm, named
from seesame.jobs.spec import Stages, silent
from seesame.metric.evaluator import Evaluation, ReferenceOutputs, evaluate, reference_outputs
from seesame.metric.storage.cache import cached_reference_outputs
from seesame.perception.stack import Stack
from seesame.video.clip import Clip

__all__ = [
    "counted",
    "decode_file",
    "describe",
    "is_ssm",
    "judge_file",
    "named",
    "source_outputs",
    "tell_oddities",
]


def tell_oddities(path: Path, clip: Clip, note: Note) -> None:
    """Tell what is odd in a source and how it is read, such as a broken clock.

    Raises:
        DamagedError: the clip cannot be read to its end.
    """
    for sentence in getattr(clip, "oddities", ()):
        note(f"{path}: {sentence}")


def judge_file(
    reference: Clip | ReferenceOutputs,
    path: Path,
    stack: Stack,
    device: str,
    *,
    every_frame: bool = False,
    stages: Stages = silent,
    label: str = "score",
) -> Evaluation:
    """Read an .ssm file back from disk, decode it and score it against its source.

    Args:
        reference: the source, or what the stack gives for it.
        path: the file.
        stack: the perception networks.
        device: the torch device where they run.
        every_frame: judge every frame for segmentation, not second frames alone.
        stages: told of the stage, and of its progress.
        label: of the stage.

    Raises:
        UserError: the two cannot be compared.
        DamagedError: either cannot be decoded.
    """
    size = path.stat().st_size if path.is_file() else 0
    decoded = decode_file(path, device)
    with stages(label) as bar:
        return evaluate(
            reference,
            decoded,
            stack,
            size,
            every_frame=every_frame,
            device=device,
            progress=bar,
        )


def source_outputs(
    path: Path | None,
    source: Clip,
    stack: Stack,
    device: str,
    *,
    every_frame: bool = False,
    cache: bool = True,
    stages: Stages = silent,
    note: Note = no_note,
) -> ReferenceOutputs:
    """Return what the stack gives for a source, against which files can be judged.

    Args:
        path: file or folder of the source, by whose content the outputs are kept on disk; None to
            keep nothing.
        source: the clip.
        stack: the perception networks.
        device: the torch device where they run.
        every_frame: with the classes of every frame, not those of second frames alone.
        cache: keep the outputs on disk, and use those that were kept. The outputs for an .ssm file
            are never kept: its pixels depend on more than its content.
        stages: told of the stage, and of its progress.
        note: called when an entry of the cache cannot be used or written.

    Raises:
        UserError: the clip forms no pair, or cannot be read.
        DamagedError: it ends early.
    """
    with stages(f"source {stack.name}") as bar:
        if path is None or is_ssm(path):
            return reference_outputs(
                source, stack, every_frame=every_frame, device=device, progress=bar
            )
        return cached_reference_outputs(
            path,
            source,
            stack,
            every_frame=every_frame,
            device=device,
            progress=bar,
            tell=note,
            max_bytes=None if cache else 0,
        )


def describe(clip: Clip | Container) -> str:
    """Return in words the facts of a clip, or of the clip that a file was made from.

    ``960x540, 25 fps, 221 frames, 2,641,803 bytes``.
    """
    return (
        f"{clip.width}x{clip.height}, {float(clip.fps):.6g} fps, {clip.num_frames} frames, "
        f"{clip.source_bytes:,} bytes"
    )
