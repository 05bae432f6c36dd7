"""The streaming evaluator: any decoded clip against its source, in memory bounded by the batch.

Both clips go through the same code in batches of the same size, so that the figures do not
depend on who asks: ``compress`` prints what ``score`` prints.
"""

from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seesame.errors import UserError
from seesame.metric.figures import Figures, percentiles, shares
from seesame.metric.outputs import (
    Outputs,
    frame_batches,
    moved,
    outputs_of,
    seen_frames,
)
from seesame.metric.prefetch import prefetched
from seesame.metric.score import Score
from seesame.metric.storage.maps import ClassMaps
from seesame.metric.tally import Row, Tally
from seesame.perception.stack import Stack
from seesame.video.clip import Clip

T = TypeVar("T")

Progress = Callable[[float, str], None]
"""Called with the share done (0..1) and a short text."""

BATCH_PAIRS = 16
"""Pairs a batch, as in the challenge; networks may round differently at another size."""


@dataclass(frozen=True, eq=False)
class ReferenceOutputs:
    """A stack's outputs for a source clip, so that many files can be judged against it cheaply."""

    maps: ClassMaps
    """Arg-max classes of the second frames, uint8 ``(N, h, w)`` (int16 beyond 256 classes)."""
    poses: Tensor
    """Pose values, float32 ``(N, P)`` on the CPU; ``P`` is 0 for a stack without a pose net."""
    width: int
    height: int
    num_frames: int
    fps: Fraction
    source_bytes: int
    stack: str
    fingerprint: str
    first_maps: ClassMaps | None = None
    """The same of all other frames, ``(N, h, w)`` or, with an odd last frame, ``(N + 1, h, w)``:
    frames 0, 2, 4, …; None where only second frames were judged."""

    @cached_property
    def classes(self) -> Tensor:
        """All of ``maps`` on the CPU, as training needs them; they stay in memory."""
        return self.maps.whole()

    @cached_property
    def first_classes(self) -> Tensor | None:
        """All of ``first_maps``, likewise."""
        return None if self.first_maps is None else self.first_maps.whole()

    @classmethod
    def of(
        cls,
        maps: ClassMaps,
        poses: Tensor,
        clip: Clip,
        stack: Stack,
        first_maps: ClassMaps | None = None,
    ) -> "ReferenceOutputs":
        """Return reference outputs with a clip's and a stack's own facts."""
        return cls(
            maps,
            poses,
            clip.width,
            clip.height,
            clip.num_frames,
            clip.fps,
            clip.source_bytes,
            stack.name,
            stack.fingerprint,
            first_maps,
        )


@dataclass(frozen=True, eq=False)
class BatchOutputs:
    """The stack's outputs for one batch of pairs of both clips."""

    source: Outputs
    decoded: Outputs


Watch = Callable[[BatchOutputs], None]
"""Called with the outputs for every batch as it is judged, in order."""


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The distance of a decoded clip from its source for a stack, and its size."""

    score: Score
    seg: NDArray[np.float32]
    """Seg distortion of every pair, that is of its second frame, ``(N,)``, 0..1."""
    pose: NDArray[np.float32]
    """Pose distortion of every pair, ``(N,)``, 0 or more."""
    compressed_bytes: int
    source_bytes: int
    stack: str
    fingerprint: str
    width: int
    height: int
    fps: Fraction
    first_seg: NDArray[np.float32] | None = None
    """Seg distortion of frames 0, 2, 4, …, ``(N,)``, or one more with an odd last frame; None where
    only second frames were judged."""
    lost: tuple[tuple[str, float], ...] = ()
    """For each class that the source has, the share of its pixels in the judged frames that get
    another class, 0..1."""

    @property
    def pairs(self) -> int:
        """Number of pairs, the challenge's samples."""
        return len(self.seg)

    @property
    def frame_seg(self) -> NDArray[np.float32]:
        """Seg distortion of all judged frames in their order, ``(F,)``."""
        first, second = self.first_seg, self.seg
        if first is None:
            return second
        found = np.empty(len(first) + len(second), np.float32)
        found[0::2], found[1::2] = first, second
        return found

    @property
    def pair_scores(self) -> NDArray[np.float64]:
        """What each pair by itself would score, without the rate: ``100 seg + sqrt(10 pose)``."""
        return 100 * self.seg.astype(np.float64) + np.sqrt(10 * self.pose)

    def frame_number(self, judged: int) -> int:
        """Return the number in the clip, from 0, of a judged frame."""
        return 2 * judged + 1 if self.first_seg is None else judged

    @cached_property
    def figures(self) -> Figures:
        """The figures that limits bind."""
        seg = self.frame_seg
        worst = self.frame_number(int(seg.argmax()))
        return Figures(
            every_frame=self.first_seg is not None,
            score=self.score.total,
            bytes=self.compressed_bytes,
            seg=float(seg.mean(dtype=np.float64)),
            pose=self.score.pose,
            seg_at=percentiles(seg),
            pose_at=percentiles(self.pose),
            lost=self.lost,
            worst_frame=worst,
            worst_s=float(worst / self.fps),
        )


