"""One pass over a file and its source: judged by the stack, measured, and kept for the page."""

import time
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from seesame.errors import DamagedError
from seesame.metric.evaluator import BatchOutputs, Evaluation, Progress, ReferenceOutputs, evaluate
from seesame.metric.fidelity import luma, ms_ssim, psnr, squared_errors
from seesame.metric.tally import Row
from seesame.perception.stack import Stack
from seesame.report.classes import Confusion
from seesame.report.plan import Plan
from seesame.report.preview import Pictures, difference, packed_mask, shrunk
from seesame.report.subject import Subject
from seesame.report.tracks import Tracks
from seesame.video.clip import Clip, Frames


@dataclass(frozen=True, eq=False)
class Observed:
    """The figures and pictures of one file."""

    subject: Subject
    evaluation: Evaluation
    confusion: Confusion
    source_poses: NDArray[np.float32]
    """Pose values of the source, ``(N, P)``."""
    poses: NDArray[np.float32]
    """Pose values of the file, ``(N, P)``."""
    frame_psnr: list[float]
    """dB of every frame; infinite where it equals the source's."""
    psnr: float
    """dB of the whole clip: of the mean of the frames' squared errors."""
    ms_ssim: float | None
    """Mean over the frames, 0..1; None for clips too small for its five scales."""
    decode_fps: float
    """Frames a second, decoding alone, in this pass."""
    mask_size: tuple[int, int, int]
    """``(height, width, bytes a class)`` of the packed class maps."""


def observe(
    source: Clip,
    reference: Clip | ReferenceOutputs,
    subject: Subject,
    number: int,
    stack: Stack,
    plan: Plan,
    tracks: Tracks,
    every_frame: bool = False,
    device: str = "cpu",
    progress: Progress | None = None,
) -> Observed:
    """Judge a file exactly as ``seesame score`` does, and keep what the page shows of it.

    Tracks written: ``p`` (pictures of every frame), ``m`` (masks of every pair), ``d`` (pixel
    differences of every frame), each with the file's number; for the first file those of the
    source as well, with number 0.

    Args:
        source: the source clip.
        reference: what the stack sees in it, or the clip where that is too much to hold.
        subject: the file.
        number: 1 for the first file.
        stack: the frozen nets.
        plan: of the previews.
        tracks: where they go.
        every_frame: judge every frame for segmentation, not second frames alone.
        device: where the nets run.
        progress: called after every batch of pairs.

    Raises:
        UserError: the two cannot be compared, or the stack has more classes than it names.
        DamagedError: either ends early.
    """
    compared = _ComparedClip(source, subject.clip, number, plan, tracks)
    masks = _Masks(stack, number, tracks, every_frame)
    evaluation = evaluate(
        reference,
        compared,
        stack,
        subject.bytes,
        every_frame=every_frame,
        device=device,
        progress=progress,
        watch=masks,
        as_read=True,
    )
    likeness = [value for value in compared.likeness if value is not None]
    return Observed(
        subject,
        evaluation,
        masks.confusion,
        masks.source_poses.rows(evaluation.pairs),
        masks.poses.rows(evaluation.pairs),
        [psnr(error) for error in compared.errors],
        psnr(float(np.mean(compared.errors))),
        float(np.mean(likeness)) if likeness else None,
        subject.clip.num_frames / max(compared.seconds, 1e-9),
        masks.size,
    )


class _Masks:
    """The store of the stack's outputs, batch by batch."""

    def __init__(self, stack: Stack, number: int, tracks: Tracks, every_frame: bool) -> None:
        self.confusion = Confusion(stack.classes, every_frame)
        self.source_poses, self.poses = Row(), Row()
        self.size = (0, 0, 1)
        self._number, self._tracks = number, tracks

    def __call__(self, seen: BatchOutputs) -> None:
        self.confusion.watch(seen)
        ours = seen.source.frames
        self.size = (ours.shape[1], ours.shape[2], min(ours.element_size(), 2))
        if not len(seen.source.classes):
            return  # an odd last frame alone, which forms no pair
        self.source_poses.append(seen.source.poses)
        self.poses.append(seen.decoded.poses)
        pairs = (one.classes.cpu().numpy() for one in (seen.source, seen.decoded))
        for source, decoded in zip(*pairs, strict=True):
            if self._number == 1:
                self._tracks.add("m0", packed_mask(source))
            self._tracks.add(f"m{self._number}", packed_mask(decoded))


class _ComparedClip:
    """A decoded clip that compares every frame with the source's as it passes."""

    def __init__(
        self, source: Clip, decoded: Clip, number: int, plan: Plan, tracks: Tracks
    ) -> None:
        self.width, self.height, self.fps = decoded.width, decoded.height, decoded.fps
        self.num_frames, self.source_bytes = decoded.num_frames, decoded.source_bytes
        self.errors: list[float] = []
        self.likeness: list[float | None] = []
        self.seconds = 0.0
        """Spent decoding."""
        self._source, self._decoded = source, decoded
        self._number, self._plan, self._tracks = number, plan, tracks
        count = decoded.num_frames
        self._source_pictures = Pictures(count, plan.picture_bytes) if number == 1 else None
        self._pictures = Pictures(count, plan.picture_bytes)
        self._differences = Pictures(count, plan.difference_bytes)

    def batches(self, batch_size: int) -> Iterator[Frames]:
        """Yield the decoded clip's frames, unchanged."""
        beside = _one_by_one(self._source, batch_size)
        decoded = self._decoded.batches(batch_size)
        with closing(beside), ThreadPoolExecutor(1) as pool:
            while True:
                start = time.perf_counter()
                frames = next(decoded, None)
                self.seconds += time.perf_counter() - start
                if frames is None:
                    return
                sources = [_next(beside) for _ in frames]
                shown = [_of_size(frame, sources[0]) for frame in frames]
                measured = pool.submit(self._measure, sources, shown)
                self._keep(sources, shown)
                measured.result()
                yield frames

    def _measure(self, sources: list[Frames], frames: list[Frames]) -> None:
        """Measure PSNR and MS-SSIM, on a core of their own."""
        for source, decoded in zip(sources, frames, strict=True):
            pair = source[None], decoded[None]
            self.errors += squared_errors(*pair)
            with torch.inference_mode():
                found = ms_ssim(luma(pair[0]), luma(pair[1]))
            self.likeness.append(None if found is None else float(found[0]))

    def _keep(self, sources: list[Frames], frames: list[Frames]) -> None:
        """Keep pictures and differences, one after the other, since their quality is steered."""
        size, number = self._plan.picture, self._number
        for source, decoded in zip(sources, frames, strict=True):
            if self._source_pictures is not None:
                self._tracks.add("p0", self._source_pictures.encoded(shrunk(source, size)))
            self._tracks.add(f"p{number}", self._pictures.encoded(shrunk(decoded, size)))
            differs = difference(source, decoded, self._plan.difference)
            self._tracks.add(f"d{number}", self._differences.encoded(differs))


def _one_by_one(clip: Clip, batch_size: int) -> Generator[Frames, None, None]:
    for frames in clip.batches(batch_size):
        yield from frames


def _of_size(frame: Frames, like: Frames) -> Frames:
    """Return a frame at the size of another: a scaled file is shown as a player would show it."""
    if frame.shape == like.shape:
        return frame
    size = like.shape[1], like.shape[0]
    return np.asarray(Image.fromarray(frame).resize(size, Image.Resampling.BICUBIC))


def _next(frames: Iterator[Frames]) -> Frames:
    frame = next(frames, None)
    if frame is None:
        raise DamagedError("the source ends before the decoded clip does")
    return frame
