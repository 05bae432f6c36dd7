"""A job and its outcome as plain data."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

from seesame.bitstream.container import Container
from seesame.context import Progress, no_progress
from seesame.decoders import open_clip
from seesame.errors import LimitsNotMetError
from seesame.metric.evaluator import Evaluation
from seesame.metric.limits import Limits
from seesame.metric.score import Score
from seesame.video.clip import Clip
from seesame.video.span import Span

Settings = Mapping[str, Any]
"""A codec's settings by name; plain JSON values."""

Stages = Callable[[str], AbstractContextManager[Progress]]
"""Called with the label of a stage that begins; gives the callback for its progress."""

LIMIT_SETTINGS = {
    "target_score": "score",
    "max_seg": "seg",
    "max_pose": "pose",
    "max_bytes": "bytes",
}
"""Settings of the trained codecs that are limits, and the field of :class:`Limits` of each."""


def silent(label: str) -> AbstractContextManager[Progress]:
    """Ignore the progress of a stage."""
    return nullcontext(no_progress)


def limits_in(settings: Settings) -> Limits:
    """Return the limits among a trained codec's settings."""
    return Limits(**{field: settings.get(name) for name, field in LIMIT_SETTINGS.items()})


def limit_settings(limits: Limits) -> dict[str, Any]:
    """Return limits as settings of a trained codec, which stops once a file keeps them all."""
    bounds = {name: getattr(limits, field) for name, field in LIMIT_SETTINGS.items()}
    return {name: bound for name, bound in bounds.items() if bound is not None}


@dataclass(frozen=True)
class Source:
    """The clip of a job, before it is opened.

    Args:
        path: a video, a folder of pictures, a .raw or an .ssm file.
        size: ``(height, width)`` of a .raw.
        fps: frames a second of a .raw or a folder.
        source_bytes: the denominator of the rate, where the file is a part cut out of another; its
            own size when None.
        stream: number of the video among those of the file; the file's default when None.
        allow_damage: read a damaged video as well as it goes.
    """

    path: Path
    size: tuple[int, int] | None = None
    fps: Fraction | None = None
    source_bytes: int | None = None
    stream: int | None = None
    allow_damage: bool = False

    def open(self, device: str = "cpu") -> Clip:
        """Open the clip.

        Args:
            device: where the networks of an .ssm file run.

        Raises:
            UserError: it is missing or not readable.
            DamagedError: it is damaged, or no video.
        """
        clip = open_clip(
            self.path,
            size=self.size,
            fps=self.fps,
            device=device,
            stream=self.stream,
            allow_damage=self.allow_damage,
        )
        if self.source_bytes is not None:
            return Span(clip, 0, clip.num_frames, self.source_bytes)
        return clip


@dataclass(frozen=True)
class Job:
    """One encode of one clip: everything that a process needs to do it.

    Args:
        source: the clip.
        codec: name of the codec.
        settings: the codec's own.
        stack: name of the perception networks, as ``load_stack`` takes it; None for no networks,
            and then no score.
        out: the .ssm file to write; None for a temporary one, which is judged and removed.
        overwrite: replace ``out`` if it is there.
        judge: score the file that was written.
        limits: bounds that the outcome is compared with; they change nothing in the encode.
        device: where the networks run: a torch device, or ``auto``.
        seed: of every random step.
        guards: names of further stacks whose outputs a training encode keeps as well.
        work: folder for the checkpoints of a training encode that can be resumed.
        log: file for the log of a training encode.
        threads: torch's threads in the process that does the job; left alone when None.
        cache: keep the source's reference outputs on disk for the next job.
    """

    source: Source
    codec: str
    settings: Settings = field(default_factory=dict)
    stack: str | None = None
    out: Path | None = None
    overwrite: bool = False
    judge: bool = True
    limits: Limits = field(default_factory=Limits)
    device: str = "cpu"
    seed: int = 0
    guards: tuple[str, ...] = ()
    work: Path | None = None
    log: Path | None = None
    threads: int | None = None
    cache: bool = True


@dataclass(frozen=True, eq=False)
class Outcome:
    """One file, as it was read back from disk, and its figures.

    Args:
        codec: name of the codec that was asked for.
        settings: the codec's.
        container: the file, as read back.
        path: where it is; None when it was a temporary file.
        bytes: its size on disk.
        source_bytes: size of the source.
        encode_s: wall seconds of the encode and the writing.
        encode_cpu_s: CPU seconds of this process in that time, all threads.
        judge_s: wall seconds of reading, decoding and judging; 0 when it was not judged.
        evaluation: the figures; None when it was not judged.
        limits: bounds that the figures are compared with.
    """

    codec: str
    settings: Settings
    container: Container
    path: Path | None
    bytes: int
    source_bytes: int
    encode_s: float
    encode_cpu_s: float
    judge_s: float = 0.0
    evaluation: Evaluation | None = None
    limits: Limits = field(default_factory=Limits)

    @property
    def score(self) -> Score:
        """The figures of the decoded file. Raises ValueError when it was not judged."""
        if self.evaluation is None:
            raise ValueError("the file was not judged")
        return self.evaluation.score

    @property
    def missed(self) -> dict[str, float]:
        """The limits that the file does not keep, and by how much it exceeds each."""
        return self.limits.missed(self.score, self.bytes) if self.limits.given else {}

    def check_limits(self) -> None:
        """Raise LimitsNotMetError, with figures, where the file does not keep every limit."""
        missed = self.missed
        if missed:
            what = ", ".join(f"{name} is {by:.6g} above its limit" for name, by in missed.items())
            raise LimitsNotMetError(f"{self.path or self.codec}: {what}")
