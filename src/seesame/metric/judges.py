"""A judge's comparison of a file with its source, frame by frame or pair by pair."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from seesame.errors import DamagedError, UserError
from seesame.perception.judge import Judge
from seesame.video.clip import Clip, Frames

Progress = Callable[[float, str], None]
"""Called with the share done (0..1) and a short text."""

BATCH = 16
"""Frames that are decoded at once."""


@dataclass(frozen=True)
class Judgement:
    """The figures of one file by one judge.

    Args:
        judge: its name.
        fingerprint: of its weights and ways.
        figures: by name; None where nothing could be measured.
        name: of the figure that rates are compared at, higher is better.
        text: the figures in words.
    """

    judge: str
    fingerprint: str
    figures: dict[str, float | None]
    name: str
    text: str

    @property
    def quality(self) -> float | None:
        """The figure that rates are compared at; None where it could not be measured."""
        return self.figures[self.name]

    def values(self) -> dict[str, Any]:
        """Return the judgement as plain JSON values."""
        return {"stack": self.judge, "fingerprint": self.fingerprint, **self.figures}


def observations(judge: Judge, clip: Clip, progress: Progress | None = None) -> list[Any]:
    """Return what a judge sees in a clip, look by look; keep it to judge many files.

    Raises:
        UserError: the clip is shorter than one look.
        DamagedError: it ends early.
        ValueError: the judge's looks would overlap.
    """
    if judge.step < judge.frames:
        raise ValueError(f"{judge.name} has a step of {judge.step} for {judge.frames} frames")
    if clip.num_frames < judge.frames:
        raise UserError(f"{judge.name} looks at {judge.frames} frames, and the clip has fewer")
    found: list[Any] = []
    look: list[Frames] = []
    seen = 0
    for batch in clip.batches(BATCH):
        for frame in batch:
            if seen % judge.step < judge.frames:
                look.append(frame.copy())  # a view would keep its batch in memory
            if len(look) == judge.frames:
                found.append(judge.observe(np.stack(look)))
                look.clear()
            seen += 1
        if progress is not None:
            progress(seen / clip.num_frames, f"frame {seen} of {clip.num_frames}")
    if seen != clip.num_frames:
        raise DamagedError(f"the clip promises {clip.num_frames} frames, but gave {seen}")
    return found


def judgement(
    judge: Judge, source: Sequence[Any], decoded: Clip, progress: Progress | None = None
) -> Judgement:
    """Return what a judge says of a file.

    Args:
        judge: who compares.
        source: what :func:`observations` found in the source.
        decoded: the file, of as many frames; its size may differ from the source's.
        progress: called after every batch.

    Raises:
        UserError: the file has another number of frames.
        DamagedError: it ends early.
    """
    seen = observations(judge, decoded, progress)
    if len(seen) != len(source):
        raise UserError("the file and its source have different numbers of frames")
    figures = judge.figures(zip(source, seen, strict=True))
    text = judge.told(figures)
    return Judgement(judge.name, judge.fingerprint, figures, judge.quality, text)
