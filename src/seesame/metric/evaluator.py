"""The streaming evaluator: any decoded clip against its source, in memory bounded by the batch.

Both clips go through the same code in batches of the same size, so that the figures do not
depend on who asks: ``compress`` prints what ``score`` prints.
"""

from collections.abc import Callable, Generator, Iterable
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seesame.errors import DamagedError, UserError
from seesame.metric.distortion import pose_distortion, seg_distortion
from seesame.metric.prefetch import prefetched
from seesame.metric.score import Score
from seesame.perception.stack import Stack
from seesame.video.clip import Clip, Frames
from seesame.video.resize import resize

T = TypeVar("T")

Progress = Callable[[float, str], None]
"""Called with the share done (0..1) and a short text."""

BATCH_PAIRS = 16
"""Pairs a batch, as in the challenge; networks may round differently at another size."""


@dataclass(frozen=True, eq=False)
class ReferenceOutputs:
    """A stack's outputs for a source clip, so that many files can be judged against it cheaply."""

    classes: Tensor
    """Arg-max classes of the second frames, uint8 ``(N, h, w)`` (int16 beyond 256 classes), CPU."""
    poses: Tensor
    """Pose values, float32 ``(N, P)`` on the CPU; ``P`` is 0 for a stack without a pose net."""
    width: int
    height: int
    num_frames: int
    fps: Fraction
    source_bytes: int
    stack: str
    fingerprint: str

    @classmethod
    def of(cls, classes: Tensor, poses: Tensor, clip: Clip, stack: Stack) -> "ReferenceOutputs":
        """Return reference outputs with a clip's and a stack's own facts."""
        return cls(
            classes,
            poses,
            clip.width,
            clip.height,
            clip.num_frames,
            clip.fps,
            clip.source_bytes,
            stack.name,
            stack.fingerprint,
        )


@dataclass(frozen=True, eq=False)
class BatchOutputs:
    """The stack's outputs for one batch of pairs of both clips."""

    classes: Tensor
    """Arg-max classes of the source's second frames, integer ``(B, h, w)``."""
    poses: Tensor
    """Pose values of the source's pairs, float32 ``(B, P)``."""
    decoded_classes: Tensor
    decoded_poses: Tensor


Watch = Callable[[BatchOutputs], None]
"""Called with the outputs for every batch as it is judged, in order."""


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The distance of a decoded clip from its source for a stack, and its size."""

    score: Score
    seg: NDArray[np.float32]
    """Seg distortion of every pair, ``(N,)``, 0..1."""
    pose: NDArray[np.float32]
    """Pose distortion of every pair, ``(N,)``, 0 or more."""
    compressed_bytes: int
    source_bytes: int
    stack: str
    fingerprint: str
    width: int
    height: int
    fps: Fraction

    @property
    def pairs(self) -> int:
        """Number of pairs, the challenge's samples."""
        return len(self.seg)


def reference_outputs(
    clip: Clip,
    stack: Stack,
    *,
    batch_pairs: int = BATCH_PAIRS,
    device: str = "cpu",
    progress: Progress | None = None,
) -> ReferenceOutputs:
    """Run the stack over a source clip and keep its classes and pose values.

    The classes take ``h·w`` bytes a pair (118 MB for the challenge's 600 pairs at 512×384).

    Raises:
        UserError: the clip forms no pair, or the stack gives values that are not finite.
        DamagedError: the clip ends early.
    """
    total = _count_pairs(clip.num_frames)
    stack.to(torch.device(device))
    classes, poses = [], []
    done = 0
    batches = _ahead(_seen(_pairs(clip, batch_pairs), stack, device), device)
    with torch.inference_mode(), closing(batches):
        for rgb in batches:
            batch_classes, batch_poses = _outputs(rgb, stack)
            classes.append(batch_classes.cpu())
            poses.append(batch_poses.cpu())
            done += len(rgb)
            if progress is not None:
                progress(done / total, f"pair {done} of {total}")
    return ReferenceOutputs.of(torch.cat(classes), torch.cat(poses), clip, stack)


