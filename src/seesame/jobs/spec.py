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
from seesame.metric.figures import Figures
from seesame.metric.limits import Held, Limits
from seesame.metric.score import Score
from seesame.video.clip import Clip
from seesame.video.span import Span

Settings = Mapping[str, Any]
"""A codec's settings by name; plain JSON values."""

Stages = Callable[[str], AbstractContextManager[Progress]]
"""Called with the label of a stage that begins; gives the callback for its progress."""


def silent(label: str) -> AbstractContextManager[Progress]:
    """Ignore the progress of a stage."""
    return nullcontext(no_progress)


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
        limits: bounds that the outcome is compared with; a codec that trains also aims at them.
        device: where the networks run: a torch device, or ``auto``.
        seed: of every random step.
        guards: names of further stacks whose outputs a training encode keeps as well.
        work: folder for the checkpoints of a training encode that can be resumed.
        log: file for the log of a training encode.
        threads: torch's threads in the process that does the job; left alone when None.
        cache: keep the source's reference outputs on disk for the next job.
        tracks: put the tracks beside the source's video into the file.
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
    tracks: bool = False


@dataclass(frozen=True, eq=False, kw_only=True)
class Judged:
    """One file on the disk and its figures.

    Args:
        codec: name of the codec that was asked for.
        settings: the codec's.
        path: where it is; None when it was a temporary file.
        bytes: its size on disk.
        source_bytes: size of the source.
        encode_s: wall seconds of the encode and the writing.
        judge_s: wall seconds of reading, decoding and judging; 0 when it was not judged.
        evaluation: the figures; None when it was not judged.
        limits: bounds that the figures are compared with.
        advice: what would help where the file misses a limit, as a clause after "try"; empty where
            nothing is known.
    """

    codec: str
    settings: Settings
    path: Path | None
    bytes: int
    source_bytes: int
    encode_s: float
    judge_s: float = 0.0
    evaluation: Evaluation | None = None
    limits: Limits = field(default_factory=Limits)
    advice: str = ""

    @property
    def score(self) -> Score:
        """The figures of the decoded file. Raises ValueError when it was not judged."""
        if self.evaluation is None:
            raise ValueError("the file was not judged")
        return self.evaluation.score

    @property
    def figures(self) -> Figures:
        """The figures that limits bind. Raises ValueError when it was not judged."""
        if self.evaluation is None:
            raise ValueError("the file was not judged")
        return self.evaluation.figures

    @property
    def held(self) -> list[Held]:
        """Every limit beside what the file has."""
        return self.limits.held(self.figures) if self.limits.given else []

    @property
    def missed(self) -> list[Held]:
        """The limits that the file does not keep, each beside what the file has."""
        return [held for held in self.held if not held.kept]

    def check_limits(self) -> None:
        """Raise LimitsNotMetError, with figures, where the file does not keep every limit."""
        if self.missed:
            what = ", ".join(
                f"{one.name} is {one.value:.6g}, not {one.bound:g} or less" for one in self.missed
            )
            raise LimitsNotMetError(f"{self.path or self.codec}: {what}")


@dataclass(frozen=True, eq=False, kw_only=True)
class Outcome(Judged):
    """One .ssm file, as it was read back from disk, and its figures.

    Args:
        container: the file, as read back.
        encode_cpu_s: CPU seconds of this process in the time of the encode, all threads.
    """

    container: Container
    encode_cpu_s: float