def reference_outputs(
    clip: Clip,
    stack: Stack,
    *,
    every_frame: bool = False,
    batch_pairs: int = BATCH_PAIRS,
    device: str = "cpu",
    progress: Progress | None = None,
) -> ReferenceOutputs:
    """Run the stack over a source clip and keep its classes and pose values.

    In memory this takes at most 64 MiB for the classes, or twice that where every frame is judged
    (:mod:`seesame.metric.storage.maps`), and four bytes for each pose value.

    Args:
        clip: the source.
        stack: the frozen networks.
        every_frame: keep the classes of every frame, not those of second frames alone.
        batch_pairs: pairs a batch.
        device: where the networks run.
        progress: called after every batch.

    Raises:
        UserError: the clip forms no pair, or the stack gives values that are not finite.
        DamagedError: the clip ends early.
    """
    _check_pairs(clip.num_frames)
    stack.to(torch.device(device))
    maps, firsts = ClassMaps(), ClassMaps() if every_frame else None
    poses = Row()
    done = 0
    batches = _ahead(
        seen_frames(frame_batches(clip, batch_pairs, every_frame), stack, device), device
    )
    with torch.inference_mode(), closing(batches):
        for rgb in batches:
            outputs = moved(outputs_of(rgb, stack, every_frame), "cpu")
            if len(outputs.classes):  # else an odd last frame alone, which forms no pair
                maps.append(outputs.classes)
                poses.append(outputs.poses)
            if firsts is not None and outputs.first_classes is not None:
                firsts.append(outputs.first_classes)
            done += len(rgb)
            _tell(progress, done, clip)
    rows = torch.from_numpy(poses.rows(len(maps)))
    return ReferenceOutputs.of(maps, rows, clip, stack, firsts)


def evaluate(
    reference: Clip | ReferenceOutputs,
    decoded: Clip,
    stack: Stack,
    compressed_bytes: int,
    *,
    every_frame: bool = False,
    source_bytes: int | None = None,
    batch_pairs: int = BATCH_PAIRS,
    device: str = "cpu",
    progress: Progress | None = None,
    watch: Watch | None = None,
    as_read: bool = False,
) -> Evaluation:
    """Judge a decoded clip against its source (challenge's ``evaluate.py``).

    Averages are taken in float64 over the pairs' float32 values. A trailing odd frame forms no
    pair, but the frame counts must agree. The score is that of the second frames, whether the other
    frames are judged as well or not.

    Args:
        reference: the source clip, decoded side by side with the other; or what
            :func:`reference_outputs` made of it with the same stack.
        decoded: what the user gets, at source resolution unless ``as_read``.
        stack: the frozen networks.
        compressed_bytes: size of the compressed file on disk.
        every_frame: judge every frame for segmentation, as limits need it, an odd last one
            included. Reference outputs must have been made so.
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
        ValueError: reference outputs of second frames, where every frame is to be judged.
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
    _check_pairs(decoded.num_frames)
    stack.to(torch.device(device))
    tally = Tally(stack)
    batches = _side_by_side(reference, decoded, batch_pairs, stack, device, every_frame)
    ahead = _ahead(batches, device)
    done = 0
    with torch.inference_mode(), closing(ahead):
        for known, source_rgb, rgb in ahead:
            if known is None:
                assert source_rgb is not None
                known = outputs_of(source_rgb, stack, every_frame)
            judged = BatchOutputs(moved(known, device), outputs_of(rgb, stack, every_frame))
            tally.add(judged.source, judged.decoded)
            if watch is not None:
                watch(judged)
            done += len(rgb)
            _tell(progress, done, decoded)
    return _evaluation(tally, decoded, reference.fps, compressed_bytes, source_bytes)


def _evaluation(
    tally: Tally, decoded: Clip, fps: Fraction, compressed_bytes: int, source_bytes: int
) -> Evaluation:
    """Return the evaluation of a whole clip."""
    seg, pose = tally.seg.numpy(), tally.pose.numpy()
    first = tally.first.numpy() if tally.first else None
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
        tally.stack.name,
        tally.stack.fingerprint,
        decoded.width,
        decoded.height,
        fps,
        first,
        shares(tally.stack.classes, tally.lost, tally.pixels),
    )


def _tell(progress: Progress | None, frames: int, clip: Clip) -> None:
    if progress is not None:
        done, total = frames // 2, clip.num_frames // 2
        progress(done / total, f"pair {done} of {total}")


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
    every_frame: bool,
) -> Generator[tuple[Outputs | None, Tensor | None, Tensor], None, None]:
    """Yield batches of both clips: the source's outputs where they are known, else its frames."""
    seen = seen_frames(frame_batches(decoded, batch_pairs, every_frame), stack, device)
    if isinstance(reference, ReferenceOutputs):
        if every_frame and reference.first_maps is None:
            raise ValueError("the reference outputs are those of second frames only")
        done = 0
        for rgb in seen:
            yield _known(reference, done, done + len(rgb), every_frame), None, rgb
            done += len(rgb)
    else:
        sources = seen_frames(frame_batches(reference, batch_pairs, every_frame), stack, device)
        for source_rgb, rgb in zip(sources, seen, strict=True):
            yield None, source_rgb, rgb


def _known(reference: ReferenceOutputs, start: int, end: int, every_frame: bool) -> Outputs:
    """Return the outputs for the source's frames from ``start`` to before ``end``."""
    pairs = slice(start // 2, end // 2)
    first = reference.first_maps if every_frame else None
    others = None if first is None else first[start // 2 : (end + 1) // 2]
    return Outputs(reference.maps[pairs], reference.poses[pairs], others)


def _check_pairs(num_frames: int) -> None:
    if num_frames < 2:
        raise UserError(
            f"a clip of {num_frames} frame{'s' if num_frames != 1 else ''} forms no pair to "
            "judge; a score needs two frames or more"
        )


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