def evaluate(
    reference: Clip | ReferenceOutputs,
    decoded: Clip,
    stack: Stack,
    compressed_bytes: int,
    *,
    source_bytes: int | None = None,
    batch_pairs: int = BATCH_PAIRS,
    device: str = "cpu",
    progress: Progress | None = None,
    watch: Watch | None = None,
    as_read: bool = False,
) -> Evaluation:
    """Judge a decoded clip against its source (challenge's ``evaluate.py``).

    Averages are taken in float64 over the pairs' float32 values. A trailing odd frame forms no
    pair, but the frame counts must agree.

    Args:
        reference: the source clip, decoded side by side with the other; or what
            :func:`reference_outputs` made of it with the same stack.
        decoded: what the user gets, at source resolution unless ``as_read``.
        stack: the frozen networks.
        compressed_bytes: size of the compressed file on disk.
        source_bytes: the denominator of the rate; the source file's size when None.
        batch_pairs: pairs a batch; results are comparable to the last digit at equal values only.
        device: where the networks run.
        progress: called after every batch.
        watch: called with the stack's outputs for every batch; it changes no figure.
        as_read: the decoded clip may have a size of its own, which the stack resizes to that of its
            networks, as it would for whoever reads such a file.

    Raises:
        UserError: sizes or frame counts differ, no pair, reference outputs of another stack,
            or values that are not finite.
        DamagedError: a clip ends early.
    """
    check_alike(reference, decoded, as_read)
    if isinstance(reference, ReferenceOutputs) and reference.fingerprint != stack.fingerprint:
        raise UserError(
            f"the reference outputs are of stack {reference.stack} ({reference.fingerprint[:12]}), "
            f"not of {stack.name} ({stack.fingerprint[:12]}); make them again with this stack"
        )
    source_bytes = reference.source_bytes if source_bytes is None else source_bytes
    if source_bytes <= 0:
        raise UserError(f"the source's size is {source_bytes} bytes; give the source file's size")
    seg, pose = _distortions(reference, decoded, stack, batch_pairs, device, progress, watch)
    score = Score(
        seg=float(seg.mean(dtype=np.float64)),
        pose=float(pose.mean(dtype=np.float64)),
        rate=compressed_bytes / source_bytes,
    )
    return Evaluation(
        score,
        seg,
        pose,
        compressed_bytes,
        source_bytes,
        stack.name,
        stack.fingerprint,
        decoded.width,
        decoded.height,
        reference.fps,
    )


def _distortions(
    reference: Clip | ReferenceOutputs,
    decoded: Clip,
    stack: Stack,
    batch_pairs: int,
    device: str,
    progress: Progress | None,
    watch: Watch | None,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return seg and pose distortion of every pair, ``(N,)`` each."""
    total = _count_pairs(decoded.num_frames)
    stack.to(torch.device(device))
    judged = stack.judged if stack.has_pose else 0
    seg, pose = [], []
    done = 0
    batches = _ahead(_side_by_side(reference, decoded, batch_pairs, stack, device), device)
    with torch.inference_mode(), closing(batches):
        for source_rgb, rgb in batches:
            if isinstance(reference, ReferenceOutputs):
                kept = slice(done, done + len(rgb))
                classes = reference.classes[kept].to(device)
                poses = reference.poses[kept].to(device)
            else:
                assert source_rgb is not None
                classes, poses = _outputs(source_rgb, stack)
            decoded_classes, decoded_poses = _outputs(rgb, stack)
            if classes.shape != decoded_classes.shape:
                raise UserError(
                    f"stack {stack.name} gives classes at the size of the frames that it reads, so "
                    "that it cannot compare files of two sizes; compress at the source's size"
                )
            seg.append(seg_distortion(classes, decoded_classes).cpu())
            pose.append(pose_distortion(poses, decoded_poses, judged).cpu())
            if watch is not None:
                watch(BatchOutputs(classes, poses, decoded_classes, decoded_poses))
            done += len(rgb)
            if progress is not None:
                progress(done / total, f"pair {done} of {total}")
    return torch.cat(seg).numpy(), torch.cat(pose).numpy()


def _outputs(rgb: Tensor, stack: Stack) -> tuple[Tensor, Tensor]:
    """Return arg-max classes ``(B, h, w)``, pose values ``(B, P)`` of pairs ``(B, 2, 3, H, W)``."""
    logits = stack.segment(rgb[:, 1])
    poses = stack.pose(rgb).float() if stack.has_pose else logits.new_zeros(len(rgb), 0)
    # NaN would compare as class 0 everywhere and pass for a perfect match.
    if not (_finite(logits) and _finite(poses)):
        raise UserError(f"stack {stack.name} gives values that are not finite; check its weights")
    return _arg_max(logits), poses


def _arg_max(logits: Tensor) -> Tensor:
    """Return the first of the largest channels, ``(B, C, h, w)`` to ``(B, h, w)``.

    As ``torch.argmax``, which takes ten times as long where the channels are few and far apart.
    """
    kind = torch.uint8 if logits.shape[1] <= 256 else torch.int16
    best = logits[:, 0].clone(memory_format=torch.contiguous_format)
    classes = torch.zeros_like(best, dtype=kind)
    for index in range(1, logits.shape[1]):
        channel = logits[:, index]
        classes.masked_fill_(channel > best, index)
        torch.maximum(best, channel, out=best)
    return classes


def _finite(values: Tensor) -> bool:
    """Return whether all values are finite; NaN and infinity both show in the extremes."""
    return values.numel() == 0 or bool(torch.isfinite(torch.stack(torch.aminmax(values))).all())


def _seen(batches: Iterable[Frames], stack: Stack, device: str) -> Generator[Tensor, None, None]:
    """Yield pairs ``uint8 (B, 2, H, W, 3)`` as the networks take them: float32 ``(B, 2, 3, h, w)``.

    Where both networks read frames of one size, every frame is resized to it here, once, and by
    itself: a batch of whole frames in float32 would be large.
    """
    height, width = stack.input_size
    for pairs in batches:
        writeable = pairs if pairs.flags.writeable else pairs.copy()  # torch would warn
        frames = torch.from_numpy(writeable).to(device).permute(0, 1, 4, 2, 3)
        if not stack.shared_input:
            yield frames.to(torch.float32, memory_format=torch.contiguous_format)
            continue
        rgb = torch.empty(len(pairs), 2, 3, height, width, device=frames.device)
        for frame, small in zip(frames.flatten(0, 1), rgb.flatten(0, 1), strict=True):
            # Channels last, as the frame is: the same values in half the time.
            small.copy_(resize(frame[None].float(), (height, width))[0])
        yield rgb


def _ahead(batches: Generator[T, None, None], device: str) -> Generator[T, None, None]:
    """Decode one batch ahead, except on the CPU.

    There decoder and networks share the cores, and the memory of a second batch would gain nothing.
    """
    return batches if torch.device(device).type == "cpu" else prefetched(batches)


def _side_by_side(
    reference: Clip | ReferenceOutputs,
    decoded: Clip,
    batch_pairs: int,
    stack: Stack,
    device: str,
) -> Generator[tuple[Tensor | None, Tensor], None, None]:
    """Yield batches of pairs of both clips; None for a source whose outputs are known already."""
    seen = _seen(_pairs(decoded, batch_pairs), stack, device)
    if isinstance(reference, ReferenceOutputs):
        for rgb in seen:
            yield None, rgb
    else:
        yield from zip(_seen(_pairs(reference, batch_pairs), stack, device), seen, strict=True)


def _pairs(clip: Clip, batch_pairs: int) -> Generator[Frames, None, None]:
    """Yield pairs, ``uint8 (B, 2, H, W, 3)``, of exactly the frames that the clip promises."""
    seen = 0
    for frames in clip.batches(2 * batch_pairs):
        seen += len(frames)
        whole = len(frames) // 2 * 2
        if whole:
            yield frames[:whole].reshape(-1, 2, *frames.shape[1:])
    if seen != clip.num_frames:
        raise DamagedError(f"the clip promises {clip.num_frames} frames, but gave {seen}")


def _count_pairs(num_frames: int) -> int:
    if num_frames < 2:
        raise UserError(
            f"a clip of {num_frames} frame{'s' if num_frames != 1 else ''} forms no pair to "
            "judge; a score needs two frames or more"
        )
    return num_frames // 2


def check_alike(reference: Clip | ReferenceOutputs, decoded: Clip, as_read: bool = False) -> None:
    """Refuse clips that cannot be compared frame by frame; of one size, unless ``as_read``.

    Raises UserError.
    """
    if reference.num_frames != decoded.num_frames:
        raise UserError(
            f"the source has {reference.num_frames} frames, the decoded clip "
            f"{decoded.num_frames}; they must agree"
        )
    across = abs(reference.width * decoded.height - reference.height * decoded.width)
    if as_read and across <= reference.width + reference.height:
        return  # of one shape, but for the rounding of the smaller sides to even numbers
    if (reference.width, reference.height) != (decoded.width, decoded.height):
        raise UserError(
            f"the source is {reference.width}x{reference.height}, the decoded clip "
            f"{decoded.width}x{decoded.height}; they must agree"
        )
